//! Receive windows: what the direction shows, and never less than what the other side then sends.
//!
//! A window offers the other side numbers up to its right edge; a sender stays within it. In 63,028
//! data segments of real captures none reaches beyond (`examples/stream_statistics.rs`). Where one of
//! a repaired trace does, the window was misread, not the segment: its number agrees with its stream.

use super::options::window_scale;
use super::segment::distance;
use crate::draft::{Draft, Transport};
use crate::infer::settle::settle;
use nprint_codec::tcp;

/// Decides the window of every TCP row.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for rows in draft.pooled_directions().iter() {
        let is_tcp = |r: &usize| draft.rows[*r].stack.transport == Transport::Tcp;
        let rows: Vec<usize> = rows.iter().copied().filter(is_tcp).collect();
        let values = settle(draft, &rows, tcp::WINDOW, draft.noise);
        for (row, value) in rows.into_iter().zip(values) {
            draft.set(row, tcp::WINDOW, value);
        }
    }
    if draft.noise.is_clean() && draft.evidence.is_certain() {
        return;
    }
    for connection in draft.connections().iter() {
        open(draft, &connection.rows);
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
