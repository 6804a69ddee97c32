//! TCP sequence and acknowledgement numbers.
//!
//! The numbers of a connection explain each other: data continues the stream or repeats a part
//! that is known, and what is acknowledged was sent. Evidence that does so is kept as it is. Else
//! the streams are laid out anew from the lengths, near the numbers that the evidence has.

use super::acks;
use super::bases::starts;
use super::candidates::Fixed;
use super::segment::{Segment, distance, segments};
use super::stream::{Placed, REACH, lay_out};
use crate::draft::{Connection, Draft};
use crate::evidence::Noise;
use nprint_codec::tcp;

/// Decides the numbers of every connection.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for Connection { flow, rows } in draft.connections().iter() {
        let decided = |row: usize, _| (draft.rows[row].payload_bytes, None);
        let segments = segments(draft, rows, decided);
        let verdict = explain(&segments);
        draft.explained.0 += verdict.explained;
        draft.explained.1 += rows.len();
        if verdict.keep && draft.noise.is_clean() {
            keep(draft, &segments);
        } else {
            renumber(draft, &segments, *flow, &verdict);
        }
    }
}

struct Verdict {
    keep: bool,
    /// Rows whose numbers follow from the others'.
    explained: usize,
    /// Share of rows whose sequence number exactly continues or repeats the stream.
    exact: f64,
}

/// One side's stream as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Stream {
    low: u32,
    next: u32,
}

/// How well the evidence's numbers explain each other.
fn explain(segments: &[Segment]) -> Verdict {
    let mut streams: [Option<Stream>; 2] = [None; 2];
    let (mut exact, mut plausible) = (0_usize, 0_usize);
    let (mut isn, mut answer, mut shaken) = (None, None, true);
    let mut open = false;
    for s in segments {
        let side = s.side;
        if !s.seq.is_full() || !s.ack_number.is_full() {
            continue;
        }
        let (seq, ack) = (s.seq.value, s.ack_number.value);
        let mut good = true;
        let mut possible = true;
        let end = seq.wrapping_add(s.payload + s.control());
        match &mut streams[side] {
            None => streams[side] = Some(Stream { low: seq, next: end }),
            Some(stream) => {
                let ahead = distance(stream.next, seq);
                good = ahead == 0 || (ahead < 0 && distance(stream.low, seq) >= 0);
                possible = ahead.unsigned_abs() < REACH || (s.rst && (seq == 0 || seq == ack));
                if possible && !s.rst {
                    if distance(stream.next, end) > 0 {
                        stream.next = end;
                    }
                    if distance(stream.low, seq) < 0 {
                        stream.low = seq;
                    }
                }
            }
        }
        if s.ack {
            match &mut streams[1 - side] {
                None => streams[1 - side] = Some(Stream { low: ack, next: ack }),
                Some(other) => {
                    let beyond = distance(other.next, ack);
                    good &= beyond <= 0 || !open;
                    possible &= beyond.unsigned_abs() < REACH;
                    if beyond > 0 && possible {
                        other.next = ack;
                    }
                }
            }
        }
        match (s.syn, side, isn, answer) {
            (true, 0, ..) => isn = Some(seq),
            (true, _, Some(isn), _) => {
                shaken &= ack == isn.wrapping_add(1);
                answer = Some(seq);
            }
            (false, 0, Some(isn), Some(answer)) if s.exact && s.ack && !s.rst => {
                shaken &= seq == isn.wrapping_add(1) && ack == answer.wrapping_add(1);
                open = true;
            }
            _ => {}
        }
        exact += usize::from(good && possible);
        plausible += usize::from(possible);
    }
    let share = |n: usize| n as f64 / segments.len().max(1) as f64;
    Verdict {
        keep: shaken && share(plausible) >= 0.98 && share(exact) >= 0.6,
        explained: exact,
        exact: share(exact),
    }
}

fn keep(draft: &mut Draft<'_>, segments: &[Segment]) {
    for segment in segments {
        draft.set(segment.row, tcp::SEQ, segment.seq.value);
        draft.set(segment.row, tcp::ACK_NUMBER, segment.ack_number.value);
    }
}

/// Lays out both streams and what is acknowledged of them.
fn renumber(draft: &mut Draft<'_>, segments: &[Segment], flow: usize, verdict: &Verdict) {
    let noise = noise_of(draft, verdict);
    let mut known = [0, 1].map(|side| placed(draft, segments, side));
    let lacking = known.iter().any(Option::is_none);
    let starts = lacking.then(|| starts(draft, segments, flow, noise));
    let told = starts.iter().flatten().any(|s| s.told) || !lacking || verdict.exact >= 0.1;
    let noise = told.then_some(noise);
    let numbers = |side: usize| starts.as_ref().map_or(&[][..], |starts| &starts[side].numbers);
    let streams = [0, 1].map(|side| {
        let known = known[side].take();
        known.unwrap_or_else(|| lay_out(draft, segments, side, numbers(side), &Fixed, noise))
    });
    let first = |side: usize| {
        let placed = streams[side].first().map(|p| p.seq);
        placed.or(numbers(side).first().map(|n| n.1)).unwrap_or(0)
    };
    for side in 0..2 {
        let peer = &streams[1 - side];
        let acks = acks::decide(draft, segments, side, (first(1 - side), peer), noise);
        let own = segments.iter().filter(|s| s.side == side);
        for ((segment, placed), ack) in own.zip(&streams[side]).zip(acks) {
            draft.set(segment.row, tcp::SEQ, placed.seq);
            draft.set(segment.row, tcp::ACK_NUMBER, ack);
        }
    }
}

/// The stream of a side as it was found with the lengths, if these are still the same and it has any.
fn placed(draft: &Draft<'_>, segments: &[Segment], side: usize) -> Option<Vec<Placed>> {
    let own = segments.iter().filter(|s| s.side == side);
    let placed = own.map(|s| draft.rows[s.row].placed.filter(|p| p.payload == s.payload));
    placed.collect::<Option<Vec<_>>>().filter(|placed| !placed.is_empty())
}

/// What a wrong bit of a number costs: from the share of numbers that continue their stream: neither they
/// nor those before them have a wrong bit, (1 - rate)^64.
fn noise_of(draft: &Draft<'_>, verdict: &Verdict) -> Noise {
    if !draft.noise.is_clean() && !draft.evidence.costs_by_count(draft.noise) {
        // Confidences, and where runs lie, say more than the share of exact numbers.
        return draft.noise;
    }
    let rate = 1.0 - verdict.exact.clamp(0.02, 0.999).powf(1.0 / 64.0);
    Noise::of_rate(rate.max(draft.noise.rate).max(0.002))
}
