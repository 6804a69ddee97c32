//! How far drawn gaps are from real ones, beside how far real ones are from each other.
//!
//! ```text
//! cargo run --release -p protocol-repair --example timing_quality -- SPLITS CAPTURE…
//! cargo run --release -p protocol-repair --example timing_quality -- SPLITS CAPTURE… -- HELD_OUT…
//! ```
//! Captures are told apart by class: the part of the name before `-a-`, with the service where that is
//! `none`. Of each, the first 1024 IP packets are used.
//!
//! - Without HELD_OUT, each class is split into halves A and B by seed. A model is fitted on A and gives
//!   times to the packets of B. The floor is how far A's gaps are from B's.
//! - With HELD_OUT, B is the class's held-out captures, and the model is fitted on all the others,
//!   labelled by class, as the crate's own is. The floor is how far as many of the class's other
//!   captures, chosen by seed, are from B. A second table is of the same model without the label.
//!
//! Printed for each class, with means over the splits: Wasserstein-1 between `log10` of the gaps in
//! seconds; the same within each context (direction kept or changed; no payload or three sizes), weighted by its share
//! of B; and the mean over lags 1 to 20 of the difference between the mean autocorrelations of these
//! logarithms.
#![allow(clippy::print_stdout)]

use nprint_codec::{
    IpVersion, Layout, RowPolicy, SoftMatrix, TernaryMatrix, Trace, TransportKind, dissect, encode,
    read_capture,
};
use protocol_repair::{RepairConfig, Timing, TimingModel, repair};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::Path;

/// Packets of a capture that are used: the rows of an image.
const ROWS: usize = 1024;
const LAGS: usize = 20;

/// Distances: Wasserstein-1, the same within contexts, autocorrelation.
type Distances = [f64; 3];

struct Capture {
    trace: Trace,
    soft: SoftMatrix,
    gaps: Gaps,
}

/// `log10` of the gaps in seconds, and the contexts of their packets.
#[derive(Clone)]
struct Gaps {
    logarithms: Vec<f64>,
    contexts: Vec<usize>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [splits, captures @ ..] = arguments.as_slice() else {
        return Err("usage: timing_quality SPLITS CAPTURE… [-- HELD_OUT…]".into());
    };
    let splits: u64 = splits.parse()?;
    let mut sets = captures.split(|argument| argument == "--");
    let classes = load_all(sets.next().unwrap_or_default())?;
    if let Some(held_out) = sets.next() {
        let held_out = load_all(held_out)?;
        let model = fit(&classes);
        println!("Label given:\n");
        table(splits, &held_out, |class, b, seed| {
            beside(&classes[class], b, &model, Some(class), seed)
        })?;
        println!("\nNo label given:\n");
        table(splits, &held_out, |class, b, seed| beside(&classes[class], b, &model, None, seed))
    } else {
        table(splits, &classes, |_, captures, seed| halves(captures, seed))
    }
}

fn table(
    splits: u64,
    classes: &Classes,
    of: impl Fn(&str, &[Capture], u64) -> Result<[Distances; 2], Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| class | captures | W1 drawn | floor | ratio | W1 in context | floor | ratio | ACF drawn | floor | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (class, captures) in classes {
        let mut sums = [[0.0; 3]; 2];
        for seed in 0..splits {
            let found = of(class, captures, seed)?;
            sums.as_flattened_mut().iter_mut().zip(found.as_flattened()).for_each(|(s, f)| *s += f);
        }
        let [drawn, floor] = sums.map(|sums| sums.map(|sum| sum / splits as f64));
        let parts =
            drawn.iter().zip(floor).map(|(d, f)| format!(" {d:.3} | {f:.3} | {:.2} |", d / f));
        println!("| {class} | {} |{}", captures.len(), parts.collect::<String>());
    }
    Ok(())
}

type Classes = BTreeMap<String, Vec<Capture>>;

fn load_all(paths: &[String]) -> Result<Classes, Box<dyn std::error::Error>> {
    let mut classes = Classes::new();
    for path in paths {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        classes.entry(class(&name)).or_default().push(load(path)?);
    }
    Ok(classes)
}

