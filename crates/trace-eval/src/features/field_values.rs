//! The header fields of each packet as values.

use nprint_codec::{Field, TernaryMatrix};

/// The value of a field in a packet that does not have it.
pub const ABSENT: u64 = u64::MAX;

/// Widest field that is read as one number. Units: bits.
const WIDEST_BITS: u16 = 32;

/// The fields of a capture as columns of values.
///
/// # Layout
/// `columns[field][row]`; [`ABSENT`] where the packet has no such field. Fields wider than 32 bits
/// (options, IPv6 addresses) are no numbers and are left out; rows without any present cell too.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldColumns {
    /// The fields, in the order of the layout.
    pub fields: Vec<Field>,
    /// Their values, row by row.
    pub columns: Vec<Vec<u64>>,
}

impl FieldColumns {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }
}

/// The field values of the first `packets` rows of a matrix.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, TernaryMatrix, ipv4};
/// use trace_eval::features::{ABSENT, field_columns};
/// let mut matrix = TernaryMatrix::vacant(Layout::reference(), 2);
/// matrix.row_mut(0).set(ipv4::TTL, 64);
/// let values = field_columns(&matrix, 1024);
/// let ttl = values.fields.iter().position(|f| *f == ipv4::TTL).expect("a reference field");
/// assert_eq!(values.columns[ttl], [64]);
/// assert_eq!(values.columns[ttl + 1], [ABSENT]);
/// ```
pub fn field_columns(matrix: &TernaryMatrix, packets: usize) -> FieldColumns {
    let fields: Vec<Field> =
        matrix.layout().fields().map(|(f, _)| f).filter(|f| f.bits <= WIDEST_BITS).collect();
    let rows: Vec<_> = matrix.iter().take(packets).filter(|row| !row.is_vacant()).collect();
    let column = |field: &Field| -> Vec<u64> {
        rows.iter().map(|row| row.get(*field).map_or(ABSENT, u64::from)).collect()
    };
    FieldColumns { columns: fields.iter().map(column).collect(), fields }
}
