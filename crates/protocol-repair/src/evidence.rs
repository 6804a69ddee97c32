//! The generated image as evidence: what a field's bits say and what it costs to contradict them.

use nprint_codec::{Field, Layout, SoftMatrix, TernaryMatrix};
use std::borrow::Cow;
use std::ops::Range;

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

    /// Cost of contradicting so many certain bits of a field of `bits`: 0, 1, 2, … Units: nats.
    pub(crate) fn prices(self, bits: u16) -> [f32; 33] {
        let burst = self.burst_cost + f32::from(bits) * std::f32::consts::LN_2;
        std::array::from_fn(|wrong| (wrong as f32 * self.bit_cost).min(burst))
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
                weight += u32::from(confidence[place]).max(8);
                left &= left - 1;
            }
            noise.bit_cost * weight as f32 / 255.0
        } else {
            wrong.count_ones() as f32 * noise.bit_cost
        };
        cost.min(noise.burst_cost + bits as f32 * std::f32::consts::LN_2)
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
            return (wrong.count_ones() as f32).min(f32::from(most)) * noise.bit_cost;
        };
        let (mut weight, mut left) = (0, wrong);
        while left != 0 && weight <= 255 * u32::from(most) {
            weight += u32::from(confidence[31 - left.trailing_zeros() as usize]).max(8);
            left &= left - 1;
        }
        (noise.bit_cost * weight as f32 / 255.0).min(f32::from(most) * noise.bit_cost)
    }

    /// A field of a row that several values are compared with.
    #[inline]
    pub(crate) fn reader(&self, noise: Noise, row: usize, field: Field) -> Reader<'_> {
        let column = self.layout().column_of(field).unwrap_or(0);
        Reader { evidence: self, noise, row, column, reading: self.read(row, field) }
    }

    /// Present cells of a row by words of 32 columns.
    #[inline]
    pub(crate) fn halves(&self, row: usize) -> Halves {
        Halves::of(self.cells.row(row).present_words())
    }

    /// Sums of the confidences of present and of vacant cells in a run of whole words of 32 columns.
    pub(crate) fn presence(&self, row: usize, columns: Range<usize>) -> (u32, u32) {
        let present = self.cells.row(row).present_words();
        let Some(confidence) = self.confidence(row, columns.clone()) else {
            let length = columns.len() as u32;
            let count = self.halves(row).ones(columns);
            return (count * 255, (length - count) * 255);
        };
        // Most words of 32 cells are present or vacant as a whole.
        let (mut here, mut all) = (Sum::default(), Sum::default());
        for (word, weights) in (columns.start >> 5..).zip(confidence.as_chunks::<32>().0) {
            let cells = extract(present, 32 * word, 32);
            for (weights, cells) in weights.as_chunks::<8>().0.iter().zip(cells.to_be_bytes()) {
                let weights = u64::from_be_bytes(*weights);
                all.add(weights);
                if cells != 0 {
                    here.add(weights & bytes_of_bits(cells));
                }
            }
        }
        (here.total(), all.total() - here.total())
    }

    /// Sums of the confidences of present and of vacant cells in the first words of 32 cells from
    /// `column` on: none, one, two, … ten.
    pub(crate) fn presence_up_to(&self, row: usize, column: usize) -> [(u32, u32); 11] {
        let mut sums = [(0, 0); 11];
        let halves = self.halves(row);
        for word in 0..10 {
            let columns = column + 32 * word..column + 32 * word + 32;
            let (present, vacant) = if self.is_certain() {
                let count = halves.ones(columns);
                (count * 255, (32 - count) * 255)
            } else {
                self.presence(row, columns)
            };
            sums[word + 1] = (sums[word].0 + present, sums[word].1 + vacant);
        }
        sums
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

impl<'a> Evidence<'a> {
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

    /// Fewest nats of a value that contradicts the cells of a row.
    pub(crate) fn least_cost(&self, noise: Noise, row: usize) -> f32 {
        let confidence = self.evidence.confidence(row, self.column..self.column + self.bits);
        let least =
            confidence.map_or(u8::MAX, |c| c.iter().fold(u8::MAX, |least, c| least.min(*c)));
        let least = noise.bit_cost * f32::from(least.max(8)) / 255.0;
        least.min(noise.burst_cost + self.bits as f32 * std::f32::consts::LN_2)
    }

    /// Cost in nats of the cells, read as `reading`, having `value`.
    #[inline]
    pub(crate) fn cost(&self, noise: Noise, row: usize, reading: Reading, value: u32) -> f32 {
        self.evidence.cost_of(noise, row, self.column, reading, value)
    }
}

/// Eight bits as bytes of ones and of zeros.
#[inline]
fn bytes_of_bits(byte: u8) -> u64 {
    let one_each = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    ((one_each + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101) * 0xff
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

/// A sum of bytes, eight at once, of at most 1024 of them.
#[derive(Debug, Clone, Copy, Default)]
struct Sum(u64);

impl Sum {
    #[inline]
    fn add(&mut self, eight: u64) {
        self.0 += (eight & 0x00ff_00ff_00ff_00ff) + ((eight >> 8) & 0x00ff_00ff_00ff_00ff);
    }

    #[inline]
    fn total(self) -> u32 {
        let pairs = (self.0 & 0x0000_ffff_0000_ffff) + ((self.0 >> 16) & 0x0000_ffff_0000_ffff);
        (pairs as u32) + (pairs >> 32) as u32
    }
}

/// Words of a row of the reference layout in a plane, and words of 32 cells.
pub(crate) const ROW_WORDS: usize = 17;
const HALVES: usize = 2 * ROW_WORDS;

/// How many cells of a row are present up to each of its words of 32 columns. Every header and option
/// area of the reference layout begins and ends with such a word.
///
/// # Layout
/// Bits are added side by side, all words alike, so that a compiler without a population count
/// instruction makes vectors of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves([u16; HALVES + 1]);

impl Halves {
    /// Counts those of a row's *present* plane.
    pub(crate) fn of(present: &[u64]) -> Self {
        let mut counts = [0_u64; HALVES >> 1];
        for (count, word) in counts.iter_mut().zip(present) {
            let word = word - ((word >> 1) & 0x5555_5555_5555_5555);
            let word = (word & 0x3333_3333_3333_3333) + ((word >> 2) & 0x3333_3333_3333_3333);
            let word = (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
            let word = word + (word >> 8);
            *count = (word + (word >> 16)) & 0x0000_00ff_0000_00ff;
        }
        let mut up_to = [0; HALVES + 1];
        let mut sum = 0;
        for (pair, count) in up_to[1..].as_chunks_mut::<2>().0.iter_mut().zip(counts) {
            let high = sum + (count >> 32) as u16;
            sum = high + count as u16;
            *pair = [high, sum];
        }
        Self(up_to)
    }

    /// Present cells in columns that begin and end with a word of 32.
    #[inline]
    pub(crate) fn ones(&self, columns: Range<usize>) -> u32 {
        debug_assert!((columns.start | columns.end).trailing_zeros() >= 5);
        u32::from(self.0[columns.end >> 5] - self.0[columns.start >> 5])
    }
}

impl Halves {
    /// Present cells in each word of 32 of such columns.
    #[inline]
    pub(crate) fn each(&self, columns: std::ops::Range<usize>) -> impl Iterator<Item = u16> {
        let (first, end) = (columns.start >> 5, columns.end >> 5);
        self.0[first + 1..=end].iter().zip(&self.0[first..end]).map(|(to, from)| to - from)
    }
}

/// Whether a plane has a one in a run of columns.
#[inline]
pub(crate) fn any(plane: &[u64], columns: Range<usize>) -> bool {
    let (first, last) = (columns.start >> 6, (columns.end - 1) >> 6);
    let head = u64::MAX >> (columns.start & 63);
    let tail = u64::MAX << (63 - ((columns.end - 1) & 63));
    if first == last {
        return plane[first] & head & tail != 0;
    }
    let inner = plane[first + 1..last].iter().fold(0, |all, word| all | word);
    (plane[first] & head) | inner | (plane[last] & tail) != 0
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
    use super::{Evidence, Halves, Noise, any};
    use nprint_codec::{Cell, Layout, SoftMatrix, TernaryMatrix};

    #[test]
    fn halves_count_the_ones_of_the_columns() {
        let plane: Vec<u64> = (1..=17_u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | if n == 3 { u64::MAX } else { 0 })
            .collect();
        let bit = |c: usize| (plane[c >> 6] >> (63 - (c & 63))) & 1 == 1;
        let halves = Halves::of(&plane);
        for start in (0..=1088).step_by(32) {
            for end in (start..=1088).step_by(32) {
                let naive = (start..end).filter(|c| bit(*c)).count();
                assert_eq!(halves.ones(start..end) as usize, naive, "{start}..{end}");
            }
        }
    }

    #[test]
    fn presence_is_the_sum_of_single_cells() {
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 3);
        let mut confidence = Vec::new();
        for row in 0..3_usize {
            for column in 0..1088 {
                let drawn = (row * 1088 + column + 1_usize).wrapping_mul(0x9e37_79b9) >> 7;
                if drawn & 1 == 1 || row == 1 {
                    cells.row_mut(row).set_cell(column, Cell::Zero);
                }
                confidence.push(if row == 2 { 255 } else { (drawn >> 1) as u8 });
            }
        }
        confidence[0] = 7;
        let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell");
        let evidence = Evidence::new(&soft);
        for row in 0..3_usize {
            for columns in [0..96, 96..416, 416..480, 640..960, 1024..1088] {
                let mut sums = (0, 0);
                for column in columns.clone() {
                    let weight = u32::from(soft.row_confidence(row)[column]);
                    match soft.cells().row(row).cell(column) {
                        Cell::Vacant => sums.1 += weight,
                        Cell::Zero | Cell::One => sums.0 += weight,
                    }
                }
                assert_eq!(evidence.presence(row, columns), sums);
            }
        }
    }

    #[test]
    fn a_field_reads_as_its_cells_do() {
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 2);
        for (row, value) in [(0, 0x1234_5678), (1, 0x9abc_def0)] {
            cells.row_mut(row).set(nprint_codec::tcp::SEQ, value);
            cells.row_mut(row).set_cell(520 + row, Cell::Vacant);
        }
        let evidence = Evidence::certain(&cells);
        for (field, _) in cells.layout().fields().filter(|(field, _)| field.bits <= 32) {
            for row in 0..2 {
                assert_eq!(evidence.field(field).read(row), evidence.read(row, field));
            }
        }
    }

    #[test]
    fn a_one_is_found_in_its_columns_only() {
        for at in [0, 1, 63, 64, 100, 127, 128, 191] {
            let mut plane = [0_u64; 3];
            plane[at >> 6] = 1 << (63 - (at & 63));
            for start in 0..192 {
                for end in start + 1..=192 {
                    assert_eq!(any(&plane, start..end), (start..end).contains(&at), "{at}");
                }
            }
        }
    }

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
