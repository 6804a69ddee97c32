//! Matrices with a confidence for each cell.

use crate::TernaryMatrix;

/// A matrix as a tolerant decoder sees it: the most likely cells, and how sure each one is.
///
/// # Layout
/// `confidence[row * columns + column]`: 0 where two readings are equally likely, 255 where the
/// evidence leaves no doubt; monotone in the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftMatrix {
    cells: TernaryMatrix,
    confidence: Vec<u8>,
}

impl SoftMatrix {
    /// Joins cells and confidences.
    ///
    /// # Errors
    /// [`Error::ConfidenceLength`](crate::Error::ConfidenceLength) unless there is one confidence
    /// a cell.
    pub fn new(cells: TernaryMatrix, confidence: Vec<u8>) -> crate::Result<Self> {
        let expected = cells.rows() * cells.columns();
        if confidence.len() == expected {
            Ok(Self { cells, confidence })
        } else {
            Err(crate::Error::ConfidenceLength { expected, found: confidence.len() })
        }
    }

    /// A matrix that is certain everywhere.
    pub fn certain(cells: TernaryMatrix) -> Self {
        let confidence = vec![u8::MAX; cells.rows() * cells.columns()];
        Self { cells, confidence }
    }

    /// The most likely cells.
    pub fn cells(&self) -> &TernaryMatrix {
        &self.cells
    }

    /// Every confidence, row by row.
    pub fn confidence(&self) -> &[u8] {
        &self.confidence
    }

    /// The confidences of row `index`.
    ///
    /// # Panics
    /// When `index` is not less than the number of rows, as slices do.
    pub fn row_confidence(&self, index: usize) -> &[u8] {
        let columns = self.cells.columns();
        &self.confidence[index * columns..(index + 1) * columns]
    }

    /// Keeps the first `rows` rows; does nothing when there are fewer.
    pub fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows);
        self.confidence.truncate(self.cells.rows() * self.cells.columns());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    #[test]
    fn confidences_must_fit() {
        let matrix = TernaryMatrix::vacant(Layout::reference(), 2);
        assert!(SoftMatrix::new(matrix.clone(), vec![0; 5]).is_err());
        assert_eq!(SoftMatrix::certain(matrix).confidence().len(), 2 * 1088);
    }
}
