//! Reading nPrint CSV by column name.

use super::CsvIndex;
use super::header::{Slot, read_header};
use super::row::RowReader;
use super::source::{Source, without_end};
use crate::{Error, Result, TernaryMatrix};
use std::fs::File;
use std::io::Read;
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
/// order of fields where that makes a [`Layout`](crate::Layout), else nPrint's.
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
    let mut source = Source::new(reader, name);
    let length = source.line()?;
    if length == 0 {
        return Err(Error::EmptyFile { file: name.to_owned() });
    }
    let (layout, columns) = read_header(without_end(&source.ahead()[..length]), name)?;
    source.consume(length);
    let mut matrix = TernaryMatrix::new(Arc::new(layout));
    let (mut index, mut times, mut last_ns) = (Vec::new(), Vec::new(), 0);
    let mut rows = RowReader::new(matrix.layout(), columns);
    while rows.next(&mut source)? {
        matrix.push_vacant().set_words(rows.present(), rows.value());
        last_ns = rows.facts.time_ns(last_ns);
        times.push(last_ns);
        index.extend(rows.facts.index.take());
    }
    let has = |wanted: fn(&Slot) -> bool| rows.slots().iter().any(wanted);
    let timed = has(|s| matches!(s, Slot::Relative | Slot::Seconds));
    let kind = rows.slots().iter().find_map(|slot| match slot {
        Slot::Index(kind) => Some(*kind),
        _ => None,
    });
    Ok(CsvTable { index: kind.map(|kind| (kind, index)), times_ns: timed.then_some(times), matrix })
}
