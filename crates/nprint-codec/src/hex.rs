//! Packets as hexadecimal digits in CSV, as zmap prints them: nPrint's `-C`.
//!
//! ```text
//! saddr    , ttl , data       , …        header line, any names
//! 192.0.2.1, 60  , 4500003c…  , …        the third cell is the packet
//! ```

use crate::{CsvIndex, CsvOptions, CsvWriter, Error, Layout, LinkType, Result};
use std::io::{BufRead, Read, Write};
use std::sync::Arc;

/// The column that holds the packet, from 0.
const DATA_COLUMN: usize = 2;
/// No line is longer: 64 KiB of packet are 128 Ki digits, and the rest is for the other cells.
const MAX_LINE_BYTES: usize = 1 << 20;

/// One packet of a [`HexReader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexPacket {
    /// The line as it stands, without its end.
    pub text: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// Ethernet where the bytes have an Ethernet type of IP and the version nibble behind it; else
    /// bare IP.
    pub link_type: LinkType,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// Reads packets from CSV with a header line and the packet in the third column, a line at a
/// time.
///
/// Digits may be of either case and in double quotes; lines may end in CRLF; empty lines are
/// passed over. A line that holds no packet is an error of its own, and reading goes on behind it.
/// No line may be longer than 1 MiB.
///
/// # Example
/// ```
/// use nprint_codec::HexReader;
/// let text = "saddr,ttl,data\n192.0.2.1,64,4500\n192.0.2.2,64,45x0\n";
/// let mut packets = HexReader::new(text.as_bytes(), "zmap.csv")?;
/// assert_eq!(packets.header(), "saddr,ttl,data");
/// assert_eq!(packets.next().expect("a line")?.bytes, [0x45, 0]);
/// let error = packets.next().expect("a line").expect_err("x is no digit");
/// assert!(error.to_string().starts_with("zmap.csv, line 3: "));
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// nPrint 1.2.1, option `-C`.
#[derive(Debug)]
pub struct HexReader<R> {
    reader: R,
    file: String,
    header: String,
    columns: usize,
    line: usize,
    ended: bool,
}

impl<R: BufRead> HexReader<R> {
    /// Reads the header line; `name` stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::HexLine`] where the file is empty or has fewer than three columns.
    pub fn new(reader: R, name: &str) -> Result<Self> {
        let file = name.to_owned();
        let mut hex =
            Self { reader, file, header: String::new(), columns: 0, line: 0, ended: false };
        hex.header = hex.next_line()?.unwrap_or_default();
        hex.columns = hex.header.split(',').count();
        if hex.columns <= DATA_COLUMN {
            let found = format!("{} columns", hex.columns);
            return Err(hex.wrong(found, "a header line of at least 3 columns"));
        }
        Ok(hex)
    }

    /// The header line.
    pub fn header(&self) -> &str {
        &self.header
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        self.line += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut bytes);
        let length = read.map_err(|source| {
            self.ended = true;
            Error::Io { action: "read", file: self.file.clone(), source }
        })?;
        if length == 0 {
            self.ended = true;
            return Ok(None);
        }
        if length > MAX_LINE_BYTES {
            // Where the line ends is not known.
            self.ended = true;
            return Err(self.wrong("over 1048576 bytes".to_owned(), "a shorter line"));
        }
        let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let end = end.strip_suffix(b"\r").unwrap_or(end);
        match std::str::from_utf8(end) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(self.wrong("bytes that are no UTF-8".to_owned(), "text")),
        }
    }

    fn packet(&self, text: String) -> Result<HexPacket> {
        let cells = text.split(',').count();
        if cells != self.columns {
            let found = format!("{cells} cells");
            return Err(self.wrong(found, "as many cells as the header line has"));
        }
        let cell = text.split(',').nth(DATA_COLUMN).unwrap_or_default().trim();
        let digits = cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(cell);
        let bytes = match unhex(digits) {
            Ok(bytes) => bytes,
            Err(found) => return Err(self.wrong(found, "an even number of hexadecimal digits")),
        };
        Ok(HexPacket { link_type: link_type_of(&bytes), line: self.line, bytes, text })
    }

    fn wrong(&self, found: String, expected: &'static str) -> Error {
        Error::HexLine { file: self.file.clone(), line: self.line, found, expected }
    }
}

