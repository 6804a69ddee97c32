//! Reading nPrint CSV by column name.

use super::CsvIndex;
use super::header::{Slot, read_header};
use super::row::RowReader;
use super::source::{Source, without_end};
use crate::{Error, Layout, Result, Row, TernaryMatrix};
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

/// Reads nPrint CSV as a whole; [`CsvReader`] reads it row by row.
///
/// Columns are known by their names, in any order; whole fields may be missing, and columns
/// with other names (pandas' index, labels) are skipped. Cells may be floats (`1.0`), lines may
/// end in CRLF. 0 and 1 are bits; any one other number is the fill. The matrix has the file's
/// order of fields where that makes a [`Layout`](crate::Layout), else nPrint's.
///
/// # Errors
/// [`Error::Io`]; [`Error::EmptyFile`]; [`Error::CsvUnknownLayout`], [`Error::CsvField`] and
/// [`Error::CsvLayout`] for the header line; [`Error::CsvRowLength`], [`Error::CsvCell`] and
/// [`Error::CsvLineTooLong`] for the others, with line and column.
pub fn read_csv(path: impl AsRef<Path>) -> Result<CsvTable> {
    CsvReader::open(path)?.read_to_end()
}

/// Reads nPrint CSV from a reader; `name` stands for the file in errors.
///
/// # Errors
/// As [`read_csv`].
pub fn read_csv_from(reader: impl Read, name: &str) -> Result<CsvTable> {
    CsvReader::new(reader, name)?.read_to_end()
}

/// One row of a [`CsvReader`].
#[derive(Debug, Clone, Copy)]
pub struct CsvRow<'a> {
    /// The bits.
    pub row: Row<'a>,
    /// Text of the index column, empty where the file has none.
    pub index: &'a str,
    /// As [`CsvTable::times_ns`] has it; 0 where the file has no times. Units: nanoseconds.
    pub time_ns: i64,
}

/// Reads nPrint CSV row by row, as [`read_csv`] does as a whole.
///
/// Memory: one buffer of 256 KiB, or twice the longest line of the file, which may be 8 MiB at
/// most, and two planes of one row. The length of the file plays no part; nothing is allocated
/// per row.
///
/// # Example
/// ```
/// use nprint_codec::{CsvReader, TernaryMatrix};
/// let columns: Vec<String> = (0..8).map(|bit| format!("icmp_type_{bit}")).collect();
/// let row = "0,0,0,0,1,0,0,0\n";
/// let text = format!("{}\n{}", columns.join(","), row.repeat(5));
///
/// let mut csv = CsvReader::new(text.as_bytes(), "memory")?;
/// let first = csv.next_row()?.expect("five rows");
/// assert_eq!(first.row.get(nprint_codec::icmp::TYPE), Some(8));
/// // The others in blocks of at most three, in the same memory.
/// let (mut block, mut sizes) = (TernaryMatrix::new(csv.layout().clone()), Vec::new());
/// while csv.read_rows(&mut block, &mut Vec::new(), 3)? > 0 {
///     sizes.push(block.rows());
///     block.clear();
/// }
/// assert_eq!(sizes, [3, 1]);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvReader<R> {
    source: Source<R>,
    layout: Arc<Layout>,
    rows: RowReader,
    index: Option<CsvIndex>,
    has_times: bool,
    /// Time of the row read last.
    time_ns: i64,
}

impl CsvReader<File> {
    /// Opens a file; no buffer is needed around it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(file, &name),
            Err(source) => Err(Error::Io { action: "open", file: name, source }),
        }
    }
}

impl<R: Read> CsvReader<R> {
    /// Reads the header line; `name` stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::EmptyFile`], [`Error::CsvLineTooLong`],
    /// [`Error::CsvUnknownLayout`], [`Error::CsvField`], [`Error::CsvLayout`].
    pub fn new(reader: R, name: &str) -> Result<Self> {
        let mut source = Source::new(reader, name);
        let length = source.line(1)?;
        if length == 0 {
            return Err(Error::EmptyFile { file: name.to_owned() });
        }
        let (layout, columns) = read_header(without_end(&source.ahead()[..length]), name)?;
        source.consume(length);
        let rows = RowReader::new(&layout, columns);
        let index = rows.slots().iter().find_map(|slot| match slot {
            Slot::Index(kind) => Some(*kind),
            _ => None,
        });
        let has_times = rows.slots().iter().any(|s| matches!(s, Slot::Relative | Slot::Seconds));
        Ok(Self { source, layout: Arc::new(layout), rows, index, has_times, time_ns: 0 })
    }

    /// The bit columns.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The index column, if there is one.
    pub fn index(&self) -> Option<CsvIndex> {
        self.index
    }

    /// Whether the rows have times.
    pub fn has_times(&self) -> bool {
        self.has_times
    }

    /// The next row, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::CsvRowLength`], [`Error::CsvCell`], [`Error::CsvLineTooLong`].
    pub fn next_row(&mut self) -> Result<Option<CsvRow<'_>>> {
        if !self.rows.next(&mut self.source)? {
            return Ok(None);
        }
        self.time_ns = self.rows.facts.time_ns(self.time_ns);
        Ok(Some(CsvRow {
            row: Row::new(&self.layout, self.rows.present(), self.rows.value()),
            index: &self.rows.facts.index,
            time_ns: self.time_ns,
        }))
    }

    /// Appends the next rows, at most `max_rows`, to `matrix` and their times, where the file has
    /// any, to `times_ns`; returns their number, 0 at the end of the file.
    ///
    /// # Errors
    /// As [`next_row`](Self::next_row); the rows before are appended.
    ///
    /// # Panics
    /// When `matrix` has another number of words a row than the file's layout, as
    /// `copy_from_slice` does.
    pub fn read_rows(
        &mut self,
        matrix: &mut TernaryMatrix,
        times_ns: &mut Vec<i64>,
        max_rows: usize,
    ) -> Result<usize> {
        for read in 0..max_rows {
            let has_times = self.has_times;
            let Some(CsvRow { row, time_ns, .. }) = self.next_row()? else { return Ok(read) };
            matrix.push_row(&row);
            if has_times {
                times_ns.push(time_ns);
            }
        }
        Ok(max_rows)
    }

    fn read_to_end(mut self) -> Result<CsvTable> {
        let mut matrix = TernaryMatrix::new(self.layout.clone());
        let (mut index, mut times) = (Vec::new(), Vec::new());
        let (kind, has_times) = (self.index, self.has_times);
        while let Some(CsvRow { row, index: text, time_ns }) = self.next_row()? {
            matrix.push_row(&row);
            times.extend(has_times.then_some(time_ns));
            index.extend(kind.map(|_| text.to_owned()));
        }
        Ok(CsvTable {
            matrix,
            index: kind.map(|kind| (kind, index)),
            times_ns: has_times.then_some(times),
        })
    }
}
