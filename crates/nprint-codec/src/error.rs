//! What can go wrong, with the place where it did.

use crate::Header;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layout names a field twice.
    #[error("field {field} comes twice in the layout")]
    LayoutRepeatsField {
        /// nPrint's name of the field.
        field: &'static str,
    },
    /// Fields next to each other do not fill whole bytes.
    #[error("the layout takes {bits} bits from bit {bit} of the {} header; runs must be whole bytes", header.name())]
    LayoutNotByteAligned {
        /// The header that the run comes from.
        header: Header,
        /// First bit of the run in the header.
        bit: usize,
        /// Length of the run in bits.
        bits: usize,
    },
    /// The number of confidences differs from the number of cells.
    #[error("a soft matrix needs one confidence a cell: expected {expected}, found {found}")]
    ConfidenceLength {
        /// Number of cells.
        expected: usize,
        /// Number of confidences.
        found: usize,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
