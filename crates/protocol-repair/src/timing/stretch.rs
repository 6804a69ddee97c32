//! Stretches of real captures' gaps, and how they are written.

use super::step::{CONTEXTS, LEVELS, Step};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Two characters hold a context and a gap's level: 8 × 512 are the 64 × 64 codes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The digit of each character; 64 for none.
static DIGITS: [u8; 256] = {
    let mut digits = [64; 256];
    let mut digit = 0;
    while digit < 64 {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// Gaps as they followed each other in a real capture, each with its packet's context; at least
/// one.
///
/// # Layout
/// A text, two characters for each packet: `512 context + level`, in digits of base 64 (A–Z, a–z,
/// 0–9, -, _), the high one first. `context = 4 * direction changed + kind`, where the kind is 0 without
/// payload, and else 1, 2, 3 for IP packets of at most 256, at most 1000, and more bytes; 512 levels
/// divide `log10(gap in ns)` from 3 to 11.5.
///
/// For each context the places that have it are bits, the first place the lowest bit of the first word;
/// behind its end the stretch begins again, for 64 places and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    steps: Vec<Step>,
    having: [Vec<u64>; CONTEXTS],
}

impl Stretch {
    /// The stretch of these steps, where there are any.
    pub(super) fn new(steps: Vec<Step>) -> Option<Self> {
        if steps.is_empty() {
            return None;
        }
        let words = steps.len().div_ceil(64) + 1;
        let mut having = [(); CONTEXTS].map(|()| vec![0; words]);
        for (place, step) in steps.iter().cycle().enumerate().take(64 * words) {
            having[usize::from(step.context)][place >> 6] |= 1 << (place & 63);
        }
        Some(Self { steps, having })
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Which of the 64 places from `place` on have a context: bit 0 is `place` itself, which is a place
    /// of the stretch.
    #[inline]
    pub(super) fn having(&self, context: u8, place: usize) -> u64 {
        let words = &self.having[usize::from(context)][place >> 6..][..2];
        // Two shifts: one by 64 is none.
        words[0] >> (place & 63) | (words[1] << 1) << (63 - (place & 63))
    }
}

impl Serialize for Stretch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let character = |digit: usize| char::from(ALPHABET[digit]);
        let codes =
            self.steps.iter().map(|s| usize::from(s.context) * LEVELS + usize::from(s.level));
        let text: String =
            codes.flat_map(|code| [character(code >> 6), character(code & 63)]).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |at| D::Error::custom(format_args!("a stretch has no gap at character {at}"));
        let pairs = text.as_bytes().chunks(2).enumerate();
        let steps: Vec<Step> = pairs
            .map(|(at, pair)| step(pair).ok_or_else(|| wrong(2 * at)))
            .collect::<Result<_, _>>()?;
        Self::new(steps).ok_or_else(|| wrong(0))
    }
}

fn step(pair: &[u8]) -> Option<Step> {
    let digit = |of: &u8| Some(usize::from(DIGITS[usize::from(*of)])).filter(|d| *d < 64);
    let [high, low] = pair else { return None };
    let code = 64 * digit(high)? + digit(low)?;
    Some(Step { context: code.div_euclid(LEVELS) as u8, level: (code % LEVELS) as u16 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_have_a_context_go_round() {
        for length in [1_usize, 5, 63, 64, 65, 200] {
            let steps = (0..length).map(|i| Step { context: (i * i % 7) as u8, level: 0 });
            let stretch = Stretch::new(steps.collect()).expect("some steps");
            for place in 0..length {
                for context in 0..CONTEXTS as u8 {
                    let bit = |i: usize| (i * i % 7) as u8 == context;
                    let naive: u64 =
                        (0..64).map(|i| u64::from(bit((place + i) % length)) << i).sum();
                    assert_eq!(stretch.having(context, place), naive, "{length} {place} {context}");
                }
            }
        }
    }
}
