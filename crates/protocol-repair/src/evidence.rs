//! The generated image as evidence: what a field's bits say and what it costs to contradict them.

use nprint_codec::{Field, Layout, SoftMatrix, TernaryMatrix};
use std::borrow::Cow;
use std::ops::Range;

mod field;
mod noise;
mod planes;
mod presence;

pub(crate) use field::FieldCells;
pub(crate) use noise::Noise;
pub(crate) use planes::{Halves, ROW_WORDS, any, extract};

/// Cells of less confidence stand between 0 and 1: they say nothing of the bit. Units: 255ths.
const UNDECIDED: u8 = 4;
/// What a bit that is known counts at least. Units: 255ths of a certain one.
pub(crate) const LEAST_WEIGHT: u8 = 8;

/// What the least certain of some cells counts, where it is known. Units: 255ths of a certain one.
pub(crate) fn least_weight(confidence: Option<&[u8]>) -> u8 {
    let least = confidence.map_or(u8::MAX, |c| c.iter().fold(u8::MAX, |least, c| least.min(*c)));
    least.max(LEAST_WEIGHT)
}

/// The bits of one field of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The bits, 0 where unknown.
    pub(crate) value: u32,
    /// 1 where the cell is present and says which bit it is.
    pub(crate) known: u32,
    /// The mask of a fully known field.
    full: u32,
}

impl Reading {
    pub(crate) fn is_full(self) -> bool {
        self.known == self.full
    }

    /// Number of cells that are vacant or say nothing.
    pub(crate) fn missing(self) -> u32 {
        (self.full & !self.known).count_ones()
    }

    /// Number of known bits that a value has otherwise.
    #[inline]
    pub(crate) fn wrong(self, value: u32) -> u32 {
        ((self.value ^ value) & self.known).count_ones()
    }
}

/// The rows that are not padding.
#[derive(Debug, Clone)]
pub(crate) struct Evidence<'a> {
    cells: &'a TernaryMatrix,
    rows: usize,
    /// A plane with ones for the cells that are present and say which bit they are.
    known: Cow<'a, [u64]>,
    /// One a cell; `None` where every cell is certain.
    confidence: Option<&'a [u8]>,
}

impl<'a> Evidence<'a> {
    /// Every row of a decoded image.
    pub(crate) fn new(soft: &'a SoftMatrix) -> Self {
        let cells = soft.cells();
        let confidence = Some(soft.confidence()).filter(|c| !is_certain(c));
        let known = match confidence {
            Some(confidence) => Cow::Owned(decided(cells, confidence)),
            None => Cow::Borrowed(cells.present_plane()),
        };
        Self { cells, rows: cells.rows(), known, confidence }
    }

    /// Every row of a matrix without doubt.
    pub(crate) fn certain(cells: &'a TernaryMatrix) -> Self {
        let known = Cow::Borrowed(cells.present_plane());
        Self { cells, rows: cells.rows(), known, confidence: None }
    }

    /// The first `rows` rows.
    pub(crate) fn first(self, rows: usize) -> Self {
        let used = rows * self.cells.columns();
        let confidence = self.confidence.map(|c| &c[..used]);
        Self { rows, confidence: confidence.filter(|c| !is_certain(c)), ..self }
    }

    /// The most likely cells, padding included.
    pub(crate) fn cells(&self) -> &'a TernaryMatrix {
        self.cells
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    fn layout(&self) -> &Layout {
        self.cells.layout()
    }

    /// Whether every cell is certain.
    #[inline]
    pub(crate) fn is_certain(&self) -> bool {
        self.confidence.is_none()
    }

    /// Whether what wrong cells cost depends on how many there are, and not on which ones.
    #[inline]
    pub(crate) fn costs_by_count(&self, noise: Noise) -> bool {
        self.is_certain() && noise.burst_cost.is_infinite()
    }

