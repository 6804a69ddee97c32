//! TCP segment lengths that agree with the sequence numbers around them.
//!
//! The number of a segment and that of the next one of its side say how long it is, and so does an
//! acknowledgement; the length fields say it once more. Each of them may be wrong. The lengths are
//! those of the cheapest stream that all of them together make.

use crate::compile::lengths::headers;
use crate::draft::{Draft, Transport};
use crate::infer::settle::counts;
use crate::plan::bases::starts;
use crate::plan::stream::{Lengths, Segment, lay_out, segments};
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};

/// Most nats of a length that the side has not shown before.
const NEW_LENGTH: f32 = 9.0;
/// Frequent lengths that are told apart by how often they come.
const FREQUENT: usize = 64;

/// Of these, how many are tried for a segment.
const LIKELY: usize = 3;

/// Replaces lengths (bytes after the IP header, with their limit) of TCP rows where the numbers say
/// otherwise.
pub(super) fn agree_with_numbers(draft: &Draft<'_>, lengths: &mut [(u32, u32)]) {
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport != Transport::Tcp {
            continue;
        }
        for connection in draft.connections(flow) {
            let settled = |row: usize| {
                if draft.value(row, tcp::SYN) + draft.value(row, tcp::RST) > 0 {
                    // Neither opening nor reset carries data.
                    return (0, 0);
                }
                let (length, limit) = lengths[row];
                let fixed = fixed(draft, row);
                (length.saturating_sub(fixed), limit.saturating_sub(fixed))
            };
            let segments = segments(draft, &connection, settled);
            let starts = starts(draft, &segments, flow, draft.noise);
            for (side, start) in starts.iter().enumerate().filter(|(_, s)| s.told) {
                let open = Open::new(draft, &segments, side, lengths);
                let noise = Some(draft.noise);
                let placed = lay_out(draft, &segments, side, &start.numbers, &open, noise);
                for (segment, placed) in segments.iter().filter(|s| s.side == side).zip(placed) {
                    lengths[segment.row].0 = placed.payload + fixed(draft, segment.row);
                }
            }
        }
    }
}

/// Bytes of a row between IP header and data.
fn fixed(draft: &Draft<'_>, row: usize) -> u32 {
    let (_, extension, transport) = headers(draft, row);
    extension + transport
}

/// Lengths while they are still to be decided.
struct Open<'a> {
    draft: &'a Draft<'a>,
    /// The side's most frequent lengths after the IP header, and how many it has.
    frequent: Vec<(u32, usize)>,
    total: f32,
}

impl<'a> Open<'a> {
    fn new(
        draft: &'a Draft<'a>,
        segments: &[Segment],
        side: usize,
        lengths: &[(u32, u32)],
    ) -> Self {
        let settled: Vec<u32> =
            segments.iter().filter(|s| s.side == side).map(|s| lengths[s.row].0).collect();
        let mut frequent = counts(&settled);
        frequent.truncate(FREQUENT);
        Self { draft, frequent, total: settled.len() as f32 + 1.0 }
    }
}

impl Lengths for Open<'_> {
    fn cost(&self, segment: &Segment, payload: u32) -> f32 {
        let length = payload + fixed(self.draft, segment.row);
        let count = self.frequent.iter().find(|(l, _)| *l == length).map_or(0, |(_, n)| *n);
        // A length does not vouch for itself.
        let count = count.saturating_sub(usize::from(payload == segment.payload));
        let share = -((count as f32 + 0.02) / self.total).ln();
        field_cost(self.draft, segment.row, length) + share.min(NEW_LENGTH)
    }

    fn likely(&self, segment: &Segment) -> Vec<u32> {
        let fixed = fixed(self.draft, segment.row);
        let frequent = self.frequent.iter().filter_map(|(length, _)| length.checked_sub(fixed));
        let mut out: Vec<(f32, u32)> = frequent
            .filter(|payload| *payload <= segment.most && *payload != segment.payload)
            .map(|payload| (self.cost(segment, payload), payload))
            .collect();
        out.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        out.truncate(LIKELY);
        let mut likely = vec![segment.payload];
        likely.extend(out.into_iter().map(|(_, payload)| payload));
        let own = field_value(self.draft, segment.row).and_then(|length| length.checked_sub(fixed));
        if let Some(own) = own.filter(|own| *own <= segment.most && !likely.contains(own)) {
            likely.push(own);
        }
        likely
    }
}

/// Bytes after the IP header that the row's own length field names.
fn field_value(draft: &Draft<'_>, row: usize) -> Option<u32> {
    match draft.rows[row].stack.version {
        IpVersion::V4 => {
            let (ip, _, _) = headers(draft, row);
            draft.evidence.read(row, ipv4::TOTAL_LENGTH).value.checked_sub(ip)
        }
        IpVersion::V6 => Some(draft.evidence.read(row, ipv6::PAYLOAD_LENGTH).value),
    }
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
