//! `encode`: captures to rows of bits, in the memory of a few rows whatever their length.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use torchlight::nprint_codec::{
    CaptureReader, CsvIndex, CsvOptions, CsvWriter, FlowKey, Layer, Layers, Layout, NpyForm,
    NpyWriter, PacketFilter, RowEncoder, RowPolicy, Selection, Selector, encode,
};
use torchlight::trace_image::{Canvas, Palette, render};
use torchlight::{StopFlag, stem};

use crate::batch::{Batch, Outcome};
use crate::columns::{self, NamePattern};
use crate::summary::{Common, Summary};
use crate::{files, moment, tables};

/// `torchlight encode`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight encode trace.pcap --headers ipv4,tcp,udp -o trace.csv")]
pub struct Encode {
    /// Captures (pcap, pcapng; gzip, zstd or xz of either) or folders of them; `-` is standard input
    #[arg(required = true)]
    captures: Vec<PathBuf>,
    /// File, or folder for several captures; `-` is standard output
    #[arg(short, long, default_value = "-")]
    output: PathBuf,
    /// Columns: radiotap, wlan, eth, vlan, ipv4, ipv6, tcp, udp, icmp, payload=N, in any order
    #[arg(long, value_delimiter = ',', conflicts_with = "layout")]
    headers: Vec<String>,
    /// Look through these, too: vlan-tags, mpls-labels, pppoe, ipv6-extensions, authentication,
    /// fragments, icmpv6, tunnels, wireless-data, other-protocols
    #[arg(long, value_delimiter = ',', value_name = "LAYER")]
    layers: Vec<Layer>,
    /// A named layout
    #[arg(long, value_enum)]
    layout: Option<NamedLayout>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// First column of CSV
    #[arg(long, value_enum, default_value_t = Index::SrcIp)]
    index: Index,
    /// Time columns of CSV
    #[arg(long, value_enum)]
    time: Option<Time>,
    /// Number printed for vacant cells
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    fill: i8,
    /// Only the first packets, of those that --select takes
    #[arg(long, value_name = "N")]
    max_packets: Option<usize>,
    /// Only packets that an expression takes, in tcpdump's words: 'tcp port 80 and net 10.0.0.0/8'
    #[arg(long, value_name = "EXPR", value_parser = PacketFilter::parse)]
    select: Option<PacketFilter>,
    /// Only packets at this time or later: seconds since 1970 or 2023-11-14T22:13:20.5Z (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    from: Option<i64>,
    /// Only packets before this time
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    to: Option<i64>,
    /// Only packets of a flow, both directions: 10.0.0.1_10.0.0.2_53_51202_UDP, as --index flow
    /// prints it
    #[arg(long, value_name = "FLOW")]
    flow: Option<FlowKey>,
    /// Of --flow only what comes before the first longer pause
    #[arg(long, value_name = "SECONDS", value_parser = moment::nanoseconds, requires = "flow")]
    flow_timeout: Option<i64>,
    /// Go on behind damage; what is lost is said, and the exit status is 1
    #[arg(long)]
    lossy: bool,
    /// Leave out columns whose whole name matches, look-ahead included (CSV)
    #[arg(long, value_name = "REGEX")]
    drop: Option<String>,
    /// Only columns whose whole name matches (CSV)
    #[arg(long, value_name = "REGEX")]
    keep: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NamedLayout {
    /// IPv4, IPv6, TCP, UDP, ICMP without addresses: 1088 columns
    Reference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// nPrint's text
    Csv,
    /// NumPy array, int8
    Npy,
    /// Parquet table, one int8 column a bit (in builds with feature polars)
    Parquet,
    /// Trace image
    Png,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Npy => "npy",
            Self::Parquet => "parquet",
            Self::Png => "png",
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Index {
    SrcIp,
    DstIp,
    SrcPort,
    DstPort,
    Flow,
    TxMac,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Time {
    Relative,
    Absolute,
}

impl Encode {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        if self.format == Format::Parquet {
            tables::check()?;
        }
        let layout = columns::layout(&self.headers)?;
        let options = self.options(&layout)?;
        let captures = files::captures(&self.captures)?;
        let several = captures.len() > 1 || self.captures.iter().any(|path| path.is_dir());
        let name = |path: &Path| format!("{}.{}", stem(path), self.format.ending());
        let batch = Batch::plan(captures, name, &self.output, several, common)?;
        let outcomes = batch
            .run(common, stop, |input, output| self.one(input, output, &layout, &options, stop))?;
        let rows = outcomes.written;
        Ok(outcomes.summary(|summary| summary.fact("rows", rows).fact("columns", layout.columns())))
    }

    /// Encodes one capture.
    fn one(
        &self,
        path: &Path,
        output: &Path,
        layout: &Arc<Layout>,
        options: &CsvOptions,
        stop: &StopFlag,
    ) -> anyhow::Result<Outcome> {
        let mut packets = files::packets(path, stop)?;
        if self.lossy {
            packets = packets.lossy();
        }
        let mut selector = Selector::new(self.selection());
        let rows = match self.format {
            Format::Csv => files::fill(output, |out| {
                let mut csv = CsvWriter::new(out, layout, options)?;
                while let Some(captured) = packets.next_selected(&mut selector)? {
                    csv.write_packet(captured.link_type, &captured.packet)?;
                }
                Ok(csv.finish()?)
            })?,
            Format::Npy => files::fill_seekable(output, |file| {
                let mut encoder = RowEncoder::new(layout, options.policy);
                let mut npy = NpyWriter::new(file, layout, NpyForm::Cells)?;
                while let Some(captured) = packets.next_selected(&mut selector)? {
                    if let Some(row) = encoder.encode(captured.link_type, captured.packet.bytes) {
                        npy.write_row(&row)?;
                    }
                }
                Ok(npy.finish()?)
            })?,
            Format::Parquet | Format::Png => self.whole(&mut packets, output, layout, options)?,
        };
        let missing = files::losses(&packets);
        Ok(Outcome { written: rows, missing })
    }

    /// Forms that need every row at once.
    fn whole(
        &self,
        packets: &mut CaptureReader<Box<dyn Read>>,
        output: &Path,
        layout: &Arc<Layout>,
        options: &CsvOptions,
    ) -> anyhow::Result<usize> {
        let (trace, damage) = packets.read_selected(&self.selection());
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        let (bytes, rows) = if self.format == Format::Parquet {
            tables::encode(&trace, layout, options)?
        } else {
            let matrix = encode(&trace, layout, options.policy);
            let canvas = Canvas { columns: layout.columns(), ..Canvas::default() };
            (render(&matrix, &Palette::default(), &canvas)?.to_png()?, matrix.rows())
        };
        files::fill(output, |out| Ok(out.write_all(&bytes)?))?;
        Ok(rows)
    }

    fn selection(&self) -> Selection {
        Selection {
            filter: self.select.clone(),
            from_ns: self.from,
            until_ns: self.to,
            flow: self.flow,
            flow_timeout_ns: self.flow_timeout,
            max_packets: self.max_packets,
        }
    }

    /// CSV has nPrint's rows, the other forms every IP packet; `--layers` adds to either.
    fn policy(&self) -> RowPolicy {
        let policy = match self.format {
            Format::Csv => RowPolicy::NPrint,
            Format::Npy | Format::Parquet | Format::Png => RowPolicy::EveryIpPacket,
        };
        if self.layers.is_empty() {
            return policy;
        }
        RowPolicy::Through(self.layers.iter().copied().fold(policy.layers(), Layers::with))
    }

    fn options(&self, layout: &Layout) -> anyhow::Result<CsvOptions> {
        let options = CsvOptions {
            index: match self.index {
                Index::SrcIp => CsvIndex::SourceAddress,
                Index::DstIp => CsvIndex::DestinationAddress,
                Index::SrcPort => CsvIndex::SourcePort,
                Index::DstPort => CsvIndex::DestinationPort,
                Index::Flow => CsvIndex::Flow,
                Index::TxMac => CsvIndex::TransmitterMac,
                Index::None => CsvIndex::None,
            },
            relative_time: self.time == Some(Time::Relative),
            absolute_time: self.time == Some(Time::Absolute),
            fill: self.fill,
            policy: self.policy(),
            ..CsvOptions::default()
        };
        if self.drop.is_none() && self.keep.is_none() {
            return Ok(options);
        }
        if self.format != Format::Csv {
            bail!("--drop and --keep choose columns of CSV; other formats hold whole layouts");
        }
        let pattern =
            |expression: &Option<String>| expression.as_deref().map(NamePattern::new).transpose();
        let (drop, keep) =
            (pattern(&self.drop).context("--drop")?, pattern(&self.keep).context("--keep")?);
        Ok(options.dropping(layout, |name| {
            drop.as_ref().is_some_and(|drop| drop.matches(name))
                || keep.as_ref().is_some_and(|keep| !keep.matches(name))
        }))
    }
}
