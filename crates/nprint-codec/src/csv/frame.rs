//! Tables: data frames and Parquet files with nPrint's column names. Feature `polars`.
//!
//! ```text
//! src_ip : str , time_ns : i64 , ipv4_ver_0 : i8 , ipv4_ver_1 : i8 , …
//! index          time            a column a bit: -1, 0, 1
//! ```
//! A Parquet file states the layout's fingerprint beside them, under [`FINGERPRINT`].

use super::header::{Slot, read_names};
use super::index::RowKey;
use super::line::LineBuffer;
use super::{CsvOptions, CsvTable, names};
use crate::{Error, Layout, Result, RowEncoder, TernaryMatrix, Trace};
use polars::prelude::{
    ChunkedArray, Column, DataFrame, DataType, Int8Type, Int64Chunked, IntoColumn,
    KeyValueMetadata, NamedFrom, ParquetReader, ParquetWriter, PolarsError, PolarsResult,
    SerReader, Series,
};
use std::fs::File;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Column of the times. Units: nanoseconds since 1970.
const TIME_NS: &str = "time_ns";
/// Key of a Parquet file's metadata: [`Layout::fingerprint`] in sixteen hexadecimal digits.
const FINGERPRINT: &str = "nprint-codec.layout";

impl CsvTable {
    /// The rows that [`write_csv`](crate::write_csv) would write, as numbers: all columns of
    /// `layout`, the index of `options`, and every time.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{CsvOptions, CsvTable, Layout, LinkType, Trace};
    /// let mut trace = Trace::new(LinkType::RawIp);
    /// trace.push(1_500, &[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 20);
    /// let table = CsvTable::of_trace(&trace, &Layout::reference(), &CsvOptions::default());
    /// let frame = table.to_frame()?;
    /// assert_eq!((frame.height(), frame.width()), (1, 2 + 1088));
    /// assert_eq!(CsvTable::from_frame(&frame, "memory")?, table);
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn of_trace(trace: &Trace, layout: &Arc<Layout>, options: &CsvOptions) -> Self {
        let mut encoder = RowEncoder::new(layout, options.policy);
        let mut matrix = TernaryMatrix::new(layout.clone());
        let (mut index, mut times_ns, mut line) = (Vec::new(), Vec::new(), LineBuffer::new());
        for packet in trace.iter().take(options.max_packets.unwrap_or(usize::MAX)) {
            let Some((row, parts)) = encoder.encode_parts(trace.link_type(), packet.bytes) else {
                continue;
            };
            matrix.push_vacant().set_words(row.present_words(), row.value_words());
            times_ns.push(packet.time_ns);
            line.clear();
            RowKey::of_packet(packet.bytes, &parts).write(options.index, &mut line);
            index.push(String::from_utf8_lossy(line.written()).into_owned());
        }
        let index = options.index.column_name().map(|_| (options.index, index));
        Self { matrix, index, times_ns: Some(times_ns) }
    }

    /// A data frame of index, times and one `i8` column a bit. Feature `polars`.
    ///
    /// # Errors
    /// [`Error::Table`] where index or times are not one a row.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let mut columns = Vec::with_capacity(2 + self.matrix.columns());
        if let Some((kind, texts)) = &self.index {
            let name = kind.column_name().unwrap_or("index");
            columns.push(Series::new(name.into(), texts).into_column());
        }
        if let Some(times_ns) = &self.times_ns {
            columns.push(Series::new(TIME_NS.into(), times_ns).into_column());
        }
        push_bit_columns(&mut columns, &self.matrix);
        DataFrame::new(self.matrix.rows(), columns).map_err(|e| failed("make", "a data frame", e))
    }

    /// Reads a data frame by column name, whether it came from here, from nPrint's CSV or from a
    /// program that made other numbers of it; `name` stands for it in errors.
    ///
    /// Bits may be of any type of number. 0 and 1 are bits; null, NaN and any one other number are
    /// vacant. Columns with other names are passed over. Times are `time_ns`, else nPrint's
    /// `tv_sec` and `tv_usec`, else `rts`.
    ///
    /// # Errors
    /// [`Error::CsvUnknownLayout`], [`Error::CsvField`] and [`Error::CsvLayout`] for the columns'
    /// names; [`Error::TableColumn`] for a column of another type; [`Error::TableCell`].
    pub fn from_frame(frame: &DataFrame, name: &str) -> Result<Self> {
        let column_names: Vec<&str> =
            frame.columns().iter().map(|column| column.name().as_str()).collect();
        let (layout, slots) = read_names(&column_names, name)?;
        let mut planes = Planes::new(layout, frame.height());
        let mut index = None;
        for (column, (slot, column_name)) in frame.columns().iter().zip(&slots) {
            let place = CellPlace { table: name, column: column_name };
            match slot {
                Slot::Bit(bit) => planes.take(column, *bit, place)?,
                Slot::Index(kind) if index.is_none() => {
                    index = Some((*kind, place.texts(column)?));
                }
                _ => {}
            }
        }
        let numbers = |wanted: &str| {
            let found = frame.columns().iter().find(|column| column.name() == wanted);
            let place = CellPlace { table: name, column: wanted };
            found.map(|column| place.numbers(column)).transpose()
        };
        let us_to_ns = |us: i64| us.saturating_mul(1_000);
        let times_ns = if let Some(times_ns) = numbers(TIME_NS)? {
            Some(times_ns)
        } else if let Some(seconds) = numbers("tv_sec")? {
            let us = numbers("tv_usec")?.unwrap_or_else(|| vec![0; seconds.len()]);
            let us = seconds.iter().zip(us).map(|(s, us)| s.saturating_mul(1_000_000) + us);
            Some(us.map(us_to_ns).collect())
        } else {
            let since = numbers("rts")?;
            since.map(|since| {
                let mut now_us = 0_i64;
                let now = since.into_iter().map(|us| {
                    now_us = now_us.saturating_add(us);
                    us_to_ns(now_us)
                });
                now.collect()
            })
        };
        Ok(Self { matrix: planes.into_matrix(), index, times_ns })
    }
}

