//! Receive windows: what the direction shows, and never less than what the other side then sends.
//!
//! A window offers the other side numbers up to its right edge; a sender stays within it. In 63,028
//! data segments of real captures none reaches beyond (`examples/stream_statistics.rs`). Where one of
//! a repaired trace does, the window was misread, not the segment: its number agrees with its stream.

use super::options::window_scale;
use super::segment::distance;
use super::sequence::{Habit, course};
use crate::draft::{Draft, Transport};
use crate::evidence::Reading;
use crate::infer::settle::{counts, settle};
use nprint_codec::tcp;

/// Changes of a window that are tried whatever a row shows.
const STEPS: [u16; 9] = [0, 2, 3, 4, 5, 6, 7, u16::MAX, 1];
/// Frequent windows that are tried, and nats of one of them's coming.
const FREQUENT: usize = 4;
const RETURNS: f32 = 4.0;

/// Decides the window of every TCP row.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let trusted = draft.noise.is_clean() && draft.evidence.is_certain();
    for rows in draft.pooled_directions().iter() {
        let is_tcp = |r: &usize| draft.rows[*r].stack.transport == Transport::Tcp;
        let rows: Vec<usize> = rows.iter().copied().filter(is_tcp).collect();
        // A window is not scaled yet where a connection is opened, and none where it is reset.
        let alone = |row: &usize| draft.value(*row, tcp::SYN) + draft.value(*row, tcp::RST) > 0;
        let (alone, mut others): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|row| trusted || alone(row));
        let values = settle(draft, &alone, tcp::WINDOW, draft.noise);
        for (row, value) in alone.into_iter().zip(values) {
            draft.set(row, tcp::WINDOW, value);
        }
        others.sort_by_key(|row| draft.rows[*row].flow);
        for (row, value) in others.iter().zip(moving(draft, &others)) {
            draft.set(*row, tcp::WINDOW, u32::from(value));
        }
    }
    if trusted {
        return;
    }
    for connection in draft.connections().iter() {
        open(draft, &connection.rows);
    }
}

/// The likeliest course of the windows of one side after another.
fn moving(draft: &Draft<'_>, rows: &[usize]) -> Vec<u16> {
    let cells = draft.evidence.field(tcp::WINDOW);
    let readings: Vec<Reading> = rows.iter().map(|row| cells.read(*row)).collect();
    let full: Vec<u32> = readings.iter().filter(|r| r.is_full()).map(|r| r.value).collect();
    let total = full.len() as f32 + 1.0;
    let frequent: Vec<(u16, f32)> = counts(&full)
        .into_iter()
        .take(FREQUENT)
        .filter(|(_, count)| *count > 1)
        .map(|(value, count)| (value as u16, RETURNS - (count as f32 / total).ln()))
        .collect();
    let habit = Habit { steps: &STEPS, nats, width: 4, frequent: &frequent };
    course(draft, rows, &readings, tcp::WINDOW, &habit)
}

/// Nats of a window's change, as 96,962 of real captures go (`examples/stream_statistics.rs`): 84.5 % keep it,
/// 13.7 % widen it by 2 to 7.
fn nats(step: u16) -> f32 {
    let step = step as i16;
    let bits = 16 - step.unsigned_abs().leading_zeros();
    match (step, bits) {
        (0, _) => 0.18,
        (1, _) => 5.5,
        (-1, _) => 4.8,
        (2.., 2) => 3.1,
        (2.., 3) => 4.5,
        (_, 2) => 7.3,
        (_, 3) => 8.7,
        (_, bits) => 9.1 + 0.9 * (bits - 4) as f32,
    }
}

/// What a side offered last.
#[derive(Debug, Clone, Copy)]
struct Offer {
    row: usize,
    ack: u32,
    /// Shift of the window (RFC 7323 section 2); none in a segment with SYN.
    shift: u8,
}

/// Widens the windows of a connection that what follows them does not fit.
fn open(draft: &mut Draft<'_>, rows: &[usize]) {
    let Some(shifts) = shifts(draft, rows) else {
        // How large a window is was said before the trace began.
        return;
    };
    let mut offers: [Option<Offer>; 2] = [None; 2];
    // Last window of each side that was large enough.
    let mut fitting = [0_u32; 2];
    for &row in rows {
        let side = draft.rows[row].direction;
        let flag = |field| draft.value(row, field) == 1;
        let (syn, rst, ack) = (flag(tcp::SYN), flag(tcp::RST), flag(tcp::ACK));
        let end = draft.value(row, tcp::SEQ).wrapping_add(draft.rows[row].payload_bytes);
        if let Some(offer) = offers[1 - side].filter(|_| !rst && draft.rows[row].payload_bytes > 0)
        {
            let needed = distance(offer.ack, end).max(0) as u32;
            let window = draft.value(offer.row, tcp::WINDOW);
            if window << offer.shift < needed {
                let least = needed.div_ceil(1 << offer.shift).min(u32::from(u16::MAX));
                draft.set(offer.row, tcp::WINDOW, fitting[1 - side].max(least));
            } else if offer.shift == shifts[1 - side] {
                fitting[1 - side] = window;
            }
        }
        if !rst && (ack || syn) {
            let ack = if ack { draft.value(row, tcp::ACK_NUMBER) } else { end };
            offers[side] = Some(Offer { row, ack, shift: if syn { 0 } else { shifts[side] } });
        }
    }
}

/// Shifts of both sides; `None` where the trace does not show both SYNs. Without the option in both,
/// neither scales.
pub(super) fn shifts(draft: &Draft<'_>, rows: &[usize]) -> Option<[u8; 2]> {
    let of = |side: usize| {
        let opens =
            |r: &&usize| draft.rows[**r].direction == side && draft.value(**r, tcp::SYN) == 1;
        let row = rows.iter().find(opens)?;
        Some(window_scale(&draft.cells.row(*row).bytes(tcp::OPTIONS)))
    };
    Some(match (of(0)?, of(1)?) {
        (Some(a), Some(b)) => [a.min(14), b.min(14)],
        _ => [0, 0],
    })
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::with_rows;
    use super::*;

    #[test]
    fn windows_grow_and_stay() {
        // Five more with every third segment, and then as much as the buffer holds.
        let grown = (0..30_u16).flat_map(|step| [64 + 5 * step; 3]);
        let truth: Vec<u16> = grown.chain([501; 30]).collect();
        let wrong = |row: usize| if row % 7 == 3 { 1 << (4 + row % 12) } else { 0 };
        let shown = truth.iter().enumerate().map(|(row, window)| window ^ wrong(row));
        with_rows(tcp::WINDOW, shown, |draft, rows| assert_eq!(moving(draft, rows), truth));
    }
}
