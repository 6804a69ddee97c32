//! Stretches of real captures' gaps, and how they are written.

use super::habits::Habits;
use super::step::{CONTEXTS, LEVELS, Packet, Service, Step, level_of};
use serde::{Deserialize, Serialize};

/// A character holds six bits: three hold two gaps, each of 10 × 51 of 512 codes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Bits of a code.
const CODE_BITS: usize = 9;
const _: () = assert!(CONTEXTS * LEVELS <= 1 << CODE_BITS);

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
/// `{"services":[[[protocol, port], share], …],"gaps":text}`, the shares of packets in 32768ths, and three
/// characters for each two packets: their codes `51 context + level` of nine bits, the first one's
/// first, in digits of base 64 (A–Z, a–z, 0–9, -, _), the high one first. A last packet without another has
/// two characters, the high nine of their bits. `context = 5 * direction changed + kind`, where the kind is 4
/// for a packet that begins or ends a conversation, else 0 without payload, and 1, 2, 3 for IP packets of at most 256,
/// at most 1000, and more bytes; 51 levels divide `log10(gap in ns)` from 3 to 11.5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(super) struct Stretch {
    steps: Vec<Step>,
    habits: Habits,
}

impl Stretch {
    /// The stretch of these packets and gaps, where there are any.
    pub(super) fn new(observed: &[(Packet, u64)]) -> Option<Self> {
        let packets: Vec<Packet> = observed.iter().map(|(packet, _)| *packet).collect();
        let step =
            |(packet, gap): &(Packet, u64)| Step { context: packet.context, level: level_of(*gap) };
        let steps: Vec<Step> = observed.iter().map(step).collect();
        if steps.is_empty() { None } else { Some(Self { steps, habits: Habits::of(&packets) }) }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What its packets are like.
    pub(super) fn habits(&self) -> &Habits {
        &self.habits
    }
}

/// The form of a stretch in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    services: Vec<(Service, u16)>,
    gaps: String,
}

impl From<Stretch> for Written {
    fn from(stretch: Stretch) -> Self {
        let code = |s: &Step| usize::from(s.context) * LEVELS + usize::from(s.level);
        let digits = |pair: &[Step]| {
            let bits = code(&pair[0]) << CODE_BITS | pair.get(1).map_or(0, code);
            let digits = [bits >> 12, bits >> 6 & 63, bits & 63];
            digits.into_iter().take(pair.len() + 1).map(|digit| char::from(ALPHABET[digit]))
        };
        let gaps = stretch.steps.chunks(2).flat_map(digits).collect();
        Self { services: stretch.habits.services().to_vec(), gaps }
    }
}

/// The first character that is not part of a gap.
#[derive(Debug, thiserror::Error)]
#[error("a stretch has no gap at character {0}")]
struct NoGap(usize);

impl TryFrom<Written> for Stretch {
    type Error = NoGap;

    fn try_from(written: Written) -> Result<Self, NoGap> {
        let mut steps: Vec<Step> = Vec::with_capacity(written.gaps.len());
        for (at, digits) in written.gaps.as_bytes().chunks(3).enumerate() {
            let bits = bits(digits).ok_or(NoGap(3 * at))?;
            let codes = [bits >> CODE_BITS, bits & ((1 << CODE_BITS) - 1)];
            for code in codes.into_iter().take(digits.len() - 1) {
                steps.push(step(code).ok_or(NoGap(3 * at))?);
            }
        }
        if steps.is_empty() {
            return Err(NoGap(0));
        }
        let habits = Habits::new(steps.iter().map(|step| step.context), written.services);
        Ok(Self { steps, habits })
    }
}

/// The 18 bits of two or three characters.
fn bits(characters: &[u8]) -> Option<usize> {
    let digit = |of: &u8| Some(usize::from(DIGITS[usize::from(*of)])).filter(|d| *d < 64);
    match characters {
        [high, middle, low] => Some(digit(high)? << 12 | digit(middle)? << 6 | digit(low)?),
        // What is left over behind the only code.
        [high, low] => {
            Some(digit(high)? << 12 | digit(low)? << 6).filter(|bits| bits % (1 << CODE_BITS) == 0)
        }
        _ => None,
    }
}

fn step(code: usize) -> Option<Step> {
    let context = code.div_euclid(LEVELS);
    let step = Step { context: context as u8, level: (code % LEVELS) as u8 };
    (context < CONTEXTS).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [1, 2, 3, 509, 1023] {
            let observed = |index: u64| {
                let packet = Packet { context: (index % 10) as u8, service: (17, 53) };
                (packet, 1_000 * 3_u64.pow(index as u32 % 17))
            };
            let observed: Vec<(Packet, u64)> = (0..length).map(observed).collect();
            let stretch = Stretch::new(&observed).expect("some steps");
            let text = serde_json::to_string(&stretch).expect("JSON");
            assert_eq!(serde_json::from_str::<Stretch>(&text).expect("read"), stretch);
            let Written { gaps, services } = stretch.into();
            assert_eq!(gaps.len() as u64, (3 * length).div_ceil(2));
            assert_eq!(services, [((17, 53), 32768)]);
        }
        assert_eq!((step(CONTEXTS * LEVELS), step(511)), (None, None));
    }
}
