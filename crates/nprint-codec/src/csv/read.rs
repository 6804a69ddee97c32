//! Reading nPrint CSV by column name.

use super::{CsvIndex, MICROSECONDS, RELATIVE_TIME, SECONDS};
use crate::{Error, Field, Header, Layout, Result, TernaryMatrix, payload};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// What a CSV file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvTable {
    /// The bit columns.
    pub matrix: TernaryMatrix,
    /// The index column, if there is one, and its text for each row.
    pub index: Option<(CsvIndex, Vec<String>)>,
    /// From `tv_sec` and `tv_usec`; else from `rts`, the first row then being at its own `rts`.
    /// Units: nanoseconds.
    pub times_ns: Option<Vec<i64>>,
}

/// Reads nPrint CSV.
///
/// Columns are known by their names, in any order; whole fields may be missing, and columns
/// with other names (pandas' index, labels) are skipped. Cells may be floats (`1.0`), lines may
/// end in CRLF. 0 and 1 are bits; any one other number is the fill. The matrix has the file's
/// order of fields where that makes a [`Layout`], else nPrint's.
///
/// # Errors
/// [`Error::Io`]; [`Error::EmptyFile`]; [`Error::CsvUnknownLayout`], [`Error::CsvField`] and
/// [`Error::CsvLayout`] for the header line; [`Error::CsvRowLength`] and [`Error::CsvCell`] for
/// the others, with line and column.
pub fn read_csv(path: impl AsRef<Path>) -> Result<CsvTable> {
    let name = path.as_ref().display().to_string();
    match File::open(path) {
        Ok(file) => read_csv_from(file, &name),
        Err(source) => Err(Error::Io { action: "open", file: name, source }),
    }
}

/// Reads nPrint CSV from a reader; `name` stands for the file in errors.
///
/// # Errors
/// As [`read_csv`].
pub fn read_csv_from(reader: impl Read, name: &str) -> Result<CsvTable> {
    let mut lines = Lines { reader: BufReader::new(reader), name, line: Vec::new(), number: 0 };
    if !lines.next()? {
        return Err(Error::EmptyFile { file: name.to_owned() });
    }
    let (layout, columns) = read_header(&lines.line, name)?;
    let (slots, names) = columns.into_iter().unzip();
    let plane = vec![0; layout.words()];
    let mut table = Reader {
        slots,
        names,
        fill: None,
        present: plane.clone(),
        value: plane,
        matrix: TernaryMatrix::new(Arc::new(layout)),
    };
    let (mut index, mut times, mut last_ns) = (Vec::new(), Vec::new(), 0);
    while lines.next()? {
        if lines.line.is_empty() {
            continue;
        }
        let row = table.read_row(&lines)?;
        last_ns = row.time_ns(last_ns);
        times.push(last_ns);
        index.extend(row.index);
    }
    let has = |wanted: fn(&Slot) -> bool| table.slots.iter().any(wanted);
    let timed = has(|s| matches!(s, Slot::Relative | Slot::Seconds));
    let kind = table.slots.iter().find_map(|slot| match slot {
        Slot::Index(kind) => Some(*kind),
        _ => None,
    });
    Ok(CsvTable {
        index: kind.map(|kind| (kind, index)),
        times_ns: timed.then_some(times),
        matrix: table.matrix,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Bit(usize),
    Index(CsvIndex),
    Relative,
    Seconds,
    Microseconds,
    Skip,
}

struct Lines<'a, R> {
    reader: BufReader<R>,
    name: &'a str,
    line: Vec<u8>,
    number: usize,
}

impl<R: Read> Lines<'_, R> {
    /// Reads the next line without its end; false at the end of the file.
    fn next(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let file = || self.name.to_owned();
        self.reader.read_until(b'\n', &mut self.line).map_err(|source| Error::Io {
            action: "read",
            file: file(),
            source,
        })?;
        let read = !self.line.is_empty();
        for end in [b'\n', b'\r'] {
            if self.line.last() == Some(&end) {
                self.line.pop();
            }
        }
        Ok(read)
    }
}

/// The bits of one field among the columns of the file.
struct FieldColumns {
    name: String,
    field: Option<Field>,
    /// Column of the file by bit.
    bits: Vec<Option<usize>>,
}

