//! TCP sequence and acknowledgement numbers.
//!
//! The numbers of a connection explain each other: data continues the stream or repeats a part
//! that is known, and what is acknowledged was sent. Evidence that does so is kept as it is. Else
//! the stream is laid out anew from the lengths, near the numbers that the evidence has, by the
//! cheapest of: continue, repeat, leave a gap.

use super::stream::{Bases, REACH, Segment, acknowledgement, bases, distance};
use crate::draft::{Draft, Transport};
use crate::evidence::Noise;
use nprint_codec::tcp;

/// Sequence space that a row takes.
pub(super) fn space(draft: &Draft<'_>, row: usize) -> u32 {
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

fn lay_out(draft: &mut Draft<'_>, rows: &[usize], flow: usize, verdict: &Verdict) {
    let Bases { numbers: base, told } = bases(draft, rows, flow, noise_of(draft, verdict));
    let noise = (told || verdict.exact >= 0.1).then(|| noise_of(draft, verdict));
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
        let exact = syn || (rst && !has_ack) || !shaken;
        let seq = match noise {
            _ if syn => base[side],
            Some(noise) if !exact => {
                let segment = Segment { draft, rows, index: i, length, noise };
                let (seq, goes_on) = segment.sequence(next[side], &starts[side]);
                if goes_on {
                    // What was laid out before was too long, or something was lost.
                    next[side] = seq;
                    if distance(seq, acked[side]) > 0 {
                        acked[side] = seq;
                    }
                }
                seq
            }
            _ => next[side],
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

/// What a wrong bit of a number costs: from the share of exact numbers, (1 - rate)^32.
fn noise_of(draft: &Draft<'_>, verdict: &Verdict) -> Noise {
    if !draft.evidence.is_certain() && !draft.noise.is_clean() {
        // Confidences say more than the share of exact numbers.
        return draft.noise;
    }
    let rate = 1.0 - verdict.exact.clamp(0.02, 0.999).powf(1.0 / 32.0);
    let burst_cost = draft.noise.burst_cost;
    let rate = if burst_cost.is_finite() { 0.0 } else { rate };
    Noise { burst_cost, ..Noise::of_rate(rate.max(draft.noise.rate).max(0.002)) }
}
