//! The codec on one real capture: `cargo bench --bench codec`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nprint_codec::{
    CsvOptions, Layout, RowPolicy, Trace, decode, encode, read_capture, read_capture_from,
    read_csv_from, write_csv,
};
use std::hint::black_box;
use std::path::{Path, PathBuf};

const ROWS: usize = 1024;

fn sample() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-samples/captures");
    let files = std::fs::read_dir(folder).expect("the sample captures are in the repository");
    let mut paths: Vec<PathBuf> = files.flatten().map(|f| f.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "pcap"));
    paths.sort();
    paths.into_iter().next().expect("at least one sample capture")
}

fn trace() -> Trace {
    let mut trace = read_capture(sample()).expect("a valid capture");
    trace.truncate(ROWS);
    trace
}

fn codec(c: &mut Criterion) {
    let (trace, layout) = (trace(), Layout::reference());
    let matrix = encode(&trace, &layout, RowPolicy::default());
    let id = format!("{}x{}", matrix.rows(), matrix.columns());
    let options = CsvOptions::default();
    let mut csv = Vec::new();
    write_csv(&mut csv, &trace, &layout, &options).expect("memory takes everything");
    let file = std::fs::read(sample()).expect("a readable sample");

    let mut rows = c.benchmark_group("codec");
    rows.throughput(Throughput::Elements(matrix.rows() as u64));
    rows.bench_function(format!("encode/{id}"), |b| {
        b.iter(|| encode(black_box(&trace), &layout, RowPolicy::default()));
    });
    rows.bench_function(format!("decode/{id}"), |b| b.iter(|| decode(black_box(&matrix), &[])));
    let mut out = Vec::with_capacity(csv.len());
    rows.bench_function(format!("csv_write/{id}"), |b| {
        b.iter(|| {
            out.clear();
            write_csv(&mut out, black_box(&trace), &layout, &options)
        });
    });
    rows.bench_function(format!("csv_read/{id}"), |b| {
        b.iter(|| read_csv_from(black_box(&csv[..]), "memory"));
    });
    rows.finish();

    let mut files = c.benchmark_group("codec");
    files.throughput(Throughput::Bytes(file.len() as u64));
    files.bench_function(format!("read_capture/{}", file.len()), |b| {
        b.iter(|| read_capture_from(black_box(&file[..]), "memory"));
    });
    files.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
