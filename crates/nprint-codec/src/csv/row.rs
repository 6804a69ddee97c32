//! The rows of a CSV file.
//!
//! Two readers with one meaning. The *canonical* one takes rows as they are written: `0`, `1` and
//! `-1` and nothing around them. It reads eight cells at a time, and gives up at the first cell that
//! is anything else. The *tolerant* one then reads the line again from its start, cell by cell: floats,
//! quotes, blanks, another fill; the errors are its own. Bench: `csv_read/*`.
//!
//! Eight present cells are 16 bytes, two `u64` in which every second byte is a comma:
//! ```text
//! a  c0 , c1 , c2 , c3 ,      b  c4 , c5 , c6 , c7 ,      a | b << 8  c0 c4 c1 c5 c2 c6 c3 c7
//! ```
//! Digits differ in bit 0 only, and one multiplication gathers those bits. Eight vacant cells are
//! 24 fixed bytes.

use super::header::Slot;
use super::source::{Source, without_end};
use crate::{Error, Layout, Result};
use std::io::Read;

/// Reads one row after the other into the same memory.
#[derive(Debug)]
pub(super) struct RowReader {
    slots: Vec<Slot>,
    names: Vec<String>,
    /// All columns but the last, which no comma follows.
    steps: Vec<Step>,
    /// Number of the line read last.
    line: usize,
    fill: Option<i64>,
    present: Vec<u64>,
    value: Vec<u64>,
    pub(super) facts: RowFacts,
}

/// Columns of the file that are read together.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// `count` bits, the first one in `column` of the matrix and so on.
    Bits { column: usize, count: usize },
    /// One column of the file that is no bit.
    Other(Slot),
}

/// What a row says besides its bits.
#[derive(Debug, Default)]
pub(super) struct RowFacts {
    /// Text of the index column; empty where there is none.
    pub(super) index: String,
    relative_us: Option<i64>,
    seconds: Option<i64>,
    microseconds: Option<i64>,
}

impl RowFacts {
    fn clear(&mut self) {
        self.index.clear();
        (self.relative_us, self.seconds, self.microseconds) = (None, None, None);
    }

    /// Takes the text of a cell that is no bit; false where a number was expected.
    fn take(&mut self, slot: Slot, text: &[u8]) -> bool {
        let target = match slot {
            Slot::Index(_) => {
                // The first of several index columns names the row.
                if self.index.is_empty() {
                    self.index.push_str(String::from_utf8_lossy(text).trim_matches('"'));
                }
                return true;
            }
            Slot::Relative => &mut self.relative_us,
            Slot::Seconds => &mut self.seconds,
            Slot::Microseconds => &mut self.microseconds,
            Slot::Bit(_) | Slot::Skip => return true,
        };
        *target = number(text);
        target.is_some()
    }

    pub(super) fn time_ns(&self, last_ns: i64) -> i64 {
        let us = match (self.seconds, self.relative_us) {
            (Some(seconds), _) => {
                seconds.saturating_mul(1_000_000).saturating_add(self.microseconds.unwrap_or(0))
            }
            (None, relative) => {
                return last_ns.saturating_add(relative.unwrap_or(0).saturating_mul(1_000));
            }
        };
        us.saturating_mul(1_000)
    }
}

impl RowReader {
    pub(super) fn new(layout: &Layout, columns: Vec<(Slot, String)>) -> Self {
        let (slots, names): (Vec<Slot>, Vec<String>) = columns.into_iter().unzip();
        let mut steps = Vec::new();
        for slot in slots.split_last().map_or(&[][..], |(_, before)| before) {
            match (steps.last_mut(), *slot) {
                (Some(Step::Bits { column, count }), Slot::Bit(next))
                    if *column + *count == next =>
                {
                    *count += 1;
                }
                (_, Slot::Bit(column)) => steps.push(Step::Bits { column, count: 1 }),
                (_, other) => steps.push(Step::Other(other)),
            }
        }
        let plane = vec![0; layout.words()];
        Self {
            slots,
            names,
            steps,
            line: 1,
            fill: None,
            present: plane.clone(),
            value: plane,
            facts: RowFacts::default(),
        }
    }

