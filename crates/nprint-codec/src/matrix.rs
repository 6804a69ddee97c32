//! Ternary matrices as two bit planes.

mod dense;
pub(crate) mod planes;
mod soft;

pub use soft::SoftMatrix;

use crate::{Field, Header, Layout, Segment};
use planes::{clear_bytes, deposit, extract, fill_in, set_bytes, used_bytes};
use std::sync::Arc;

/// One cell: a header bit, or nothing where the packet has no such header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The packet does not carry this bit.
    Vacant,
    /// The bit is 0.
    Zero,
    /// The bit is 1.
    One,
}

impl Cell {
    /// The bit, if the packet carries it.
    pub const fn bit(self) -> Option<bool> {
        match self {
            Self::Vacant => None,
            Self::Zero => Some(false),
            Self::One => Some(true),
        }
    }

    /// nPrint's number for the cell: -1, 0 or 1.
    pub const fn to_i8(self) -> i8 {
        match self {
            Self::Vacant => -1,
            Self::Zero => 0,
            Self::One => 1,
        }
    }
}

/// Packets × header bits, one packet a row.
///
/// # Layout
/// Two planes of `words = columns/64` words a row, *present* and *value*. Column `c` is bit
/// `63 - c % 64` of word `c / 64`, so a row's words in big-endian byte order are the header
/// bytes themselves:
/// ```text
/// present  1 1 1 1 1 1 0 0 …     the packet carries the bit
/// value    0 1 1 0 1 0 0 0 …     the bit; 0 where present is 0
/// ```
/// Bits past the width are 0 in both planes. Every row shares one [`Layout`].
///
/// # Example
/// ```
/// use nprint_codec::{Layout, TernaryMatrix, ipv4};
/// let mut matrix = TernaryMatrix::new(Layout::reference());
/// matrix.push_vacant().set(ipv4::TTL, 64);
/// assert_eq!(matrix.row(0).get(ipv4::TTL), Some(64));
/// assert_eq!(matrix.row(0).get(ipv4::PROTOCOL), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TernaryMatrix {
    layout: Arc<Layout>,
    rows: usize,
    present: Vec<u64>,
    value: Vec<u64>,
}

impl TernaryMatrix {
    /// An empty matrix.
    pub fn new(layout: Arc<Layout>) -> Self {
        Self { layout, rows: 0, present: Vec::new(), value: Vec::new() }
    }

    /// A matrix of `rows` vacant rows.
    pub fn vacant(layout: Arc<Layout>, rows: usize) -> Self {
        let words = layout.words() * rows;
        Self { layout, rows, present: vec![0; words], value: vec![0; words] }
    }

