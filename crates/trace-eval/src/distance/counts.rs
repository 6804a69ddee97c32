//! Per-column histograms of ternary matrices.

use super::{Bins, Planes};
use crate::{Error, Result};

/// How often each column is vacant, 0 and 1; counts of several matrices add up.
///
/// # Layout
/// One count of present and one of ones a column; vacant is the rest of the rows. The planes are
/// counted *vertically*: eight words hold 64 eight-bit counters side by side, a row is added to
/// all 64 with two operations on average, and every 255 rows the counters are emptied. No cell
/// is looked at alone; the tests count each cell alone and compare.
///
/// # Example
/// ```
/// use trace_eval::distance::{ColumnCounts, Planes};
/// let counts = ColumnCounts::of(&Planes::from_cells(2, &[-1, 0, 1, 0])?);
/// assert_eq!(counts.bins(0), [1, 0, 1]);
/// assert_eq!(counts.bins(1), [0, 2, 0]);
/// # Ok::<(), trace_eval::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnCounts {
    rows: u64,
    rows_with_cells: u64,
    present: Vec<u64>,
    ones: Vec<u64>,
}

impl ColumnCounts {
    /// Counts of no rows.
    pub fn empty(columns: usize) -> Self {
        Self { rows: 0, rows_with_cells: 0, present: vec![0; columns], ones: vec![0; columns] }
    }

    /// Counts every column of a matrix.
    pub fn of(planes: &Planes<'_>) -> Self {
        let (words, columns) = (planes.words(), planes.columns());
        Self {
            rows: planes.rows() as u64,
            rows_with_cells: planes.rows_with_cells() as u64,
            present: count_columns(planes.present(), words, columns),
            ones: count_columns(planes.value(), words, columns),
        }
    }

    /// Adds the counts of another matrix with the same columns.
    ///
    /// # Errors
    /// [`Error::ColumnCount`] where the number of columns differs.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        if self.columns() != other.columns() {
            return Err(Error::ColumnCount { left: self.columns(), right: other.columns() });
        }
        self.rows += other.rows;
        self.rows_with_cells += other.rows_with_cells;
        self.present.iter_mut().zip(&other.present).for_each(|(a, b)| *a += b);
        self.ones.iter_mut().zip(&other.ones).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.present.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of rows in which any cell is present.
    pub fn rows_with_cells(&self) -> u64 {
        self.rows_with_cells
    }

    /// Vacant, 0 and 1 in `column`.
    ///
    /// # Panics
    /// When `column` is not less than [`columns`](Self::columns), as slices do.
    pub fn bins(&self, column: usize) -> Bins {
        let (present, ones) = (self.present[column], self.ones[column]);
        [self.rows - present, present - ones, ones]
    }

    /// Vacant, 0 and 1 in all columns together.
    pub fn flat(&self) -> Bins {
        let (present, ones): (u64, u64) = (self.present.iter().sum(), self.ones.iter().sum());
        [self.rows * self.columns() as u64 - present, present - ones, ones]
    }

    /// The same counts without rows that are vacant throughout (padding).
    pub fn without_padding(&self) -> Self {
        Self { rows: self.rows_with_cells, ..self.clone() }
    }
}

fn count_columns(plane: &[u64], words: usize, columns: usize) -> Vec<u64> {
    let mut counts = vec![0_u64; words * 64];
    for (word, counts) in counts.chunks_exact_mut(64).enumerate() {
        let mut slices = [0_u64; 8];
        for (row, line) in plane.chunks_exact(words).enumerate() {
            let mut carry = line[word];
            for slice in &mut slices {
                if carry == 0 {
                    break;
                }
                (*slice, carry) = (*slice ^ carry, *slice & carry);
            }
            if row % 255 == 254 {
                spill(&mut slices, counts);
            }
        }
        spill(&mut slices, counts);
    }
    counts.truncate(columns);
    counts
}

/// Empties 64 vertical counters into the counts of their columns.
fn spill(slices: &mut [u64; 8], counts: &mut [u64]) {
    for (power, slice) in slices.iter_mut().enumerate() {
        let mut rest = std::mem::take(slice);
        while rest != 0 {
            let column = rest.leading_zeros();
            counts[column as usize] += 1 << power;
            rest &= !(1 << (63 - column));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_looking_at_each_cell(
            columns in 1_usize..140,
            cells in prop::collection::vec(-1_i8..=1, 0..70_000),
        ) {
            let rows = cells.len().div_euclid(columns);
            let cells = &cells[..rows * columns];
            let counts = ColumnCounts::of(&Planes::from_cells(columns, cells).expect("ternary"));
            for column in 0..columns {
                let mut naive = [0_u64; 3];
                for row in 0..rows {
                    naive[(cells[row * columns + column] + 1) as usize] += 1;
                }
                prop_assert_eq!(counts.bins(column), naive);
            }
            let padded = (0..rows).filter(|r| cells[r * columns..(r + 1) * columns].iter().all(|c| *c == -1)).count();
            prop_assert_eq!(counts.rows() - counts.rows_with_cells(), padded as u64);
        }
    }

    #[test]
    fn pooling_needs_equal_columns() {
        let mut a = ColumnCounts::empty(3);
        assert!(a.add(&ColumnCounts::empty(4)).is_err());
        a.add(&ColumnCounts::of(&Planes::from_cells(3, &[1, 0, -1]).expect("ternary")))
            .expect("three columns");
        assert_eq!((a.rows(), a.flat()), (1, [1, 1, 1]));
    }
}
