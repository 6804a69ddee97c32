//! TCP segment lengths that agree with the sequence numbers around them.
//!
//! The number of a segment and that of the next one of its side say how long it is, and so does an
//! acknowledgement; the length fields say it once more. Each of them may be wrong. The length is the
//! one that all of them together make the cheapest.

use crate::compile::lengths::headers;
use crate::draft::{Draft, Transport};
use crate::infer::settle::counts;
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};

/// Nats that disagreement with a later segment's number costs at most: it may be a repetition, or
/// lie behind a gap.
const NEXT_CAP: f32 = 7.0;
/// Later segments of the same side that are asked.
const AHEAD: usize = 3;
/// The same for the acknowledgement that comes next: it may be of less, or of more.
const ACK_CAP: f32 = 3.0;

/// Replaces lengths (bytes after the IP header, with their limit) of TCP rows where the numbers say
/// otherwise.
pub(super) fn agree_with_numbers(draft: &Draft<'_>, lengths: &mut [(u32, u32)]) {
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport != Transport::Tcp {
            continue;
        }
        for connection in draft.connections(flow) {
            for side in 0..2 {
                one_side(draft, &connection, side, lengths);
            }
        }
    }
}

/// A segment with what its surroundings show.
struct Place {
    row: usize,
    /// The next segment of its side.
    next: Option<usize>,
    /// The next segment of the other side, if it comes before `next` or right after it.
    answer: Option<usize>,
}

fn places(draft: &Draft<'_>, rows: &[usize], side: usize) -> Vec<Place> {
    let mut out: Vec<Place> = Vec::new();
    let (mut next, mut answer) = (None, None);
    for &row in rows.iter().rev() {
        if draft.rows[row].direction == side {
            out.push(Place { row, next, answer });
            next = Some(row);
        } else {
            answer = Some(row);
        }
    }
    out.reverse();
    out
}

fn one_side(draft: &Draft<'_>, rows: &[usize], side: usize, lengths: &mut [(u32, u32)]) {
    let places = places(draft, rows, side);
    let settled: Vec<u32> = places.iter().map(|p| lengths[p.row].0).collect();
    let known = counts(&settled);
    let total = settled.len() as f32 + 1.0;
    let share_of = |length: u32| {
        let count = known.iter().take(64).find(|(l, _)| *l == length).map_or(0, |(_, n)| *n);
        -((count as f32 + 0.02) / total).ln()
    };
    // Where the segment before says that this one begins.
    let mut expected: Option<u32> = None;
    for (index, place) in places.iter().enumerate() {
        let row = place.row;
        let (_, extension, transport) = headers(draft, row);
        let fixed = extension + transport;
        let flag = |field| draft.value(row, field);
        let extra = flag(tcp::SYN) + flag(tcp::FIN);
        let own = draft.evidence.read(row, tcp::SEQ).value;
        let (settled, limit) = lengths[row];
        if flag(tcp::SYN) + flag(tcp::RST) == 0 {
            let starts = [Some(own), expected.filter(|e| *e != own)];
            let cost = |length: u32| {
                let after = |start: u32| start.wrapping_add(length.saturating_sub(fixed) + extra);
                let answered = |start: u32| match place.answer {
                    Some(row) => draft
                        .evidence
                        .cost(draft.noise, row, tcp::ACK_NUMBER, after(start))
                        .min(ACK_CAP),
                    None => 0.0,
                };
                let followed = |start: u32| -> f32 {
                    let mut at = after(start);
                    let mut sum = 0.0;
                    for later in places[index + 1..].iter().take(AHEAD) {
                        let cost = draft.evidence.cost(draft.noise, later.row, tcp::SEQ, at);
                        sum += cost.min(NEXT_CAP);
                        at = at.wrapping_add(space(draft, later.row, lengths[later.row].0));
                    }
                    sum
                };
                let links = starts.iter().flatten().map(|s| followed(*s) + answered(*s));
                field_cost(draft, row, length)
                    + share_of(length).min(9.0)
                    + links.fold(f32::MAX, f32::min)
            };
            let mut best = (cost(settled), settled);
            let numbers = [(place.next, tcp::SEQ), (place.answer, tcp::ACK_NUMBER)];
            for (other, field) in numbers {
                let Some(other) = other else { continue };
                for start in starts.iter().flatten() {
                    let there = draft.evidence.read(other, field).value;
                    let length = there.wrapping_sub(*start).wrapping_sub(extra).wrapping_add(fixed);
                    if (fixed..=limit).contains(&length) {
                        let cost = cost(length);
                        if cost < best.0 {
                            best = (cost, length);
                        }
                    }
                }
            }
            lengths[row].0 = best.1;
        }
        let start = expected.map_or(own, |e| {
            let cost = |value| draft.evidence.cost(draft.noise, row, tcp::SEQ, value);
            if cost(e) < NEXT_CAP { e } else { own }
        });
        expected = Some(start.wrapping_add(lengths[row].0.saturating_sub(fixed) + extra));
    }
}

/// Sequence space of a row with `length` bytes after its IP header.
fn space(draft: &Draft<'_>, row: usize, length: u32) -> u32 {
    let (_, extension, transport) = headers(draft, row);
    let flags = draft.value(row, tcp::SYN) + draft.value(row, tcp::FIN);
    length.saturating_sub(extension + transport) + flags
}

/// What the row's own length field says to `length` bytes after the IP header.
fn field_cost(draft: &Draft<'_>, row: usize, length: u32) -> f32 {
    match draft.rows[row].stack.version {
        IpVersion::V4 => {
            let (ip, _, _) = headers(draft, row);
            draft.evidence.cost(draft.noise, row, ipv4::TOTAL_LENGTH, length + ip)
        }
        IpVersion::V6 => draft.evidence.cost(draft.noise, row, ipv6::PAYLOAD_LENGTH, length),
    }
}