    /// What each column of the file holds.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn present(&self) -> &[u64] {
        &self.present
    }

    pub(super) fn value(&self) -> &[u64] {
        &self.value
    }

    /// Reads the next row; false at the end of the text.
    pub(super) fn next<R: Read>(&mut self, source: &mut Source<R>) -> Result<bool> {
        loop {
            self.line += 1;
            if let Some(length) = self.canonical(source.ahead()) {
                source.consume(length);
                return Ok(true);
            }
            let length = source.line(self.line)?;
            if length == 0 {
                return Ok(false);
            }
            let line = &source.ahead()[..length];
            let text = without_end(line);
            // Perhaps it only was not ahead as a whole.
            if !text.is_empty() && self.canonical(line).is_none() {
                self.tolerant(text, &source.name)?;
            }
            let is_row = !text.is_empty();
            source.consume(length);
            if is_row {
                return Ok(true);
            }
        }
    }

    fn start_row(&mut self) {
        self.present.fill(0);
        self.value.fill(0);
        self.facts.clear();
    }

    /// Reads a line that is as the writer writes it, and returns its length.
    fn canonical(&mut self, text: &[u8]) -> Option<usize> {
        if self.fill.is_some_and(|fill| fill != -1) {
            return None;
        }
        self.start_row();
        let mut run = Run { present: &mut self.present, value: &mut self.value, rest: text };
        let mut vacant = false;
        for step in &self.steps {
            match *step {
                Step::Bits { column, count } => vacant |= run.read(column, count)?,
                Step::Other(slot) => {
                    self.facts.take(slot, run.text()?).then_some(())?;
                    run.rest = run.rest.strip_prefix(b",")?;
                }
            }
        }
        match *self.slots.last()? {
            Slot::Bit(column) => vacant |= run.one(column)?,
            slot => self.facts.take(slot, run.text()?).then_some(())?,
        }
        let line_end = match run.rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return None,
        };
        let length = text.len() - run.rest.len() + line_end;
        if vacant {
            self.fill = Some(-1);
        }
        Some(length)
    }

    /// Reads any line.
    fn tolerant(&mut self, line: &[u8], file: &str) -> Result<()> {
        self.start_row();
        let wrong_length = || Error::CsvRowLength {
            file: file.to_owned(),
            line: self.line,
            expected: self.slots.len(),
            found: line.split(|b| *b == b',').count(),
        };
        let mut rest = Some(line);
        for (at, slot) in self.slots.iter().enumerate() {
            let (text, tail) = first_cell(rest.ok_or_else(wrong_length)?);
            rest = tail;
            let wrong = |expected| Error::CsvCell {
                file: file.to_owned(),
                line: self.line,
                column: at + 1,
                name: self.names[at].clone(),
                found: String::from_utf8_lossy(text).into_owned(),
                expected,
            };
            match *slot {
                Slot::Bit(column) => {
                    let cell = match number(text).ok_or_else(|| wrong("0, 1 or the fill"))? {
                        bit @ (0 | 1) => Some(bit == 1),
                        fill if *self.fill.get_or_insert(fill) == fill => None,
                        _ => return Err(wrong("0, 1 or the one fill of this file")),
                    };
                    put(&mut self.present, &mut self.value, column, cell);
                }
                slot => {
                    if !self.facts.take(slot, text) {
                        return Err(wrong("a whole number"));
                    }
                }
            }
        }
        if rest.is_some() { Err(wrong_length()) } else { Ok(()) }
    }
}

#[inline]
fn put(present: &mut [u64], value: &mut [u64], column: usize, cell: Option<bool>) {
    if let Some(bit) = cell {
        let (word, shift) = (column >> 6, 63 - (column & 63));
        present[word] |= 1 << shift;
        value[word] |= u64::from(bit) << shift;
    }
}

/// The canonical reader inside a line.
struct Run<'p, 't> {
    present: &'p mut [u64],
    value: &'p mut [u64],
    rest: &'t [u8],
}

