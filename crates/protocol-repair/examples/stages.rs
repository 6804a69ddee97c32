//! Where the time of a repair goes, rule by rule, and how it grows with the packets.
//!
//! ```text
//! cargo run --release -p protocol-repair --example stages -- ROWS NOISE ROUNDS CAPTURE…
//! ```
//! Captures are put one after the other and again until there are ROWS packets. NOISE `0.02` turns each
//! cell into one of its other states with that probability, `runs:0.02` does so in clusters, `colour:40`
//! adds noise of that standard deviation to the rendered image.
#![allow(clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use common::noise::{Disturbance, disturb};
use nprint_codec::{
    Layout, RowPolicy, SoftMatrix, TernaryMatrix, encode, read_capture, write_capture_to,
};
use protocol_repair::{RepairConfig, profile, repair};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, noise, rounds, captures @ ..] = arguments.as_slice() else {
        return Err("usage: stages ROWS NOISE ROUNDS CAPTURE…".into());
    };
    let (rows, rounds): (usize, usize) = (rows.parse()?, rounds.parse()?);
    let sources: Vec<TernaryMatrix> = captures
        .iter()
        .map(|c| Ok(encode(&read_capture(c)?, &Layout::reference(), RowPolicy::EveryIpPacket)))
        .collect::<nprint_codec::Result<_>>()?;
    let mut cells = TernaryMatrix::new(Layout::reference());
    for row in sources.iter().cycle().flat_map(TernaryMatrix::iter).take(rows) {
        cells.push_vacant().set_words(row.present_words(), row.value_words());
    }
    let soft = match noise.split_once(':') {
        Some(("runs", share)) => disturb(&cells, Disturbance::Clusters(share.parse()?), 1),
        Some(("colour", sigma)) => disturb(&cells, Disturbance::Colour(sigma.parse()?), 1),
        Some((kind, _)) => return Err(format!("no such noise: {kind}").into()),
        None => SoftMatrix::certain(common::flip(&cells, noise.parse()?, 1)),
    };
    let config = RepairConfig::default();
    let mut file = Vec::new();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let (trace, _) = repair(&soft, &config)?;
            file.clear();
            write_capture_to(&mut file, &trace)?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    times.sort_by(f64::total_cmp);
    let median = times[rounds >> 1];
    println!(
        "{rows} rows, noise {noise}: median {median:.2} ms, least {:.2} ms, {:.2} µs a row",
        times[0],
        1e3 * median / rows as f64
    );
    // The least of all rounds: what other programs take is not counted.
    let mut least = profile(&soft, &config)?;
    for _ in 1..rounds {
        let parts = profile(&soft, &config)?;
        least.bytes_ns = least.bytes_ns.min(parts.bytes_ns);
        for (known, part) in least.rules.iter_mut().zip(parts.rules) {
            known.2 = known.2.min(part.2);
        }
    }
    for (rule, _, ns) in &least.rules {
        println!("{:9.3} ms  {rule}", *ns as f64 * 1e-6);
    }
    let rules: u64 = least.rules.iter().map(|r| r.2).sum();
    println!("{:9.3} ms  bytes", least.bytes_ns as f64 * 1e-6);
    println!("{:9.3} ms  together", (rules + least.bytes_ns) as f64 * 1e-6);
    Ok(())
}
