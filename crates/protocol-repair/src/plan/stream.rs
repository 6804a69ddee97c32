//! The place of one segment in its stream: what the numbers around it say, bit by bit.

use super::numbers::space;
use crate::draft::Draft;
use crate::evidence::Noise;
use nprint_codec::{Field, tcp};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Furthest that real data lies from what is known of its stream. Units: bytes.
pub(super) const REACH: i32 = 1 << 23;
/// Rows that say where a stream begins.
const VOTES: usize = 12;
/// Later segments of the same side that say where this one ends.
const AHEAD: usize = 5;
/// Nats that one number costs at most: it may be of a repetition, or behind a wrong length.
const CAP: f32 = 12.0;

/// How far `to` lies ahead of `from`.
pub(super) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Where the streams of a connection begin.
pub(super) struct Bases {
    /// First number of each side.
    pub(super) numbers: [u32; 2],
    /// Whether the evidence has something to say about the numbers, or they are drawn anew in every
    /// row.
    pub(super) told: bool,
}

/// Whether no number was disturbed: what stands there was sent.
fn is_trusted(draft: &Draft<'_>) -> bool {
    draft.noise.is_clean() && draft.evidence.is_certain()
}

/// First number of each side.
///
/// It is the one that the first rows make the cheapest when the stream is laid out without gaps: one
/// of those that they name, with single bits turned where that costs less. Later rows lie behind
/// more lengths that may be wrong.
pub(super) fn bases(draft: &Draft<'_>, rows: &[usize], flow: usize, noise: Noise) -> Bases {
    let mut offset = [0_u32; 2];
    let mut votes: [Vec<(usize, Field, u32)>; 2] = [Vec::new(), Vec::new()];
    for row in rows {
        let side = draft.rows[*row].direction;
        if votes[side].len() < VOTES {
            votes[side].push((*row, tcp::SEQ, offset[side]));
        }
        if draft.value(*row, tcp::ACK) == 1 && votes[1 - side].len() < VOTES {
            votes[1 - side].push((*row, tcp::ACK_NUMBER, offset[1 - side]));
        }
        if votes.iter().all(|v| v.len() == VOTES) {
            break;
        }
        offset[side] = offset[side].wrapping_add(space(draft, *row));
    }
    let connection = rows.first().map_or(0, |r| draft.rows[*r].connection);
    let stream = ((flow as u64) << 32) | u64::from(connection);
    let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_0f15);
    random.set_stream(stream);
    let mut out = Bases { numbers: [random.next_u32(), random.next_u32()], told: false };
    for (side, votes) in votes.iter().enumerate() {
        let cost = |base: u32| -> f32 {
            let of = |(row, field, offset): &(usize, Field, u32)| {
                draft.evidence.cost(noise, *row, *field, base.wrapping_add(*offset)).min(CAP)
            };
            votes.iter().map(of).sum()
        };
        let named: Vec<u32> = votes
            .iter()
            .filter_map(|(row, field, offset)| {
                let reading = draft.evidence.read(*row, *field);
                reading.is_full().then(|| reading.value.wrapping_sub(*offset))
            })
            .collect();
        // Of a repaired trace, which is read again, the first number is the one.
        let candidates = if is_trusted(draft) { &named[..named.len().min(1)] } else { &named };
        let mut best: Option<(f32, u32)> = None;
        for value in candidates {
            let cost = cost(*value);
            if best.is_none_or(|(b, _)| cost < b) {
                best = Some((cost, *value));
            }
        }
        let Some((mut least, mut base)) = best else { continue };
        for bit in 0..32 {
            let turned = base ^ (1 << bit);
            let cost = if least > 0.0 && !is_trusted(draft) { cost(turned) } else { f32::MAX };
            if cost < least {
                (least, base) = (cost, turned);
            }
        }
        out.numbers[side] = base;
        out.told |= named.iter().filter(|v| **v == base).count() >= 3;
        // Numbers drawn anew agree with none but the one that was chosen.
        let others = votes.len().saturating_sub(1) as f32;
        out.told |= votes.len() >= 6 && least < 0.8 * CAP * others;
    }
    out
}

/// A segment whose place is looked for.
pub(super) struct Segment<'a> {
    pub(super) draft: &'a Draft<'a>,
    /// Rows of its connection.
    pub(super) rows: &'a [usize],
    /// Its place among them.
    pub(super) index: usize,
    /// Sequence space that it takes.
    pub(super) length: u32,
    pub(super) noise: Noise,
}

