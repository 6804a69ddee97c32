//! NumPy's array files, version 1.0.
//!
//! ```text
//! \x93NUMPY | 1 0 | length 2, little-endian | {'descr': …, 'fortran_order': …, 'shape': …} | cells …
//! ```
//! The length makes the cells start on a multiple of 64 bytes, and leaves room for any number of
//! rows, so that it can be written behind them.

mod read;
mod write;

pub use read::{NpyReader, read_npy};
pub use write::{NpyWriter, write_npy};

use crate::Layout;

const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";
const ALIGN: usize = 64;

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

/// Bytes of one row.
fn row_bytes(layout: &Layout, form: NpyForm) -> usize {
    match form {
        NpyForm::Cells => layout.columns(),
        NpyForm::Planes => 2 * (layout.columns() >> 3),
    }
}

/// Everything before the cells; as long for any number of rows.
fn header(rows: usize, layout: &Layout, form: NpyForm) -> Vec<u8> {
    let columns = layout.columns();
    let dictionary = |rows: usize| {
        let (descr, shape) = match form {
            NpyForm::Cells => ("|i1", format!("({rows}, {columns})")),
            NpyForm::Planes => ("|u1", format!("({rows}, 2, {})", columns >> 3)),
        };
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    };
    let before = MAGIC.len() + 2;
    let length = (before + dictionary(usize::MAX).len() + 1).next_multiple_of(ALIGN);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(((length - before) as u16).to_le_bytes());
    bytes.extend(dictionary(rows).as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, TernaryMatrix};
    use proptest::prelude::*;
    use std::sync::Arc;

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
