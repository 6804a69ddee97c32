//! The C++ tool's command line.

use crate::{CsvIndex, CsvOptions, Error, Header, Layout, Result};

/// What a command line of nPrint 1.2.1 asks for: the flags as they are, numbers as C's `atoi`
/// reads them.
///
/// Short flags may be joined (`-46tui`) and carry their value (`-F-1`); long ones take
/// `--name=value` or `--name value`.
///
/// # Example
/// ```
/// use nprint_codec::NprintArgs;
/// let args = NprintArgs::parse("-F -1 -P x.pcap -4 -i -6 -t -u -p 0 -c 1024".split(' '))?;
/// assert_eq!(args.pcap_file.as_deref(), Some("x.pcap"));
/// assert_eq!(args.layout()?.columns(), 1408);
/// assert_eq!(args.csv_options().max_packets, Some(1024));
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the tool's command line")]
pub struct NprintArgs {
    /// `-P`, `--pcap_file`: the capture to read.
    pub pcap_file: Option<String>,
    /// `-N`, `--nPrint_file`: CSV to turn back into a capture.
    pub nprint_file: Option<String>,
    /// `-C`, `--csv_file`: CSV whose third column is a packet in hexadecimal digits.
    pub csv_file: Option<String>,
    /// `-d`, `--device`: live capture.
    pub device: Option<String>,
    /// `-W`, `--write_file`.
    pub write_file: Option<String>,
    /// `-f`, `--filter`: a filter of libpcap.
    pub filter: Option<String>,
    /// `-x`, `--nprint_filter`: columns whose whole name matches are removed.
    pub drop_expression: Option<String>,
    /// `-c`, `--count`: packets to look at; 0 or less is all.
    pub count: Option<i32>,
    /// `-O`, `--write_index`.
    pub index: CsvIndex,
    /// `-F`, `--fill_int`, as the tool stores it: the lowest 8 bits, signed.
    pub fill: Option<i8>,
    /// `-p`, `--payload`. Units: bytes.
    pub payload_bytes: i32,
    /// `-r`, `-w`, `-e`, `-4`, `-6`, `-t`, `-u`, `-i`, in the order given.
    pub headers: Vec<Header>,
    /// `-A`, `--absolute_timestamps`.
    pub absolute_time: bool,
    /// `-R`, `--relative_timestamps`.
    pub relative_time: bool,
    /// `-S`, `--stats`.
    pub stats: bool,
    /// `-V`, `--verbose`.
    pub verbose: bool,
    /// `-h`, `--nprint_filter_help`: the list of fields is asked for.
    pub list_fields: bool,
    /// `-?`, `--help`, `--usage`.
    pub help: bool,
    /// `--version`.
    pub version: bool,
}

/// Long name, short letter, whether a value follows.
const FLAGS: [(&str, char, bool); 27] = [
    ("pcap_file", 'P', true),
    ("nPrint_file", 'N', true),
    ("csv_file", 'C', true),
    ("device", 'd', true),
    ("write_file", 'W', true),
    ("filter", 'f', true),
    ("count", 'c', true),
    ("nprint_filter", 'x', true),
    ("write_index", 'O', true),
    ("fill_int", 'F', true),
    ("payload", 'p', true),
    ("nprint_filter_help", 'h', false),
    ("stats", 'S', false),
    ("radiotap", 'r', false),
    ("wlan", 'w', false),
    ("eth", 'e', false),
    ("ipv4", '4', false),
    ("ipv6", '6', false),
    ("tcp", 't', false),
    ("udp", 'u', false),
    ("icmp", 'i', false),
    ("absolute_timestamps", 'A', false),
    ("relative_timestamps", 'R', false),
    ("verbose", 'V', false),
    ("help", '?', false),
    ("usage", '?', false),
    ("version", 'v', false), // argp has no short form; see `short`
];

