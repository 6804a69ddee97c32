//! The generated image as evidence: what a field's bits say and what it costs to contradict them.

use nprint_codec::{Field, Layout, SoftMatrix};

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
}

impl Noise {
    pub(crate) const CLEAN: Self = Self { rate: 0.0, bit_cost: CLEAN_BIT_COST };

    /// From a share of wrong cells.
    pub(crate) fn of_rate(rate: f64) -> Self {
        if rate <= 0.0 {
            return Self::CLEAN;
        }
        let rate = rate.clamp(1e-7, 0.3);
        Self { rate, bit_cost: (((1.0 - rate) / rate).ln() as f32).min(CLEAN_BIT_COST) }
    }

    pub(crate) fn is_clean(self) -> bool {
        self.rate == 0.0
    }
}

/// The bits of one field of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The bits, 0 where unknown.
    pub(crate) value: u32,
    /// 1 where the cell is present.
    pub(crate) known: u32,
    /// The mask of a fully known field.
    full: u32,
}

impl Reading {
    pub(crate) fn is_full(self) -> bool {
        self.known == self.full
    }

    /// Number of vacant cells.
    pub(crate) fn missing(self) -> u32 {
        (self.full & !self.known).count_ones()
    }
}

/// The rows that are not padding.
pub(crate) struct Evidence<'a> {
    soft: &'a SoftMatrix,
    rows: usize,
    certain: bool,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(soft: &'a SoftMatrix, rows: usize) -> Self {
        let used = rows * soft.cells().columns();
        let certain = soft.confidence()[..used].iter().all(|c| *c == u8::MAX);
        Self { soft, rows, certain }
    }

    pub(crate) fn soft(&self) -> &'a SoftMatrix {
        self.soft
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    fn layout(&self) -> &Layout {
        self.soft.cells().layout()
    }

    /// Whether every cell is certain.
    pub(crate) fn is_certain(&self) -> bool {
        self.certain
    }

    /// Reads a field of at most 32 bits.
    pub(crate) fn read(&self, row: usize, field: Field) -> Reading {
        let bits = usize::from(field.bits.min(32));
        let full = ((1_u64 << bits) - 1) as u32;
        let Some(column) = self.layout().column_of(field) else {
            return Reading { value: 0, known: 0, full };
        };
        self.read_columns(row, column, bits)
    }

    /// Reads at most 32 cells from `column` on.
    pub(crate) fn read_columns(&self, row: usize, column: usize, bits: usize) -> Reading {
        let cells = self.soft.cells().row(row);
        Reading {
            value: extract(cells.value_words(), column, bits),
            known: extract(cells.present_words(), column, bits),
            full: ((1_u64 << bits) - 1) as u32,
        }
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
        let reading = self.read_columns(row, column, bits);
        let wrong = (reading.value ^ value) & reading.known & reading.full;
        if wrong == 0 {
            0.0
        } else if self.certain {
            wrong.count_ones() as f32 * noise.bit_cost
        } else {
            let confidence = &self.soft.row_confidence(row)[column..column + bits];
            let weight: u32 = confidence
                .iter()
                .enumerate()
                .filter(|(i, _)| (wrong >> (bits - 1 - i)) & 1 == 1)
                .map(|(_, c)| u32::from(*c).max(8))
                .sum();
            noise.bit_cost * weight as f32 / 255.0
        }
    }

    /// Sums of the confidences of present and of vacant cells in a run of columns.
    pub(crate) fn presence(&self, row: usize, columns: std::ops::Range<usize>) -> (u32, u32) {
        let present = self.soft.cells().row(row).present_words();
        if self.certain {
            let mut count = 0;
            let mut at = columns.start;
            while at < columns.end {
                let n = (columns.end - at).min(32);
                count += extract(present, at, n).count_ones();
                at += n;
            }
            return (count * 255, (columns.len() as u32 - count) * 255);
        }
        let (mut here, mut all) = (0, 0);
        for (c, confidence) in columns.clone().zip(&self.soft.row_confidence(row)[columns]) {
            let weight = u32::from(*confidence);
            all += weight;
            here += weight * ((present[c >> 6] >> (63 - (c & 63))) & 1) as u32;
        }
        (here, all - here)
    }
}

/// `bits` (1 to 32) bits of a plane from `column` on, right-aligned.
pub(crate) fn extract(plane: &[u64], column: usize, bits: usize) -> u32 {
    let (word, shift) = (column >> 6, column & 63);
    let high = plane[word] << shift;
    let low = if shift + bits > 64 { plane[word + 1] >> (64 - shift) } else { 0 };
    ((high | low) >> (64 - bits)) as u32
}