impl TernaryMatrix {
    /// A data frame of one `i8` column a bit, named as nPrint names them. Feature `polars`.
    ///
    /// # Errors
    /// [`Error::Table`].
    pub fn to_frame(&self) -> Result<DataFrame> {
        let mut columns = Vec::with_capacity(self.columns());
        push_bit_columns(&mut columns, self);
        DataFrame::new(self.rows(), columns).map_err(|e| failed("make", "a data frame", e))
    }
}

/// Writes a table as a Parquet file, with the layout's fingerprint in its metadata. Feature
/// `polars`.
///
/// # Errors
/// [`Error::Table`].
///
/// # Example
/// ```
/// use nprint_codec::{CsvTable, Layout, TernaryMatrix, read_parquet_from, write_parquet};
/// let matrix = TernaryMatrix::vacant(Layout::reference(), 3);
/// let table = CsvTable { matrix, index: None, times_ns: Some(vec![1, 2, 3]) };
/// let mut file = Vec::new();
/// write_parquet(&mut file, &table)?;
/// assert_eq!(read_parquet_from(file, "memory")?, table);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// The Apache Parquet format.
pub fn write_parquet(writer: impl Write, table: &CsvTable) -> Result<()> {
    let fingerprint = format!("{:016x}", table.matrix.layout().fingerprint());
    let metadata = KeyValueMetadata::from_static(vec![(FINGERPRINT.to_owned(), fingerprint)]);
    ParquetWriter::new(writer)
        .with_key_value_metadata(Some(metadata))
        .finish(&mut table.to_frame()?)
        .map_err(|e| failed("write", "a Parquet file", e))?;
    Ok(())
}

/// Reads a Parquet file as [`CsvTable::from_frame`] reads a data frame. Feature `polars`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Table`] where it is no Parquet file or a damaged one;
/// [`Error::DamagedTable`] where polars panics at the damage (and the process's panic hook is told,
/// which by default prints it; under `panic = "abort"` the process ends there);
/// [`Error::LayoutFingerprint`] where its columns are not those that were written; and as
/// [`CsvTable::from_frame`].
pub fn read_parquet(path: impl AsRef<Path>) -> Result<CsvTable> {
    let name = path.as_ref().display().to_string();
    match File::open(path) {
        Ok(file) => read_table(ParquetReader::new(file), &name),
        Err(source) => Err(Error::Io { action: "open", file: name, source }),
    }
}

/// Reads a Parquet file that is in memory; `name` stands for it in errors. Feature `polars`.
///
/// # Errors
/// As [`read_parquet`].
pub fn read_parquet_from(bytes: Vec<u8>, name: &str) -> Result<CsvTable> {
    read_table(ParquetReader::new(Cursor::new(bytes)), name)
}

fn read_table<R: polars::io::mmap::MmapBytesReader>(
    mut reader: ParquetReader<R>,
    name: &str,
) -> Result<CsvTable> {
    let stored = guarded(name, || {
        let metadata = reader.get_metadata()?.key_value_metadata();
        let entry = metadata.iter().flatten().find(|entry| entry.key == FINGERPRINT);
        Ok(entry.and_then(|entry| u64::from_str_radix(entry.value.as_deref()?, 16).ok()))
    })?;
    let table = CsvTable::from_frame(&guarded(name, || reader.finish())?, name)?;
    let found = table.matrix.layout().fingerprint();
    match stored {
        Some(stored) if stored != found => {
            Err(Error::LayoutFingerprint { file: name.to_owned(), stored, found })
        }
        _ => Ok(table),
    }
}

/// polars trusts what a file says about itself, and panics where that is not so.
fn guarded<T>(name: &str, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    let result = catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let reason = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Error::DamagedTable { file: name.to_owned(), reason }
    })?;
    result.map_err(|e| failed("read", name, e))
}

