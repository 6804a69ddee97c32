//! 64 × 64 bit transposition.

/// Transposes in place; row `i` is word `i`, column `j` is bit `63 - j`.
///
/// # Source
/// Warren, "Hacker's Delight", section 7-3: six rounds that exchange ever smaller blocks.
pub(crate) fn transpose64(block: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_ffff_ffff_u64);
    while width != 0 {
        for group in (0..64).step_by(2 * width) {
            for upper in group..group + width {
                let t = (block[upper] ^ (block[upper + width] >> width)) & mask;
                block[upper] ^= t;
                block[upper + width] ^= t << width;
            }
        }
        width >>= 1;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exchanges_rows_and_columns(rows in prop::collection::vec(any::<u64>(), 64)) {
            let before: [u64; 64] = rows.try_into().expect("64 words");
            let mut after = before;
            transpose64(&mut after);
            for (i, row) in before.iter().enumerate() {
                for (j, column) in after.iter().enumerate() {
                    prop_assert_eq!((row >> (63 - j)) & 1, (column >> (63 - i)) & 1);
                }
            }
        }
    }
}
