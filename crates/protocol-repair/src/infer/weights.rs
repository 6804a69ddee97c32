//! What contradicted bits of two ports weigh where cells are more or less certain.

use crate::evidence::LEAST_WEIGHT;

/// For each four bits, the most significant of the source first, each way in which they may be wrong: many
/// ports are compared with those of a row.
///
/// # Units
/// 255ths of a certain bit.
#[derive(Debug, Clone)]
pub(super) struct Weights([[u16; 16]; 8]);

impl Weights {
    /// From the bits of both that are known, and the confidences of their 32 cells.
    pub(super) fn new(known: [u32; 2], confidence: &[u8]) -> Self {
        let mut weights = [[0; 16]; 8];
        let known = known[0] << 16 | known[1];
        let fours = weights.iter_mut().zip(confidence.chunks(4)).enumerate();
        for (four, (weights, confidence)) in fours {
            // The least significant first: what is wrong with it, and what else may be.
            for (place, confidence) in confidence.iter().enumerate().rev() {
                let is_known = known & (0x8000_0000 >> (4 * four + place)) != 0;
                let weight = if is_known { u16::from((*confidence).max(LEAST_WEIGHT)) } else { 0 };
                let bit = 8 >> place;
                for others in 0..bit {
                    weights[bit + others] = weights[others] + weight;
                }
            }
        }
        Self(weights)
    }

    /// What some wrong bits of one port (0: source) weigh; those that are not known weigh nothing.
    #[inline]
    pub(super) fn of(&self, end: usize, wrong: u16) -> u16 {
        let wrong = usize::from(wrong);
        let [a, b, c, d] = [12, 8, 4, 0].map(|shift| wrong >> shift & 15);
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|four| &self.0[4 * end + four]);
        first[a] + second[b] + third[c] + fourth[d]
    }
}

#[cfg(test)]
mod tests {
    use super::Weights;

    #[test]
    fn wrong_bits_weigh_what_their_cells_are_sure_of() {
        let confidence: Vec<u8> = (0..32_u8).map(|cell| cell.wrapping_mul(91)).collect();
        let known = [0xf3b5, 0x0fff];
        let weights = Weights::new(known, &confidence);
        for wrong in [0, 1, 0x8000, 0x1234, 0xbeef, 0xffff] {
            for end in 0..2 {
                let weight = |bit: usize| u16::from(confidence[16 * end + bit]).max(8);
                let counts = |bit: &usize| u32::from(wrong) & known[end] & (0x8000 >> bit) != 0;
                let sum: u16 = (0..16).filter(counts).map(weight).sum();
                assert_eq!(weights.of(end, wrong), sum, "{wrong:x}");
            }
        }
    }
}
