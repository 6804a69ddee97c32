//! Fragment offsets.

use crate::draft::{Draft, Transport};
use nprint_codec::{IpVersion, ipv4};

/// Offset of a later fragment whose first one is not in the trace: what fits an Ethernet frame.
/// Units: 8 bytes.
const USUAL_OFFSET: u32 = 185;

/// Offsets from the lengths; those that the evidence has are kept where they do not overlap.
pub(crate) fn offsets(draft: &mut Draft<'_>) {
    // Bytes of each datagram so far, by the row of its first fragment.
    let mut next = vec![0_u32; draft.rows.len()];
    for row in 0..draft.rows.len() {
        let facts = draft.rows[row];
        if facts.stack.version != IpVersion::V4 {
            continue;
        }
        if facts.stack.transport != Transport::Fragment {
            draft.set(row, ipv4::FRAGMENT_OFFSET, 0);
            if facts.more_fragments {
                let total = draft.value(row, ipv4::TOTAL_LENGTH);
                next[row] = total - 4 * draft.value(row, ipv4::HEADER_LENGTH).max(5);
            }
            continue;
        }
        let reading = draft.evidence.read(row, ipv4::FRAGMENT_OFFSET);
        let offset = match facts.first_fragment {
            Some(first) => {
                let offset = next[first] >> 3;
                next[first] += facts.payload_bytes;
                let later = reading.value > offset && draft.noise.is_clean() && reading.is_full();
                if later { reading.value } else { offset.max(1) }
            }
            None if reading.value != 0 && draft.noise.is_clean() => reading.value,
            None => USUAL_OFFSET,
        };
        // The datagram may not end after 65,535 bytes.
        let highest = (65_535 - 60 - facts.payload_bytes.min(60_000)) >> 3;
        draft.set(row, ipv4::FRAGMENT_OFFSET, offset.min(highest.max(1)));
    }
}
