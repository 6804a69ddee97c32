//! Fits a timing model on labelled captures.
//!
//! ```text
//! cargo run --release -p protocol-repair --example fit_timing -- LABELS OUT.json CAPTURE…
//! ```
//! Labels are read from names: `…torchlight-wireguardsts-a-video.720.hls.http1.pcap` has `wireguardsts`,
//! `720`, `hls`, `http1`, and `…torchlight-none-a-dns.ipv4.501000.pcap` has `dns`, `ipv4`. The first LABELS
//! of them are used, 0 for none.
#![allow(clippy::print_stdout)]

use nprint_codec::{Trace, read_capture};
use protocol_repair::TimingModel;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, out, captures @ ..] = arguments.as_slice() else {
        return Err("usage: fit_timing LABELS OUT.json CAPTURE…".into());
    };
    let count: usize = count.parse()?;
    let mut traces: Vec<(Trace, Vec<String>)> = Vec::new();
    for capture in captures {
        let name = Path::new(capture).file_stem().unwrap_or_default().to_string_lossy();
        let labels = labels(&name).into_iter().take(count).collect();
        traces.push((read_capture(capture)?, labels));
    }
    let views: Vec<(&Trace, &[String])> = traces.iter().map(|(t, l)| (t, l.as_slice())).collect();
    let model = TimingModel::fit_labelled(&views);
    let text = model.to_json()?;
    std::fs::write(out, &text)?;
    println!(
        "{out}: {} captures, labels {:?}, {} bytes",
        traces.len(),
        model.labels().collect::<Vec<_>>(),
        text.len()
    );
    Ok(())
}

fn labels(name: &str) -> Vec<String> {
    let Some((_, rest)) = name.split_once("torchlight-") else { return Vec::new() };
    let mut parts = rest.split('.');
    let (tunnel, service) = parts.next().and_then(|p| p.split_once("-a-")).unwrap_or_default();
    let (class, more) = if service == "video" { (tunnel, 3) } else { (service, 1) };
    std::iter::once(class).chain(parts.take(more)).map(str::to_owned).collect()
}
