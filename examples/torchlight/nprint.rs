//! `nprint`: the C++ tool's command line.

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use torchlight::StopFlag;
use torchlight::nprint_codec::{
    CsvOptions, CsvReader, CsvWriter, Header, HeaderStatistics, HexReader, Layout, NprintArgs,
    PacketFilter, RowDecoder, Selection, Selector, write_hex_csv,
};

use crate::columns::NamePattern;
use crate::files;

const HELP: &str = "\
torchlight nprint: drop-in for nPrint 1.2.1, as far as its output is right

  -P FILE  capture to read, - is standard input      -N FILE  nPrint CSV to turn into a capture
  -C FILE  CSV with packets in hexadecimal digits in its third column
  -W FILE  where to write (default standard output)   -c N     packets to look at
  -4 -6 -t -u -i -e -r -w  IPv4, IPv6, TCP, UDP, ICMP, Ethernet, radiotap, 802.11 columns
  -p N     bytes of payload                            -f EXPR  only packets that a filter takes
  -O N     index column      -F N  fill of vacant cells      -x REGEX  columns to leave out
  -R -A    relative, absolute time stamps   -S  counts of headers   -h  the fields and their widths

  torchlight nprint -P trace.pcap -4 -t -u -W trace.csv
  tcpdump -i eth0 -w - | torchlight nprint -P - -4 -t -f 'tcp port 80 or net 10.0.0.0/8'

-d (live capture) is not built in: the second example does it. Exit status: 0 all done, 1 the input
is damaged (what could be read is written), 2 wrong usage, 3 nothing could be done.
";

/// Does what the arguments say.
pub fn run(words: impl Iterator<Item = String>, stop: &StopFlag) -> anyhow::Result<ExitCode> {
    let args = match NprintArgs::parse(words) {
        Ok(args) => args,
        Err(error) => return Ok(wrong_usage(&error.to_string())),
    };
    if args.help || args.version {
        let text = if args.help { HELP } else { "nprint 1.2.1 (torchlight)\n" };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.list_fields {
        list_fields(&mut std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(device) = &args.device {
        bail!(
            "-d {device}: live capture is not built in; `tcpdump -i {device} -w -` piped to -P - is"
        );
    }
    let filter = match args.filter.as_deref().map(PacketFilter::parse).transpose() {
        Ok(filter) => filter,
        Err(error) => return Ok(wrong_usage(&error.to_string())),
    };
    let output = args.write_file.as_deref().filter(|path| *path != "-").map(Path::new);
    match (&args.pcap_file, &args.csv_file, &args.nprint_file) {
        (Some(capture), None, None) => forward(&args, Path::new(capture), filter, output, stop),
        (None, Some(csv), None) => hexadecimal(&args, Path::new(csv), output, stop),
        (None, None, Some(csv)) => {
            let Some(output) = output else {
                return Ok(wrong_usage("-N needs -W: where to write the capture"));
            };
            reverse(Path::new(csv), output, stop)
        }
        (None, None, None) => Ok(wrong_usage("one of -P, -C and -N is needed")),
        _ => Ok(wrong_usage("-P, -C and -N exclude each other")),
    }
}

fn wrong_usage(what: &str) -> ExitCode {
    eprintln!("torchlight nprint: {what} (--help shows the flags)");
    ExitCode::from(2)
}

fn forward(
    args: &NprintArgs,
    capture: &Path,
    filter: Option<PacketFilter>,
    output: Option<&Path>,
    stop: &StopFlag,
) -> anyhow::Result<ExitCode> {
    let (layout, options) = columns(args)?;
    let selection = Selection { filter, max_packets: options.max_packets, ..Selection::default() };
    let mut packets = files::packets(capture, stop)?;
    let (mut selector, mut counts) = (Selector::new(selection), HeaderStatistics::default());
    let damage = to(output, |out| {
        let mut csv = CsvWriter::new(out, &layout, &options)?;
        let damage = loop {
            let captured = match packets.next_selected(&mut selector) {
                Ok(Some(captured)) => captured,
                Ok(None) => break None,
                Err(damage) => break Some(damage),
            };
            csv.write_packet(captured.link_type, &captured.packet)?;
            if args.stats {
                counts.add(captured.link_type, options.policy, captured.packet.bytes);
            }
        };
        csv.finish()?;
        Ok(damage)
    })?;
    if args.stats {
        eprint!("{counts}");
    }
    Ok(damage.map_or(ExitCode::SUCCESS, |damage| {
        eprintln!("torchlight nprint: {damage}");
        ExitCode::from(1)
    }))
}

fn hexadecimal(
    args: &NprintArgs,
    csv: &Path,
    output: Option<&Path>,
    stop: &StopFlag,
) -> anyhow::Result<ExitCode> {
    let (layout, options) = columns(args)?;
    let packets = HexReader::new(BufReader::new(files::open(csv, stop)?), &files::shown(csv))?;
    let mut damaged = false;
    to(output, |out| {
        let left_out = |error| {
            eprintln!("torchlight nprint: {error}");
            damaged = true;
        };
        Ok(write_hex_csv(out, packets, &layout, &options, left_out).map(drop)?)
    })?;
    Ok(ExitCode::from(u8::from(damaged)))
}

fn reverse(csv: &Path, output: &Path, stop: &StopFlag) -> anyhow::Result<ExitCode> {
    let mut rows = CsvReader::new(files::open(csv, stop)?, &files::shown(csv))?;
    let mut decoder = RowDecoder::new(rows.layout());
    files::fill_capture(output, decoder.link_type(), |capture| {
        while let Some(row) = rows.next_row()? {
            capture.write_row(&mut decoder, &row.row, row.time_ns)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn columns(args: &NprintArgs) -> anyhow::Result<(Arc<Layout>, CsvOptions)> {
    let layout = Arc::new(args.layout()?);
    let options = args.csv_options();
    let Some(expression) = &args.drop_expression else { return Ok((layout, options)) };
    let pattern = NamePattern::new(expression).context("-x")?;
    let options = options.dropping(&layout, |name| pattern.matches(name));
    Ok((layout, options))
}

/// Lets `write` fill a file, which appears as a whole, or standard output.
fn to<T>(
    output: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    files::fill(output.unwrap_or(Path::new("-")), write)
}

/// Names as `-x` matches them, without the bit number.
fn list_fields(out: &mut impl Write) -> std::io::Result<()> {
    for header in Header::NPRINT {
        for field in header.fields() {
            writeln!(out, "{}_0 .. {}_{}", field.name, field.name, field.bits - 1)?;
        }
    }
    writeln!(out, "payload_bit_0 .. payload_bit_(8 N - 1), with -p N")
}