/// A model of all classes, each a label.
fn fit(classes: &Classes) -> TimingModel {
    let label = |(class, captures): (&String, &'_ Vec<Capture>)| {
        captures
            .iter()
            .map(|c| c.trace.clone())
            .zip(std::iter::repeat([class.clone()]))
            .collect::<Vec<_>>()
    };
    let labelled: Vec<(Trace, [String; 1])> = classes.iter().flat_map(label).collect();
    let views: Vec<(&Trace, &[String])> = labelled.iter().map(|(t, l)| (t, &l[..])).collect();
    TimingModel::fit_labelled(&views)
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

/// The gaps, a microsecond at least, and each packet's context: whether the sender is another one,
/// and without payload or by size.
fn gaps(trace: &Trace) -> Gaps {
    let mut out = Gaps { logarithms: Vec::new(), contexts: Vec::new() };
    let mut last: Option<(i64, &[u8])> = None;
    for packet in trace.iter() {
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        let sender = if d.version == IpVersion::V4 { &d.ip[12..16] } else { &d.ip[8..24] };
        if let Some((time_ns, before)) = last {
            let bytes = packet.original_length - d.link.len() as u32;
            let payload = d.payload_length > 0 || d.kind == TransportKind::LaterFragment;
            let size = 1 + [256, 1000].iter().filter(|end| bytes > **end).count();
            let gap_s = (packet.time_ns - time_ns) as f64 * 1e-9;
            out.logarithms.push(gap_s.max(1e-6).log10());
            out.contexts.push(4 * usize::from(sender != before) + if payload { size } else { 0 });
        }
        last = Some((packet.time_ns, sender));
    }
    out
}

/// Distances from one half: drawn for it, and the other half.
fn halves(captures: &[Capture], seed: u64) -> Result<[Distances; 2], Box<dyn std::error::Error>> {
    let mut order: Vec<&Capture> = captures.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (a, b) = order.split_at(order.len().div_ceil(2));
    let model = TimingModel::fit(&a.iter().map(|c| c.trace.clone()).collect::<Vec<_>>());
    distances(a, b, &model, None, seed)
}

/// Distances from held-out captures: drawn for them, and as many others.
fn beside(
    others: &[Capture],
    b: &[Capture],
    model: &TimingModel,
    label: Option<&str>,
    seed: u64,
) -> Result<[Distances; 2], Box<dyn std::error::Error>> {
    let mut a: Vec<&Capture> = others.iter().collect();
    a.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    a.truncate(b.len());
    distances(&a, &b.iter().collect::<Vec<_>>(), model, label, seed)
}

/// Distances from B: drawn for it, and of A.
fn distances(
    a: &[&Capture],
    b: &[&Capture],
    model: &TimingModel,
    label: Option<&str>,
    seed: u64,
) -> Result<[Distances; 2], Box<dyn std::error::Error>> {
    let mut drawn = Vec::new();
    for (index, capture) in b.iter().enumerate() {
        let timing = Timing::Model { model: model.clone(), label: label.map(str::to_owned) };
        let config =
            RepairConfig { timing, seed: seed << 16 | index as u64, ..RepairConfig::default() };
        let own = gaps(&repair(&capture.soft, &config)?.0);
        drawn.push(Gaps { logarithms: own.logarithms, ..capture.gaps.clone() });
    }
    let of = |set: &[&Capture]| set.iter().map(|c| c.gaps.clone()).collect::<Vec<_>>();
    let (a, b) = (of(a), of(b));
    Ok([apart(&drawn, &b), apart(&a, &b)])
}

fn apart(x: &[Gaps], b: &[Gaps]) -> Distances {
    let all = |set: &[Gaps], context: Option<usize>| -> Vec<f64> {
        let pairs = set.iter().flat_map(|g| g.logarithms.iter().zip(&g.contexts));
        pairs.filter(|(_, c)| context.is_none_or(|own| own == **c)).map(|(l, _)| *l).collect()
    };
    let whole = all(b, None);
    let within = (0..8).map(|context| {
        let (x, b) = (all(x, Some(context)), all(b, Some(context)));
        let share = b.len() as f64 / whole.len() as f64;
        if x.is_empty() || b.is_empty() { 0.0 } else { share * wasserstein(&x, &b) }
    });
    let curve = |set: &[Gaps]| mean_autocorrelation(set.iter().map(|g| &g.logarithms));
    let lags = curve(x).into_iter().zip(curve(b));
    [
        wasserstein(&all(x, None), &whole),
        within.sum(),
        lags.map(|(x, b)| (x - b).abs()).sum::<f64>() / LAGS as f64,
    ]
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

fn mean_autocorrelation<'a>(set: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
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
    let all: Vec<Vec<f64>> = set.map(one).collect();
    (0..LAGS).map(|lag| all.iter().map(|c| c[lag]).sum::<f64>() / all.len() as f64).collect()
}
