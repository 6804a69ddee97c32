//! NumPy's array files, version 1, for matrices of -1, 0 and 1: `int8`, `[rows, columns]`.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use torchlight::nprint_codec::{Cell, Layout, TernaryMatrix};

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Length of everything before the data must be a multiple of this.
const ALIGN: usize = 64;

/// A matrix as the bytes of an array file; -1 is vacant.
pub fn to_npy(matrix: &TernaryMatrix) -> Vec<u8> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let dictionary =
        format!("{{'descr': '|i1', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = (MAGIC.len() + 2 + dictionary.len() + 1).next_multiple_of(ALIGN);
    let padding = length - MAGIC.len() - 2 - dictionary.len() - 1;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(((length - MAGIC.len() - 2) as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(std::iter::repeat_n(b' ', padding));
    bytes.push(b'\n');
    bytes.extend(matrix.to_i8().iter().map(|cell| cell.cast_unsigned()));
    bytes
}

/// Reads an array file as rows of `layout`.
pub fn from_npy(bytes: &[u8], layout: &Arc<Layout>) -> anyhow::Result<TernaryMatrix> {
    let rest = bytes.strip_prefix(MAGIC).context("not an array file (NPY version 1)")?;
    let length = rest.first_chunk().map(|b| usize::from(u16::from_le_bytes(*b)));
    let header = length.and_then(|length| rest.get(2..2 + length)).context("cut header")?;
    let data = &rest[2 + header.len()..];
    let header = std::str::from_utf8(header).context("the header is no text")?;
    ensure!(header.contains("'|i1'"), "elements are not int8: {header}");
    ensure!(header.contains("'fortran_order': False"), "rows must lie one after the other");
    let shape = header.split_once("'shape': (").and_then(|(_, s)| s.split_once(')'));
    let shape = shape.context("no shape in the header")?.0;
    let numbers: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let [rows, columns] = numbers[..] else { bail!("shape ({shape}) is not (rows, columns)") };
    ensure!(columns == layout.columns(), "{columns} columns, expected {}", layout.columns());
    ensure!(data.len() == rows * columns, "{} cells for {rows} rows", data.len());
    let mut matrix = TernaryMatrix::vacant(layout.clone(), rows);
    for (row, cells) in data.chunks_exact(columns.max(1)).enumerate() {
        let mut row = matrix.row_mut(row);
        for (column, cell) in cells.iter().enumerate() {
            row.set_cell(
                column,
                match cell {
                    0 => Cell::Zero,
                    1 => Cell::One,
                    _ => Cell::Vacant,
                },
            );
        }
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let layout = Layout::reference();
        let mut matrix = TernaryMatrix::vacant(layout.clone(), 3);
        matrix.row_mut(1).set_cell(7, Cell::One);
        matrix.row_mut(2).set_cell(0, Cell::Zero);
        let bytes = to_npy(&matrix);
        assert_eq!(bytes.len(), 128 + 3 * 1088);
        assert_eq!(from_npy(&bytes, &layout).expect("own form"), matrix);
        assert!(from_npy(&bytes[..200], &layout).is_err());
    }
}
