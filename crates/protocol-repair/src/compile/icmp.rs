//! The rest of the ICMP header: echo pairs, and what each message type demands.

use crate::draft::{Draft, Transport};
use nprint_codec::{IpVersion, icmp};

/// First column of the sequence number of an echo message in the reference layout.
const SEQUENCE_COLUMN: usize = 1072;

/// MTU that an error names where the evidence has none. Units: bytes.
const NEXT_HOP_MTU: u32 = 1400;

pub(crate) fn rest(draft: &mut Draft<'_>) {
    let trusted = draft.noise.is_clean() && draft.evidence.is_certain();
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport != Transport::Icmp {
            continue;
        }
        let rows = draft.flows[flow].rows.clone();
        let (echo, other): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|r| {
            let v6 = draft.rows[*r].stack.version == IpVersion::V6;
            let kind = draft.value(*r, icmp::TYPE);
            if v6 { matches!(kind, 128 | 129) } else { matches!(kind, 0 | 8) }
        });
        echoes(draft, &echo, draft.flows[flow].ports[0], trusted);
        for row in other {
            let reading = draft.evidence.read(row, icmp::REST);
            let evidence = if trusted { reading.value } else { 0 };
            let kind = draft.value(row, icmp::TYPE);
            let value = match (draft.rows[row].stack.version, kind) {
                // The next hop's MTU; RFC 1191 section 4.
                (IpVersion::V4, 3)
                    if draft.value(row, icmp::CODE) == 4 && (evidence as u16) == 0 =>
                {
                    evidence + NEXT_HOP_MTU
                }
                (IpVersion::V6, 2) => evidence.max(1280),
                (IpVersion::V6, 136) => reading.value & 0xe000_0000,
                (IpVersion::V6, 143) => draft.rows[row].payload_bytes.div_euclid(20),
                _ => evidence,
            };
            draft.set(row, icmp::REST, value);
        }
    }
}

/// Identifier from the flow; requests count up, and a reply repeats the number of a request.
fn echoes(draft: &mut Draft<'_>, rows: &[usize], identifier: u16, trusted: bool) {
    let noise = draft.noise;
    let mut next: Option<u32> = None;
    let mut open: Vec<u32> = Vec::new();
    for row in rows {
        let own = draft.evidence.read_columns(*row, SEQUENCE_COLUMN, 16);
        let cost =
            |value: u32| draft.evidence.cost_columns(noise, *row, SEQUENCE_COLUMN, 16, value);
        let request = draft.rows[*row].direction == 0;
        let sequence = if trusted && own.is_full() {
            own.value
        } else if request {
            match next {
                Some(expected) => {
                    let jump = own.value.wrapping_sub(expected) & 0xffff;
                    let credible = own.is_full() && jump < 8 && jump > 0 && cost(expected) > 7.0;
                    if credible { own.value } else { expected }
                }
                None => own.value,
            }
        } else {
            let oldest = open.first().copied().or(next.map(|n| n.wrapping_sub(1) & 0xffff));
            let mut best = oldest.map_or((f32::MAX, own.value), |o| (cost(o), o));
            for (age, candidate) in open.iter().enumerate().skip(1) {
                let total = cost(*candidate) + (age as f32).min(6.0);
                if total < best.0 {
                    best = (total, *candidate);
                }
            }
            best.1
        };
        if request {
            next = Some(sequence.wrapping_add(1) & 0xffff);
            open.push(sequence);
        } else if let Some(at) = open.iter().position(|s| *s == sequence) {
            open.remove(at);
        }
        if open.len() > 64 {
            open.remove(0);
        }
        draft.set(*row, icmp::REST, (u32::from(identifier) << 16) | sequence);
    }
}