impl<'t> Run<'_, 't> {
    /// Reads `count` cells into `column` and the ones after it, each with a comma, and returns
    /// whether any is vacant.
    fn read(&mut self, mut column: usize, count: usize) -> Option<bool> {
        let end = column + count;
        let mut vacant = false;
        while column < end {
            if column.is_multiple_of(8) && end - column >= 8 {
                if let Some(byte) = self.eight_bits() {
                    let (word, shift) = (column >> 6, 56 - (column & 63));
                    self.present[word] |= 0xff << shift;
                    self.value[word] |= byte << shift;
                    column += 8;
                    continue;
                }
                let skipped = self.skip_vacant(end - column);
                if skipped > 0 {
                    vacant = true;
                    column += skipped;
                    continue;
                }
            }
            vacant |= self.one(column)?;
            self.rest = self.rest.strip_prefix(b",")?;
            column += 1;
        }
        Some(vacant)
    }

    /// Reads one cell without what follows it, and returns whether it is vacant.
    #[inline]
    fn one(&mut self, column: usize) -> Option<bool> {
        let (cell, rest) = match self.rest {
            [b'0', rest @ ..] => (Some(false), rest),
            [b'1', rest @ ..] => (Some(true), rest),
            [b'-', b'1', rest @ ..] => (None, rest),
            _ => return None,
        };
        self.rest = rest;
        put(self.present, self.value, column, cell);
        Some(cell.is_none())
    }

    /// The text of a cell that is no bit.
    fn text(&mut self) -> Option<&'t [u8]> {
        let length = self.rest.iter().position(|b| matches!(b, b',' | b'\r' | b'\n'))?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(text)
    }

    #[inline]
    fn eight_bits(&mut self) -> Option<u64> {
        const TEXT: u64 = u64::from_le_bytes(*b"0,0,0,0,");
        const DIGIT: u64 = 0x0001_0001_0001_0001;
        // Bit 8b of cell i in byte b goes to 63 - i; no two of the 64 sums are the same.
        const GATHER: u64 = 1 << 63 | 1 << 46 | 1 << 29 | 1 << 12 | 1 << 51 | 1 << 34 | 1 << 17 | 1;
        let (text, rest) = self.rest.split_first_chunk::<16>()?;
        let [a, b] = text.as_chunks::<8>().0 else { return None };
        let (a, b) = (u64::from_le_bytes(*a) ^ TEXT, u64::from_le_bytes(*b) ^ TEXT);
        if (a | b) & !DIGIT != 0 {
            return None;
        }
        self.rest = rest;
        Some((a | b << 8).wrapping_mul(GATHER) >> 56)
    }

    /// Skips vacant cells, 64 and eight at a time, at most `limit`; returns their number.
    #[inline]
    fn skip_vacant(&mut self, limit: usize) -> usize {
        const VACANT: &[u8; 3 * 64] = &vacant_cells();
        const EIGHT: &[u8; 3 * 8] = &vacant_cells();
        let mut skipped = 0;
        while limit - skipped >= 64 && self.rest.first_chunk() == Some(VACANT) {
            self.rest = &self.rest[VACANT.len()..];
            skipped += 64;
        }
        while limit - skipped >= 8 && self.rest.first_chunk() == Some(EIGHT) {
            self.rest = &self.rest[EIGHT.len()..];
            skipped += 8;
        }
        skipped
    }
}

/// `-1,` again and again.
const fn vacant_cells<const N: usize>() -> [u8; N] {
    let mut text = [b','; N];
    let mut at = 0;
    while at + 1 < N {
        text[at] = b'-';
        text[at + 1] = b'1';
        at += 3;
    }
    text
}

/// The first cell of a line and what follows its comma, nothing after the last cell.
fn first_cell(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let length = match line {
        [b',', ..] => 0,
        [_, b',', ..] => 1,
        [_, _, b',', ..] => 2,
        _ => line.iter().position(|b| *b == b',').unwrap_or(line.len()),
    };
    let (text, tail) = line.split_at(length);
    (text, tail.get(1..))
}

/// A whole number, also written as a float.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    text.parse().ok().or_else(|| {
        let float = text.parse::<f64>().ok()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}
