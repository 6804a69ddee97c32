//! Cells that two matrices have, and those in which they differ.

use super::DERIVED_FIELDS;
use crate::evidence::{Evidence, ROW_WORDS};
use crate::plan::options::{OptionArea, sack_range, timestamp_offset};
use nprint_codec::{Layout, Row, TernaryMatrix, tcp};
use std::ops::Range;

/// What a comparison of the evidence with the result counts.
///
/// # Layout
/// Rows are compared word by word: what differs is the XOR of the planes, and cells are looked at one
/// by one only where they differ and their confidences do.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Cells that either has.
    pub(super) cells: u64,
    /// Of these, the ones that are not derived.
    pub(super) non_derived: u64,
    /// Cells in which they differ.
    pub(super) changed: u64,
    pub(super) changed_non_derived: u64,
    /// Sum of the changed cells' confidences, and of all.
    pub(super) lost: u64,
    pub(super) trust: u64,
    /// For each field of the layout: changed cells, and rows with one.
    pub(super) by_field: Vec<(u64, u64)>,
}

impl Counts {
    /// Compares the rows that the evidence says are packets.
    pub(super) fn of(evidence: &Evidence<'_>, result: &TernaryMatrix) -> Self {
        let layout = result.layout();
        let columns = layout.columns();
        let pieces = pieces(layout);
        let derived_words = derived_words(layout, &pieces);
        let options = layout.column_of(tcp::OPTIONS).unwrap_or(0);
        let mut counts =
            Self { by_field: vec![(0, 0); layout.fields().count()], ..Self::default() };
        // Numbers inside options are derived, though no field of its own.
        let (mut derived, mut changed_numbers) = (0, 0);
        let rows = |plane| <[u64]>::as_chunks::<ROW_WORDS>(plane).0;
        let before = rows(evidence.cells().present_plane()).iter();
        let before = before.zip(rows(evidence.cells().value_plane()));
        let after = rows(result.present_plane()).iter().zip(rows(result.value_plane()));
        for (row, (before, after)) in before.zip(after).enumerate() {
            let (mut present, mut difference) = ([0; ROW_WORDS], [0; ROW_WORDS]);
            for word in 0..ROW_WORDS {
                present[word] = before.0[word] | after.0[word];
                difference[word] =
                    (before.0[word] ^ after.0[word]) | (before.1[word] ^ after.1[word]);
            }
            counts.cells += ones(&present);
            derived += derived_words.iter().map(|(w, mask)| bits(present[*w] & mask)).sum::<u64>();
            for columns in option_numbers(&result.row(row), options) {
                derived += bits_in(&present, columns.clone());
                changed_numbers += bits_in(&difference, columns);
            }
            counts.add_fields(&difference, &pieces);
            if let Some(confidence) = evidence.confidence(row, 0..columns) {
                counts.lost +=
                    set_columns(&difference).map(|c| u64::from(confidence[c])).sum::<u64>();
                counts.trust += sum(confidence);
            }
        }
        let changed = |derived: bool| -> u64 {
            let fields = layout.fields().zip(&counts.by_field);
            let of_kind = fields.filter(|((f, _), _)| DERIVED_FIELDS.contains(f) == derived);
            of_kind.map(|(_, (cells, _))| cells).sum()
        };
        counts.changed_non_derived = changed(false) - changed_numbers;
        counts.changed = changed(false) + changed(true);
        counts.non_derived = counts.cells - derived;
        if evidence.is_certain() {
            counts.lost = counts.changed * u64::from(u8::MAX);
            counts.trust = (result.rows() * columns) as u64 * u64::from(u8::MAX);
        }
        counts
    }

    fn add_fields(&mut self, difference: &[u64], pieces: &[Vec<(usize, u64)>]) {
        let mut last = None;
        for (word, pieces) in difference.iter().zip(pieces).filter(|(word, _)| **word != 0) {
            for (field, mask) in pieces {
                let changed = word & mask;
                if changed != 0 {
                    self.by_field[*field].0 += u64::from(changed.count_ones());
                    // The words of a field lie side by side.
                    self.by_field[*field].1 += u64::from(last != Some(*field));
                    last = Some(*field);
                }
            }
        }
    }
}

