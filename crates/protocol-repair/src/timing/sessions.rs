//! Stretches of real captures' gaps, and how they are written.

use super::step::{CONTEXTS, LEVELS, Step};
use serde::{Deserialize, Serialize};

/// Two characters hold a context and a gap's level: 6 × 682 of 64 × 64 codes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Stretches of gaps as they followed each other in real captures, each with its packet's
/// context.
///
/// # Layout
/// One text for each stretch, two characters for each packet: `682 context + level`, in digits of
/// base 64 (A–Z, a–z, 0–9, -, _), the high one first. `context = 3 * direction changed + size
/// class` with IP packets of at most 128, at most 1000, and more bytes; 682 levels divide
/// `log10(gap in ns)` from 3 to 11.5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GapModel {
    #[serde(with = "text")]
    pub(super) sessions: Vec<Vec<Step>>,
}

impl GapModel {
    /// Number of gaps that are stored.
    pub fn gaps(&self) -> usize {
        self.sessions.iter().map(Vec::len).sum()
    }
}

/// The texts of stretches.
mod text {
    use super::{ALPHABET, CONTEXTS, LEVELS, Step};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        sessions: &[Vec<Step>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let character = |digit: usize| char::from(ALPHABET[digit]);
        let text = |session: &Vec<Step>| -> String {
            let code = |s: &Step| usize::from(s.context) * LEVELS + usize::from(s.level);
            let codes = session.iter().map(code);
            codes.flat_map(|code| [character(code >> 6), character(code & 63)]).collect()
        };
        serializer.collect_seq(sessions.iter().map(text))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<Step>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let session = |(index, text): (usize, &String)| {
            let pairs = text.as_bytes().chunks(2).enumerate();
            let wrong = |at: usize| {
                D::Error::custom(format_args!("stretch {index}: no gap at character {}", 2 * at))
            };
            pairs.map(|(at, pair)| step(pair).ok_or_else(|| wrong(at))).collect()
        };
        texts.iter().enumerate().map(session).collect()
    }

    fn step(pair: &[u8]) -> Option<Step> {
        let digit = |of: &u8| ALPHABET.iter().position(|c| c == of);
        let [high, low] = pair else { return None };
        let code = 64 * digit(high)? + digit(low)?;
        let (context, level) = (code.div_euclid(LEVELS), code % LEVELS);
        (context < CONTEXTS).then_some(Step { context: context as u8, level: level as u16 })
    }
}