    /// The columns.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Number of rows (packets).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns (bits).
    pub fn columns(&self) -> usize {
        self.layout.columns()
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index` is not less than [`rows`](Self::rows), as slices do.
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let range = self.range(index);
        Row {
            layout: &self.layout,
            present: &self.present[range.clone()],
            value: &self.value[range],
        }
    }

    /// Row `index` for writing.
    ///
    /// # Panics
    /// When `index` is not less than [`rows`](Self::rows), as slices do.
    #[inline]
    pub fn row_mut(&mut self, index: usize) -> RowMut<'_> {
        let range = self.range(index);
        RowMut {
            layout: &self.layout,
            present: &mut self.present[range.clone()],
            value: &mut self.value[range],
        }
    }

    /// Every row in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> + '_ {
        (0..self.rows).map(|i| self.row(i))
    }

    /// Appends a vacant row and returns it for writing.
    pub fn push_vacant(&mut self) -> RowMut<'_> {
        self.rows += 1;
        let words = self.rows * self.layout.words();
        self.present.resize(words, 0);
        self.value.resize(words, 0);
        self.row_mut(self.rows - 1)
    }

    /// Appends a copy of a row of the same layout.
    ///
    /// # Panics
    /// When the row has another number of words.
    pub fn push_row(&mut self, row: &Row<'_>) {
        let words = self.layout.words();
        assert_eq!(row.present.len(), words, "a row of another layout");
        self.rows += 1;
        self.present.extend_from_slice(row.present);
        self.value.extend_from_slice(row.value);
    }

    /// Makes room for `rows` more rows, so that appending them allocates nothing.
    pub fn reserve(&mut self, rows: usize) {
        let words = rows * self.layout.words();
        self.present.reserve(words);
        self.value.reserve(words);
    }

    /// Removes every row and keeps the memory for others.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `rows` rows; does nothing when there are fewer.
    pub fn truncate(&mut self, rows: usize) {
        if rows < self.rows {
            self.rows = rows;
            self.present.truncate(rows * self.layout.words());
            self.value.truncate(rows * self.layout.words());
        }
    }

    /// The whole *present* plane, rows one after the other.
    pub fn present_plane(&self) -> &[u64] {
        &self.present
    }

    /// The whole *value* plane, rows one after the other.
    pub fn value_plane(&self) -> &[u64] {
        &self.value
    }

    #[inline]
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        assert!(index < self.rows, "row {index} of a matrix with {} rows", self.rows);
        let words = self.layout.words();
        index * words..(index + 1) * words
    }
}

/// One row, for reading.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    layout: &'a Layout,
    present: &'a [u64],
    value: &'a [u64],
}

impl<'a> Row<'a> {
    /// A row over planes of the layout's number of words each, in which value is 0 where present
    /// is, and bits past the width are 0.
    pub(crate) fn new(layout: &'a Layout, present: &'a [u64], value: &'a [u64]) -> Self {
        Self { layout, present, value }
    }

    /// The columns.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The *present* plane of this row.
    #[inline]
    pub fn present_words(&self) -> &'a [u64] {
        self.present
    }

    /// The *value* plane of this row.
    #[inline]
    pub fn value_words(&self) -> &'a [u64] {
        self.value
    }

    /// The value of a field of at most 32 bits; `None` where any of its bits is vacant, the
    /// layout lacks it, or it is wider.
    #[inline]
    pub fn get(&self, field: Field) -> Option<u32> {
        let bits = usize::from(field.bits);
        let column = self.layout.column_of(field).filter(|_| bits <= 32)?;
        let full = (1_u64 << bits) - 1;
        (extract(self.present, column, bits) == full)
            .then(|| extract(self.value, column, bits) as u32)
    }

    /// Whether a one-bit field is present and 1.
    pub fn is_set(&self, field: Field) -> bool {
        self.get(field) == Some(1)
    }

    /// Whether any cell of `header` is present.
    pub fn has(&self, header: Header) -> bool {
        self.layout
            .segments()
            .iter()
            .filter(|s| s.header == header)
            .any(|s| used_bytes(self.present, s.column >> 3, s.length_bytes) != 0)
    }

    /// Whether no cell is present.
    pub fn is_vacant(&self) -> bool {
        self.present.iter().all(|w| *w == 0)
    }

    /// The cell in `column`; vacant past the last column.
    pub fn cell(&self, column: usize) -> Cell {
        let (word, bit) = (column >> 6, 63 - (column & 63));
        match self.present.get(word).map(|w| (w >> bit) & 1) {
            Some(1) if (self.value[word] >> bit) & 1 == 1 => Cell::One,
            Some(1) => Cell::Zero,
            _ => Cell::Vacant,
        }
    }

    /// The leading bytes of a byte-aligned field (options, addresses) up to its first vacant bit.
    pub fn bytes(&self, field: Field) -> Vec<u8> {
        self.field_bytes(field).collect()
    }

    /// The bytes of a byte-aligned field of exactly `N` bytes; `None` where any bit is vacant.
    pub fn byte_array<const N: usize>(&self, field: Field) -> Option<[u8; N]> {
        let mut out = [0; N];
        let mut bytes = self.field_bytes(field);
        for slot in &mut out {
            *slot = bytes.next()?;
        }
        (usize::from(field.bits) == 8 * N).then_some(out)
    }

    fn field_bytes(&self, field: Field) -> impl Iterator<Item = u8> + '_ {
        let first = self.layout.column_of(field);
        let columns =
            first.into_iter().flat_map(move |c| (c..c + usize::from(field.bits)).step_by(8));
        columns
            .take_while(|c| extract(self.present, *c, 8) == 0xff)
            .map(|c| extract(self.value, c, 8) as u8)
    }

    /// Number of cells in which two rows of the same layout differ.
    pub fn differing_cells(&self, other: &Row<'_>) -> usize {
        let words = self.present.iter().zip(other.present).zip(self.value.iter().zip(other.value));
        words.map(|((p, q), (v, w))| ((p ^ q) | (v ^ w)).count_ones() as usize).sum()
    }
}

/// One row, for writing.
#[derive(Debug)]
pub struct RowMut<'a> {
    layout: &'a Layout,
    present: &'a mut [u64],
    value: &'a mut [u64],
}

impl<'a> RowMut<'a> {
    /// The columns.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The row for reading.
    pub fn as_row(&self) -> Row<'_> {
        Row { layout: self.layout, present: self.present, value: self.value }
    }

    /// Writes a field of at most 32 bits (higher bits of `value` are dropped). A field that the
    /// layout lacks, or a wider one, is left alone.
    #[inline]
    pub fn set(&mut self, field: Field, value: u32) {
        let bits = usize::from(field.bits);
        if let Some(column) = self.layout.column_of(field).filter(|_| bits <= 32) {
            deposit(self.present, column, bits, u64::MAX);
            deposit(self.value, column, bits, u64::from(value));
        }
    }

    /// Makes a field vacant.
    pub fn clear_field(&mut self, field: Field) {
        if let Some(column) = self.layout.column_of(field) {
            self.clear_columns(column, usize::from(field.bits));
        }
    }

    /// Makes every cell of `header` vacant.
    pub fn clear(&mut self, header: Header) {
        for s in self.layout.segments().iter().filter(|s| s.header == header) {
            clear_bytes(self.present, s.column >> 3, s.length_bytes);
            clear_bytes(self.value, s.column >> 3, s.length_bytes);
        }
    }

    /// Writes one cell; a column past the width is left alone.
    pub fn set_cell(&mut self, column: usize, cell: Cell) {
        if column < self.layout.columns() {
            deposit(self.present, column, 1, u64::from(cell != Cell::Vacant));
            deposit(self.value, column, 1, u64::from(cell == Cell::One));
        }
    }

    /// Writes the header's bytes as they lie on the wire. Bytes that the layout lacks are
    /// skipped; cells of the header past the end of `bytes` become vacant.
    pub fn set_header(&mut self, header: Header, bytes: &[u8]) {
        self.clear(header);
        for s in self.layout.segments().iter().filter(|s| s.header == header) {
            self.fill_segment(s, bytes);
        }
    }

    /// Copies what `bytes`, a header's, have for a segment that is vacant.
    #[inline]
    pub(crate) fn fill_segment(&mut self, segment: &Segment, bytes: &[u8]) {
        let bytes = bytes.get(segment.header_offset_bytes..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(segment.length_bytes)];
        if bytes.is_empty() {
            return;
        }
        set_bytes(self.present, segment.column >> 3, bytes.len());
        fill_in(self.value, segment.column >> 3, bytes);
    }

    /// Fills a vacant row from the bytes of both planes.
    pub(crate) fn fill_planes(&mut self, present: &[u8], value: &[u8]) {
        fill_in(self.present, 0, present);
        fill_in(self.value, 0, value);
    }

    /// Writes a byte-aligned field (options, addresses); the rest of the field becomes vacant.
    pub fn set_bytes(&mut self, field: Field, bytes: &[u8]) {
        let Some(column) = self.layout.column_of(field) else { return };
        let (at, length) = (column >> 3, usize::from(field.bits >> 3));
        let bytes = &bytes[..bytes.len().min(length)];
        clear_bytes(self.present, at, length);
        clear_bytes(self.value, at, length);
        set_bytes(self.present, at, bytes.len());
        fill_in(self.value, at, bytes);
    }

    /// Overwrites both planes. Values under vacant cells and bits past the width are cleared.
    ///
    /// # Panics
    /// When a slice has not exactly [`Layout::words`] words, as `copy_from_slice` does.
    pub fn set_words(&mut self, present: &[u64], value: &[u64]) {
        self.present.copy_from_slice(present);
        self.value.copy_from_slice(value);
        let spare = self.layout.words() * 64 - self.layout.columns();
        if let Some(last) = self.present.last_mut() {
            *last &= u64::MAX << spare;
        }
        self.value.iter_mut().zip(self.present.iter()).for_each(|(v, p)| *v &= p);
    }

    fn clear_columns(&mut self, column: usize, bits: usize) {
        for start in (0..bits).step_by(32) {
            let n = (bits - start).min(32);
            deposit(self.present, column + start, n, 0);
            deposit(self.value, column + start, n, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ipv4, tcp, udp};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_set_is_read(picks in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 1..40)) {
            let layout = Arc::new(Layout::of_headers(&Header::ALL));
            let fields: Vec<Field> = layout.fields().map(|(f, _)| f).collect();
            let mut matrix = TernaryMatrix::vacant(layout, 3);
            let mut expected = std::collections::BTreeMap::new();
            for (index, value) in picks {
                let index = index.index(fields.len());
                let field = fields[index];
                if field.bits <= 32 {
                    matrix.row_mut(1).set(field, value);
                    expected.insert(index, value & ((1_u64 << field.bits) - 1) as u32);
                }
            }
            for (index, field) in fields.iter().enumerate() {
                prop_assert_eq!(matrix.row(1).get(*field), expected.get(&index).copied());
            }
            prop_assert!(matrix.row(0).is_vacant() && matrix.row(2).is_vacant());
        }

        #[test]
        fn header_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..=60)) {
            let mut matrix = TernaryMatrix::vacant(Arc::new(Layout::of_headers(&[Header::Tcp])), 1);
            matrix.row_mut(0).set_header(Header::Tcp, &bytes);
            let row = matrix.row(0);
            for column in 0..480 {
                let cell = match bytes.get(column >> 3) {
                    None => Cell::Vacant,
                    Some(b) if (b >> (7 - (column & 7))) & 1 == 1 => Cell::One,
                    Some(_) => Cell::Zero,
                };
                prop_assert_eq!(row.cell(column), cell);
            }
            if bytes.len() > 20 {
                prop_assert_eq!(row.bytes(tcp::OPTIONS), bytes[20..].to_vec());
            }
        }
    }

    #[test]
    fn clearing_leaves_the_neighbours() {
        let mut matrix = TernaryMatrix::new(Layout::reference());
        let mut row = matrix.push_vacant();
        row.set_header(Header::Ipv4, &[0xff; 60]);
        row.set_header(Header::Udp, &[0xff; 8]);
        row.clear_field(ipv4::TTL);
        row.clear(Header::Udp);
        let row = matrix.row(0);
        assert_eq!(row.get(ipv4::TTL), None);
        assert_eq!(
            (row.get(ipv4::PROTOCOL), row.get(ipv4::FRAGMENT_OFFSET)),
            (Some(255), Some(8191))
        );
        assert!(row.has(Header::Ipv4) && !row.has(Header::Udp));
        assert_eq!(row.get(udp::LENGTH), None);
    }

    #[test]
    fn vacant_is_never_silently_zero() {
        let mut matrix = TernaryMatrix::new(Layout::reference());
        let words = matrix.layout().words();
        matrix.push_vacant().set_words(&vec![0; words], &vec![u64::MAX; words]);
        assert!(matrix.value_plane().iter().all(|w| *w == 0));
        assert_eq!(matrix.to_i8()[0], -1);
    }
}
