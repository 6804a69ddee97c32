//! Writing nPrint CSV.

use super::cells::CellPrinter;
use super::index::RowKey;
use super::line::LineBuffer;
use super::{CsvOptions, MICROSECONDS, RELATIVE_TIME, SECONDS, names};
use crate::{Error, Layout, LinkType, Packet, Result, Row, RowEncoder, TernaryMatrix, Trace};
use std::io::{self, Write};
use std::sync::Arc;

/// Writes the rows of a capture as the C++ tool prints them, and returns their number.
///
/// # Layout
/// A header line, then a line a packet; `,` between cells, `\n` after lines, no quotes.
///
/// # Errors
/// [`Error::Io`].
///
/// # Example
/// ```
/// use nprint_codec::{CsvOptions, Header, Layout, LinkType, Trace, write_csv};
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(0, &[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 20);
/// let mut csv = Vec::new();
/// let layout = Layout::of_headers(&[Header::Udp]).into();
/// assert_eq!(write_csv(&mut csv, &trace, &layout, &CsvOptions::default())?, 1);
/// let text = String::from_utf8(csv).expect("text");
/// assert!(text.starts_with("src_ip,udp_sport_0,udp_sport_1,"));
/// assert!(text.contains("\n10.0.0.1,-1,-1,"));
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// nPrint 1.2.1, commit fa2d653.
pub fn write_csv(
    writer: impl Write,
    trace: &Trace,
    layout: &Arc<Layout>,
    options: &CsvOptions,
) -> Result<usize> {
    let mut csv = CsvWriter::new(writer, layout, options)?;
    for packet in trace.iter() {
        if !csv.wants_more() {
            break;
        }
        csv.write_packet(trace.link_type(), &packet)?;
    }
    csv.finish()
}

/// Writes the rows of a matrix, and returns their number. The index comes from the bits:
/// `NULL` where the layout lacks the field. Row `i` is at `times_ns[i]`, or 0.
///
/// # Errors
/// [`Error::Io`].
pub fn write_matrix_csv(
    writer: impl Write,
    matrix: &TernaryMatrix,
    times_ns: &[i64],
    options: &CsvOptions,
) -> Result<usize> {
    let mut csv = CsvWriter::new(writer, matrix.layout(), options)?;
    for (i, row) in matrix.iter().enumerate() {
        if !csv.wants_more() {
            break;
        }
        csv.write_row(&row, times_ns.get(i).copied().unwrap_or(0))?;
    }
    csv.finish()
}

/// Writes CSV row by row: a capture of any length in the memory of a few rows.
///
/// # Example
/// ```
/// use nprint_codec::{CsvOptions, CsvWriter, Header, Layout, LinkType, Packet};
/// let layout = Layout::of_headers(&[Header::Ipv4]).into();
/// let mut text = Vec::new();
/// let mut csv = CsvWriter::new(&mut text, &layout, &CsvOptions::default())?;
/// let udp = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// for bytes in [&udp[..], b"no packet", &udp] {
///     let packet = Packet { time_ns: 0, bytes, original_length: bytes.len() as u32 };
///     csv.write_packet(LinkType::RawIp, &packet)?;
/// }
/// assert_eq!(csv.finish()?, 2);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvWriter<W> {
    writer: W,
    options: CsvOptions,
    encoder: RowEncoder,
    printer: CellPrinter,
    buffer: LineBuffer,
    last_us: Option<i64>,
    packets: usize,
    rows: usize,
}

/// Buffered text; the second-level cache holds it.
const FLUSH_BYTES: usize = 1 << 17;

