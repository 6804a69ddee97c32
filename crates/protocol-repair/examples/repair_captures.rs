//! Repairs real captures, clean or disturbed, and says what changed.
//!
//! ```text
//! cargo run --release -p protocol-repair --example repair_captures -- clean OUT CAPTURE…
//! cargo run --release -p protocol-repair --example repair_captures -- flip:0.02 OUT CAPTURE…
//! cargo run --release -p protocol-repair --example repair_captures -- ports:0.03 OUT CAPTURE…
//! cargo run --release -p protocol-repair --example repair_captures -- identity - CAPTURE…
//! ```
//! `flip:P` turns each cell into one of its two other states with probability P, `ports:P` does
//! so in the port columns only; `numbers:P` in sequence and acknowledgement numbers. `runs:P` turns
//! the same share of cells in clusters, `colour:S` adds noise of that standard deviation to the
//! rendered image. The repaired captures go to the folder OUT (`-`: nowhere). The seed of a capture is its
//! place among them, from 1; `KIND:STRENGTH:SEED` is that of the first one.
#![allow(clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use common::noise::{self, Disturbance};
use nprint_codec::{
    Cell, Field, Layout, RowPolicy, SoftMatrix, TernaryMatrix, Trace, encode, read_capture, tcp,
    udp, write_capture,
};
use protocol_repair::{AddressPlan, Link, Payload, RepairConfig, Timing, check, repair};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, out, captures @ ..] = arguments.as_slice() else {
        return Err("usage: repair_captures MODE OUT CAPTURE…".into());
    };
    let mut causes: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    let (mut same, mut total) = (0, 0);
    let first_seed: u64 = mode.split(':').nth(2).map_or(Ok(1), str::parse)?;
    for (seed, capture) in (first_seed..).zip(captures) {
        let source = read_capture(capture)?;
        let cells = encode(&source, &Layout::reference(), RowPolicy::EveryIpPacket);
        total += 1;
        if mode == "identity" {
            let differences = identity(&source, &cells)?;
            if differences.is_empty() {
                same += 1;
            } else {
                println!("{}: {differences:?}", name(capture));
            }
            for (field, n) in differences {
                let cause = causes.entry(field).or_default();
                *cause = (cause.0 + 1, cause.1 + n);
            }
            continue;
        }
        let disturbed = disturb(&cells, mode, seed)?;
        let config = RepairConfig {
            timing: if mode == "clean" {
                Timing::of_trace(&source)
            } else {
                RepairConfig::default().timing
            },
            seed,
            ..RepairConfig::default()
        };
        let start = std::time::Instant::now();
        let (trace, report) = repair(&disturbed, &config)?;
        let took = start.elapsed();
        let again_cells = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
        let (again, _) = repair(&SoftMatrix::certain(again_cells.clone()), &config)?;
        let right = agreement(&cells, &again_cells);
        println!(
            "{} rows {} packets {} flows {} passes {} noise {:.4} changed {:.4} non-derived {:.4} \
             tcp {:.3}->{:.3} handshakes {} findings {} idempotent {} {:.1} ms; right: {right}",
            name(capture),
            cells.rows(),
            report.packets,
            report.flows,
            report.passes,
            report.noise,
            report.changed_share(),
            report.changed_non_derived_share(),
            report.tcp_explained_before,
            report.tcp_explained_after,
            report.handshakes,
            check(&trace).len(),
            again == trace,
            took.as_secs_f64() * 1000.0,
        );
        if out != "-" {
            std::fs::create_dir_all(out)?;
            write_capture(Path::new(out).join(name(capture)), &trace)?;
        }
    }
    if mode == "identity" {
        println!("{same} of {total} captures identical; exceptions by cause {causes:?}");
    }
    Ok(())
}