fn failed(action: &'static str, table: &str, source: PolarsError) -> Error {
    Error::Table { action, file: table.to_owned(), source: Box::new(source) }
}

fn push_bit_columns(columns: &mut Vec<Column>, matrix: &TernaryMatrix) {
    let words = matrix.layout().words();
    let mut names = names(matrix.layout());
    for word in 0..words {
        let of = |plane: &[u64]| plane.iter().skip(word).step_by(words).copied().collect();
        let (present, value): (Vec<u64>, Vec<u64>) =
            (of(matrix.present_plane()), of(matrix.value_plane()));
        for (shift, name) in (0..64).rev().zip(&mut names) {
            let bit = |word: &u64| (word >> shift & 1) as i8;
            // A vacant cell has value 0, and is -1.
            let cells = present.iter().zip(&value).map(|(p, v)| bit(v) + bit(p) - 1).collect();
            columns.push(ChunkedArray::<Int8Type>::from_vec(name.into(), cells).into_column());
        }
    }
}

/// Both planes of a matrix, filled column by column.
struct Planes {
    layout: Arc<Layout>,
    rows: usize,
    present: Vec<u64>,
    value: Vec<u64>,
    fill: Option<f64>,
}

impl Planes {
    fn new(layout: Layout, rows: usize) -> Self {
        let words = layout.words() * rows;
        let layout = Arc::new(layout);
        Self { layout, rows, present: vec![0; words], value: vec![0; words], fill: None }
    }

    fn take(&mut self, column: &Column, bit: usize, place: CellPlace<'_>) -> Result<()> {
        if let Ok(cells) = column.i8() {
            return self.take_cells(cells.iter().map(|cell| cell.map(f64::from)), bit, place);
        }
        let cells = place.cast(column, &DataType::Float64)?;
        let cells = cells.f64().map_err(|e| failed("read", place.table, e))?;
        self.take_cells(cells.iter(), bit, place)
    }

    fn take_cells(
        &mut self,
        cells: impl Iterator<Item = Option<f64>>,
        bit: usize,
        place: CellPlace<'_>,
    ) -> Result<()> {
        let (words, word, mask) = (self.layout.words(), bit >> 6, 1_u64 << (63 - (bit & 63)));
        for (row, cell) in cells.enumerate() {
            let at = row * words + word;
            match cell {
                None => {}
                Some(0.0) => self.present[at] |= mask,
                Some(1.0) => {
                    self.present[at] |= mask;
                    self.value[at] |= mask;
                }
                Some(other) if other.is_nan() => {}
                Some(other) => {
                    let fill = *self.fill.get_or_insert(other);
                    if fill.to_bits() != other.to_bits() {
                        return Err(place.wrong(row, other));
                    }
                }
            }
        }
        Ok(())
    }

    fn into_matrix(self) -> TernaryMatrix {
        let words = self.layout.words();
        let mut matrix = TernaryMatrix::vacant(self.layout, self.rows);
        for row in 0..self.rows {
            let words = row * words..(row + 1) * words;
            matrix.row_mut(row).set_words(&self.present[words.clone()], &self.value[words]);
        }
        matrix
    }
}

/// A column of a table, for errors.
#[derive(Clone, Copy)]
struct CellPlace<'a> {
    table: &'a str,
    column: &'a str,
}

impl CellPlace<'_> {
    fn wrong(self, row: usize, found: f64) -> Error {
        Error::TableCell {
            file: self.table.to_owned(),
            row: row + 1,
            name: self.column.to_owned(),
            found,
            expected: "0, 1, or the one number that stands for vacant cells",
        }
    }

    /// The column as numbers of another type.
    fn cast(self, column: &Column, dtype: &DataType) -> Result<Column> {
        let from = column.dtype();
        if !from.is_primitive_numeric() && !from.is_bool() && !from.is_null() {
            return Err(Error::TableColumn {
                file: self.table.to_owned(),
                name: self.column.to_owned(),
                found: from.to_string(),
                expected: "numbers",
            });
        }
        column.cast(dtype).map_err(|e| failed("read", self.table, e))
    }

    /// Whole numbers; 0 for null.
    fn numbers(self, column: &Column) -> Result<Vec<i64>> {
        let cells = self.cast(column, &DataType::Int64)?;
        let cells: &Int64Chunked = cells.i64().map_err(|e| failed("read", self.table, e))?;
        Ok(cells.iter().map(Option::unwrap_or_default).collect())
    }

    /// Any column as text; `NULL` for null.
    fn texts(self, column: &Column) -> Result<Vec<String>> {
        let cells = column.cast(&DataType::String).map_err(|e| failed("read", self.table, e))?;
        let cells = cells.str().map_err(|e| failed("read", self.table, e))?;
        Ok(cells.iter().map(|text| text.unwrap_or("NULL").to_owned()).collect())
    }
}
