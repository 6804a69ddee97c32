//! What each segment acknowledges: never less than before, never more than was sent.

use super::beam::{Beam, Breadth, State};
use super::candidates::insert;
use super::holes::fill;
use super::known::Key;
use super::segment::{SILENT, Segment, distance, filled};
use super::stream::{ALL, AS_BEFORE, PASSES, Placed, REACH, SOME};
use crate::draft::Draft;
use crate::evidence::Noise;
use nprint_codec::tcp;

/// Nats of one of the ends of segments that less than all is acknowledged of, and of a number that is
/// no segment's end, any of those between.
const AN_END: f32 = 2.5;
const NO_END: f32 = 1.8;
/// Ends that a disturbed acknowledgement is compared with: 99.8 % lie within.
const COMPARED: usize = 128;
/// Wrong bits of an acknowledgement that is taken for an end's.
const WRONG_BITS: u32 = 6;

/// Ends that are tried.
const ALIKE: usize = 3;

/// How far the search looks.
const BREADTH: Breadth = Breadth { width: 24, margin: 45.0 };

/// What was acknowledged last, if anything was, and whether that was less than could be.
#[derive(Debug, Clone, Copy)]
struct Acked(Option<u32>, bool);

impl State for Acked {
    type Key = Option<u32>;
    type Step = Self;

    fn key_after(&self, step: Self) -> Option<u32> {
        step.0
    }

    fn after(&self, step: Self) -> Self {
        step
    }
}

impl Key for Option<u32> {
    fn number(self) -> u32 {
        self.unwrap_or(0)
    }
}

/// The acknowledgement numbers of `side`, one for each of its segments, in order; 0 without ACK.
/// `placed` are the other side's segments, `first` is where its stream begins; `noise` is `None`
/// where the numbers of the evidence say nothing.
pub(super) fn decide(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    (first, placed): (u32, &[Placed]),
    noise: Option<Noise>,
) -> Vec<u32> {
    let column = draft.evidence.cells().layout().column_of(tcp::ACK_NUMBER).unwrap_or(0);
    let opens = segments.iter().find(|s| s.side != side).is_some_and(|s| s.syn);
    let mut placed = placed.iter();
    let mut ends: Vec<u32> = Vec::new();
    let mut head = first;
    let mut holes: Vec<(u32, u32)> = Vec::new();
    // The first acknowledgement may be of less than the trace shows.
    let mut beam: Beam<Acked, u32> = Beam::new(BREADTH, [(0.0, Acked(None, false))]);
    for segment in segments {
        if segment.side != side {
            let Some(placed) = placed.next() else { continue };
            let end = placed.seq.wrapping_add(placed.payload + segment.control());
            if distance(head, placed.seq) < 0 {
                fill(&mut holes, placed.seq, end);
            } else if placed.head != head && placed.seq != head {
                holes.push((head, placed.seq));
            }
            if placed.head != head {
                head = placed.head;
                ends.push(head);
            }
            continue;
        }
        if !segment.ack {
            beam.step(|state, offers| offers.add(0.0, *state, 0));
            continue;
        }
        let Some(noise) = noise.filter(|_| !segment.exact) else {
            // An answer, also a late one, acknowledges the SYN.
            let value = if segment.syn && opens { first.wrapping_add(1) } else { head };
            beam.step(|_, offers| {
                offers.add(0.0, Acked(Some(value), false), value);
            });
            continue;
        };
        let cost = |value| {
            let (row, reading) = (segment.row, segment.ack_number);
            draft.evidence.cost_of(noise, row, column, reading, value).min(SILENT)
        };
        let alike = alike(segment, &ends);
        let own = Some(filled(segment.ack_number, head));
        beam.step(|Acked(state, lagging), offers| {
            let lagging = usize::from(*lagging);
            // All that can be acknowledged, up to the first hole that is not passed yet.
            let open = holes.iter().map(|hole| hole.0);
            let open = open.filter(|from| state.is_none_or(|before| distance(before, *from) >= 0));
            let whole = open.min_by_key(|from| distance(head, *from)).unwrap_or(head);
            let mut offer = |cost: f32, value: u32| {
                offers.add(cost, Acked(Some(value), value != whole), value);
            };
            let before = state.unwrap_or(whole);
            offer(cost(whole) + if before == whole { 0.0 } else { ALL[lagging] }, whole);
            if whole != head {
                offer(PASSES + cost(head), head);
            }
            if before != whole {
                offer(AS_BEFORE[lagging] + cost(before), before);
            }
            let some = |value| {
                let passes = if distance(whole, value) > 0 { PASSES } else { 0.0 };
                SOME[lagging] + passes + cost(value)
            };
            let within = |value: u32| match state {
                Some(before) => distance(*before, value) > 0 && distance(value, head) > 0,
                None => value != head && head.wrapping_sub(value) < REACH,
            };
            for value in alike.into_iter().flatten().filter(|v| within(*v)) {
                offer(AN_END + some(value), value);
            }
            if let Some(own) = own.filter(|v| within(*v) && !alike.contains(&Some(*v))) {
                let span = head.wrapping_sub(state.unwrap_or(head.wrapping_sub(REACH)));
                offer(NO_END + (span as f32).ln() + some(own), own);
            }
        });
    }
    beam.finish()
}

/// The ends but the last that the segment's own number resembles most.
fn alike(segment: &Segment, ends: &[u32]) -> [Option<u32>; ALIKE] {
    let reading = segment.ack_number;
    let earlier = &ends[..ends.len().saturating_sub(1)];
    let compared = &earlier[earlier.len().saturating_sub(COMPARED)..];
    // All are counted first: a compiler does several at once.
    let mut wrong = [0; COMPARED];
    for (wrong, end) in wrong.iter_mut().zip(compared) {
        *wrong = reading.wrong(*end);
    }
    let mut best = [(WRONG_BITS + 1, 0); ALIKE];
    for (wrong, end) in wrong.iter().zip(compared).rev() {
        if *wrong < best[ALIKE - 1].0 {
            insert(&mut best, (*wrong, *end));
        }
    }
    best.map(|(wrong, end)| (wrong <= WRONG_BITS).then_some(end))
}