fn name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Changed cells by field apart from checksums, and bytes that differ with everything kept.
fn identity(
    source: &Trace,
    cells: &TernaryMatrix,
) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let mut out = BTreeMap::new();
    let soft = SoftMatrix::certain(cells.clone());
    let (trace, _) = repair(&soft, &RepairConfig::default())?;
    let again = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    if again.rows() != cells.rows() {
        out.insert("rows".to_owned(), again.rows().abs_diff(cells.rows()) as u64);
        return Ok(out);
    }
    for (before, after) in cells.iter().zip(again.iter()) {
        for (field, column) in cells.layout().fields() {
            let bits = usize::from(field.bits);
            let n = (column..column + bits).filter(|c| before.cell(*c) != after.cell(*c)).count();
            if n > 0 && !field.name.ends_with("_cksum") {
                *out.entry(field.name.to_owned()).or_default() += n as u64;
            }
        }
    }
    let kept = Arc::new(source.clone());
    let config = RepairConfig {
        addresses: AddressPlan::Keep(kept.clone()),
        payload: Payload::Keep(kept),
        timing: Timing::of_trace(source),
        link: Link::Ethernet,
        ..RepairConfig::default()
    };
    let (trace, _) = repair(&soft, &config)?;
    let ip: Vec<_> = source
        .iter()
        .filter(|p| nprint_codec::dissect(source.link_type(), p.bytes).is_some())
        .collect();
    for (before, after) in ip.iter().zip(trace.iter()) {
        if *before != after {
            let what = if before.bytes != after.bytes {
                let at = before.bytes.iter().zip(after.bytes).position(|(a, b)| a != b);
                format!("bytes from {at:?} lengths {} {}", before.bytes.len(), after.bytes.len())
            } else if before.time_ns != after.time_ns {
                "time".to_owned()
            } else {
                format!("length on the wire {} {}", before.original_length, after.original_length)
            };
            *out.entry(what).or_default() += 1;
        }
    }
    Ok(out)
}

/// Evidence made from the truth as `mode` says.
fn disturb(cells: &TernaryMatrix, mode: &str, seed: u64) -> Result<SoftMatrix, Box<dyn Error>> {
    let mut parts = mode.split(':');
    let (kind, strength) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("0"));
    let strength: f64 = strength.parse()?;
    Ok(match kind {
        "clean" => SoftMatrix::certain(cells.clone()),
        "flip" => noise::disturb(cells, Disturbance::Flips(strength), seed),
        "runs" => noise::disturb(cells, Disturbance::Clusters(strength), seed),
        "colour" => noise::disturb(cells, Disturbance::Colour(strength), seed),
        "ports" => SoftMatrix::certain(flip_fields(
            cells,
            &[tcp::SOURCE_PORT, tcp::DESTINATION_PORT, udp::SOURCE_PORT, udp::DESTINATION_PORT],
            strength,
            seed,
        )),
        "numbers" => {
            SoftMatrix::certain(flip_fields(cells, &[tcp::SEQ, tcp::ACK_NUMBER], strength, seed))
        }
        _ => return Err(format!("no such mode: {mode}").into()),
    })
}

/// Turns bits of some fields, each with probability `rate`.
fn flip_fields(cells: &TernaryMatrix, fields: &[Field], rate: f64, seed: u64) -> TernaryMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut out = cells.clone();
    for row in 0..cells.rows() {
        for field in fields {
            let Some(column) = cells.layout().column_of(*field) else { continue };
            for c in column..column + usize::from(field.bits) {
                let turned = match cells.row(row).cell(c) {
                    Cell::Vacant => continue,
                    Cell::Zero => Cell::One,
                    Cell::One => Cell::Zero,
                };
                if random.random_bool(rate) {
                    out.row_mut(row).set_cell(c, turned);
                }
            }
        }
    }
    out
}

/// Share of rows in which each group of fields equals the truth.
fn agreement(truth: &TernaryMatrix, found: &TernaryMatrix) -> String {
    use nprint_codec::{ipv4, ipv6};
    let groups: [(&str, &[Field]); 9] = [
        ("stack", &[ipv4::VERSION, ipv4::PROTOCOL, ipv6::NEXT_HEADER]),
        (
            "ports",
            &[tcp::SOURCE_PORT, tcp::DESTINATION_PORT, udp::SOURCE_PORT, udp::DESTINATION_PORT],
        ),
        ("ttl", &[ipv4::TTL, ipv6::HOP_LIMIT]),
        ("flags", &[tcp::ACK, tcp::SYN, tcp::FIN, tcp::RST, tcp::PSH]),
        ("length", &[ipv4::TOTAL_LENGTH, ipv6::PAYLOAD_LENGTH]),
        ("window", &[tcp::WINDOW]),
        ("seq", &[tcp::SEQ]),
        ("ack", &[tcp::ACK_NUMBER]),
        ("id", &[ipv4::ID]),
    ];
    let rows = truth.rows().min(found.rows());
    groups
        .iter()
        .map(|(name, fields)| {
            let right = (0..rows)
                .filter(|r| fields.iter().all(|f| truth.row(*r).get(*f) == found.row(*r).get(*f)))
                .count();
            format!("{name} {:.3}", right as f64 / rows.max(1) as f64)
        })
        .collect::<Vec<_>>()
        .join(" ")
}
