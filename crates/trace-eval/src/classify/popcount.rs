//! Counting bits without the instruction for it, which not every x86-64 has.

const PAIRS: u64 = 0x5555_5555_5555_5555;
const NIBBLES: u64 = 0x3333_3333_3333_3333;
const BYTES: u64 = 0x0f0f_0f0f_0f0f_0f0f;

/// The number of bits set in each byte of a word, in that byte.
pub(crate) fn by_byte(word: u64) -> u64 {
    let pairs = word - ((word >> 1) & PAIRS);
    let nibbles = (pairs & NIBBLES) + ((pairs >> 2) & NIBBLES);
    (nibbles + (nibbles >> 4)) & BYTES
}

/// How many results of [`by_byte`] a byte can hold the sum of.
pub(crate) const WORDS_A_BYTE: usize = 31;

/// The sum of the eight bytes of a word.
pub(crate) fn sum_of_bytes(bytes: u64) -> u64 {
    let halves = (bytes & 0x00ff_00ff_00ff_00ff) + ((bytes >> 8) & 0x00ff_00ff_00ff_00ff);
    halves.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

/// Sum and carry of three bits, everywhere at once.
pub(crate) fn add3<const N: usize>(a: [u64; N], b: [u64; N], c: [u64; N]) -> ([u64; N], [u64; N]) {
    let (mut sum, mut carry) = ([0; N], [0; N]);
    for i in 0..N {
        let either = a[i] ^ b[i];
        sum[i] = either ^ c[i];
        carry[i] = (a[i] & b[i]) | (either & c[i]);
    }
    (sum, carry)
}

/// Words of a block of [`shared_ones`].
const BLOCK: usize = 16;

/// Number of bits that are set in both.
///
/// Sixteen words go through a tree of carry-save adders, so that one word in eight is counted; a count
/// takes twelve operations, an adder five.
///
/// # Source
/// Warren, "Hacker's Delight", section 5-1 (Harley and Seal).
pub(crate) fn shared_ones(a: &[u64], b: &[u64]) -> u64 {
    let (blocks_a, blocks_b) = (a.chunks_exact(BLOCK), b.chunks_exact(BLOCK));
    let (rest_a, rest_b) = (blocks_a.remainder(), blocks_b.remainder());
    let (mut ones, mut twos, mut fours) = ([0; 2], [0; 2], [0; 2]);
    let (mut eights, mut pending) = ([0_u64; 2], 0);
    let mut sum = 0;
    for (a, b) in blocks_a.zip(blocks_b) {
        let both = |i: usize| [a[2 * i] & b[2 * i], a[2 * i + 1] & b[2 * i + 1]];
        let (s, twos_a) = add3(ones, both(0), both(1));
        let (s, twos_b) = add3(s, both(2), both(3));
        let (s, twos_c) = add3(s, both(4), both(5));
        let (s, twos_d) = add3(s, both(6), both(7));
        ones = s;
        let (s, fours_a) = add3(twos, twos_a, twos_b);
        let (s, fours_b) = add3(s, twos_c, twos_d);
        twos = s;
        let (s, carry) = add3(fours, fours_a, fours_b);
        fours = s;
        for i in 0..2 {
            eights[i] += by_byte(carry[i]);
        }
        pending += 1;
        if pending == WORDS_A_BYTE {
            sum += 8 * (sum_of_bytes(eights[0]) + sum_of_bytes(eights[1]));
            (eights, pending) = ([0; 2], 0);
        }
    }
    for i in 0..2 {
        sum += 8 * sum_of_bytes(eights[i]) + sum_of_bytes(by_byte(ones[i]));
        sum += 2 * sum_of_bytes(by_byte(twos[i])) + 4 * sum_of_bytes(by_byte(fours[i]));
    }
    sum + rest_a.iter().zip(rest_b).map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_counted(words in prop::collection::vec(any::<u64>(), 0..=WORDS_A_BYTE)) {
            let naive: u64 = words.iter().map(|w| u64::from(w.count_ones())).sum();
            prop_assert_eq!(sum_of_bytes(words.iter().map(|w| by_byte(*w)).sum()), naive);
        }

        #[test]
        fn shared_bits_are_counted(words in prop::collection::vec(any::<(u64, u64)>(), 0..1200)) {
            let (a, b): (Vec<u64>, Vec<u64>) = words.into_iter().unzip();
            let naive: u64 = a.iter().zip(&b).map(|(a, b)| u64::from((a & b).count_ones())).sum();
            prop_assert_eq!(shared_ones(&a, &b), naive);
        }

        #[test]
        fn three_bits_make_a_sum_and_a_carry(a: u64, b: u64, c: u64) {
            let ([sum], [carry]) = add3([a], [b], [c]);
            for bit in 0..64 {
                let at = |w: u64| (w >> bit) & 1;
                prop_assert_eq!(at(a) + at(b) + at(c), at(sum) + 2 * at(carry));
            }
        }
    }

    #[test]
    fn full_words_do_not_overflow() {
        let full = vec![u64::MAX; 1000];
        assert_eq!(shared_ones(&full, &full), 64_000);
    }
}
