//! `decode`: rows of bits to a capture, in the memory of a few rows whatever their number.

use std::io::{BufReader, Chain, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use torchlight::nprint_codec::{
    CaptureWriter, CsvReader, CsvTable, Layout, LinkType, NpyReader, Packet, Row, RowDecoder,
    TernaryMatrix, dissect,
};
use torchlight::trace_image::{Description, TraceImage, decode_tolerant};
use torchlight::{StopFlag, stem};

use crate::batch::{Batch, Outcome};
use crate::files::{self, shown};
use crate::summary::{Common, Summary};
use crate::tables;

/// `torchlight decode`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight decode trace.csv -o trace.pcap\n\
Nothing is corrected; `torchlight repair` makes packets protocol-correct.")]
pub struct Decode {
    /// nPrint CSV, NPY (reference layout), trace images or Parquet tables (in builds with feature
    /// polars); `-` is standard input
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
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        let several = self.files.len() > 1;
        let name = |path: &Path| format!("{}.pcap", stem(&path.with_extension("")));
        let batch = Batch::plan(self.files.clone(), name, &self.output, several, common)?;
        let outcomes = batch.run(common, stop, |input, output| {
            Ok(Outcome { written: self.one(input, output, common.seed(), stop)?, missing: None })
        })?;
        let packets = outcomes.written;
        Ok(outcomes.summary(|summary| summary.fact("packets", packets)))
    }

    /// Decodes one file, and returns the number of packets.
    fn one(&self, path: &Path, output: &Path, seed: u64, stop: &StopFlag) -> anyhow::Result<usize> {
        let rows = Rows::open(path, stop)?;
        let mut packets = Packets::of(&rows, self.payload, seed);
        files::fill_capture(output, packets.decoder.link_type(), |capture| {
            rows.each(|row, time_ns| packets.write(capture, row, time_ns))?;
            Ok(capture.packets())
        })
    }
}

/// The rows of a file, told by its first bytes.
enum Rows {
    Csv(Box<CsvReader<Input>>),
    Npy(NpyReader<BufReader<Input>>),
    Image(TernaryMatrix),
    Table(CsvTable),
}

/// A file whose first bytes were looked at.
type Input = Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

impl Rows {
    fn open(path: &Path, stop: &StopFlag) -> anyhow::Result<Self> {
        let (mut file, name) = (files::open(path, stop)?, shown(path));
        let mut head = Vec::new();
        (&mut file).take(8).read_to_end(&mut head).with_context(|| name.clone())?;
        let is = |magic: &[u8]| head.starts_with(magic);
        let (png, npy, parquet) = (is(b"\x89PNG"), is(b"\x93NUMPY"), is(b"PAR1"));
        let input = Cursor::new(head).chain(file);
        if parquet {
            return Ok(Self::Table(tables::decode(whole(input, &name)?, &name)?));
        }
        if png {
            let bytes = whole(input, &name)?;
            let image = TraceImage::from_png(&bytes)?;
            let unknown = Description { canvas: image.size(), ..Description::default() };
            let (soft, _) = decode_tolerant(&image, image.description().unwrap_or(&unknown))?;
            return Ok(Self::Image(soft.cells().clone()));
        }
        if npy {
            let array = NpyReader::new(BufReader::new(input), &name, &Layout::reference())?;
            return Ok(Self::Npy(array));
        }
        let csv =
            CsvReader::new(input, &name).context("neither PNG, NPY, Parquet nor nPrint CSV")?;
        Ok(Self::Csv(Box::new(csv)))
    }

    fn layout(&self) -> Arc<Layout> {
        match self {
            Self::Csv(csv) => csv.layout().clone(),
            Self::Npy(_) => Layout::reference(),
            Self::Image(matrix) => matrix.layout().clone(),
            Self::Table(table) => table.matrix.layout().clone(),
        }
    }

    /// Each row with its time, 0 where the file has none. Units: nanoseconds.
    fn each(self, mut take: impl FnMut(&Row<'_>, i64) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut csv) => {
                while let Some(row) = csv.next_row()? {
                    take(&row.row, row.time_ns)?;
                }
            }
            Self::Npy(mut npy) => {
                while let Some(row) = npy.next_row()? {
                    take(&row, 0)?;
                }
            }
            Self::Image(matrix) => matrix.iter().try_for_each(|row| take(&row, 0))?,
            Self::Table(CsvTable { matrix, times_ns, .. }) => {
                let times_ns = times_ns.into_iter().flatten().chain(std::iter::repeat(0));
                matrix.iter().zip(times_ns).try_for_each(|(row, time_ns)| take(&row, time_ns))?;
            }
        }
        Ok(())
    }
}

fn whole(mut input: Input, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).with_context(|| name.to_owned())?;
    Ok(bytes)
}

/// Makes packets of rows, with the filler in place of zeros behind the headers.
struct Packets {
    decoder: RowDecoder,
    payload: Payload,
    rng: ChaCha8Rng,
    bytes: Vec<u8>,
}

impl Packets {
    fn of(rows: &Rows, payload: Payload, seed: u64) -> Self {
        let decoder = RowDecoder::new(&rows.layout());
        Self { decoder, payload, rng: ChaCha8Rng::seed_from_u64(seed), bytes: Vec::new() }
    }

    fn write<W: Write>(
        &mut self,
        capture: &mut CaptureWriter<W>,
        row: &Row<'_>,
        time_ns: i64,
    ) -> anyhow::Result<()> {
        if self.payload == Payload::Zero {
            capture.write_row(&mut self.decoder, row, time_ns)?;
            return Ok(());
        }
        let link_type = self.decoder.link_type();
        let Some(packet) = self.decoder.decode(row) else { return Ok(()) };
        self.bytes.clear();
        self.bytes.extend_from_slice(packet);
        let start = payload_start(link_type, packet);
        if self.payload == Payload::Random {
            self.rng.fill_bytes(&mut self.bytes[start..]);
        } else {
            self.bytes[start..].iter_mut().zip(0_usize..).for_each(|(byte, i)| *byte = i as u8);
        }
        let original_length = self.bytes.len() as u32;
        capture.write_packet(&Packet { time_ns, bytes: &self.bytes, original_length })?;
        Ok(())
    }
}

fn payload_start(link_type: LinkType, packet: &[u8]) -> usize {
    packet.len() - dissect(link_type, packet).map_or(0, |d| d.payload.len())
}
