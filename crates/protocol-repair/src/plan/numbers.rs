//! TCP sequence and acknowledgement numbers.
//!
//! The numbers of a connection explain each other: data continues the stream or repeats a part
//! that is known, and what is acknowledged was sent. Evidence that does so is kept as it is. Else
//! the stream is laid out anew from the lengths, near the numbers that the evidence has, by the
//! cheapest of: continue, repeat, leave a gap.

use crate::draft::{Draft, Transport};
use crate::evidence::Noise;
use nprint_codec::tcp;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Furthest that real data lies from what is known of its stream. Units: bytes.
const REACH: i32 = 1 << 23;

/// Rows that say where a stream begins.
const VOTES: usize = 16;

/// Sequence space that a row takes.
fn space(draft: &Draft<'_>, row: usize) -> u32 {
    draft.rows[row].payload_bytes + draft.value(row, tcp::SYN) + draft.value(row, tcp::FIN)
}

/// Decides the numbers of every connection.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport != Transport::Tcp {
            continue;
        }
        for connection in draft.connections(flow) {
            let verdict = explain(draft, &connection);
            draft.explained.0 += verdict.explained;
            draft.explained.1 += connection.len();
            if verdict.keep && draft.noise.is_clean() {
                keep(draft, &connection);
            } else {
                lay_out(draft, &connection, flow, &verdict);
            }
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

fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// How well the evidence's numbers explain each other.
fn explain(draft: &Draft<'_>, rows: &[usize]) -> Verdict {
    let mut streams: [Option<Stream>; 2] = [None; 2];
    let (mut exact, mut plausible, mut judged) = (0_usize, 0_usize, 0_usize);
    let (mut isn, mut answer, mut shaken) = (None, None, true);
    let mut third_step = false;
    for row in rows {
        let side = draft.rows[*row].direction;
        let seq = draft.evidence.read(*row, tcp::SEQ);
        let ack = draft.evidence.read(*row, tcp::ACK_NUMBER);
        let flag = |field| draft.value(*row, field) == 1;
        if !seq.is_full() || !ack.is_full() {
            judged += 1;
            continue;
        }
        let (seq, ack, length) = (seq.value, ack.value, space(draft, *row));
        let mut good = true;
        let mut possible = true;
        match &mut streams[side] {
            None => streams[side] = Some(Stream { low: seq, next: seq.wrapping_add(length) }),
            Some(stream) => {
                let ahead = distance(stream.next, seq);
                good = ahead == 0 || (ahead < 0 && distance(stream.low, seq) >= 0);
                possible = ahead.unsigned_abs() < REACH as u32
                    || (flag(tcp::RST) && (seq == 0 || seq == ack));
                if possible && !flag(tcp::RST) {
                    let end = seq.wrapping_add(length);
                    if distance(stream.next, end) > 0 {
                        stream.next = end;
                    }
                    if distance(stream.low, seq) < 0 {
                        stream.low = seq;
                    }
                }
            }
        }
        if flag(tcp::ACK) {
            match &mut streams[1 - side] {
                None => streams[1 - side] = Some(Stream { low: ack, next: ack }),
                Some(other) => {
                    let beyond = distance(other.next, ack);
                    good &= beyond <= 0 || !third_step;
                    possible &= beyond.unsigned_abs() < REACH as u32;
                    if beyond > 0 && possible {
                        other.next = ack;
                    }
                }
            }
        }
        if flag(tcp::SYN) {
            if side == 0 {
                isn = Some(seq);
            } else if let Some(isn) = isn {
                shaken &= ack == isn.wrapping_add(1);
                answer = Some(seq);
            }
        } else if let (Some(isn), Some(answer), false, 0) = (isn, answer, third_step, side)
            && flag(tcp::ACK)
            && !flag(tcp::RST)
        {
            third_step = true;
            shaken &= seq == isn.wrapping_add(1) && ack == answer.wrapping_add(1);
        }
        judged += 1;
        exact += usize::from(good && possible);
        plausible += usize::from(possible);
    }
    let share = |n: usize| if judged == 0 { 1.0 } else { n as f64 / judged as f64 };
    Verdict {
        keep: shaken && share(plausible) >= 0.98 && share(exact) >= 0.6,
        explained: exact,
        exact: share(exact),
    }
}

fn keep(draft: &mut Draft<'_>, rows: &[usize]) {
    for row in rows {
        let (seq, ack) =
            (draft.evidence.read(*row, tcp::SEQ), draft.evidence.read(*row, tcp::ACK_NUMBER));
        draft.set(*row, tcp::SEQ, seq.value);
        draft.set(*row, tcp::ACK_NUMBER, ack.value);
    }
}

/// First number of each side: what most of the first rows say when the stream is laid out without
/// gaps. Later rows lie behind more lengths that may be wrong.
fn bases(draft: &Draft<'_>, rows: &[usize], flow: usize) -> ([u32; 2], [usize; 2]) {
    let mut offset = [0_u32; 2];
    let mut votes: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
    for row in rows {
        let side = draft.rows[*row].direction;
        let seq = draft.evidence.read(*row, tcp::SEQ);
        if seq.is_full() && votes[side].len() < VOTES {
            votes[side].push(seq.value.wrapping_sub(offset[side]));
        }
        let ack = draft.evidence.read(*row, tcp::ACK_NUMBER);
        if ack.is_full() && draft.value(*row, tcp::ACK) == 1 && votes[1 - side].len() < VOTES {
            votes[1 - side].push(ack.value.wrapping_sub(offset[1 - side]));
        }
        offset[side] = offset[side].wrapping_add(space(draft, *row));
    }
    let connection = rows.first().map_or(0, |r| draft.rows[*r].connection);
    let stream = ((flow as u64) << 32) | u64::from(connection);
    let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_0f15);
    random.set_stream(stream);
    let mut out = ([random.next_u32(), random.next_u32()], [0; 2]);
    for (side, votes) in votes.iter().enumerate() {
        let first = votes.first().copied();
        if let Some((value, count)) = crate::infer::settle::counts(votes).first() {
            // Lone votes are as good as any number; the first is nearest to the evidence.
            out.0[side] = if *count > 1 { *value } else { first.unwrap_or(*value) };
            out.1[side] = *count;
        }
    }
    out
}

