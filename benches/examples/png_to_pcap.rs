//! The way from an image to a capture, without diffusion: `cargo run --release -p torchlight-benches
//! --example png_to_pcap -- IMAGE.png OUT.pcap`. Run it under `/usr/bin/time -v` for CPU time and
//! memory of the whole process. Without IMAGE it writes one of a sample capture first.
#![allow(clippy::print_stdout)]

use protocol_repair::{RepairConfig, repair};
use trace_image::{TraceImage, decode_tolerant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [image] => Ok(torchlight_benches::image()?.write_png(image)?),
        [image, out] => {
            let image = TraceImage::read_png(image)?;
            let (soft, _) = decode_tolerant(&image, image.description()?)?;
            let (trace, _) = repair(&soft, &RepairConfig::default())?;
            Ok(nprint_codec::write_capture(out, &trace)?)
        }
        _ => Err("usage: png_to_pcap IMAGE.png [OUT.pcap]".into()),
    }
}