impl Segment<'_> {
    /// The cheapest sequence number, and whether the stream goes on from there although it stood
    /// at `next`. `starts` are segments that were sent before.
    pub(super) fn sequence(&self, next: u32, starts: &[(u32, u32)]) -> (u32, bool) {
        let (draft, row) = (self.draft, self.rows[self.index]);
        let cost = |value: u32| draft.evidence.cost(self.noise, row, tcp::SEQ, value);
        let own = draft.evidence.read(row, tcp::SEQ);
        if own.is_full() && own.value == next {
            return (next, false);
        }
        let gap = distance(next, own.value);
        if is_trusted(draft) && own.is_full() && gap.unsigned_abs() < REACH.unsigned_abs() {
            let end = own.value.wrapping_add(self.length);
            return (own.value, gap > 0 || distance(next, end) > 0);
        }
        let later = self.later();
        let ahead = |at: u32| -> f32 {
            later
                .iter()
                .map(|(row, offset)| {
                    let value = at.wrapping_add(*offset);
                    draft.evidence.cost(self.noise, *row, tcp::SEQ, value).min(CAP)
                })
                .sum()
        };
        let mut best = (cost(next) + ahead(next.wrapping_add(self.length)), next, false);
        let mut consider = |value: u32, cost: f32, goes_on: bool| {
            if cost < best.0 {
                best = (cost, value, goes_on);
            }
        };
        // Again what was sent before; the stream stays where it is.
        let stays = ahead(next);
        for (start, sent) in starts.iter().rev().take(48) {
            if self.length == 0 || *sent == self.length {
                consider(*start, 5.0 + cost(*start) + stays, false);
            }
        }
        if self.length <= 1 {
            let before = next.wrapping_sub(1);
            consider(before, 7.0 + cost(before) + stays, false);
        }
        // On from where this number, or those of later segments, say.
        let from_later = later.iter().map(|(row, offset)| {
            let there = draft.evidence.read(*row, tcp::SEQ);
            let value = there.value.wrapping_sub(*offset).wrapping_sub(self.length);
            there.is_full().then_some(value)
        });
        for value in std::iter::once(own.is_full().then_some(own.value)).chain(from_later).flatten()
        {
            let gap = distance(next, value);
            if gap != 0 && gap.unsigned_abs() < REACH.unsigned_abs() {
                let size = (gap.unsigned_abs() as f32).ln();
                let prior = if gap > 0 { 4.0 + 0.3 * size } else { 7.0 + 0.3 * size };
                consider(value, prior + cost(value) + ahead(value.wrapping_add(self.length)), true);
            }
        }
        (best.1, best.2)
    }

    /// The next segments of this side, each with the bytes between this one's end and it.
    fn later(&self) -> Vec<(usize, u32)> {
        let side = self.draft.rows[self.rows[self.index]].direction;
        let mut offset = 0_u32;
        let mut out = Vec::with_capacity(AHEAD);
        for &row in self.rows[self.index + 1..].iter().take(8 * AHEAD) {
            if self.draft.rows[row].direction == side {
                out.push((row, offset));
                offset = offset.wrapping_add(space(self.draft, row));
                if out.len() == AHEAD {
                    break;
                }
            }
        }
        out
    }
}

/// The cheapest legal acknowledgement: no less than before, no more than was sent.
pub(super) fn acknowledgement(
    draft: &Draft<'_>,
    row: usize,
    before: u32,
    sent: u32,
    ends: &[u32],
    noise: Option<Noise>,
) -> u32 {
    let Some(noise) = noise else { return sent };
    let cost = |value: u32| draft.evidence.cost(noise, row, tcp::ACK_NUMBER, value);
    let mut best = (cost(sent) + 0.5, sent);
    let mut consider = |value: u32, prior: f32| {
        let cost = prior + cost(value);
        if cost < best.0 {
            best = (cost, value);
        }
    };
    consider(before, 1.5);
    for end in ends.iter().rev().take(128).take_while(|e| distance(before, **e) > 0) {
        consider(*end, 2.0);
    }
    let own = draft.evidence.read(row, tcp::ACK_NUMBER);
    if own.is_full() && distance(before, own.value) > 0 && distance(own.value, sent) > 0 {
        consider(own.value, 6.0);
    }
    best.1
}