fn lay_out(draft: &mut Draft<'_>, rows: &[usize], flow: usize, verdict: &Verdict) {
    let (base, votes) = bases(draft, rows, flow);
    // What a wrong bit costs: from the share of exact numbers, (1 - rate)^32.
    let noise = if verdict.exact < 0.1 && votes.iter().all(|v| *v < 3) {
        None
    } else {
        let rate = 1.0 - verdict.exact.clamp(0.02, 0.999).powf(1.0 / 32.0);
        Some(Noise::of_rate(rate.max(draft.noise.rate).max(0.002)))
    };
    let mut next = base;
    let mut acked = base;
    let mut starts: [Vec<(u32, u32)>; 2] = [Vec::new(), Vec::new()];
    let mut ends: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
    let opened = draft.value(rows[0], tcp::SYN) == 1;
    // Until the initiator's first segment after the answer, numbers are exact.
    let (mut answered, mut shaken) = (false, !opened);
    for (i, row) in rows.iter().enumerate() {
        let side = draft.rows[*row].direction;
        let flag = |field| draft.value(*row, field) == 1;
        let (syn, rst, has_ack) = (flag(tcp::SYN), flag(tcp::RST), flag(tcp::ACK));
        let length = space(draft, *row);
        let seq = if syn {
            base[side]
        } else if (rst && !has_ack) || !shaken {
            next[side]
        } else {
            sequence(draft, rows, i, next[side], &starts[side], length, noise)
        };
        let end = seq.wrapping_add(length);
        let ack = if !has_ack {
            0
        } else if syn || !shaken {
            // Steps of the handshake acknowledge exactly what was sent.
            next[1 - side]
        } else {
            acknowledgement(draft, *row, acked[1 - side], next[1 - side], &ends[1 - side], noise)
        };
        if has_ack {
            acked[1 - side] = ack;
        }
        answered |= syn && side == 1;
        shaken |= answered && side == 0 && !syn && has_ack && !rst;
        if length > 0 && !rst {
            if !starts[side].iter().rev().take(64).any(|(s, _)| *s == seq) {
                starts[side].push((seq, length));
            }
            if distance(next[side], end) > 0 {
                next[side] = end;
                ends[side].push(end);
            }
        }
        draft.set(*row, tcp::SEQ, seq);
        draft.set(*row, tcp::ACK_NUMBER, ack);
    }
}

/// The cheapest place of a segment.
fn sequence(
    draft: &Draft<'_>,
    rows: &[usize],
    index: usize,
    next: u32,
    starts: &[(u32, u32)],
    length: u32,
    noise: Option<Noise>,
) -> u32 {
    let Some(noise) = noise else { return next };
    let row = rows[index];
    let cost = |value: u32| draft.evidence.cost(noise, row, tcp::SEQ, value);
    let mut best = (cost(next), next);
    let mut consider = |value: u32, prior: f32| {
        let cost = prior + cost(value);
        if cost < best.0 {
            best = (cost, value);
        }
    };
    for (start, sent) in starts.iter().rev().take(48) {
        if length == 0 || *sent == length {
            consider(*start, 5.0);
        }
    }
    if length <= 1 {
        consider(next.wrapping_sub(1), 7.0);
    }
    let own = draft.evidence.read(row, tcp::SEQ);
    let gap = distance(next, own.value);
    if own.is_full() && gap > 0 && gap < REACH {
        // A gap is credible where the stream goes on behind it.
        let side = draft.rows[row].direction;
        let end = own.value.wrapping_add(length);
        let goes_on = rows[index + 1..]
            .iter()
            .filter(|r| draft.rows[**r].direction == side)
            .take(4)
            .any(|r| draft.evidence.read(*r, tcp::SEQ).value == end);
        let size = (gap as f32).ln();
        consider(own.value, if goes_on && length > 0 { 4.0 + 0.3 * size } else { 9.0 + size });
    }
    if own.is_full() {
        // Low bits as they stand, high bits of the stream: a length before was read wrong.
        for mask in [0x7ff_u32, 0xffff] {
            let joined = (next & !mask) | (own.value & mask);
            for value in [joined, joined.wrapping_add(mask + 1), joined.wrapping_sub(mask + 1)] {
                let off = distance(next, value);
                if off != 0 && off.unsigned_abs() <= mask {
                    consider(value, 6.0 + 0.7 * (off.unsigned_abs() as f32).ln());
                }
            }
        }
    }
    best.1
}

/// The cheapest legal acknowledgement: no less than before, no more than was sent.
fn acknowledgement(
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
