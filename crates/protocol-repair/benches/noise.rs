//! How much of a capture repair gives back, by field, kind and strength of noise.
//!
//! ```text
//! cargo bench -p protocol-repair --bench noise -- [FOLDER or CAPTURE…]
//! ```
//! Without arguments: the captures of the tests. Prints Markdown: the share of packets whose fields
//! equal the truth when bits are taken as they are, and after repair; then the cells changed, the
//! findings of `check`, and packets lost or invented.
#![allow(clippy::print_stdout, clippy::unnecessary_wraps)]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use common::noise::{Disturbance, GROUPS, disturb, right};
use common::{captures, cells_of};
use nprint_codec::{Trace, read_capture};
use protocol_repair::{RepairConfig, check, repair};
use std::path::{Path, PathBuf};

const KINDS: [Disturbance; 11] = [
    Disturbance::Flips(0.01),
    Disturbance::Flips(0.02),
    Disturbance::Flips(0.05),
    Disturbance::Flips(0.1),
    Disturbance::Clusters(0.01),
    Disturbance::Clusters(0.02),
    Disturbance::Clusters(0.05),
    Disturbance::Clusters(0.1),
    Disturbance::Colour(40.0),
    Disturbance::Colour(70.0),
    Disturbance::Colour(100.0),
];

fn traces() -> Result<Vec<(String, Trace)>, Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for argument in std::env::args().skip(1).filter(|a| !a.starts_with("--")) {
        let path = Path::new(&argument);
        if path.is_dir() {
            files.extend(std::fs::read_dir(path)?.flatten().map(|entry| entry.path()));
        } else {
            files.push(path.to_owned());
        }
    }
    files.sort();
    if files.is_empty() {
        return Ok(captures());
    }
    files.into_iter().map(|f| Ok((f.display().to_string(), read_capture(&f)?))).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let traces = traces()?;
    let names: Vec<&str> = GROUPS.iter().map(|g| g.0).collect();
    println!("| noise | {} | changed | findings | rows off |", names.join(" | "));
    println!("|---{}|---|---|---|", "|---".repeat(names.len()));
    for kind in KINDS {
        let mut raw = [(0, 0); GROUPS.len()];
        let mut repaired = [(0, 0); GROUPS.len()];
        let (mut changed, mut cells, mut findings, mut off) = (0, 0, 0, 0);
        for (index, (name, trace)) in traces.iter().enumerate() {
            let mut truth = cells_of(trace);
            truth.truncate(1024);
            let soft = disturb(&truth, kind, index as u64);
            let (made, report) = repair(&soft, &RepairConfig::default())?;
            let found = cells_of(&made);
            let (before, after) = (right(&truth, soft.cells()), right(&truth, &found));
            for (sum, own) in raw.iter_mut().zip(before).chain(repaired.iter_mut().zip(after)) {
                *sum = (sum.0 + own.0, sum.1 + own.1);
            }
            if std::env::var_os("NOISE_BY_CAPTURE").is_some() {
                let shares: Vec<String> = after
                    .iter()
                    .map(|(n, of)| format!("{:.1}", 100.0 * *n as f64 / (*of).max(1) as f64))
                    .collect();
                println!("| {kind:?} {name} | {} |", shares.join(" | "));
            }
            changed += report.changed_cells;
            cells += report.cells;
            findings += check(&made).len();
            off += made.len().abs_diff(truth.rows());
        }
        let columns: Vec<String> = raw
            .iter()
            .zip(repaired)
            .map(|(raw, repaired)| {
                let share = |(n, of): (usize, usize)| 100.0 * n as f64 / of.max(1) as f64;
                format!("{:.1} → {:.2}", share(*raw), share(repaired))
            })
            .collect();
        let share = 100.0 * changed as f64 / cells as f64;
        println!("| {kind:?} | {} | {share:.1} | {findings} | {off} |", columns.join(" | "));
    }
    Ok(())
}
