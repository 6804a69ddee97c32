//! TCP segment lengths that agree with the sequence numbers around them.
//!
//! The number of a segment and that of the next one of its side say how long it is, and so does an
//! acknowledgement; the length fields say it once more. Each of them may be wrong. The lengths are
//! those of the cheapest stream that all of them together make.

use super::lengths::Headers;
use crate::compile::payload::fewest_tcp;
use crate::draft::{Connection, Draft};
use crate::infer::settle::counts;
use crate::plan::bases::starts;
use crate::plan::candidates::{Lengths, insert};
use crate::plan::flags::DATA_AFTER_FIN;
use crate::plan::push;
use crate::plan::segment::{Length, Segment, segments};
use crate::plan::stream::lay_out;
use nprint_codec::ipv4;

/// Most nats of a length that the side has not shown before.
const NEW_LENGTH: f32 = 9.0;
/// Nats of data shorter than any message of its protocol: 1 of 49,419 segments of those whose messages
/// are known.
const SHORT: f32 = 10.8;
/// Frequent lengths that are told apart by how often they come.
const FREQUENT: usize = 64;

/// Of these, how many are tried for a segment.
const LIKELY: usize = 3;

/// Replaces lengths (bytes after the IP header, with their limit) of TCP rows where the numbers say
/// otherwise.
pub(super) fn agree_with_numbers(
    draft: &mut Draft<'_>,
    headers: &[Headers],
    lengths: &mut [(u32, u32)],
) {
    for Connection { flow, rows } in draft.connections().iter() {
        let settled = |row: usize, bare: bool| {
            let told = |most| Some(Length::of(draft, row, headers[row], most));
            if bare {
                // Neither opening nor reset carries data.
                return (0, told(0));
            }
            let (length, limit) = lengths[row];
            let fixed = headers[row].behind_ip();
            (length.saturating_sub(fixed), told(limit.saturating_sub(fixed)))
        };
        let segments = segments(draft, rows, settled);
        let starts = starts(draft, &segments, *flow, draft.noise);
        for (side, start) in starts.iter().enumerate().filter(|(_, s)| s.told) {
            let fewest = fewest_tcp(draft.flows[*flow].ports[1]) as u32;
            let open = Open::new(draft, &segments, side, fewest);
            let noise = Some(draft.noise);
            let placed = lay_out(draft, &segments, side, &start.numbers, &open, noise);
            for (segment, placed) in segments.iter().filter(|s| s.side == side).zip(placed) {
                lengths[segment.row].0 = placed.payload + headers[segment.row].behind_ip();
                draft.rows[segment.row].placed = Some(placed);
            }
        }
    }
}

/// Lengths while they are still to be decided.
struct Open<'a> {
    draft: &'a Draft<'a>,
    /// Bytes of the shortest message.
    fewest: u32,
    /// The side's most frequent lengths, in their order.
    frequent: Vec<Frequent>,
    /// Nats of a length that none has.
    unseen: f32,
    /// Nats of so many wrong bits of a length field, where only their number counts.
    prices: [f32; 33],
    pushed: Pushed,
}

/// How often segments of each [`push::kind`] are pushed, as they read.
struct Pushed {
    /// Most bytes of data of a segment.
    largest: u32,
    /// Nats of a segment of each kind that is not pushed, and of one that is.
    nats: [[f32; 2]; push::KINDS],
}

impl Pushed {
    fn new(segments: &[Segment], side: usize) -> Self {
        let own = || segments.iter().filter(|s| s.side == side && !s.syn && !s.rst);
        let largest = own().map(|s| s.payload).max().unwrap_or(0);
        let mut counts = [[0.5_f32; 2]; push::KINDS];
        for segment in own() {
            if let Some(push) = segment.length.and_then(|told| told.push) {
                counts[push::kind(segment.payload, largest)][usize::from(push)] += 1.0;
            }
        }
        Self { largest, nats: counts.map(|of| of.map(|count| -(count / (of[0] + of[1])).ln())) }
    }

