//! Class counts of every cut in a node, 64 cuts at a time.

use super::FeatureMatrix;
use super::matrix::LANES;
use super::popcount::add3;
use super::transpose::transpose64;

/// The same word of [`LANES`] neighbouring groups of 64 cuts.
type Lane = [u64; LANES];

const EMPTY: Lane = [0; LANES];

/// For every cut that parts the samples of a node, in order: the cut and the class counts of its
/// upper side. `members` lists the samples of each class; a sample counts as often as it is listed.
///
/// Samples are added as columns of binary digits: bit `b` of `digits[k]` is digit `k` of the count of
/// cut `b`. Eight samples go through a carry-save tree, so that adding a sample to 64 counts takes
/// about six operations, where a population count for each cut and class takes hundreds. One
/// transposition then yields the digits of all classes of a cut as the bits of one word.
pub(crate) fn sweep(x: &FeatureMatrix, members: &[Vec<u32>], mut found: impl FnMut(u32, &[u64])) {
    let width = |m: &Vec<u32>| (usize::BITS - m.len().leading_zeros()) as usize;
    let widths: Vec<usize> = members.iter().map(width).collect();
    let mut digits: Vec<Vec<Lane>> = widths.iter().map(|w| vec![EMPTY; *w]).collect();
    let mut counts = vec![[0_u64; 64]; members.len()];
    let mut part = vec![0_u64; members.len()];
    for at in (0..x.cut_row_words()).step_by(LANES) {
        let lane = |sample: u32| -> Lane {
            let row = &x.cut_row(sample as usize)[at..at + LANES];
            std::array::from_fn(|i| row[i])
        };
        let (mut any, mut all) = (EMPTY, [u64::MAX; LANES]);
        for (samples, digits) in members.iter().zip(&mut digits) {
            add_samples(digits, samples, lane, &mut any, &mut all);
        }
        for i in 0..LANES {
            let mut parting = any[i] & !all[i];
            if parting == 0 {
                continue;
            }
            unpack(&digits, &widths, i, &mut counts);
            while parting != 0 {
                let bit = parting.leading_zeros() as usize;
                parting &= !(1 << (63 - bit));
                part.iter_mut().zip(&counts).for_each(|(p, c)| *p = c[bit]);
                found((64 * (at + i) + bit) as u32, &part);
            }
        }
    }
}

fn add_samples(
    digits: &mut [Lane],
    samples: &[u32],
    lane: impl Fn(u32) -> Lane,
    any: &mut Lane,
    all: &mut Lane,
) {
    digits.fill(EMPTY);
    let mut seen = |sample: u32| {
        let row = lane(sample);
        for i in 0..LANES {
            any[i] |= row[i];
            all[i] &= row[i];
        }
        row
    };
    let eights = samples.chunks_exact(8);
    let rest = eights.remainder();
    for s in eights {
        let rows: [Lane; 8] = std::array::from_fn(|i| seen(s[i]));
        let (ones, a) = add3(digits[0], rows[0], rows[1]);
        let (ones, b) = add3(ones, rows[2], rows[3]);
        let (ones, c) = add3(ones, rows[4], rows[5]);
        let (ones, d) = add3(ones, rows[6], rows[7]);
        let (twos, a) = add3(digits[1], a, b);
        let (twos, b) = add3(twos, c, d);
        let (fours, carry) = add3(digits[2], a, b);
        (digits[0], digits[1], digits[2]) = (ones, twos, fours);
        ripple(&mut digits[3..], carry);
    }
    for s in rest {
        ripple(digits, seen(*s));
    }
}

/// Adds one bit to every number.
fn ripple(digits: &mut [Lane], mut carry: Lane) {
    for digit in digits {
        for i in 0..LANES {
            (digit[i], carry[i]) = (digit[i] ^ carry[i], digit[i] & carry[i]);
        }
    }
}

/// Counts of the 64 cuts of lane `i`, class by class.
fn unpack(digits: &[Vec<Lane>], widths: &[usize], i: usize, counts: &mut [[u64; 64]]) {
    let mut start = 0;
    while start < widths.len() {
        // As many classes as fit into one block of 64 digits.
        let mut block = [0_u64; 64];
        let (mut used, mut end) = (0, start);
        while end < widths.len() && used + widths[end] <= 64 {
            for digit in digits[end].iter().rev() {
                block[used] = digit[i];
                used += 1;
            }
            end += 1;
        }
        transpose64(&mut block);
        let mut shift = 64;
        for class in start..end {
            shift -= widths[class];
            let mask = (1_u64 << widths[class]) - 1;
            for (count, word) in counts[class].iter_mut().zip(&block) {
                // A class without samples has no digits, and may stand at the end of the block.
                *count = word.checked_shr(shift as u32).unwrap_or(0) & mask;
            }
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_are_those_of_the_cells(
            columns in 1_usize..200,
            classes in 1_usize..12,
            cells in prop::collection::vec(-1_i8..=1, 200..12_000),
            picks in prop::collection::vec((any::<u32>(), 0_usize..12), 1..400),
        ) {
            let n = cells.len().div_euclid(columns);
            let cells = &cells[..n * columns];
            let x = FeatureMatrix::from_planes(&Planes::from_cells(columns, cells).expect("ternary"));
            let mut members = vec![Vec::new(); classes];
            for (sample, class) in &picks {
                members[class % classes].push(sample % n as u32);
            }
            let mut swept = Vec::new();
            sweep(&x, &members, |cut, part| swept.push((cut, part.to_vec())));
            let upper = |cut: u32, s: u32| (x.cut(cut)[s as usize >> 6] >> (63 - (s & 63))) & 1;
            let naive: Vec<(u32, Vec<u64>)> = (0..x.cut_count() as u32)
                .map(|cut| (cut, members.iter().map(|m| m.iter().map(|s| upper(cut, *s)).sum()).collect::<Vec<u64>>()))
                .filter(|(_, part)| (1..picks.len() as u64).contains(&part.iter().sum()))
                .collect();
            prop_assert_eq!(swept, naive);
        }
    }
}
