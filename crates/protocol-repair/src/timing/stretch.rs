//! Stretches of real captures' gaps, and how they are written.

use super::step::{LEVELS, Step};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Two characters hold a context and a gap's level: 8 × 512 are the 64 × 64 codes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Gaps as they followed each other in a real capture, each with its packet's context; at least
/// one.
///
/// # Layout
/// A text, two characters for each packet: `512 context + level`, in digits of base 64 (A–Z, a–z,
/// 0–9, -, _), the high one first. `context = 4 * direction changed + kind`, where the kind is 0 without
/// payload, and else 1, 2, 3 for IP packets of at most 256, at most 1000, and more bytes; 512 levels
/// divide `log10(gap in ns)` from 3 to 11.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch(Vec<Step>);

impl Stretch {
    /// The stretch of these steps, where there are any.
    pub(super) fn new(steps: &[Step]) -> Option<Self> {
        (!steps.is_empty()).then(|| Self(steps.to_vec()))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl Serialize for Stretch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let character = |digit: usize| char::from(ALPHABET[digit]);
        let codes = self.0.iter().map(|s| usize::from(s.context) * LEVELS + usize::from(s.level));
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
        Self::new(&steps).ok_or_else(|| wrong(0))
    }
}

fn step(pair: &[u8]) -> Option<Step> {
    let digit = |of: &u8| ALPHABET.iter().position(|c| c == of);
    let [high, low] = pair else { return None };
    let code = 64 * digit(high)? + digit(low)?;
    Some(Step { context: code.div_euclid(LEVELS) as u8, level: (code % LEVELS) as u16 })
}
