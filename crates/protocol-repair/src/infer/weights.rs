//! What contradicted bits of a field or of two ports weigh where cells are more or less certain.

use crate::evidence::LEAST_WEIGHT;

/// Bits of the widest field whose values repeat: a flow label.
const WIDEST: usize = 20;

/// For each four bits, the most significant first, each way in which they may be wrong: many values are
/// compared with those of a row. Two ports are one field, the source first.
///
/// # Units
/// 255ths of a certain bit.
#[derive(Debug, Clone)]
pub(super) struct Weights([[u16; 16]; 8]);

impl Weights {
    /// From the bits that are known, the first one highest of 32, and the confidences of their cells.
    pub(super) fn new(known: u32, confidence: &[u8]) -> Self {
        let mut weights = [[0; 16]; 8];
        let fours = weights.iter_mut().zip(confidence.chunks(4)).enumerate();
        for (four, (weights, confidence)) in fours {
            let known = known << (4 * four);
            let mut each = [0; 4];
            for (place, (weight, confidence)) in each.iter_mut().zip(confidence).enumerate() {
                let is_known = known & (0x8000_0000 >> place) != 0;
                *weight = if is_known { u16::from((*confidence).max(LEAST_WEIGHT)) } else { 0 };
            }
            // The least significant first: what is wrong with it, and what else may be.
            for place in (0..4).rev() {
                let bit = 8 >> place;
                for others in 0..bit {
                    weights[bit + others] = weights[others] + each[place];
                }
            }
        }
        Self(weights)
    }

    /// What some wrong bits of a field weigh that has no more than [`WIDEST`] of them, the first one highest of
    /// 32; those that are not known weigh nothing.
    #[inline]
    pub(super) fn of_field(&self, wrong: u32) -> u16 {
        let weight = |four: usize| self.0[four][(wrong << (4 * four) >> 28) as usize];
        (0..WIDEST >> 2).map(weight).sum()
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
        let weights = Weights::new(known[0] << 16 | known[1], &confidence);
        for wrong in [0, 1, 0x8000, 0x1234, 0xbeef, 0xffff] {
            for end in 0..2 {
                let weight = |bit: usize| u16::from(confidence[16 * end + bit]).max(8);
                let counts = |bit: &usize| u32::from(wrong) & known[end] & (0x8000 >> bit) != 0;
                let sum: u16 = (0..16).filter(counts).map(weight).sum();
                assert_eq!(weights.of(end, wrong), sum, "{wrong:x}");
                assert!(end == 1 || weights.of_field(u32::from(wrong) << 16) == sum, "{wrong:x}");
            }
        }
    }
}