fn read_header(line: &[u8], file: &str) -> Result<(Layout, Vec<(Slot, String)>)> {
    let text = String::from_utf8_lossy(line);
    let names: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .split(',')
        .map(|n| n.trim().trim_matches('"'))
        .collect();
    let mut found: Vec<FieldColumns> = Vec::new();
    for (column, (name, bit)) in
        names.iter().enumerate().filter_map(|(c, n)| Some((c, bit_column(n)?)))
    {
        let at = found.iter().position(|f| f.name == name).unwrap_or_else(|| {
            let field = Field::by_name(name);
            let bits = vec![None; field.map_or(0, |f| f.bits.into())];
            found.push(FieldColumns { name: name.to_owned(), field, bits });
            found.len() - 1
        });
        let known = &mut found[at];
        if bit >= known.bits.len() {
            known.bits.resize(bit + 1, None);
        }
        if known.bits[bit].replace(column).is_some() {
            return Err(field_error(file, known, bit, true, column));
        }
    }
    if found.is_empty() {
        return Err(Error::CsvUnknownLayout { file: file.to_owned(), columns: names.len() });
    }
    let mut fields = Vec::with_capacity(found.len());
    for known in &mut found {
        let whole_bytes = known.bits.len().next_multiple_of(8);
        if known.field.is_none() {
            known.bits.resize(whole_bytes, None);
            known.field = payload::field(whole_bytes >> 3);
        }
        let first = known.bits.iter().flatten().min().copied().unwrap_or(0);
        if let Some(bit) = known.bits.iter().position(Option::is_none) {
            return Err(field_error(file, known, bit, false, first));
        }
        fields.extend(known.field);
    }
    let layout = Layout::from_fields(&fields).or_else(|_| {
        fields.sort_by_key(|f| {
            (Header::WIRE_ORDER.iter().position(|h| *h == f.header), f.offset_bits)
        });
        Layout::from_fields(&fields)
            .map_err(|e| Error::CsvLayout { file: file.to_owned(), source: Box::new(e) })
    })?;
    let mut slots: Vec<(Slot, String)> =
        names.iter().map(|n| (other_column(n), (*n).to_owned())).collect();
    for known in &found {
        let start = known.field.and_then(|f| layout.column_of(f)).unwrap_or(0);
        for (bit, column) in known.bits.iter().enumerate() {
            if let Some(column) = column {
                slots[*column].0 = Slot::Bit(start + bit);
            }
        }
    }
    Ok((layout, slots))
}

/// `ipv4_ttl_7` is bit 7 of `ipv4_ttl`; nothing for columns that are no bits of known fields.
fn bit_column(name: &str) -> Option<(&str, usize)> {
    let (field, bit) = name.rsplit_once('_')?;
    let bit: usize = bit.parse().ok()?;
    let limit = if field == "payload_bit" {
        8 * payload::MAX_BYTES
    } else {
        Field::by_name(field)?.bits.into()
    };
    (bit < limit).then_some((field, bit))
}

fn other_column(name: &str) -> Slot {
    match name {
        RELATIVE_TIME => Slot::Relative,
        SECONDS => Slot::Seconds,
        MICROSECONDS => Slot::Microseconds,
        _ => CsvIndex::ALL
            .into_iter()
            .find(|i| i.column_name() == Some(name))
            .map_or(Slot::Skip, Slot::Index),
    }
}

fn field_error(file: &str, f: &FieldColumns, bit: usize, repeated: bool, column: usize) -> Error {
    Error::CsvField {
        file: file.to_owned(),
        field: f.name.clone(),
        bits: f.bits.len(),
        bit,
        repeated,
        column: column + 1,
    }
}

struct Reader {
    slots: Vec<Slot>,
    names: Vec<String>,
    fill: Option<i64>,
    /// Planes of the row that is being read.
    present: Vec<u64>,
    value: Vec<u64>,
    matrix: TernaryMatrix,
}

#[derive(Default)]
struct RowFacts {
    index: Option<String>,
    relative_us: Option<i64>,
    seconds: Option<i64>,
    microseconds: Option<i64>,
}

impl RowFacts {
    fn time_ns(&self, last_ns: i64) -> i64 {
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

impl Reader {
    fn read_row<R>(&mut self, lines: &Lines<'_, R>) -> Result<RowFacts> {
        let wrong_length = || Error::CsvRowLength {
            file: lines.name.to_owned(),
            line: lines.number,
            expected: self.slots.len(),
            found: lines.line.split(|b| *b == b',').count(),
        };
        let mut facts = RowFacts::default();
        self.present.fill(0);
        self.value.fill(0);
        let mut rest = Some(&lines.line[..]);
        for (at, slot) in self.slots.iter().enumerate() {
            let (text, tail) = first_cell(rest.ok_or_else(wrong_length)?);
            rest = tail;
            let wrong = |expected| Error::CsvCell {
                file: lines.name.to_owned(),
                line: lines.number,
                column: at + 1,
                name: self.names[at].clone(),
                found: String::from_utf8_lossy(text).into_owned(),
                expected,
            };
            let whole = || number(text).ok_or_else(|| wrong("a whole number"));
            match *slot {
                Slot::Bit(column) => {
                    let bit = match text {
                        b"0" => 0,
                        b"1" => 1,
                        b"-1" if *self.fill.get_or_insert(-1) == -1 => continue,
                        _ => match number(text).ok_or_else(|| wrong("0, 1 or the fill"))? {
                            bit @ (0 | 1) => bit as u64,
                            fill if *self.fill.get_or_insert(fill) == fill => continue,
                            _ => return Err(wrong("0, 1 or the one fill of this file")),
                        },
                    };
                    let (word, shift) = (column >> 6, 63 - (column & 63));
                    self.present[word] |= 1 << shift;
                    self.value[word] |= bit << shift;
                }
                Slot::Index(_) => {
                    let text = String::from_utf8_lossy(text);
                    facts.index.get_or_insert_with(|| text.trim_matches('"').to_owned());
                }
                Slot::Relative => facts.relative_us = Some(whole()?),
                Slot::Seconds => facts.seconds = Some(whole()?),
                Slot::Microseconds => facts.microseconds = Some(whole()?),
                Slot::Skip => {}
            }
        }
        if rest.is_some() {
            return Err(wrong_length());
        }
        self.matrix.push_vacant().set_words(&self.present, &self.value);
        Ok(facts)
    }
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