impl<W: Write> CsvWriter<W> {
    /// A writer of rows of `layout`; the header line is the first thing that it writes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(writer: W, layout: &Arc<Layout>, options: &CsvOptions) -> Result<Self> {
        Self::with_prefix(writer, layout, options, "")
    }

    /// As [`new`](Self::new), with more names in front of the header line.
    pub(crate) fn with_prefix(
        writer: W,
        layout: &Arc<Layout>,
        options: &CsvOptions,
        prefix: &str,
    ) -> Result<Self> {
        let mut csv = Self {
            writer,
            encoder: RowEncoder::new(layout, options.policy),
            printer: CellPrinter::new(layout, options.fill, &options.dropped_columns),
            options: options.clone(),
            buffer: LineBuffer::new(),
            last_us: None,
            packets: 0,
            rows: 0,
        };
        csv.write_header(prefix)?;
        Ok(csv)
    }

    /// Whether [`CsvOptions::max_packets`] leaves room for another packet.
    pub fn wants_more(&self) -> bool {
        self.options.max_packets.is_none_or(|max| self.packets < max)
    }

    /// Writes the row of one packet, and returns whether it has one. Past
    /// [`CsvOptions::max_packets`] no packet has.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_packet(&mut self, link_type: LinkType, packet: &Packet<'_>) -> Result<bool> {
        if !self.wants_more() {
            return Ok(false);
        }
        self.packets += 1;
        let Some((row, parts)) = self.encoder.encode_parts(link_type, packet.bytes) else {
            return Ok(false);
        };
        let key = RowKey::of_packet(packet.bytes, &parts);
        let time_us = packet.time_ns.div_euclid(1_000);
        write_prefix(&mut self.buffer, &self.options, &key, time_us, self.last_us);
        write_cells(&mut self.buffer, &self.printer, &row);
        self.end_row(time_us)?;
        Ok(true)
    }

    /// Writes one row of the writer's layout; the index comes from its bits.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Panics
    /// When the row is shorter than the writer's layout, as slices do.
    pub fn write_row(&mut self, row: &Row<'_>, time_ns: i64) -> Result<()> {
        if !self.wants_more() {
            return Ok(());
        }
        self.packets += 1;
        let time_us = time_ns.div_euclid(1_000);
        let key = RowKey::of_row(row);
        write_prefix(&mut self.buffer, &self.options, &key, time_us, self.last_us);
        write_cells(&mut self.buffer, &self.printer, row);
        self.end_row(time_us)
    }

    /// Writes what is left, and returns the number of rows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<usize> {
        self.flush()?;
        self.writer.flush().map_err(failed)?;
        Ok(self.rows)
    }

    /// Writes `prefix`, some cells, and the bits of a packet behind it; returns whether it has any.
    pub(crate) fn write_prefixed(
        &mut self,
        prefix: &str,
        link_type: LinkType,
        packet: &[u8],
    ) -> Result<bool> {
        let Some(row) = self.encoder.encode(link_type, packet) else { return Ok(false) };
        self.buffer.push(prefix.as_bytes());
        self.buffer.end_cell();
        write_cells(&mut self.buffer, &self.printer, &row);
        self.end_row(0)?;
        Ok(true)
    }

    fn write_header(&mut self, prefix: &str) -> Result<()> {
        let times = [
            self.options.relative_time.then_some(RELATIVE_TIME),
            self.options.absolute_time.then_some(SECONDS),
            self.options.absolute_time.then_some(MICROSECONDS),
        ];
        let all: Vec<String> = names(self.encoder.layout()).collect();
        let bits = self.printer.columns().map(|column| &all[column][..]);
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let first = prefix.into_iter().chain(self.options.index.column_name());
        for name in first.chain(times.into_iter().flatten()).chain(bits) {
            self.buffer.push(name.as_bytes());
            self.buffer.end_cell();
        }
        self.buffer.end_line();
        self.flush()
    }

    fn end_row(&mut self, time_us: i64) -> Result<()> {
        self.last_us = Some(time_us);
        self.rows += 1;
        self.buffer.end_line();
        if self.buffer.written().len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.write_all(self.buffer.written()).map_err(failed)?;
        self.buffer.clear();
        Ok(())
    }
}

/// The index and time columns.
fn write_prefix(
    line: &mut LineBuffer,
    options: &CsvOptions,
    key: &RowKey,
    time_us: i64,
    last_us: Option<i64>,
) {
    if options.index.column_name().is_some() {
        key.write(options.index, line);
        line.end_cell();
    }
    let mut number = |number| {
        line.push_integer(number);
        line.end_cell();
    };
    if options.relative_time {
        number(last_us.map_or(0, |last| time_us - last));
    }
    if options.absolute_time {
        number(time_us.div_euclid(1_000_000));
        number(time_us.rem_euclid(1_000_000));
    }
}

fn write_cells(line: &mut LineBuffer, printer: &CellPrinter, row: &Row<'_>) {
    let length = printer.print(row, line.room(printer.max_bytes()));
    line.advance(length);
}

fn failed(source: io::Error) -> Error {
    Error::Io { action: "write", file: "CSV".to_owned(), source }
}