impl<R: BufRead> Iterator for HexReader<R> {
    type Item = Result<HexPacket>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.next_line() {
                Ok(Some(text)) if text.is_empty() => {}
                Ok(Some(text)) => return Some(self.packet(text)),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// Bytes, or what is wrong.
fn unhex(digits: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} digits", digits.len()));
    }
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<_>>().ok_or_else(|| {
        let other = digits.chars().find(|c| !c.is_ascii_hexdigit());
        format!("{:?}", other.unwrap_or_default())
    })
}

fn link_type_of(bytes: &[u8]) -> LinkType {
    match (bytes.get(12..14), bytes.get(14).map(|b| b >> 4)) {
        (Some([0x08, 0x00]), Some(4)) | (Some([0x86, 0xdd]), Some(6)) => LinkType::Ethernet,
        _ => LinkType::RawIp,
    }
}

/// Writes the lines of `packets`, each followed by the packet's bits, and returns their number:
/// what nPrint prints with `-C`. Index and time columns of `options` play no part.
///
/// A line without a packet, or with one that gives no row, is left out and told to `left_out`; the
/// C++ tool prints the former into the CSV and ends at the latter.
///
/// # Errors
/// [`Error::Io`].
pub fn write_hex_csv<R: BufRead>(
    writer: impl Write,
    packets: HexReader<R>,
    layout: &Arc<Layout>,
    options: &CsvOptions,
    mut left_out: impl FnMut(Error),
) -> Result<usize> {
    let file = packets.file.clone();
    let most = options.max_packets.unwrap_or(usize::MAX);
    let options = CsvOptions {
        index: CsvIndex::None,
        relative_time: false,
        absolute_time: false,
        max_packets: None,
        ..options.clone()
    };
    let mut csv = CsvWriter::with_prefix(writer, layout, &options, &packets.header)?;
    for packet in packets.take(most) {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => {
                left_out(error);
                continue;
            }
        };
        if !csv.write_prefixed(&packet.text, packet.link_type, &packet.bytes)? {
            let (file, line) = (file.clone(), packet.line);
            let found = "a packet without a row".to_owned();
            let expected = "TCP, UDP or ICMP in IPv4 or IPv6";
            left_out(Error::HexLine { file, line, found, expected });
        }
    }
    csv.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;

    #[test]
    fn lines_keep_their_cells_and_bad_ones_are_told() {
        let udp = "45000020000100004011000 00a0000010a00000200350036000c0000".replace(' ', "");
        let ethernet = format!("\"{}0800{}\"", "02".repeat(12), udp.to_uppercase());
        let text = format!(
            "a,b,data,more\r\n1,2,{udp},3\r\n\n4,5,{ethernet},6\n7,8,4g,9\n1,2,455,3\n1,2\n7,8,6000,9"
        );
        let packets = HexReader::new(text.as_bytes(), "x").expect("a header");
        let layout = Arc::new(Layout::of_headers(&[Header::Udp]));
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let options = CsvOptions { relative_time: true, ..CsvOptions::default() };
        let rows = write_hex_csv(&mut out, packets, &layout, &options, |e| problems.push(e));
        assert_eq!(rows.expect("memory"), 2);
        let out = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("a,b,data,more,udp_sport_0,"));
        assert!(lines[1].starts_with(&format!("1,2,{udp},3,0,0,")));
        assert_eq!(
            lines[1].rsplit_once(",3,").map(|l| l.1),
            lines[2].rsplit_once(",6,").map(|l| l.1)
        );
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(
            said[0].contains("line 5: 'g'") && said[1].contains("line 6: 3 digits"),
            "{said:?}"
        );
        assert!(said[2].contains("line 7: 2 cells") && said[3].contains("line 8"), "{said:?}");
    }

    #[test]
    fn no_columns_and_endless_lines_are_refused() {
        assert!(matches!(HexReader::new(&b""[..], "x"), Err(Error::HexLine { line: 1, .. })));
        let mut long = b"a,b,c\n".to_vec();
        long.resize(long.len() + MAX_LINE_BYTES + 1, b'0');
        let mut packets = HexReader::new(&long[..], "x").expect("a header");
        assert!(matches!(packets.next(), Some(Err(Error::HexLine { line: 2, .. }))));
        assert!(packets.next().is_none());
    }
}
