//! One field: of one row, compared with several values, or of many rows.

use super::{Evidence, Noise, ROW_WORDS, Reading, least_weight};
use nprint_codec::Field;

impl<'a> Evidence<'a> {
    /// A field of a row that several values are compared with.
    #[inline]
    pub(crate) fn reader(&self, noise: Noise, row: usize, field: Field) -> Reader<'_> {
        let column = self.layout().column_of(field).unwrap_or(0);
        Reader { evidence: self, noise, row, column, reading: self.read(row, field) }
    }

    /// The cells of a field of at most 32 bits.
    pub(crate) fn field(&'a self, field: Field) -> FieldCells<'a> {
        let column = self.layout().column_of(field).unwrap_or(0);
        let from = |plane: &'a [u64]| plane.get(column >> 6..).unwrap_or_default();
        FieldCells {
            evidence: self,
            column,
            bits: usize::from(field.bits.min(32)),
            present: from(self.cells.present_plane()),
            known: from(&self.known),
            value: from(self.cells.value_plane()),
        }
    }
}

/// A field of one row, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    evidence: &'a Evidence<'a>,
    noise: Noise,
    row: usize,
    column: usize,
    pub(crate) reading: Reading,
}

impl Reader<'_> {
    /// Cost in nats of the field having `value`.
    #[inline]
    pub(crate) fn cost(&self, value: u32) -> f32 {
        self.evidence.cost_of(self.noise, self.row, self.column, self.reading, value)
    }
}

/// The cells of one field, read row by row: where they lie is looked up once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldCells<'a> {
    evidence: &'a Evidence<'a>,
    column: usize,
    bits: usize,
    /// Planes from the first word of the field in row 0 on.
    present: &'a [u64],
    known: &'a [u64],
    value: &'a [u64],
}

impl FieldCells<'_> {
    /// What the cells of a row say.
    #[inline]
    pub(crate) fn read(&self, row: usize) -> Reading {
        let [known, value] = [self.known, self.value].map(|plane| self.bits_of(plane, row));
        Reading { value: value & known, known, full: self.full() }
    }

    /// Whether a row has all of the cells and these are `value`, however certain.
    #[inline]
    pub(crate) fn are(&self, row: usize, value: u32) -> bool {
        self.bits_of(self.present, row) == self.full() && self.bits_of(self.value, row) == value
    }

    #[inline]
    fn full(&self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }

    #[inline]
    fn bits_of(&self, plane: &[u64], row: usize) -> u32 {
        let (at, shift) = (row * ROW_WORDS, self.column & 63);
        let mut bits = plane[at] << shift;
        if shift + self.bits > 64 {
            bits |= plane[at + 1] >> (64 - shift);
        }
        (bits >> (64 - self.bits)) as u32
    }

    /// Their confidences in a row; `None` where every cell of the trace is certain.
    #[inline]
    pub(crate) fn confidence(&self, row: usize) -> Option<&[u8]> {
        self.evidence.confidence(row, self.column..self.column + self.bits)
    }

    /// Fewest nats of a value that contradicts the cells of a row.
    pub(crate) fn least_cost(&self, noise: Noise, row: usize) -> f32 {
        let least = noise.lone_cost * f32::from(least_weight(self.confidence(row))) / 255.0;
        least.min(noise.burst(1, self.bits as u32))
    }

    /// Cost in nats of the cells, read as `reading`, having `value`.
    #[inline]
    pub(crate) fn cost(&self, noise: Noise, row: usize, reading: Reading, value: u32) -> f32 {
        self.evidence.cost_of(noise, row, self.column, reading, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::UNDECIDED;
    use super::Evidence;
    use nprint_codec::{Cell, Layout, SoftMatrix, TernaryMatrix};

    #[test]
    fn a_field_reads_as_its_cells_do() {
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 2);
        for (row, value) in [(0, 0x1234_5678), (1, 0x9abc_def0)] {
            cells.row_mut(row).set(nprint_codec::tcp::SEQ, value);
            cells.row_mut(row).set_cell(520 + row, Cell::Vacant);
        }
        // Cells from nothing to 6 of 255 on: some of them say which bit they are.
        let confidence = (0..2 * 1088).map(|cell| (cell % 7) as u8).collect();
        let soft = SoftMatrix::new(cells.clone(), confidence).expect("one confidence a cell");
        for (evidence, is_certain) in
            [(Evidence::certain(&cells), true), (Evidence::new(&soft), false)]
        {
            for (field, start) in cells.layout().fields().filter(|(field, _)| field.bits <= 32) {
                for row in 0..2 {
                    let reading = evidence.read(row, field);
                    assert_eq!(evidence.field(field).read(row), reading);
                    for bit in 0..usize::from(field.bits) {
                        let (cell, place) = (start + bit, field.bits - 1 - bit as u16);
                        let decided = is_certain || soft.row_confidence(row)[cell] >= UNDECIDED;
                        let state = cells.row(row).cell(cell);
                        assert_eq!(
                            [reading.known, reading.value].map(|bits| (bits >> place) & 1 == 1),
                            [decided && state != Cell::Vacant, decided && state == Cell::One]
                        );
                    }
                }
            }
        }
    }
}
