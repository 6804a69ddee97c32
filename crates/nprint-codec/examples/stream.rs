//! Captures of any length to bit planes, CSV and arrays, and back, in the memory of a few rows:
//!
//! ```text
//! cargo run --release -p nprint-codec --example stream -- planes trace.pcap
//! … csv trace.pcap trace.csv       … npy trace.pcap trace.npy       … pcap trace.csv back.pcap
//! … read trace.pcap       the whole capture in memory
//! … rows 100 trace.csv back.pcap       its rows again and again, read once
//! … repeat 100 long.pcap a.pcap b.pcap …       the packets of some captures again and again
//! ```
//! Prints the number of rows or packets on standard error. With `time -v` around it this is how
//! speed and memory of the streaming paths are measured.

use nprint_codec::{
    CaptureFormat, CaptureReader, CaptureWriter, CsvOptions, CsvReader, CsvWriter, Header, Layout,
    NpyForm, NpyWriter, Result, RowDecoder, RowEncoder, RowPolicy, TernaryMatrix, read_capture,
    read_csv,
};
use std::fs::File;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

/// A block of planes that the second-level cache holds.
const BLOCK_ROWS: usize = 1_024;
const POLICY: RowPolicy = RowPolicy::NPrint;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["planes", capture] => planes(capture),
        ["read", capture] => read_capture(capture).map(|trace| black_box(trace).len()),
        ["rows", times, csv, capture] => rows_to_pcap(times, csv, capture),
        ["csv", capture, csv] => to_csv(capture, csv),
        ["npy", capture, npy] => to_npy(capture, npy),
        ["pcap", csv, capture] => to_pcap(csv, capture),
        ["repeat", times, capture, ref of @ ..] => repeat(times, capture, of),
        _ => {
            eprintln!(
                "planes | read CAPTURE | csv CAPTURE CSV | npy CAPTURE NPY | pcap CSV CAPTURE"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(count) => eprintln!("{count}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// nPrint's `-4 -6 -t -u -i`.
fn layout() -> Arc<Layout> {
    Arc::new(Layout::of_headers(&Header::ALL))
}

fn create(path: &str) -> Result<File> {
    let file = path.to_owned();
    File::create(path).map_err(|source| nprint_codec::Error::Io { action: "create", file, source })
}

fn planes(capture: &str) -> Result<usize> {
    let mut packets = CaptureReader::open(capture)?;
    let (mut block, mut rows) = (TernaryMatrix::new(layout()), 0);
    loop {
        block.clear();
        let read = packets.read_rows(&mut block, POLICY, BLOCK_ROWS)?;
        if read == 0 {
            return Ok(rows);
        }
        rows += black_box(&block).rows();
    }
}

fn to_csv(capture: &str, csv: &str) -> Result<usize> {
    let mut packets = CaptureReader::open(capture)?;
    let mut csv = CsvWriter::new(create(csv)?, &layout(), &CsvOptions::default())?;
    while let Some(captured) = packets.next_packet()? {
        csv.write_packet(captured.link_type, &captured.packet)?;
    }
    csv.finish()
}

fn to_npy(capture: &str, npy: &str) -> Result<usize> {
    let mut packets = CaptureReader::open(capture)?;
    let mut encoder = RowEncoder::new(&layout(), POLICY);
    let mut npy = NpyWriter::new(create(npy)?, encoder.layout(), NpyForm::Cells)?;
    while let Some(captured) = packets.next_packet()? {
        if let Some(row) = encoder.encode(captured.link_type, captured.packet.bytes) {
            npy.write_row(&row)?;
        }
    }
    npy.finish()
}

fn to_pcap(csv: &str, capture: &str) -> Result<usize> {
    let mut rows = CsvReader::open(csv)?;
    let mut decoder = RowDecoder::new(rows.layout());
    let file = create(capture)?;
    let mut capture = CaptureWriter::new(file, decoder.link_type(), CaptureFormat::Pcap)?;
    while let Some(row) = rows.next_row()? {
        capture.write_row(&mut decoder, &row.row, row.time_ns)?;
    }
    capture.finish()
}

/// The rows of a CSV that fits into memory, again and again: what the way back alone costs.
fn rows_to_pcap(times: &str, csv: &str, capture: &str) -> Result<usize> {
    let matrix = read_csv(csv)?.matrix;
    let mut decoder = RowDecoder::new(matrix.layout());
    let file = create(capture)?;
    let mut capture = CaptureWriter::new(file, decoder.link_type(), CaptureFormat::Pcap)?;
    for _ in 0..times.parse().unwrap_or(1) {
        for row in matrix.iter() {
            capture.write_row(&mut decoder, &row, 0)?;
        }
    }
    capture.finish()
}

fn repeat(times: &str, capture: &str, of: &[&str]) -> Result<usize> {
    let traces = of.iter().map(read_capture).collect::<Result<Vec<_>>>()?;
    let Some(first) = traces.first() else { return Ok(0) };
    let format = CaptureFormat::PcapNanoseconds;
    let mut capture = CaptureWriter::new(create(capture)?, first.link_type(), format)?;
    for _ in 0..times.parse().unwrap_or(1) {
        for packet in traces.iter().flat_map(nprint_codec::Trace::iter) {
            capture.write_packet(&packet)?;
        }
    }
    capture.finish()
}