/// The sum of some confidences. Those of every second cell lie side by side in words, all words alike.
fn sum(confidence: &[u8]) -> u64 {
    const EVERY_SECOND: u64 = 0x00ff_00ff_00ff_00ff;
    let (words, rest) = confidence.as_chunks::<8>();
    // So many words that no sum of 16 bits overflows.
    let blocks = words.chunks(128).map(|block| {
        let pairs = block.iter().fold(0, |sum, bytes| {
            let word = u64::from_le_bytes(*bytes);
            sum + (word & EVERY_SECOND) + ((word >> 8) & EVERY_SECOND)
        });
        [0, 16, 32, 48].map(|at| (pairs >> at) & 0xffff).iter().sum::<u64>()
    });
    blocks.sum::<u64>() + rest.iter().map(|c| u64::from(*c)).sum::<u64>()
}

/// For each word of a row, the fields that it has columns of, with the mask of these.
fn pieces(layout: &Layout) -> Vec<Vec<(usize, u64)>> {
    let mut out = vec![Vec::new(); layout.words()];
    for (index, (field, start)) in layout.fields().enumerate() {
        let end = start + usize::from(field.bits);
        for (word, pieces) in out.iter_mut().enumerate().take(end.div_ceil(64)).skip(start >> 6) {
            pieces.push((index, mask(word, start..end)));
        }
    }
    out
}

/// The bits of a word that belong to a run of columns.
fn mask(word: usize, columns: Range<usize>) -> u64 {
    let first = columns.start.saturating_sub(64 * word);
    let behind = (64 * (word + 1)).saturating_sub(columns.end);
    (u64::MAX >> first) & (u64::MAX << behind)
}

/// The words of a row that hold derived fields, with the masks of these.
fn derived_words(layout: &Layout, pieces: &[Vec<(usize, u64)>]) -> Vec<(usize, u64)> {
    let derived: Vec<bool> = layout.fields().map(|(f, _)| DERIVED_FIELDS.contains(&f)).collect();
    let of_word = |pieces: &[(usize, u64)]| {
        pieces.iter().filter(|(field, _)| derived[*field]).fold(0, |all, (_, mask)| all | mask)
    };
    let words = pieces.iter().map(|pieces| of_word(pieces)).enumerate();
    words.filter(|(_, mask)| *mask != 0).collect()
}

/// Ones of a row. Sums of eight bits lie side by side, all words alike: there is not everywhere an
/// instruction that counts bits.
fn ones(plane: &[u64; ROW_WORDS]) -> u64 {
    total(plane.iter().map(|w| bytes(*w)).sum())
}

/// Ones of a row in a run of columns.
fn bits_in(plane: &[u64; ROW_WORDS], columns: Range<usize>) -> u64 {
    let words = columns.start >> 6..columns.end.div_ceil(64);
    words.map(|word| bits(plane[word] & mask(word, columns.clone()))).sum()
}

/// Ones of a word.
fn bits(word: u64) -> u64 {
    u64::from(word.count_ones())
}

