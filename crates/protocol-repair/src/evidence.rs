//! The generated image as evidence: what a field's bits say and what it costs to contradict them.

use nprint_codec::{Field, Layout, SoftMatrix, TernaryMatrix};

/// Cost in nats of contradicting a certain bit when nothing in the trace contradicts itself:
/// more than any prior in this crate can outweigh with one bit.
const CLEAN_BIT_COST: f32 = 18.0;

/// How far a trace's bits can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Noise {
    /// Share of wrong cells among those whose truth is known. 0 for a real capture.
    pub(crate) rate: f64,
    /// Cost of contradicting one certain bit. Units: nats.
    pub(crate) bit_cost: f32,
    /// Cost of saying that a whole field lies where the image is destroyed; each of its bits is
    /// then as likely 1 as 0. Infinite where wrong cells do not come in runs. Units: nats.
    pub(crate) burst_cost: f32,
}

impl Noise {
    pub(crate) const CLEAN: Self =
        Self { rate: 0.0, bit_cost: CLEAN_BIT_COST, burst_cost: f32::INFINITY };

    /// From a share of wrong cells.
    pub(crate) fn of_rate(rate: f64) -> Self {
        if rate <= 0.0 {
            return Self::CLEAN;
        }
        let rate = rate.clamp(1e-7, 0.3);
        let bit_cost = (((1.0 - rate) / rate).ln() as f32).min(CLEAN_BIT_COST);
        Self { rate, bit_cost, ..Self::CLEAN }
    }

    pub(crate) fn is_clean(self) -> bool {
        self.rate == 0.0
    }
}

/// Cells of less confidence stand between 0 and 1: they say nothing of the bit. Units: 255ths.
const UNDECIDED: u8 = 4;

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
}

/// The rows that are not padding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    cells: &'a TernaryMatrix,
    rows: usize,
    /// One a cell; `None` where every cell is certain.
    confidence: Option<&'a [u8]>,
}

impl<'a> Evidence<'a> {
    /// Every row of a decoded image.
    pub(crate) fn new(soft: &'a SoftMatrix) -> Self {
        let confidence = Some(soft.confidence()).filter(|c| c.iter().any(|c| *c != u8::MAX));
        Self { cells: soft.cells(), rows: soft.cells().rows(), confidence }
    }

    /// Every row of a matrix without doubt.
    pub(crate) fn certain(cells: &'a TernaryMatrix) -> Self {
        Self { cells, rows: cells.rows(), confidence: None }
    }

    /// The first `rows` rows.
    pub(crate) fn first(self, rows: usize) -> Self {
        let used = rows * self.cells.columns();
        let confidence = self.confidence.map(|c| &c[..used]);
        Self { rows, confidence: confidence.filter(|c| c.iter().any(|c| *c != u8::MAX)), ..self }
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
    pub(crate) fn is_certain(&self) -> bool {
        self.confidence.is_none()
    }

    /// The confidences of a run of cells; `None` where every cell of the trace is certain.
    #[inline]
    pub(crate) fn confidence(
        &self,
        row: usize,
        columns: std::ops::Range<usize>,
    ) -> Option<&'a [u8]> {
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
        let cells = self.cells.row(row);
        let known = extract(cells.present_words(), column, bits);
        let known = match self.confidence(row, column..column + bits) {
            Some(confidence) => confidence.iter().enumerate().fold(known, |known, (i, c)| {
                known & !(u32::from(*c < UNDECIDED) << (bits - 1 - i))
            }),
            None => known,
        };
        let value = extract(cells.value_words(), column, bits) & known;
        Reading { value, known, full: ((1_u64 << bits) - 1) as u32 }
    }

    /// Cost in nats of the field having `value`.
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
            let weight: u32 = confidence
                .iter()
                .enumerate()
                .filter(|(i, _)| (wrong >> (bits - 1 - i)) & 1 == 1)
                .map(|(_, c)| u32::from(*c).max(8))
                .sum();
            noise.bit_cost * weight as f32 / 255.0
        } else {
            wrong.count_ones() as f32 * noise.bit_cost
        };
        cost.min(noise.burst_cost + bits as f32 * std::f32::consts::LN_2)
    }

    /// Sums of the confidences of present and of vacant cells in a run of columns.
    pub(crate) fn presence(&self, row: usize, columns: std::ops::Range<usize>) -> (u32, u32) {
        let present = self.cells.row(row).present_words();
        let Some(confidence) = self.confidence(row, columns.clone()) else {
            let length = columns.len() as u32;
            let count = ones(present, columns);
            return (count * 255, (length - count) * 255);
        };
        let (mut here, mut all) = (0, 0);
        for (c, confidence) in columns.zip(confidence) {
            let weight = u32::from(*confidence);
            all += weight;
            here += weight * ((present[c >> 6] >> (63 - (c & 63))) & 1) as u32;
        }
        (here, all - here)
    }

    /// Sums of the confidences of present and of vacant cells in the first words of 32 cells from
    /// `column` on: none, one, two, … ten.
    pub(crate) fn presence_up_to(&self, row: usize, column: usize) -> [(u32, u32); 11] {
        let mut sums = [(0, 0); 11];
        for word in 0..10 {
            let start = column + 32 * word;
            let (present, vacant) = self.presence(row, start..start + 32);
            sums[word + 1] = (sums[word].0 + present, sums[word].1 + vacant);
        }
        sums
    }
}

/// Ones of a plane in a run of columns.
pub(crate) fn ones(plane: &[u64], columns: std::ops::Range<usize>) -> u32 {
    let (first, last) = (columns.start >> 6, columns.end.div_ceil(64));
    let mut count = 0;
    for (word, bits) in plane.iter().enumerate().take(last).skip(first) {
        let start = columns.start.saturating_sub(64 * word).min(63);
        let end = (columns.end - 64 * word).min(64);
        let mask = (u64::MAX >> start) & (u64::MAX << (64 - end));
        count += (bits & mask).count_ones();
    }
    count
}

/// `bits` (1 to 32) bits of a plane from `column` on, right-aligned.
#[inline]
pub(crate) fn extract(plane: &[u64], column: usize, bits: usize) -> u32 {
    let (word, shift) = (column >> 6, column & 63);
    let high = plane[word] << shift;
    let low = if shift + bits > 64 { plane[word + 1] >> (64 - shift) } else { 0 };
    ((high | low) >> (64 - bits)) as u32
}

#[cfg(test)]
mod tests {
    use super::ones;

    #[test]
    fn ones_are_those_of_the_columns() {
        let plane = [0xf0f0_1234_5678_9abc, 0x8000_0000_0000_0001, u64::MAX];
        let bit = |c: usize| (plane[c >> 6] >> (63 - (c & 63))) & 1 == 1;
        for start in [0, 1, 31, 63, 64, 65, 127] {
            for end in [start, start + 1, 64.max(start), 128, 190, 192] {
                let naive = (start..end).filter(|c| bit(*c)).count();
                assert_eq!(ones(&plane, start..end) as usize, naive, "{start}..{end}");
            }
        }
    }
}
