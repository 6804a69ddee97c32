//! Repair of 1024 packets, clean and disturbed: `cargo bench --bench repair`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nprint_codec::{Cell, Layout, RowPolicy, SoftMatrix, TernaryMatrix, encode, read_capture};
use protocol_repair::{RepairConfig, check, repair};
use std::hint::black_box;
use std::path::Path;

const ROWS: usize = 1024;

/// The test captures of protocol-repair, one after the other, up to 1024 rows.
fn rows() -> TernaryMatrix {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/protocol-repair/tests/captures");
    let files = std::fs::read_dir(folder).expect("the captures are in the repository");
    let mut paths: Vec<_> = files.flatten().map(|f| f.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "pcap"));
    paths.sort();
    let mut all = TernaryMatrix::new(Layout::reference());
    for path in paths.iter().cycle().take(64) {
        let trace = read_capture(path).expect("a valid capture");
        let cells = encode(&trace, &Layout::reference(), RowPolicy::default());
        for row in cells.iter() {
            if all.rows() < ROWS {
                all.push_vacant().set_words(row.present_words(), row.value_words());
            }
        }
    }
    all
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

fn benches(c: &mut Criterion) {
    let cells = rows();
    let noisy = SoftMatrix::certain(disturbed(&cells));
    let clean = SoftMatrix::certain(cells);
    let config = RepairConfig::default();
    let (trace, _) = repair(&clean, &config).expect("the reference layout");
    let mut group = c.benchmark_group("repair");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(format!("clean/{ROWS}"), |b| {
        b.iter(|| repair(black_box(&clean), &config).expect("valid"));
    });
    group.bench_function(format!("flipped/{ROWS}"), |b| {
        b.iter(|| repair(black_box(&noisy), &config).expect("valid"));
    });
    group.bench_function(format!("check/{ROWS}"), |b| b.iter(|| check(black_box(&trace))));
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
