//! Writing array files.

use super::{NpyForm, header, row_bytes};
use crate::matrix::planes::copy_bytes;
use crate::{Error, Layout, Result, Row, TernaryMatrix};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Rows that are held as numbers at once. Units: bytes.
const BLOCK_BYTES: usize = 1 << 16;

/// Writes a matrix as an array file, with a block of rows in memory at a time.
///
/// # Errors
/// [`Error::Io`].
///
/// # Example
/// ```
/// use nprint_codec::{Layout, NpyForm, TernaryMatrix, read_npy, write_npy};
/// let matrix = TernaryMatrix::vacant(Layout::reference(), 3);
/// let mut file = Vec::new();
/// write_npy(&mut file, &matrix, NpyForm::Cells)?;
/// assert_eq!(file.len(), 128 + 3 * 1088);
/// assert_eq!(read_npy(&file[..], "memory", matrix.layout())?, matrix);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// NumPy enhancement proposal 1, "A simple file format for NumPy arrays".
pub fn write_npy(mut writer: impl Write, matrix: &TernaryMatrix, form: NpyForm) -> Result<()> {
    writer.write_all(&header(matrix.rows(), matrix.layout(), form)).map_err(failed)?;
    let mut block = Block::new(matrix.layout(), form);
    for row in matrix.iter() {
        block.push(&row, &mut writer)?;
    }
    block.flush(&mut writer)?;
    writer.flush().map_err(failed)
}

/// Writes an array file row by row, in the memory of a block of rows: [`finish`](Self::finish)
/// writes their number into the header. The file is the one that [`write_npy`] writes.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, LinkType, NpyForm, NpyWriter, RowEncoder, RowPolicy, read_npy};
/// let layout = Layout::reference();
/// let mut encoder = RowEncoder::new(&layout, RowPolicy::default());
/// let mut file = std::io::Cursor::new(Vec::new());
/// let mut npy = NpyWriter::new(&mut file, &layout, NpyForm::Planes)?;
/// for ttl in 1..=3 {
///     let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, ttl, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
///     if let Some(row) = encoder.encode(LinkType::RawIp, &packet) {
///         npy.write_row(&row)?;
///     }
/// }
/// assert_eq!(npy.finish()?, 3);
/// assert_eq!(read_npy(&file.get_ref()[..], "memory", &layout)?.rows(), 3);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct NpyWriter<W> {
    writer: W,
    layout: Arc<Layout>,
    form: NpyForm,
    block: Block,
    rows: usize,
    /// Where the file starts.
    start: u64,
}

impl<W: Write + Seek> NpyWriter<W> {
    /// A writer of rows of `layout`; the file starts where the writer stands.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(mut writer: W, layout: &Arc<Layout>, form: NpyForm) -> Result<Self> {
        let start = writer.stream_position().map_err(failed)?;
        writer.write_all(&header(0, layout, form)).map_err(failed)?;
        let block = Block::new(layout, form);
        Ok(Self { writer, layout: layout.clone(), form, block, rows: 0, start })
    }

    /// Writes one row of the writer's layout.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_row(&mut self, row: &Row<'_>) -> Result<()> {
        self.rows += 1;
        self.block.push(row, &mut self.writer)
    }

    /// Writes what is left and the number of rows, and returns that.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<usize> {
        self.block.flush(&mut self.writer)?;
        let header = header(self.rows, &self.layout, self.form);
        let end = self.writer.seek(SeekFrom::Start(self.start)).and_then(|_| {
            self.writer.write_all(&header)?;
            self.writer.seek(SeekFrom::End(0))
        });
        end.and_then(|_| self.writer.flush()).map_err(failed)?;
        Ok(self.rows)
    }
}

/// Rows as they stand in the file, on the way there.
#[derive(Debug)]
struct Block {
    form: NpyForm,
    row_bytes: usize,
    bytes: Vec<u8>,
    cells: Vec<i8>,
}

impl Block {
    fn new(layout: &Layout, form: NpyForm) -> Self {
        let row_bytes = row_bytes(layout, form);
        let bytes = Vec::with_capacity(BLOCK_BYTES + 2 * row_bytes);
        Self { form, row_bytes, bytes, cells: vec![0; layout.columns()] }
    }

    fn push(&mut self, row: &Row<'_>, writer: &mut impl Write) -> Result<()> {
        match self.form {
            NpyForm::Cells => {
                row.write_i8(&mut self.cells);
                self.bytes.extend(self.cells.iter().map(|cell| cell.cast_unsigned()));
            }
            NpyForm::Planes => {
                for plane in [row.present_words(), row.value_words()] {
                    let start = self.bytes.len();
                    self.bytes.resize(start + 8 * plane.len(), 0);
                    copy_bytes(plane, &mut self.bytes[start..]);
                    self.bytes.truncate(start + (self.row_bytes >> 1));
                }
            }
        }
        if self.bytes.len() >= BLOCK_BYTES { self.flush(writer) } else { Ok(()) }
    }

    fn flush(&mut self, writer: &mut impl Write) -> Result<()> {
        writer.write_all(&self.bytes).map_err(failed)?;
        self.bytes.clear();
        Ok(())
    }
}

fn failed(source: io::Error) -> Error {
    Error::Io { action: "write", file: "an array".to_owned(), source }
}
