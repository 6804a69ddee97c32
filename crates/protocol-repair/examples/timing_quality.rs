//! How far drawn gaps are from real ones, beside the distance between two halves of the real ones.
//!
//! ```text
//! cargo run --release -p protocol-repair --example timing_quality -- SPLITS CAPTURE…
//! ```
//! Captures of one class (the part of the name before `-a-`, with the service where that is
//! `none`) are split into halves A and B by seed. A model is fitted on A and gives times to the
//! packets of B. Printed for each class: Wasserstein-1 between `log10` of the gaps in seconds, drawn
//! to B and A to B, and the mean over lags 1 to 20 of the difference between the mean
//! autocorrelations of these logarithms; means over the splits.
#![allow(clippy::print_stdout)]

use nprint_codec::{Layout, RowPolicy, SoftMatrix, TernaryMatrix, Trace, encode, read_capture};
use protocol_repair::{RepairConfig, Timing, TimingModel, repair};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::Path;

/// Packets of a capture that are used: the rows of an image.
const ROWS: usize = 1024;
const LAGS: usize = 20;

struct Capture {
    trace: Trace,
    soft: SoftMatrix,
    gaps: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [splits, captures @ ..] = arguments.as_slice() else {
        return Err("usage: timing_quality SPLITS CAPTURE…".into());
    };
    let splits: u64 = splits.parse()?;
    let mut classes: BTreeMap<String, Vec<Capture>> = BTreeMap::new();
    for path in captures {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        classes.entry(class(&name)).or_default().push(load(path)?);
    }
    println!("| class | captures | W1 drawn | W1 floor | ratio | ACF drawn | ACF floor | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for (class, captures) in &classes {
        let mut sums = [0.0; 4];
        for seed in 0..splits {
            let found = split(captures, seed)?;
            sums.iter_mut().zip(found).for_each(|(sum, own)| *sum += own);
        }
        let [w1, w1_floor, acf, acf_floor] = sums.map(|s| s / splits as f64);
        println!(
            "| {class} | {} | {w1:.3} | {w1_floor:.3} | {:.2} | {acf:.4} | {acf_floor:.4} | {:.2} |",
            captures.len(),
            w1 / w1_floor,
            acf / acf_floor
        );
    }
    Ok(())
}

/// Tunnel of a video capture, service of the others.
fn class(name: &str) -> String {
    let rest = name.split_once("torchlight-").map_or(name, |(_, rest)| rest);
    let (tunnel, service) = rest.split_once("-a-").unwrap_or((rest, ""));
    let service = service.split('.').next().unwrap_or_default();
    if tunnel == "none" { format!("none {service}") } else { tunnel.to_owned() }
}

fn load(path: &str) -> Result<Capture, Box<dyn std::error::Error>> {
    let whole = read_capture(path)?;
    let mut trace = Trace::new(whole.link_type());
    let ip = |bytes: &[u8]| nprint_codec::dissect(whole.link_type(), bytes).is_some();
    for packet in whole.iter().filter(|p| ip(p.bytes)).take(ROWS) {
        trace.push(packet.time_ns, packet.bytes, packet.original_length);
    }
    let cells: TernaryMatrix = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    Ok(Capture { gaps: gaps(&trace), trace, soft: SoftMatrix::certain(cells) })
}

/// `log10` of the gaps in seconds, at least a microsecond.
fn gaps(trace: &Trace) -> Vec<f64> {
    let times: Vec<i64> = trace.iter().map(|p| p.time_ns).collect();
    times.windows(2).map(|w| ((w[1] - w[0]) as f64 * 1e-9).max(1e-6).log10()).collect()
}

/// Distances drawn and floor: Wasserstein-1, then autocorrelation.
fn split(captures: &[Capture], seed: u64) -> Result<[f64; 4], Box<dyn std::error::Error>> {
    let mut order: Vec<&Capture> = captures.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (a, b) = order.split_at(order.len().div_ceil(2));
    let model = TimingModel::fit(&a.iter().map(|c| c.trace.clone()).collect::<Vec<_>>());
    let mut drawn = Vec::new();
    for (index, capture) in b.iter().enumerate() {
        let timing = Timing::Model { model: model.clone(), label: None };
        let config =
            RepairConfig { timing, seed: seed << 16 | index as u64, ..RepairConfig::default() };
        drawn.push(gaps(&repair(&capture.soft, &config)?.0));
    }
    let of = |set: &[&Capture]| set.iter().map(|c| c.gaps.clone()).collect::<Vec<_>>();
    let (a, b) = (of(a), of(b));
    let apart = |x: &[Vec<f64>], y: &[Vec<f64>]| {
        let (x, y) = (mean_autocorrelation(x), mean_autocorrelation(y));
        x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum::<f64>() / LAGS as f64
    };
    Ok([
        wasserstein(&drawn.concat(), &b.concat()),
        wasserstein(&a.concat(), &b.concat()),
        apart(&drawn, &b),
        apart(&a, &b),
    ])
}

/// Area between the quantile functions.
fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    const POINTS: usize = 4096;
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let at = |v: &[f64], i: usize| v[((i as f64 + 0.5) / POINTS as f64 * v.len() as f64) as usize];
    (0..POINTS).map(|i| (at(&a, i) - at(&b, i)).abs()).sum::<f64>() / POINTS as f64
}

fn mean_autocorrelation(set: &[Vec<f64>]) -> Vec<f64> {
    let one = |values: &Vec<f64>| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (1..=LAGS)
            .map(|lag| {
                let later = values.get(lag..).unwrap_or_default();
                let sum: f64 = values.iter().zip(later).map(|(a, b)| (a - mean) * (b - mean)).sum();
                if square > 1e-12 { sum / square } else { 0.0 }
            })
            .collect()
    };
    let all: Vec<Vec<f64>> = set.iter().map(one).collect();
    (0..LAGS).map(|lag| all.iter().map(|c| c[lag]).sum::<f64>() / all.len() as f64).collect()
}
