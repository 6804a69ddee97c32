//! Numbers inside TCP options that follow from the clock and from the stream.

use crate::draft::{Draft, Transport};
use crate::plan::options::{sack_range, timestamp_offset};
use nprint_codec::tcp;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest credible jump of a clock between two packets of a connection. Units: its ticks.
const JUMP: u32 = 1 << 24;

/// Decides time-stamp values and echoes, and SACK edges.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport != Transport::Tcp {
            continue;
        }
        for connection in draft.connections(flow) {
            time_stamps(draft, &connection, flow);
            selective(draft, &connection);
        }
    }
}

fn stamped(draft: &Draft<'_>, rows: &[usize]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for row in rows {
        if draft.value(*row, tcp::DATA_OFFSET) > 5 {
            let bytes = draft.cells.row(*row).bytes(tcp::OPTIONS);
            if let Some(at) = timestamp_offset(&bytes) {
                out.push((*row, at));
            }
        }
    }
    out
}

fn numbers(draft: &Draft<'_>, row: usize, at: usize) -> (u32, u32) {
    let column = 640 + 8 * at;
    (
        crate::evidence::extract(draft.cells.row(row).value_words(), column, 32),
        crate::evidence::extract(draft.cells.row(row).value_words(), column + 32, 32),
    )
}

/// RFC 7323 section 3: the value follows the sender's clock, the echo repeats the other side's.
fn time_stamps(draft: &mut Draft<'_>, rows: &[usize], flow: usize) {
    let stamped = stamped(draft, rows);
    let Some((first_row, _)) = stamped.first().copied() else { return };
    if draft.noise.is_clean() && is_clocked(draft, &stamped) {
        return;
    }
    let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_c10c);
    random.set_stream(flow as u64);
    let mut base: [Option<u32>; 2] = [None; 2];
    for (row, at) in &stamped {
        let side = draft.rows[*row].direction;
        base[side].get_or_insert(numbers(draft, *row, *at).0);
    }
    let base = base.map(|b| b.filter(|b| *b != 0).unwrap_or_else(|| random.next_u32()));
    let start = draft.rows[first_row].time_ns;
    let mut seen: [Option<u32>; 2] = [None; 2];
    for (row, at) in stamped {
        let side = draft.rows[row].direction;
        let ticks = (draft.rows[row].time_ns - start).div_euclid(1_000_000) as u32;
        let value = base[side].wrapping_add(ticks);
        let echo = match seen[1 - side] {
            Some(echo) => echo,
            None if draft.value(row, tcp::ACK) == 0 => 0,
            None => base[1 - side],
        };
        seen[side] = Some(value);
        let mut bytes = draft.cells.row(row).bytes(tcp::OPTIONS);
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&echo.to_be_bytes());
        draft.cells.row_mut(row).set_bytes(tcp::OPTIONS, &bytes);
    }
}

/// Whether values never run back and echoes were sent before.
fn is_clocked(draft: &Draft<'_>, stamped: &[(usize, usize)]) -> bool {
    let mut last: [Option<u32>; 2] = [None; 2];
    let mut good = 0;
    for (row, at) in stamped {
        let side = draft.rows[*row].direction;
        let (value, echo) = numbers(draft, *row, *at);
        // Packets that overtook each other look a little early.
        let forward = last[side].is_none_or(|l| value.wrapping_sub(l).wrapping_add(4096) < JUMP);
        let echoed = last[1 - side].is_none_or(|l| echo == 0 || l.wrapping_sub(echo) < JUMP);
        good += usize::from(forward && echoed);
        if last[side].is_none_or(|l| (value.wrapping_sub(l) as i32) > 0) {
            last[side] = Some(value);
        }
        if echo != 0 {
            last[1 - side].get_or_insert(echo);
        }
    }
    20 * good >= 19 * stamped.len()
}

/// RFC 2018: a block is a non-empty range that the other side sent; where it is not, it becomes
/// a report of the last bytes received (RFC 2883).
fn selective(draft: &mut Draft<'_>, rows: &[usize]) {
    let mut known: [Option<(u32, u32)>; 2] = [None; 2];
    for row in rows {
        let side = draft.rows[*row].direction;
        let seq = draft.value(*row, tcp::SEQ);
        let end = seq.wrapping_add(draft.rows[*row].payload_bytes);
        let range = known[side].get_or_insert((seq, end));
        if (end.wrapping_sub(range.1) as i32) > 0 {
            range.1 = end;
        }
        if (seq.wrapping_sub(range.0) as i32) < 0 {
            range.0 = seq;
        }
        if draft.value(*row, tcp::DATA_OFFSET) <= 7 {
            continue;
        }
        let mut bytes = draft.cells.row(*row).bytes(tcp::OPTIONS);
        let Some(blocks) = sack_range(&bytes) else { continue };
        let ack = draft.value(*row, tcp::ACK_NUMBER);
        let mut changed = false;
        for block in bytes[blocks].as_chunks_mut::<8>().0 {
            let left = u32::from_be_bytes([block[0], block[1], block[2], block[3]]);
            let right = u32::from_be_bytes([block[4], block[5], block[6], block[7]]);
            let length = right.wrapping_sub(left);
            let near = (left.wrapping_sub(ack) as i32).unsigned_abs() < 1 << 23;
            if length > 0 && length < 1 << 23 && near {
                continue;
            }
            block[..4].copy_from_slice(&ack.wrapping_sub(1).to_be_bytes());
            block[4..].copy_from_slice(&ack.to_be_bytes());
            changed = true;
        }
        if changed {
            draft.cells.row_mut(*row).set_bytes(tcp::OPTIONS, &bytes);
        }
    }
}
