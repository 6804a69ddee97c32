//! `encode`: captures to rows of bits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use torchlight::nprint_codec::{
    CsvIndex, CsvOptions, Header, Layer, Layers, Layout, NpyForm, PacketFilter, RowPolicy,
    Selection, Trace, encode, write_csv, write_npy,
};
use torchlight::trace_image::{Canvas, Palette, render};
use torchlight::{Problem, stem};

use crate::columns::NamePattern;
use crate::files::{self, output_of, shown};
use crate::summary::{Common, Summary};

/// `torchlight encode`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight encode trace.pcap --headers ipv4,tcp,udp -o trace.csv")]
pub struct Encode {
    /// Captures (pcap, pcapng; gzip, zstd or xz of either); `-` is standard input
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
    pub fn run(self, common: &Common) -> anyhow::Result<Summary> {
        if self.format == Format::Parquet && !cfg!(feature = "polars") {
            bail!("--format parquet needs a build with feature polars; csv, npy and png do not");
        }
        let layout = self.columns()?;
        let options = self.options(&layout)?;
        let several = self.captures.len() > 1;
        let ending = match self.format {
            Format::Csv => "csv",
            Format::Npy => "npy",
            Format::Parquet => "parquet",
            Format::Png => "png",
        };
        let (mut problems, mut rows, mut done) = (Vec::new(), 0, 0);
        for path in &self.captures {
            let output = output_of(&self.output, &stem(path), ending, several)?;
            files::may_write(&output, common)?;
            match self.one(path, &layout, &options) {
                Ok((bytes, count)) => {
                    files::write(&output, &bytes, common)?;
                    rows += count;
                    done += 1;
                }
                Err(error) => {
                    let reason = format!("{error:#}");
                    problems.push(Problem { input: shown(path), reason });
                }
            }
        }
        let mut summary = Summary::of(done)
            .fact("rows", rows)
            .fact("columns", layout.columns())
            .fact("output", self.output.display().to_string())
            .problems(&problems);
        summary.data_on_stdout = files::is_dash(&self.output);
        Ok(summary)
    }

    /// One capture's output and its number of rows.
    fn one(
        &self,
        path: &Path,
        layout: &Arc<Layout>,
        options: &CsvOptions,
    ) -> anyhow::Result<(Vec<u8>, usize)> {
        let selection = Selection {
            filter: self.select.clone(),
            max_packets: self.max_packets,
            ..Selection::default()
        };
        let (trace, damage) = files::capture_selected(path, &selection)?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        if self.format == Format::Csv {
            let mut bytes = Vec::new();
            let rows = write_csv(&mut bytes, &trace, layout, options)?;
            return Ok((bytes, rows));
        }
        if self.format == Format::Parquet {
            return parquet(&trace, layout, options);
        }
        let matrix = encode(&trace, layout, options.policy);
        let bytes = if self.format == Format::Npy {
            let mut bytes = Vec::new();
            write_npy(&mut bytes, &matrix, NpyForm::Cells)?;
            bytes
        } else {
            let canvas = Canvas { columns: layout.columns(), ..Canvas::default() };
            render(&matrix, &Palette::default(), &canvas)?.to_png()?
        };
        Ok((bytes, matrix.rows()))
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

    fn columns(&self) -> anyhow::Result<Arc<Layout>> {
        if self.headers.is_empty() {
            return Ok(Layout::reference());
        }
        let (mut headers, mut payload_bytes) = (Vec::new(), 0);
        for name in &self.headers {
            match name.as_str() {
                "eth" => headers.push(Header::Ethernet),
                "vlan" => headers.push(Header::Vlan),
                "ipv4" => headers.push(Header::Ipv4),
                "ipv6" => headers.push(Header::Ipv6),
                "tcp" => headers.push(Header::Tcp),
                "udp" => headers.push(Header::Udp),
                "icmp" => headers.push(Header::Icmp),
                "radiotap" => headers.push(Header::Radiotap),
                "wlan" => headers.push(Header::Wlan),
                other => {
                    let bytes = other.strip_prefix("payload=");
                    let bytes =
                        bytes.with_context(|| format!("--headers {other}: no such header"))?;
                    payload_bytes = bytes.parse().with_context(|| format!("--headers {other}"))?;
                }
            }
        }
        Ok(Arc::new(Layout::with_payload(&headers, payload_bytes)?))
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

#[cfg(feature = "polars")]
fn parquet(
    trace: &Trace,
    layout: &Arc<Layout>,
    options: &CsvOptions,
) -> anyhow::Result<(Vec<u8>, usize)> {
    use torchlight::nprint_codec::{CsvTable, write_parquet};
    let table = CsvTable::of_trace(trace, layout, options);
    let mut bytes = Vec::new();
    write_parquet(&mut bytes, &table)?;
    Ok((bytes, table.matrix.rows()))
}

#[cfg(not(feature = "polars"))]
fn parquet(_: &Trace, _: &Arc<Layout>, _: &CsvOptions) -> anyhow::Result<(Vec<u8>, usize)> {
    bail!("this build has no feature polars")
}
