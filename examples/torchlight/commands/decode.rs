//! `decode`: rows of bits to a capture.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use torchlight::nprint_codec::{
    Layout, TernaryMatrix, Trace, decode, dissect, read_csv_from, read_npy, write_capture,
    write_capture_to,
};
use torchlight::trace_image::{Description, TraceImage, decode_tolerant};
use torchlight::{Problem, stem};

use crate::files::{self, is_dash, output_of, shown};
use crate::summary::{Common, Summary};

/// `torchlight decode`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight decode trace.csv -o trace.pcap\n\
Nothing is corrected; `torchlight repair` makes packets protocol-correct.")]
pub struct Decode {
    /// nPrint CSV, NPY (reference layout) or trace images; `-` is CSV from standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Capture, or folder for several files; `-` is standard output
    #[arg(short, long)]
    output: PathBuf,
    /// What fills payload
    #[arg(long, value_enum, default_value_t = Payload::Zero)]
    payload: Payload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Payload {
    Zero,
    Random,
    /// 0, 1, 2, …
    Pattern,
}

impl Decode {
    /// Does it.
    pub fn run(self, common: &Common) -> anyhow::Result<Summary> {
        let several = self.files.len() > 1;
        let (mut problems, mut packets, mut done) = (Vec::new(), 0, 0);
        for path in &self.files {
            let output = output_of(&self.output, &stem(&path.with_extension("")), "pcap", several)?;
            files::may_write(&output, common)?;
            match read(path) {
                Ok((matrix, times)) => {
                    let trace = self.filled(&decode(&matrix, &times), common.seed());
                    if is_dash(&output) {
                        write_capture_to(std::io::stdout().lock(), &trace)?;
                    } else {
                        write_capture(&output, &trace)?;
                    }
                    packets += trace.len();
                    done += 1;
                }
                Err(error) => {
                    problems.push(Problem { input: shown(path), reason: format!("{error:#}") });
                }
            }
        }
        let mut summary = Summary::of(done)
            .fact("packets", packets)
            .fact("output", self.output.display().to_string())
            .problems(&problems);
        summary.data_on_stdout = is_dash(&self.output);
        Ok(summary)
    }

    /// The trace with the filler in place of zeros behind the headers.
    fn filled(&self, trace: &Trace, seed: u64) -> Trace {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut out = Trace::new(trace.link_type());
        for packet in trace.iter() {
            let mut bytes = packet.bytes.to_vec();
            let payload = dissect(trace.link_type(), packet.bytes).map_or(0, |d| d.payload.len());
            let start = bytes.len() - payload;
            match self.payload {
                Payload::Zero => {}
                Payload::Random => rng.fill_bytes(&mut bytes[start..]),
                Payload::Pattern => {
                    bytes[start..].iter_mut().zip(0_usize..).for_each(|(byte, i)| *byte = i as u8);
                }
            }
            out.push(packet.time_ns, &bytes, packet.original_length);
        }
        out
    }
}

/// Rows of a file and their times, where it has them.
fn read(path: &Path) -> anyhow::Result<(TernaryMatrix, Vec<i64>)> {
    let bytes = files::read(path)?;
    if bytes.starts_with(b"\x89PNG") {
        let image = TraceImage::from_png(&bytes)?;
        let unknown = Description { canvas: image.size(), ..Description::default() };
        let (soft, _) = decode_tolerant(&image, image.description().unwrap_or(&unknown))?;
        return Ok((soft.cells().clone(), Vec::new()));
    }
    if bytes.starts_with(b"\x93NUMPY") {
        return Ok((read_npy(&bytes[..], &shown(path), &Layout::reference())?, Vec::new()));
    }
    let table =
        read_csv_from(&bytes[..], &shown(path)).context("neither PNG, NPY nor nPrint CSV")?;
    Ok((table.matrix, table.times_ns.unwrap_or_default()))
}