impl NprintArgs {
    /// Parses arguments, without the program's name.
    ///
    /// # Errors
    /// [`Error::NprintArgument`] for an unknown flag, a missing value or a word that is no flag.
    pub fn parse<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut args = Self::default();
        let mut words = arguments.into_iter().map(Into::into);
        while let Some(word) = words.next() {
            let wrong = |expected| Error::NprintArgument { argument: word.clone(), expected };
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let (_, letter, takes_value) = FLAGS
                    .into_iter()
                    .find(|(n, ..)| *n == name)
                    .ok_or_else(|| wrong("a flag of nPrint"))?;
                let value = if takes_value { value.or_else(|| words.next()) } else { None };
                args.take(letter, value.as_deref(), &word)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) {
                for (at, letter) in letters.char_indices() {
                    let takes_value = short(letter).ok_or_else(|| wrong("a flag of nPrint"))?;
                    if takes_value {
                        let rest = &letters[at + letter.len_utf8()..];
                        let value = (!rest.is_empty()).then(|| rest.to_owned());
                        let value = value.or_else(|| words.next());
                        args.take(letter, value.as_deref(), &word)?;
                        break;
                    }
                    args.take(letter, None, &word)?;
                }
            } else {
                return Err(wrong("a flag that starts with -"));
            }
        }
        Ok(args)
    }

    fn take(&mut self, letter: char, value: Option<&str>, word: &str) -> Result<()> {
        let text = || {
            let argument = word.to_owned();
            let missing = Error::NprintArgument { argument, expected: "a value after it" };
            value.map(str::to_owned).ok_or(missing)
        };
        match letter {
            'P' => self.pcap_file = Some(text()?),
            'N' => self.nprint_file = Some(text()?),
            'C' => self.csv_file = Some(text()?),
            'd' => self.device = Some(text()?),
            'W' => self.write_file = Some(text()?),
            'f' => self.filter = Some(text()?),
            'x' => self.drop_expression = Some(text()?),
            'c' => self.count = Some(atoi(&text()?)),
            'F' => self.fill = Some(atoi(&text()?) as i8),
            'p' => self.payload_bytes = atoi(&text()?),
            'O' => {
                let number = usize::try_from(atoi(&text()?)).ok();
                let index = number.and_then(|n| CsvIndex::ALL.get(n));
                self.index = *index.ok_or_else(|| Error::NprintArgument {
                    argument: word.to_owned(),
                    expected: "an index from 0 to 5",
                })?;
            }
            'e' => self.headers.push(Header::Ethernet),
            '4' => self.headers.push(Header::Ipv4),
            '6' => self.headers.push(Header::Ipv6),
            't' => self.headers.push(Header::Tcp),
            'u' => self.headers.push(Header::Udp),
            'i' => self.headers.push(Header::Icmp),
            'r' => self.headers.push(Header::Radiotap),
            'w' => self.headers.push(Header::Wlan),
            'A' => self.absolute_time = true,
            'R' => self.relative_time = true,
            'S' => self.stats = true,
            'V' => self.verbose = true,
            'h' => self.list_fields = true,
            'v' => self.version = true,
            _ => self.help = true,
        }
        Ok(())
    }

    /// The columns asked for, in nPrint's fixed order.
    ///
    /// # Errors
    /// [`Error::PayloadTooWide`]; [`Error::NprintArgument`] for a negative `-p`.
    pub fn layout(&self) -> Result<Layout> {
        let bytes = usize::try_from(self.payload_bytes).map_err(|_| Error::NprintArgument {
            argument: format!("-p {}", self.payload_bytes),
            expected: "0 or more bytes",
        })?;
        Layout::with_payload(&self.headers, bytes)
    }

    /// How the CSV is written; `-x` is left to the caller, who chooses the kind of expression
    /// ([`CsvOptions::dropping`]).
    pub fn csv_options(&self) -> CsvOptions {
        CsvOptions {
            index: self.index,
            relative_time: self.relative_time,
            absolute_time: self.absolute_time,
            fill: self.fill.unwrap_or(-1),
            max_packets: self.count.and_then(|c| usize::try_from(c).ok()).filter(|c| *c > 0),
            ..CsvOptions::default()
        }
    }
}

/// Whether a value follows this letter; `None` for letters that nPrint does not know.
fn short(letter: char) -> Option<bool> {
    FLAGS.into_iter().find(|(name, l, _)| *l == letter && *name != "version").map(|(.., v)| v)
}

/// C's `atoi`: leading blanks, a sign, digits; 0 where there is none. Too large wraps as on
/// x86-64.
fn atoi(text: &str) -> i32 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0_i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    (if negative { -value } else { value }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NprintArgs> {
        NprintArgs::parse(text.split_whitespace())
    }

    #[test]
    fn short_long_and_joined() {
        let joined = parse("-46tui -F-1 -c5 -xabc -O4").expect("valid");
        let long = parse(
            "--ipv4 --ipv6 --tcp --udp --icmp --fill_int=-1 --count 5 --nprint_filter=abc \
             --write_index 4",
        )
        .expect("valid");
        assert_eq!(joined, long);
        assert_eq!((joined.index, joined.fill, joined.count), (CsvIndex::Flow, Some(-1), Some(5)));
    }

    #[test]
    fn numbers_as_atoi_reads_them() {
        assert_eq!(["abc", "1.5", " -7x", "+3", ""].map(atoi), [0, 1, -7, 3, 0]);
        let fills = ["128", "200", "255", "256"].map(|f| parse(&format!("-F {f}")).map(|a| a.fill));
        assert_eq!(fills.map(|f| f.expect("valid")), [Some(-128), Some(-56), Some(-1), Some(0)]);
    }

    #[test]
    fn what_nprint_would_not_take() {
        for bad in ["-z", "--nothing", "word", "-O 6", "-c", "-"] {
            assert!(matches!(parse(bad), Err(Error::NprintArgument { .. })), "{bad}");
        }
        assert!(parse("-p -1").expect("atoi takes it").layout().is_err());
    }
}