/// Ones of each byte of a word, at most 8: those of 31 words fit into bytes.
fn bytes(word: u64) -> u64 {
    let word = word - ((word >> 1) & 0x5555_5555_5555_5555);
    let word = (word & 0x3333_3333_3333_3333) + ((word >> 2) & 0x3333_3333_3333_3333);
    (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f
}

/// Sum of the bytes of a word.
fn total(bytes: u64) -> u64 {
    let pairs = (bytes & 0x00ff_00ff_00ff_00ff) + ((bytes >> 8) & 0x00ff_00ff_00ff_00ff);
    pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

/// The columns of a row's ones.
fn set_columns(plane: &[u64]) -> impl Iterator<Item = usize> {
    plane.iter().enumerate().flat_map(|(word, bits)| {
        let mut left = *bits;
        std::iter::from_fn(move || {
            let next = (left != 0).then(|| left.leading_zeros() as usize)?;
            left &= !(1 << (63 - next));
            Some(64 * word + next)
        })
    })
}

/// Columns of the numbers inside a row's TCP options, whose area begins at column `start`.
fn option_numbers(row: &Row<'_>, start: usize) -> impl Iterator<Item = Range<usize>> {
    let mut found = [None, None];
    if row.get(tcp::DATA_OFFSET).is_some_and(|words| words > 5) {
        let bytes = OptionArea::of_tcp(row);
        found = [timestamp_offset(&bytes).map(|at| at..at + 8), sack_range(&bytes)];
    }
    found.into_iter().flatten().map(move |bytes| start + 8 * bytes.start..start + 8 * bytes.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Cell, SoftMatrix};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rows: usize, seed: u64) -> TernaryMatrix {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut out = TernaryMatrix::vacant(Layout::reference(), rows);
        for row in 0..rows {
            for column in 0..out.columns() {
                let cell = [Cell::Vacant, Cell::Zero, Cell::One][random.random_range(0..3)];
                out.row_mut(row).set_cell(column, cell);
            }
        }
        out
    }

    #[test]
    fn counts_are_those_of_single_cells() {
        let (before, mut after) = (random(20, 1), random(20, 2));
        for row in 0..10 {
            // Some rows hardly differ, and some have options with numbers.
            let same = before.row(row);
            after.row_mut(row).set_words(same.present_words(), same.value_words());
            after.row_mut(row).set(tcp::DATA_OFFSET, 8);
            let stamps = [1, 1, 8, 10, 0, 0, 0, row as u8, 0, 0, 0, 1];
            after.row_mut(row).set_bytes(tcp::OPTIONS, &stamps[..if row > 3 { 12 } else { 4 }]);
        }
        let confidence = (0..20 * 1088_u32).map(|c| (c * 7919 % 256) as u8).collect();
        for soft in [
            SoftMatrix::certain(before.clone()),
            SoftMatrix::new(before.clone(), confidence).expect("one confidence a cell"),
        ] {
            let counts = Counts::of(&Evidence::new(&soft), &after);
            let (mut cells, mut non_derived, mut lost) = (0, 0, 0);
            let mut by_field = vec![(0, 0); after.layout().fields().count()];
            let (mut changed, mut changed_non_derived) = (0, 0);
            for row in 0..20 {
                let (a, b) = (before.row(row), after.row(row));
                let stamped = row > 3 && row < 10;
                for (index, (field, start)) in after.layout().fields().enumerate() {
                    let mut any = false;
                    for c in start..start + usize::from(field.bits) {
                        let number = stamped && (640 + 32..640 + 96).contains(&c);
                        let derived = DERIVED_FIELDS.contains(&field) || number;
                        let here = a.cell(c) != Cell::Vacant || b.cell(c) != Cell::Vacant;
                        let differs = a.cell(c) != b.cell(c);
                        cells += u64::from(here);
                        non_derived += u64::from(here && !derived);
                        changed += u64::from(differs);
                        changed_non_derived += u64::from(differs && !derived);
                        by_field[index].0 += u64::from(differs);
                        any |= differs;
                        if differs {
                            lost += u64::from(soft.row_confidence(row)[c]);
                        }
                    }
                    by_field[index].1 += u64::from(any);
                }
            }
            let trust: u64 = soft.confidence().iter().map(|c| u64::from(*c)).sum();
            assert_eq!((counts.cells, counts.non_derived), (cells, non_derived));
            assert_eq!(
                (counts.changed, counts.changed_non_derived),
                (changed, changed_non_derived)
            );
            assert_eq!((counts.lost, counts.trust, counts.by_field), (lost, trust, by_field));
        }
    }
}
