//! Writing nPrint CSV.
//!
//! Representation: a row's planes are header bytes, so eight cells are printed at once: a table
//! of 256 × 16 bytes where all eight are present, the fill eight times where none is. Bench:
//! `csv_write/1024x1088`.

use super::index::RowKey;
use super::{CsvOptions, MICROSECONDS, RELATIVE_TIME, SECONDS, names};
use crate::encode::{parts, write_row};
use crate::wireless::whole_frame;
use crate::{Error, Layout, Result, Row, TernaryMatrix, Trace, dissect, takes};
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
    let mut lines = Lines::new(writer, layout, options).map_err(failed)?;
    let mut matrix = TernaryMatrix::vacant(layout.clone(), 1);
    for packet in trace.iter().take(options.max_packets.unwrap_or(usize::MAX)) {
        if let Some(frame) = whole_frame(trace.link_type(), options.policy, packet.bytes) {
            matrix.truncate(0);
            frame.write_row(&mut matrix.push_vacant());
            let key = RowKey::of_frame(&frame);
            lines.write(&key, packet.time_ns, &matrix.row(0)).map_err(failed)?;
            continue;
        }
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        if !takes(options.policy, &d) {
            continue;
        }
        let parts = parts(trace.link_type(), options.policy, &d);
        matrix.truncate(0);
        write_row(&mut matrix.push_vacant(), &parts);
        let key = RowKey::of_packet(&packet.bytes[d.link.len()..], &d, &parts);
        lines.write(&key, packet.time_ns, &matrix.row(0)).map_err(failed)?;
    }
    lines.finish().map_err(failed)
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
    let mut lines = Lines::new(writer, matrix.layout(), options).map_err(failed)?;
    for (i, row) in matrix.iter().enumerate().take(options.max_packets.unwrap_or(usize::MAX)) {
        let time_ns = times_ns.get(i).copied().unwrap_or(0);
        lines.write(&RowKey::of_row(&row), time_ns, &row).map_err(failed)?;
    }
    lines.finish().map_err(failed)
}

fn failed(source: io::Error) -> Error {
    Error::Io { action: "write", file: "CSV".to_owned(), source }
}

const FLUSH_BYTES: usize = 1 << 18;

struct Lines<'a, W> {
    writer: W,
    options: &'a CsvOptions,
    /// Columns that are printed, where some are dropped.
    kept: Option<Vec<usize>>,
    fill: Vec<u8>,
    fill_eight: Vec<u8>,
    bits: Box<[[u8; 16]; 256]>,
    buffer: Vec<u8>,
    last_us: Option<i64>,
    rows: usize,
}

impl<'a, W: Write> Lines<'a, W> {
    fn new(writer: W, layout: &Layout, options: &'a CsvOptions) -> io::Result<Self> {
        let mut printed = vec![true; layout.columns()];
        for column in &options.dropped_columns {
            if let Some(printed) = printed.get_mut(*column) {
                *printed = false;
            }
        }
        let kept = printed.contains(&false).then(|| {
            printed.iter().enumerate().filter(|(_, kept)| **kept).map(|(c, _)| c).collect()
        });
        let fill = format!(",{}", options.fill).into_bytes();
        let mut bits = Box::new([[b','; 16]; 256]);
        for (byte, text) in bits.iter_mut().enumerate() {
            (0..8).for_each(|bit| text[2 * bit + 1] = b'0' + (byte >> (7 - bit) & 1) as u8);
        }
        let mut lines = Self {
            writer,
            options,
            kept,
            fill_eight: fill.repeat(8),
            fill,
            bits,
            buffer: Vec::with_capacity(2 * FLUSH_BYTES),
            last_us: None,
            rows: 0,
        };
        lines.header(layout)?;
        Ok(lines)
    }

    fn header(&mut self, layout: &Layout) -> io::Result<()> {
        let times = [
            self.options.relative_time.then_some(RELATIVE_TIME),
            self.options.absolute_time.then_some(SECONDS),
            self.options.absolute_time.then_some(MICROSECONDS),
        ];
        for name in self.options.index.column_name().into_iter().chain(times.into_iter().flatten())
        {
            self.buffer.push(b',');
            self.buffer.extend(name.as_bytes());
        }
        let all: Vec<String> = names(layout).collect();
        let mut push = |column: usize| {
            self.buffer.push(b',');
            self.buffer.extend(all[column].as_bytes());
        };
        match &self.kept {
            Some(kept) => kept.iter().for_each(|column| push(*column)),
            None => (0..all.len()).for_each(push),
        }
        self.end_line(0)
    }

    fn write(&mut self, key: &RowKey, time_ns: i64, row: &Row<'_>) -> io::Result<()> {
        let start = self.buffer.len();
        if self.options.index.column_name().is_some() {
            self.buffer.push(b',');
            self.buffer.extend(key.text(self.options.index).as_bytes());
        }
        let time_us = time_ns.div_euclid(1_000);
        if self.options.relative_time {
            let since = self.last_us.map_or(0, |last| time_us - last);
            self.buffer.extend(format!(",{since}").as_bytes());
        }
        if self.options.absolute_time {
            let (seconds, us) = (time_us.div_euclid(1_000_000), time_us.rem_euclid(1_000_000));
            self.buffer.extend(format!(",{seconds},{us}").as_bytes());
        }
        self.last_us = Some(time_us);
        self.cells(row);
        self.rows += 1;
        self.end_line(start)
    }

    fn cells(&mut self, row: &Row<'_>) {
        let one = |column: usize| match row.cell(column).bit() {
            None => &self.fill[..],
            Some(false) => b",0",
            Some(true) => b",1",
        };
        if let Some(kept) = &self.kept {
            for column in kept {
                self.buffer.extend(one(*column));
            }
            return;
        }
        let bytes = row.layout().columns() >> 3;
        let planes = row.present_words().iter().zip(row.value_words());
        let planes = planes.flat_map(|(p, v)| p.to_be_bytes().into_iter().zip(v.to_be_bytes()));
        for (i, (present, value)) in planes.take(bytes).enumerate() {
            match present {
                0xff => self.buffer.extend(self.bits[usize::from(value)]),
                0 => self.buffer.extend(&self.fill_eight),
                _ => (8 * i..8 * i + 8).for_each(|column| self.buffer.extend(one(column))),
            }
        }
    }

    /// Every cell has a comma before it; the first one of the line goes.
    fn end_line(&mut self, start: usize) -> io::Result<()> {
        if self.buffer.len() > start {
            self.buffer.remove(start);
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= FLUSH_BYTES {
            self.writer.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<usize> {
        self.writer.write_all(&self.buffer)?;
        self.writer.flush()?;
        Ok(self.rows)
    }
}
