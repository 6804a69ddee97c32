//! Reading array files.

use super::{MAGIC, NpyForm, row_bytes};
use crate::{Error, Layout, Result, Row, TernaryMatrix};
use std::io::{ErrorKind, Read};
use std::sync::Arc;

/// Reads an array file of either [form](NpyForm) as rows of `layout`; `name` stands for the file in
/// errors.
///
/// # Errors
/// [`Error::Io`]; [`Error::NpyHeader`] for a file that is no such array; [`Error::NpyLength`] where
/// its cells end early; [`Error::CellValue`] for a cell that is not -1, 0 or 1, or a bit under a
/// vacant one.
pub fn read_npy(reader: impl Read, name: &str, layout: &Arc<Layout>) -> Result<TernaryMatrix> {
    let mut npy = NpyReader::new(reader, name, layout)?;
    if npy.bytes.is_empty() {
        return Ok(TernaryMatrix::vacant(layout.clone(), npy.rows));
    }
    // Memory grows with what the file has, whatever its header says.
    let mut matrix = TernaryMatrix::new(layout.clone());
    npy.read_rows(&mut matrix, usize::MAX)?;
    Ok(matrix)
}

/// Reads an array file row by row, as [`read_npy`] does as a whole, in the memory of one row. The
/// reader should be buffered.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, NpyForm, NpyReader, TernaryMatrix, write_npy};
/// let matrix = TernaryMatrix::vacant(Layout::reference(), 3);
/// let mut file = Vec::new();
/// write_npy(&mut file, &matrix, NpyForm::Planes)?;
/// let mut npy = NpyReader::new(&file[..], "memory", matrix.layout())?;
/// assert_eq!(npy.rows(), 3);
/// while let Some(row) = npy.next_row()? {
///     assert!(row.is_vacant());
/// }
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct NpyReader<R> {
    reader: R,
    name: String,
    form: NpyForm,
    /// The number that the header states.
    rows: usize,
    /// Rows read so far.
    read: usize,
    /// One row as it stands in the file.
    bytes: Vec<u8>,
    row: TernaryMatrix,
}

impl<R: Read> NpyReader<R> {
    /// Reads the header; `name` stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NpyHeader`].
    pub fn new(mut reader: R, name: &str, layout: &Arc<Layout>) -> Result<Self> {
        let dictionary = read_dictionary(&mut reader, name)?;
        let Some((form, rows)) = shape(&dictionary, layout) else {
            let (file, columns) = (name.to_owned(), layout.columns());
            return Err(Error::NpyHeader { file, found: dictionary, columns });
        };
        Ok(Self {
            reader,
            name: name.to_owned(),
            form,
            rows,
            read: 0,
            bytes: vec![0; row_bytes(layout, form)],
            row: TernaryMatrix::vacant(layout.clone(), 1),
        })
    }

    /// The number of rows that the file says it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The next row, `None` behind the last one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NpyLength`], [`Error::CellValue`].
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        if !self.read_bytes()? {
            return Ok(None);
        }
        self.row.clear();
        push(&mut self.row, self.form, &self.bytes, self.read)?;
        Ok(Some(self.row.row(0)))
    }

    /// Appends the next rows, at most `max_rows`, to a matrix of the reader's layout; returns
    /// their number, 0 behind the last one.
    ///
    /// # Errors
    /// As [`next_row`](Self::next_row); the rows before are appended.
    pub fn read_rows(&mut self, matrix: &mut TernaryMatrix, max_rows: usize) -> Result<usize> {
        for read in 0..max_rows {
            if !self.read_bytes()? {
                return Ok(read);
            }
            push(matrix, self.form, &self.bytes, self.read)?;
        }
        Ok(max_rows)
    }

    /// Reads the bytes of one row, and says whether there is one.
    fn read_bytes(&mut self) -> Result<bool> {
        if self.read == self.rows {
            return Ok(false);
        }
        self.read += 1;
        let found = read_full(&mut self.reader, &mut self.bytes, &self.name)?;
        let (rows, row, expected) = (self.rows, self.read, self.bytes.len());
        if found < expected {
            return Err(Error::NpyLength { file: self.name.clone(), rows, row, expected, found });
        }
        Ok(true)
    }
}

/// Appends row number `row` of the file.
fn push(matrix: &mut TernaryMatrix, form: NpyForm, bytes: &[u8], row: usize) -> Result<()> {
    if form == NpyForm::Cells {
        return matrix.push_cells(bytes, |byte| byte).map_err(|error| match error {
            Error::CellValue { column, found, .. } => Error::CellValue { row, column, found },
            other => other,
        });
    }
    let (present, value) = bytes.split_at(bytes.len() >> 1);
    if let Some(at) = present.iter().zip(value).position(|(p, v)| v & !p != 0) {
        let bit = (value[at] & !present[at]).leading_zeros() as usize;
        return Err(Error::CellValue { row, column: 8 * at + bit + 1, found: 1 });
    }
    matrix.push_vacant().fill_planes(present, value);
    Ok(())
}

/// The dictionary of the header, or what stands in its place.
fn read_dictionary(reader: &mut impl Read, name: &str) -> Result<String> {
    let mut start = [0; MAGIC.len() + 2];
    let read = read_full(reader, &mut start, name)?;
    let Some([low, high]) = start[..read].strip_prefix(MAGIC) else {
        return Ok(String::from_utf8_lossy(&start[..read]).into_owned());
    };
    let mut dictionary = vec![0; usize::from(u16::from_le_bytes([*low, *high]))];
    let read = read_full(reader, &mut dictionary, name)?;
    Ok(String::from_utf8_lossy(&dictionary[..read]).trim_end().to_owned())
}

/// What the dictionary says; `None` where that is no matrix of the layout.
fn shape(dictionary: &str, layout: &Layout) -> Option<(NpyForm, usize)> {
    let entry =
        |key: &str| Some(dictionary.split_once(key)?.1.trim_start().strip_prefix(':')?.trim());
    let form = match entry("'descr'")?.get(..5)? {
        "'|i1'" => NpyForm::Cells,
        "'|u1'" => NpyForm::Planes,
        _ => return None,
    };
    let in_rows = entry("'fortran_order'")?.starts_with("False");
    let shape = entry("'shape'")?.strip_prefix('(')?.split_once(')')?.0;
    let shape: Option<Vec<usize>> = shape.split(',').map(|n| n.trim().parse().ok()).collect();
    let rows = match (form, &shape?[..]) {
        (NpyForm::Cells, [rows, columns]) if *columns == layout.columns() => *rows,
        (NpyForm::Planes, [rows, 2, bytes]) if *bytes == layout.columns() >> 3 => *rows,
        _ => return None,
    };
    in_rows.then_some((form, rows))
}

/// Reads until `out` is full or the file ends.
fn read_full(reader: &mut impl Read, out: &mut [u8], name: &str) -> Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match reader.read(&mut out[read..]) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { action: "read", file: name.to_owned(), source }),
        }
    }
    Ok(read)
}