    /// The confidences of a run of cells; `None` where every cell of the trace is certain.
    #[inline]
    pub(crate) fn confidence(&self, row: usize, columns: Range<usize>) -> Option<&'a [u8]> {
        let start = row * self.cells.columns();
        self.confidence.map(|c| &c[start + columns.start..start + columns.end])
    }

    /// Reads a field of at most 32 bits.
    #[inline]
    pub(crate) fn read(&self, row: usize, field: Field) -> Reading {
        let bits = usize::from(field.bits.min(32));
        let full = ((1_u64 << bits) - 1) as u32;
        let Some(column) = self.layout().column_of(field) else {
            return Reading { value: 0, known: 0, full };
        };
        self.read_columns(row, column, bits)
    }

    /// Reads at most 32 cells from `column` on.
    #[inline]
    pub(crate) fn read_columns(&self, row: usize, column: usize, bits: usize) -> Reading {
        let words = self.layout().words();
        let columns_of = |plane: &[u64]| extract(&plane[row * words..][..words], column, bits);
        let known = columns_of(&self.known);
        let value = columns_of(self.cells.value_plane()) & known;
        Reading { value, known, full: ((1_u64 << bits) - 1) as u32 }
    }

    /// The bits of whole words of a row, 0 where unknown.
    pub(crate) fn words(&self, row: usize, words: Range<usize>) -> impl Iterator<Item = u64> {
        let known = &self.known[row * self.layout().words()..][words.clone()];
        let value = &self.cells.row(row).value_words()[words];
        known.iter().zip(value).map(|(known, value)| known & value)
    }

    /// Cost in nats of the field having `value`.
    #[inline]
    pub(crate) fn cost(&self, noise: Noise, row: usize, field: Field, value: u32) -> f32 {
        let bits = usize::from(field.bits.min(32));
        self.layout()
            .column_of(field)
            .map_or(0.0, |c| self.cost_columns(noise, row, c, bits, value))
    }

    /// Cost in nats of at most 32 cells from `column` on having `value`. A vacant cell says
    /// nothing about the bit.
    pub(crate) fn cost_columns(
        &self,
        noise: Noise,
        row: usize,
        column: usize,
        bits: usize,
        value: u32,
    ) -> f32 {
        self.cost_of(noise, row, column, self.read_columns(row, column, bits), value)
    }

    /// As [`cost_columns`](Self::cost_columns), where the cells were read already.
    #[inline]
    pub(crate) fn cost_of(
        &self,
        noise: Noise,
        row: usize,
        column: usize,
        reading: Reading,
        value: u32,
    ) -> f32 {
        let bits = reading.full.count_ones() as usize;
        let wrong = (reading.value ^ value) & reading.known & reading.full;
        if wrong == 0 {
            return 0.0;
        }
        let cost = if let Some(confidence) = self.confidence(row, column..column + bits) {
            let mut weight = 0;
            let mut left = wrong;
            while left != 0 {
                let place = bits - 1 - left.trailing_zeros() as usize;
                weight += u32::from(confidence[place].max(LEAST_WEIGHT));
                left &= left - 1;
            }
            noise.bit_cost * weight as f32 / 255.0
        } else {
            wrong.count_ones() as f32 * noise.lone_cost
        };
        cost.min(noise.burst(wrong, bits as u32))
    }

    /// Cost in nats of some wrong ones of the 32 cells from `column` on, where it is no more than that of
    /// `most` certain ones: the others are not looked at.
    #[inline]
    pub(crate) fn cost_up_to(
        &self,
        most: u16,
        noise: Noise,
        row: usize,
        column: usize,
        wrong: u32,
    ) -> f32 {
        let Some(confidence) = self.confidence(row, column..column + 32) else {
            let cost = (wrong.count_ones() as f32).min(f32::from(most)) * noise.lone_cost;
            return cost.min(noise.burst(wrong, 32));
        };
        let (mut weight, mut left) = (0, wrong);
        while left != 0 && weight <= 255 * u32::from(most) {
            weight += u32::from(confidence[31 - left.trailing_zeros() as usize].max(LEAST_WEIGHT));
            left &= left - 1;
        }
        (noise.bit_cost * weight as f32 / 255.0).min(f32::from(most) * noise.bit_cost)
    }
}

/// Whether no cell is in doubt. Whole blocks are looked at: to stop at the first doubt costs a branch a
/// cell.
fn is_certain(confidence: &[u8]) -> bool {
    confidence.chunks(4096).all(|block| block.iter().fold(u8::MAX, |all, c| all & c) == u8::MAX)
}

/// The plane of the present cells that say which bit they are.
fn decided(cells: &TernaryMatrix, confidence: &[u8]) -> Vec<u64> {
    let mut known = cells.present_plane().to_vec();
    let (words, columns) = (cells.layout().words(), cells.columns());
    for (row, confidence) in known.chunks_exact_mut(words).zip(confidence.chunks_exact(columns)) {
        for (word, confidence) in row.iter_mut().zip(confidence.chunks(64)) {
            if confidence.iter().fold(u8::MAX, |least, c| least.min(*c)) < UNDECIDED {
                for (place, _) in confidence.iter().enumerate().filter(|(_, c)| **c < UNDECIDED) {
                    *word &= !(1 << (63 - place));
                }
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Noise};
    use nprint_codec::{Layout, SoftMatrix, TernaryMatrix};

    #[test]
    fn a_cost_up_to_some_bits_is_the_cost_or_theirs() {
        let mut cells = TernaryMatrix::new(Layout::reference());
        let present = vec![u64::MAX; cells.layout().words()];
        cells.push_vacant().set_words(&present, &present);
        let confidence = (0..cells.columns()).map(|c| (37 * c % 256) as u8).collect();
        let soft = SoftMatrix::new(cells.clone(), confidence).expect("one confidence a cell");
        let noise = Noise::of_rate(0.02);
        for evidence in [Evidence::new(&soft), Evidence::certain(&cells)] {
            let reading = evidence.read_columns(0, 100, 32);
            for value in (0..32).map(|bit| u32::MAX << bit) {
                let wrong = (reading.value ^ value) & reading.known;
                let whole = evidence.cost_of(noise, 0, 100, reading, value);
                let cost = evidence.cost_up_to(6, noise, 0, 100, wrong);
                assert_eq!(cost.to_bits(), whole.min(6.0 * noise.bit_cost).to_bits());
            }
        }
    }
}
