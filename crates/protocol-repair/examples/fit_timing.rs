//! Fits a timing model on labelled captures.
//!
//! ```text
//! cargo run --release -p protocol-repair --example fit_timing -- OUT.json CAPTURE…
//! ```
//! Labels are read from names such as `…torchlight-wireguardsts-a-video.720.hls.http1.pcap`: the
//! parts `wireguardsts`, `720`, `hls`, `http1` each get a model beside the fallback. `-` before
//! OUT writes the fallback only (`fit_timing - OUT.json CAPTURE…`).
#![allow(clippy::print_stdout)]

use nprint_codec::{Trace, read_capture};
use protocol_repair::TimingModel;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (labelled, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "-" => (false, rest),
        _ => (true, arguments.as_slice()),
    };
    let [out, captures @ ..] = rest else {
        return Err("usage: fit_timing [-] OUT.json CAPTURE…".into());
    };
    let mut traces: Vec<(Trace, Vec<String>)> = Vec::new();
    for capture in captures {
        let name = Path::new(capture).file_stem().unwrap_or_default().to_string_lossy();
        let labels = if labelled { labels(&name) } else { Vec::new() };
        traces.push((read_capture(capture)?, labels));
    }
    let views: Vec<(&Trace, &[String])> = traces.iter().map(|(t, l)| (t, l.as_slice())).collect();
    let model = TimingModel::fit_labelled(&views);
    let text = model.to_json()?;
    std::fs::write(out, &text)?;
    println!(
        "{out}: {} captures, labels {:?}, {} bytes",
        traces.len(),
        model.labelled.keys().collect::<Vec<_>>(),
        text.len()
    );
    Ok(())
}

fn labels(name: &str) -> Vec<String> {
    let Some((_, rest)) = name.split_once("torchlight-") else { return Vec::new() };
    let mut parts = rest.split('.');
    let head = parts.next().unwrap_or_default();
    let mut out: Vec<String> = head.split('-').next().map(str::to_owned).into_iter().collect();
    out.extend(parts.take(3).map(str::to_owned));
    out
}
