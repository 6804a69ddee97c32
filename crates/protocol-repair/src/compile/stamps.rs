//! Numbers inside TCP options that follow from the clock and from the stream.

use super::sack;
use crate::draft::{Connection, Draft};
use crate::plan::options::{OptionArea, timestamp_offset};
use nprint_codec::tcp;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest credible jump of a clock between two packets of a connection. Units: its ticks.
const JUMP: u32 = 1 << 24;

/// Decides time-stamp values and echoes, and SACK edges.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for connections in draft.connections().chunk_by(|a, b| a.flow == b.flow) {
        time_stamps(draft, connections);
        for connection in connections {
            sack::apply(draft, &connection.rows);
        }
    }
}

fn stamped(draft: &Draft<'_>, rows: &[usize]) -> Vec<(usize, usize)> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        if draft.value(*row, tcp::DATA_OFFSET) > 5 {
            let bytes = OptionArea::of_tcp(&draft.cells.row(*row));
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

/// RFC 7323 section 3: the value follows the sender's clock, the echo repeats the other side's. Both
/// clocks run on from one connection of a flow to the next.
fn time_stamps(draft: &mut Draft<'_>, connections: &[Connection]) {
    let Some(flow) = connections.first().map(|connection| connection.flow) else { return };
    let connections: Vec<Vec<(usize, usize)>> =
        connections.iter().map(|connection| stamped(draft, &connection.rows)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_c10c);
    random.set_stream(flow as u64);
    let mut base: [Option<u32>; 2] = [None; 2];
    for (row, at) in connections.iter().flatten() {
        let value = numbers(draft, *row, *at).0;
        if value != 0 {
            let side = draft.rows[*row].direction;
            base[side].get_or_insert(value.wrapping_sub(ticks(draft, *row)));
        }
    }
    let base = base.map(|b| b.unwrap_or_else(|| random.next_u32()));
    for stamped in connections {
        if !(draft.noise.is_clean() && is_clocked(draft, &stamped)) {
            set_clocks(draft, &stamped, base);
        }
    }
}

/// Milliseconds from the trace's first packet to a row.
fn ticks(draft: &Draft<'_>, row: usize) -> u32 {
    draft.rows[row].time_ns.div_euclid(1_000_000) as u32
}

/// Writes the numbers of clocks that showed `base` when the trace began.
fn set_clocks(draft: &mut Draft<'_>, stamped: &[(usize, usize)], base: [u32; 2]) {
    let mut seen: [Option<u32>; 2] = [None; 2];
    for (row, at) in stamped {
        let side = draft.rows[*row].direction;
        let ticks = ticks(draft, *row);
        let value = base[side].wrapping_add(ticks);
        let echo = match seen[1 - side] {
            Some(echo) => echo,
            None if draft.value(*row, tcp::ACK) == 0 => 0,
            None => base[1 - side].wrapping_add(ticks),
        };
        seen[side] = Some(value);
        let mut bytes = OptionArea::of_tcp(&draft.cells.row(*row));
        bytes[*at..at + 4].copy_from_slice(&value.to_be_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&echo.to_be_bytes());
        draft.cells.row_mut(*row).set_bytes(tcp::OPTIONS, &bytes);
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