    /// Nats of what a segment shows if it has so many bytes of data.
    fn cost(&self, segment: &Segment, payload: u32) -> f32 {
        let push = segment.length.and_then(|told| told.push);
        push.map_or(0.0, |push| self.nats[push::kind(payload, self.largest)][usize::from(push)])
    }
}

/// A length that segments of a side have.
struct Frequent {
    payload: u32,
    /// Nats of it for a segment of another length, and for one of them: a length does not vouch for
    /// itself.
    nats: [f32; 2],
}

impl<'a> Open<'a> {
    fn new(draft: &'a Draft<'a>, segments: &[Segment], side: usize, fewest: u32) -> Self {
        let settled: Vec<u32> =
            segments.iter().filter(|s| s.side == side).map(|s| s.payload).collect();
        let mut frequent = counts(&settled);
        frequent.truncate(FREQUENT);
        frequent.sort_unstable();
        let total = settled.len() as f32 + 1.0;
        let nats = |count: usize| (-((count as f32 + 0.02) / total).ln()).min(NEW_LENGTH);
        let frequent = frequent
            .into_iter()
            .map(|(payload, count)| Frequent { payload, nats: [nats(count), nats(count - 1)] });
        let prices = draft.noise.prices(ipv4::TOTAL_LENGTH.bits);
        let pushed = Pushed::new(segments, side);
        Self { draft, fewest, frequent: frequent.collect(), unseen: nats(0), prices, pushed }
    }

    /// Nats of what the length field says to `payload` bytes.
    fn told(&self, segment: &Segment, payload: u32) -> f32 {
        let Some(Length { reading, column, empty, .. }) = segment.length else { return 0.0 };
        let (evidence, noise) = (self.draft.evidence, self.draft.noise);
        if evidence.costs_by_count(noise) {
            return self.prices[reading.wrong(payload + empty) as usize];
        }
        evidence.cost_of(noise, segment.row, column, reading, payload + empty)
    }
}

impl Lengths for Open<'_> {
    const DECIDED: bool = false;

    fn cost(&self, segment: &Segment, payload: u32) -> f32 {
        let known = self.frequent.binary_search_by_key(&payload, |f| f.payload);
        let nats = known.map_or(self.unseen, |at| {
            self.frequent[at].nats[usize::from(payload == segment.payload)]
        });
        let short = if (1..self.fewest).contains(&payload) { SHORT } else { 0.0 };
        let late = if segment.ended && payload > 0 { DATA_AFTER_FIN } else { 0.0 };
        self.told(segment, payload) + nats + short + late + self.pushed.cost(segment, payload)
    }

    fn likely(&self, segment: &Segment, likely: &mut Vec<(u32, f32)>) -> f32 {
        let most = segment.most();
        let mut best = [(f32::MAX, 0); LIKELY];
        for Frequent { payload, nats: [nats, _] } in &self.frequent {
            let worst = best[LIKELY - 1].0;
            if *payload > most || *payload == segment.payload || *nats >= worst {
                continue;
            }
            let price = self.told(segment, *payload) + nats + self.pushed.cost(segment, *payload);
            if price < worst {
                insert(&mut best, (price, *payload));
            }
        }
        let priced = |payload: u32| (payload, self.cost(segment, payload));
        likely.push(priced(segment.payload));
        likely.extend(best.iter().filter(|(price, _)| *price < f32::MAX).map(|(_, p)| priced(*p)));
        let own = segment.length.and_then(|told| told.reading.value.checked_sub(told.empty));
        let own = own.filter(|own| *own <= most && likely.iter().all(|(l, _)| l != own));
        likely.extend(own.map(priced));
        // A field that reads otherwise has a wrong bit.
        let told = segment.length.is_some_and(|told| told.reading.is_full());
        let wrong = if told && self.draft.evidence.costs_by_count(self.draft.noise) {
            self.prices[1]
        } else {
            0.0
        };
        best[LIKELY - 1].0.min(wrong + self.unseen)
    }
}
