//! Bits and bytes of one row of a bit plane.
//!
//! Representation: column `c` is bit `63 - c % 64` of word `c / 64`, so byte `i` of a row is byte
//! `i % 8`, counted from the most significant one, of word `i / 8`. Runs of bytes are moved a
//! word at a time, shifted where they do not start on a word. Bench: `encode/*`.

/// `bits` (at most 32) bits from `column` on, right-aligned.
#[inline]
pub(crate) fn extract(plane: &[u64], column: usize, bits: usize) -> u64 {
    let (word, shift) = (column >> 6, column & 63);
    let high = plane[word] << shift;
    let low = if shift + bits > 64 { plane[word + 1] >> (64 - shift) } else { 0 };
    (high | low) >> (64 - bits)
}

/// Writes the low `bits` (at most 32) of `value` from `column` on.
#[inline]
pub(crate) fn deposit(plane: &mut [u64], column: usize, bits: usize, value: u64) {
    let (word, shift) = (column >> 6, column & 63);
    let mask = ((1_u64 << bits) - 1) << (64 - bits);
    let value = (value << (64 - bits)) & mask;
    plane[word] = (plane[word] & !(mask >> shift)) | (value >> shift);
    if shift + bits > 64 {
        let back = 64 - shift;
        plane[word + 1] = (plane[word + 1] & !(mask << back)) | (value << back);
    }
}

/// Writes `bytes` from byte `at` on, where every bit is still 0.
#[inline]
pub(crate) fn fill_in(plane: &mut [u64], at: usize, bytes: &[u8]) {
    let (mut word, shift) = (at >> 3, 8 * (at & 7) as u32);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut carry = 0;
    for eight in words {
        let eight = u64::from_be_bytes(*eight);
        plane[word] |= carry | (eight >> shift);
        // Two shifts: one by 64 is none.
        carry = (eight << (63 - shift)) << 1;
        word += 1;
    }
    let tail = match bytes.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        Some(last) => u64::from_be_bytes(*last) << (64 - 8 * rest.len()),
        None => rest.iter().rfold(0, |tail, byte| (tail >> 8) | (u64::from(*byte) << 56)),
    };
    let (first, second) = (carry | (tail >> shift), (tail << (63 - shift)) << 1);
    // Both are 0 where the bytes end with the word before, perhaps the last one.
    if first != 0 {
        plane[word] |= first;
    }
    if second != 0 {
        plane[word + 1] |= second;
    }
}

/// Applies `change` to each word that bytes `at..at + length` touch, with a mask of their bits.
#[inline]
fn masked(plane: &mut [u64], at: usize, length: usize, change: impl Fn(&mut u64, u64)) {
    if length == 0 {
        return;
    }
    let last = at + length - 1;
    let head = u64::MAX >> (8 * (at & 7));
    let tail = u64::MAX << (56 - 8 * (last & 7));
    match &mut plane[at >> 3..=last >> 3] {
        [only] => change(only, head & tail),
        [first, middle @ .., end] => {
            change(first, head);
            for word in middle {
                change(word, u64::MAX);
            }
            change(end, tail);
        }
        [] => {}
    }
}

/// Sets every bit of bytes `at..at + length`.
#[inline]
pub(crate) fn set_bytes(plane: &mut [u64], at: usize, length: usize) {
    masked(plane, at, length, |word, mask| *word |= mask);
}

/// Clears every bit of bytes `at..at + length`.
#[inline]
pub(crate) fn clear_bytes(plane: &mut [u64], at: usize, length: usize) {
    masked(plane, at, length, |word, mask| *word &= !mask);
}

/// Length of bytes `at..at + length` up to the last one that is not 0; 0 where all are.
#[inline]
pub(crate) fn used_bytes(plane: &[u64], at: usize, length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    let (first, last) = (at >> 3, at + length - 1);
    // Up to the last byte of `word` that is not 0, counted from `at`; 0 where it lies before.
    let up_to = |word: usize, bits: u64| {
        let byte = 8 * word + 7 - (bits.trailing_zeros() >> 3) as usize;
        (byte + 1).saturating_sub(at)
    };
    let tail = plane[last >> 3] & (u64::MAX << (56 - 8 * (last & 7)));
    if tail != 0 {
        return up_to(last >> 3, tail);
    }
    let before = &plane[first..last >> 3];
    before.iter().rposition(|bits| *bits != 0).map_or(0, |word| up_to(first + word, before[word]))
}

/// The row's bytes in column order, `8 × plane.len()` of them.
#[inline]
pub(crate) fn copy_bytes(plane: &[u64], out: &mut [u8]) {
    for (slot, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(plane) {
        *slot = word.to_be_bytes();
    }
}

/// Copies bytes `at..at + length` to the start of `out`, a word at a time: up to seven bytes behind
/// them are overwritten, and `out` has room for those.
#[inline]
pub(crate) fn copy_run(plane: &[u64], at: usize, length: usize, out: &mut [u8]) {
    let (first, shift) = (at >> 3, 8 * (at & 7) as u32);
    let slots = out[..length.next_multiple_of(8)].as_chunks_mut::<8>().0;
    for (slot, word) in slots.iter_mut().zip(first..) {
        let next = plane.get(word + 1).copied().unwrap_or(0);
        // Two shifts: one by 64 is none.
        *slot = ((plane[word] << shift) | ((next >> 1) >> (63 - shift))).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plane(bytes: &[u8; 40]) -> Vec<u64> {
        bytes.as_chunks().0.iter().map(|eight| u64::from_be_bytes(*eight)).collect()
    }

    proptest! {
        #[test]
        fn bytes_are_moved_as_a_loop_would(
            background in any::<[u8; 20]>(),
            bytes in prop::collection::vec(any::<u8>(), 0..=40),
            at in 0_usize..40,
        ) {
            let bytes = &bytes[..bytes.len().min(40 - at)];
            let range = at..at + bytes.len();
            let mut row = [0; 40];
            row[..20].copy_from_slice(&background);

            let mut ours = plane(&row);
            clear_bytes(&mut ours, at, bytes.len());
            row[range.clone()].fill(0);
            prop_assert_eq!(&ours, &plane(&row));

            fill_in(&mut ours, at, bytes);
            row[range.clone()].copy_from_slice(bytes);
            prop_assert_eq!(&ours, &plane(&row));
            let used = row[range.clone()].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            prop_assert_eq!(used_bytes(&ours, at, bytes.len()), used);
            let mut out = [0; 40];
            copy_bytes(&ours, &mut out);
            prop_assert_eq!(out, row);
            let mut out = [0; 48];
            copy_run(&ours, at, bytes.len(), &mut out);
            prop_assert_eq!(&out[..bytes.len()], &row[range.clone()]);

            set_bytes(&mut ours, at, bytes.len());
            row[range].fill(0xff);
            prop_assert_eq!(ours, plane(&row));
        }
    }
}
