//! NumPy's array files, version 1.0.
//!
//! ```text
//! \x93NUMPY | 1 0 | length 2, little-endian | {'descr': …, 'fortran_order': …, 'shape': …} | cells …
//! ```
//! The length makes the cells start on a multiple of 64 bytes.

use crate::matrix::planes::copy_bytes;
use crate::{Error, Layout, Result, TernaryMatrix};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";
const ALIGN: usize = 64;
/// Cells that are held as numbers at once.
const BLOCK_BYTES: usize = 1 << 16;

/// How a matrix lies in an array file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum NpyForm {
    /// `int8`, `[rows, columns]`: nPrint's -1, 0 and 1.
    #[default]
    Cells,
    /// `uint8`, `[rows, 2, columns/8]`: the planes *present* and *value* of each row, a bit a
    /// column, most significant first; an eighth of the size twice. In Python:
    /// `present, value = numpy.moveaxis(numpy.unpackbits(array, axis=2), 1, 0)`.
    Planes,
}

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
    let failed = |source| Error::Io { action: "write", file: "an array".to_owned(), source };
    writer.write_all(&header(matrix.rows(), matrix.layout(), form)).map_err(failed)?;
    let row_bytes = row_bytes(matrix.layout(), form);
    let mut block = Vec::with_capacity(BLOCK_BYTES + row_bytes);
    let mut cells = vec![0_i8; matrix.columns()];
    for row in matrix.iter() {
        match form {
            NpyForm::Cells => {
                row.write_i8(&mut cells);
                block.extend(cells.iter().map(|cell| cell.cast_unsigned()));
            }
            NpyForm::Planes => {
                for plane in [row.present_words(), row.value_words()] {
                    let start = block.len();
                    block.resize(start + 8 * plane.len(), 0);
                    copy_bytes(plane, &mut block[start..]);
                    block.truncate(start + (row_bytes >> 1));
                }
            }
        }
        if block.len() >= BLOCK_BYTES {
            writer.write_all(&block).map_err(failed)?;
            block.clear();
        }
    }
    writer.write_all(&block).and_then(|()| writer.flush()).map_err(failed)
}

/// Reads an array file of either [form](NpyForm) as rows of `layout`; `name` stands for the file in
/// errors.
///
/// # Errors
/// [`Error::Io`]; [`Error::NpyHeader`] for a file that is no such array; [`Error::NpyLength`] where
/// its cells end early; [`Error::CellValue`] for a cell that is not -1, 0 or 1, or a bit under a
/// vacant one.
pub fn read_npy(mut reader: impl Read, name: &str, layout: &Arc<Layout>) -> Result<TernaryMatrix> {
    let dictionary = read_dictionary(&mut reader, name)?;
    let wrong_header = || Error::NpyHeader {
        file: name.to_owned(),
        found: dictionary.clone(),
        columns: layout.columns(),
    };
    let (form, rows) = shape(&dictionary, layout).ok_or_else(wrong_header)?;
    let mut bytes = vec![0; row_bytes(layout, form)];
    if bytes.is_empty() {
        return Ok(TernaryMatrix::vacant(layout.clone(), rows));
    }
    let mut matrix = TernaryMatrix::new(layout.clone());
    // Memory grows with what the file has, whatever its header says.
    for row in 1..=rows {
        let read = read_full(&mut reader, &mut bytes, name)?;
        if read < bytes.len() {
            let file = name.to_owned();
            return Err(Error::NpyLength { file, rows, row, expected: bytes.len(), found: read });
        }
        match form {
            NpyForm::Cells => matrix.push_cells(&bytes, |byte| byte)?,
            NpyForm::Planes => {
                let (present, value) = bytes.split_at(bytes.len() >> 1);
                if let Some(at) = present.iter().zip(value).position(|(p, v)| v & !p != 0) {
                    let bit = (value[at] & !present[at]).leading_zeros() as usize;
                    return Err(Error::CellValue { row, column: 8 * at + bit + 1, found: 1 });
                }
                matrix.push_vacant().fill_planes(present, value);
            }
        }
    }
    Ok(matrix)
}

/// Bytes of one row.
fn row_bytes(layout: &Layout, form: NpyForm) -> usize {
    match form {
        NpyForm::Cells => layout.columns(),
        NpyForm::Planes => 2 * (layout.columns() >> 3),
    }
}

