//! `nprint`: the C++ tool's command line.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use regex::Regex;
use torchlight::artefact::write_atomic;
use torchlight::nprint_codec::{
    Layout, NprintArgs, decode, read_csv, read_csv_from, write_capture, write_csv,
};

use crate::files::{self, is_dash};

const HELP: &str = "\
torchlight nprint: drop-in for nPrint 1.2.1, as far as its output is right

  -P FILE  capture to read, - is standard input      -N FILE  nPrint CSV to turn into a capture
  -W FILE  where to write (default standard output)   -c N     packets to look at
  -4 -6 -t -u -i -e  IPv4, IPv6, TCP, UDP, ICMP, Ethernet columns      -p N  bytes of payload
  -O N     index column      -F N  fill of vacant cells      -x REGEX  columns to leave out
  -R -A    relative, absolute time stamps

  torchlight nprint -P trace.pcap -4 -t -u -W trace.csv

Not there yet: -f (filters of libpcap), -C (packets in hexadecimal), -d (live capture), -r, -w, -S, -h.
";

/// Does what the arguments say.
pub fn run(words: impl Iterator<Item = String>) -> anyhow::Result<ExitCode> {
    let args = match NprintArgs::parse(words) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("torchlight nprint: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    if args.help || args.version {
        let text = if args.help { HELP } else { "nprint 1.2.1 (torchlight)\n" };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let missing = [
        ("-f", args.filter.is_some(), "filters of libpcap"),
        ("-C", args.csv_file.is_some(), "packets in hexadecimal digits"),
        ("-d", args.device.is_some(), "live capture"),
        ("-r", args.radiotap, "radiotap columns"),
        ("-w", args.wlan, "802.11 columns"),
        ("-S", args.stats, "statistics"),
        ("-h", args.list_fields, "the list of fields"),
    ];
    if let Some((flag, _, what)) = missing.into_iter().find(|(_, asked, _)| *asked) {
        bail!("{flag} ({what}) is not there yet");
    }
    let output = args.write_file.as_deref().filter(|path| *path != "-").map(Path::new);
    match (&args.pcap_file, &args.nprint_file) {
        (Some(capture), _) => forward(&args, Path::new(capture), output),
        (None, Some(csv)) => {
            let csv = Path::new(csv);
            let table = if is_dash(csv) {
                read_csv_from(std::io::stdin().lock(), "standard input")?
            } else {
                read_csv(csv)?
            };
            let trace = decode(&table.matrix, table.times_ns.as_deref().unwrap_or_default());
            let output = output.context("-N needs -W: where to write the capture")?;
            write_capture(output, &trace)?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => {
            eprintln!("torchlight nprint: -P or -N is needed\n\n{HELP}");
            Ok(ExitCode::from(2))
        }
    }
}

fn forward(args: &NprintArgs, capture: &Path, output: Option<&Path>) -> anyhow::Result<ExitCode> {
    let layout: Arc<Layout> = args.layout()?.into();
    let mut options = args.csv_options();
    if let Some(expression) = &args.drop_expression {
        let regex = Regex::new(&format!("^(?:{expression})$")).context("-x")?;
        options = options.dropping(&layout, |name| regex.is_match(name));
    }
    let trace = files::capture(capture)?;
    if let Some(path) = output {
        let mut bytes = Vec::new();
        write_csv(&mut bytes, &trace, &layout, &options)?;
        write_atomic(path, &bytes)?;
    } else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        write_csv(&mut out, &trace, &layout, &options)?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
