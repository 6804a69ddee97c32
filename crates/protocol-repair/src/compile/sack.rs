//! Selective acknowledgements: blocks that name what was received behind a hole.
//!
//! Evidence that could be true is kept. Else the blocks are those that the receiver would send, from
//! what the trace shows: the one with the last segment first (RFC 2018 section 4). Where there is
//! nothing behind a hole there is no option: NOPs take its place, so that no length changes.

use crate::draft::Draft;
use crate::plan::options::{OptionArea, sack_range};
use nprint_codec::tcp;

/// Furthest that a block lies from the acknowledgement, and longest block. Units: bytes.
const REACH: u32 = 1 << 23;
const NOP: u8 = 1;

/// What one side has sent: ranges without gaps, the one that grew last at the end.
#[derive(Default)]
struct Sent {
    ranges: Vec<(u32, u32)>,
}

/// How far `to` lies ahead of `from`.
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

impl Sent {
    /// Adds a segment and joins what it touches.
    fn add(&mut self, mut from: u32, mut to: u32) {
        self.ranges.retain(|(a, b)| {
            let apart = distance(to, *a) > 0 || distance(*b, from) > 0;
            if !apart {
                from = if distance(*a, from) > 0 { *a } else { from };
                to = if distance(to, *b) > 0 { *b } else { to };
            }
            apart
        });
        self.ranges.push((from, to));
    }

    /// What lies behind a hole after `ack`, the last to grow first.
    fn behind(&self, ack: u32) -> impl Iterator<Item = (u32, u32)> {
        self.ranges.iter().rev().copied().filter(move |(from, _)| distance(ack, *from) > 0)
    }

    /// Forgets what can no longer be reported.
    fn forget(&mut self, ack: u32) {
        self.ranges.retain(|(_, to)| distance(ack, *to) > 0);
    }
}

/// Decides the blocks of every row of a connection.
pub(super) fn apply(draft: &mut Draft<'_>, rows: &[usize]) {
    let trusted = draft.noise.is_clean();
    let mut sent = [Sent::default(), Sent::default()];
    for &row in rows {
        let (side, length) = (draft.rows[row].direction, draft.rows[row].payload_bytes);
        if length > 0 {
            let seq = draft.value(row, tcp::SEQ);
            sent[side].add(seq, seq.wrapping_add(length));
        }
        let ack = draft.value(row, tcp::ACK_NUMBER);
        if draft.value(row, tcp::ACK) == 1 && draft.value(row, tcp::RST) == 0 {
            sent[1 - side].forget(ack);
        }
        if draft.value(row, tcp::DATA_OFFSET) <= 7 {
            continue;
        }
        let mut bytes = OptionArea::of_tcp(&draft.cells.row(row));
        let Some(blocks) = sack_range(&bytes) else { continue };
        if trusted && bytes[blocks.clone()].as_chunks::<8>().0.iter().all(|b| is_possible(*b, ack))
        {
            continue;
        }
        let (option, end) = (blocks.start - 2, blocks.end);
        let room = blocks.len() >> 3;
        let made: Vec<u8> = sent[1 - side]
            .behind(ack)
            .take(room)
            .flat_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat())
            .collect();
        bytes[option..end].fill(NOP);
        if !made.is_empty() {
            bytes[option..option + 2].copy_from_slice(&[5, 2 + made.len() as u8]);
            bytes[option + 2..option + 2 + made.len()].copy_from_slice(&made);
        }
        draft.cells.row_mut(row).set_bytes(tcp::OPTIONS, &bytes);
    }
}

/// Whether a block is a range near `ack`: behind a hole, or received twice (RFC 2883).
fn is_possible(block: [u8; 8], ack: u32) -> bool {
    let [left, right] = [0, 4]
        .map(|at| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]));
    let length = right.wrapping_sub(left);
    length > 0 && length < REACH && distance(ack, left).unsigned_abs() < REACH
}

#[cfg(test)]
mod tests {
    use super::Sent;

    #[test]
    fn blocks_are_what_lies_behind_holes() {
        let mut sent = Sent::default();
        // 10..20, then 30..40, 40..50 and 60..70, over the wrap of the numbers.
        let at = |n: u32| n.wrapping_sub(35);
        for (from, to) in [(10, 20), (30, 40), (60, 70), (40, 50)] {
            sent.add(at(from), at(to));
        }
        let behind: Vec<_> = sent.behind(at(20)).collect();
        assert_eq!(behind, [(at(30), at(50)), (at(60), at(70))]);
        sent.add(at(20), at(30));
        sent.forget(at(50));
        assert_eq!(sent.behind(at(50)).collect::<Vec<_>>(), [(at(60), at(70))]);
    }
}