/// Everything before the cells.
fn header(rows: usize, layout: &Layout, form: NpyForm) -> Vec<u8> {
    let columns = layout.columns();
    let (descr, shape) = match form {
        NpyForm::Cells => ("|i1", format!("({rows}, {columns})")),
        NpyForm::Planes => ("|u1", format!("({rows}, 2, {})", columns >> 3)),
    };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 2;
    let length = (before + dictionary.len() + 1).next_multiple_of(ALIGN);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(((length - before) as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;
    use proptest::prelude::*;

    fn file(matrix: &TernaryMatrix, form: NpyForm) -> Vec<u8> {
        let mut file = Vec::new();
        write_npy(&mut file, matrix, form).expect("memory takes everything");
        file
    }

    #[test]
    fn bytes_as_numpy_writes_them() {
        let mut matrix = TernaryMatrix::vacant(Arc::new(Layout::of_headers(&[Header::Udp])), 2);
        matrix.row_mut(1).set_header(Header::Udp, &[0x80, 1]);
        let cells = file(&matrix, NpyForm::Cells);
        assert_eq!(&cells[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let text = b"{'descr': '|i1', 'fortran_order': False, 'shape': (2, 64), }";
        assert_eq!(cells[10..128].trim_ascii_end(), text);
        assert_eq!((cells[127], cells.len()), (b'\n', 128 + 2 * 64));
        assert_eq!(cells[128 + 64..128 + 64 + 8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cells[128 + 64 + 15..128 + 64 + 18], [1, 255, 255]);
        let planes = file(&matrix, NpyForm::Planes);
        let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 8), }";
        assert_eq!(planes[10..128].trim_ascii_end(), text);
        assert_eq!(planes[128 + 16..], [255, 255, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let layout = Arc::new(Layout::of_headers(&[Header::Udp]));
        let matrix = TernaryMatrix::vacant(layout.clone(), 2);
        let error =
            |bytes: &[u8]| read_npy(bytes, "x.npy", &layout).expect_err("damaged").to_string();
        let whole = file(&matrix, NpyForm::Cells);
        assert!(error(b"").contains("x.npy: \"\" is no header"), "{}", error(b""));
        assert!(error(&whole[..60]).contains("(rows, 64)"), "{}", error(&whole[..60]));
        let cut = error(&whole[..128 + 70]);
        assert!(cut.contains("row 2 of 2 has 6 bytes, expected 64"), "{cut}");
        let other = TernaryMatrix::vacant(Layout::reference(), 2);
        assert!(error(&file(&other, NpyForm::Planes)).contains("(rows, 2, 8)"));
        let mut wrong = whole.clone();
        wrong[128 + 64 + 9] = 7;
        assert_eq!(error(&wrong), "row 2, column 10: 7, expected -1, 0 or 1");
        let mut wrong = file(&matrix, NpyForm::Planes);
        wrong[128 + 16 + 8 + 1] = 0x20;
        assert_eq!(error(&wrong), "row 2, column 11: 1, expected -1, 0 or 1");
    }

    proptest! {
        #[test]
        fn any_matrix_comes_back(planes in prop::collection::vec(any::<(u64, u64)>(), 0..200)) {
            let layout = Layout::with_payload(&[Header::Ethernet, Header::Ipv6], 3);
            let mut matrix = TernaryMatrix::new(Arc::new(layout.expect("3 bytes fit")));
            for planes in planes.chunks_exact(matrix.layout().words()) {
                let (present, value): (Vec<u64>, Vec<u64>) = planes.iter().copied().unzip();
                matrix.push_vacant().set_words(&present, &value);
            }
            for form in [NpyForm::Cells, NpyForm::Planes] {
                let file = file(&matrix, form);
                let back = read_npy(&file[..], "memory", matrix.layout());
                prop_assert_eq!(&back.expect("own form"), &matrix);
                if matrix.rows() > 0 {
                    prop_assert!(read_npy(&file[..file.len() - 1], "cut", matrix.layout()).is_err());
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let matrix = TernaryMatrix::vacant(Layout::reference(), 1);
            let mut bytes = file(&matrix, NpyForm::Planes);
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(read) = read_npy(&bytes[..], "mutant", matrix.layout()) {
                prop_assert!(read.rows() <= 1);
            }
        }
    }
}
