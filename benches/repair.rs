//! Repair of 1024 packets, clean and disturbed, whole and by stage, and of long traces:
//! `cargo bench --bench repair`. Times are the thread's CPU time but for the stages, which have wall clocks.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "../crates/protocol-repair/tests/common/mod.rs"]
#[allow(dead_code, reason = "the tests take more of it")]
mod common;
mod cpu_time;

use common::flip;
use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nprint_codec::{
    Cell, Layout, RowPolicy, SoftMatrix, TernaryMatrix, encode, read_capture, write_capture_to,
};
use protocol_repair::{RepairConfig, Stage, check, profile, repair};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

const ROWS: usize = 1024;

/// The test captures of protocol-repair, one after the other and again, up to `count` rows.
fn rows(count: usize) -> TernaryMatrix {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/protocol-repair/tests/captures");
    let files = std::fs::read_dir(folder).expect("the captures are in the repository");
    let mut paths: Vec<_> = files.flatten().map(|f| f.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "pcap"));
    paths.sort();
    let mut all = TernaryMatrix::new(Layout::reference());
    for path in paths.iter().cycle() {
        let trace = read_capture(path).expect("a valid capture");
        let cells = encode(&trace, &Layout::reference(), RowPolicy::default());
        for row in cells.iter() {
            all.push_vacant().set_words(row.present_words(), row.value_words());
            if all.rows() == count {
                return all;
            }
        }
    }
    unreachable!("the captures are repeated until there are enough rows")
}

/// Every 50th cell in one of its other states.
fn disturbed(cells: &TernaryMatrix) -> TernaryMatrix {
    let mut out = cells.clone();
    for index in (0..cells.rows() * cells.columns()).step_by(50) {
        let (row, column) = (index.div_euclid(cells.columns()), index % cells.columns());
        let other = match cells.row(row).cell(column) {
            Cell::Vacant => Cell::One,
            Cell::Zero => Cell::Vacant,
            Cell::One => Cell::Zero,
        };
        out.row_mut(row).set_cell(column, other);
    }
    out
}

/// Row counts of the long traces, and whether disturbed ones are repaired too. `TORCHLIGHT_BENCH_ROWS`
/// names one more of both, such as 1048576: too long for every run.
fn long() -> Vec<(usize, bool)> {
    let more = std::env::var("TORCHLIGHT_BENCH_ROWS").ok().and_then(|rows| rows.parse().ok());
    [(8 * ROWS, true), (64 * ROWS, false)]
        .into_iter()
        .chain(more.map(|rows| (rows, true)))
        .collect()
}

fn benches(c: &mut Criterion<CpuTime>) {
    let cells = rows(ROWS);
    let noisy = SoftMatrix::certain(disturbed(&cells));
    let noisier = SoftMatrix::certain(flip(&cells, 0.05, 1));
    let clean = SoftMatrix::certain(cells);
    let config = RepairConfig::default();
    let (trace, _) = repair(&clean, &config).expect("the reference layout");
    let mut group = c.benchmark_group("repair");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (name, soft) in [("clean", &clean), ("flipped", &noisy), ("flipped5", &noisier)] {
        let mut file = Vec::new();
        group.bench_function(format!("{name}-to-pcap/{ROWS}"), |b| {
            b.iter(|| {
                let (trace, _) = repair(black_box(soft), &config).expect("valid");
                file.clear();
                write_capture_to(&mut file, &trace).expect("memory takes it");
            });
        });
    }
    for (name, soft) in [("clean", &clean), ("flipped", &noisy)] {
        group.bench_function(format!("{name}/{ROWS}"), |b| {
            b.iter(|| repair(black_box(soft), &config).expect("valid"));
        });
        for (stage, part) in
            [(Stage::Infer, "infer"), (Stage::Plan, "plan"), (Stage::Compile, "compile")]
        {
            group.bench_function(format!("{name}-{part}/{ROWS}"), |b| {
                b.iter_custom(|rounds| {
                    let once =
                        |_| profile(black_box(soft), &config).expect("valid").stage_ns(stage);
                    Duration::from_nanos((0..rounds).map(once).sum())
                });
            });
        }
    }
    group.bench_function(format!("check/{ROWS}"), |b| b.iter(|| check(black_box(&trace))));
    // Linear: the time per packet must not grow.
    for (count, disturbed) in long() {
        group.sample_size(10).throughput(Throughput::Elements(count as u64));
        let many = rows(count);
        let noisy = disturbed.then(|| ("flipped", SoftMatrix::certain(flip(&many, 0.02, 1))));
        for (name, soft) in noisy.into_iter().chain([("clean", SoftMatrix::certain(many))]) {
            group.bench_function(format!("{name}/{count}"), |b| {
                b.iter(|| repair(black_box(&soft), &config).expect("valid"));
            });
        }
    }
    group.finish();
}

criterion_group!(name = group; config = Criterion::default().with_measurement(CpuTime); targets = benches);
criterion_main!(group);
