//! Length fields, and how many payload bytes a row has.

use super::payload::{ESP, FEWEST_ESP};
use super::segments;
use crate::draft::{Draft, Transport};
use crate::infer::extension::EXTENSIONS;
use crate::infer::settle::settle;
use nprint_codec::{IpVersion, icmp, ipv4, ipv6, tcp, udp};

/// Largest packet of an ordinary link. Units: bytes.
const ETHERNET_MTU: u32 = 1500;

/// Number and length of the fragment header; RFC 8200 section 4.5.
const FRAGMENT_HEADER: u32 = 44;
const FRAGMENT_HEADER_BYTES: u32 = 8;
/// Bits of a length field above those of [`ETHERNET_MTU`].
const HIGH_BITS: f64 = 5.0;

/// Bytes of the headers of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers {
    /// Of IPv4 with options, or the 40 of IPv6.
    pub(crate) ip: u32,
    pub(crate) extension: u32,
    pub(crate) transport: u32,
}

impl Headers {
    /// Those of a row as they are decided.
    pub(crate) fn of(draft: &Draft<'_>, row: usize) -> Self {
        let stack = draft.rows[row].stack;
        let cells = draft.cells.row(row);
        let value = |field| cells.get(field).unwrap_or(0);
        let (ip, extension) = match stack.version {
            IpVersion::V4 => (4 * value(ipv4::HEADER_LENGTH).max(5), 0),
            IpVersion::V6 => {
                let next = value(ipv6::NEXT_HEADER);
                (40, if EXTENSIONS.contains(&next) { 8 } else { 0 })
            }
        };
        let transport = match stack.transport {
            Transport::Tcp => 4 * value(tcp::DATA_OFFSET).max(5),
            Transport::Udp | Transport::Icmp => 8,
            Transport::Fragment | Transport::Other => 0,
        };
        Self { ip, extension, transport }
    }

    /// Bytes between IP header and data.
    pub(crate) fn behind_ip(self) -> u32 {
        self.extension + self.transport
    }
}

/// Fewest payload bytes of a row, and the step in which more may come.
fn payload_grammar(draft: &Draft<'_>, row: usize) -> (u32, u32) {
    let stack = draft.rows[row].stack;
    match (stack.transport, stack.version) {
        (Transport::Icmp, IpVersion::V4) => match draft.value(row, icmp::TYPE) {
            3 | 4 | 5 | 11 => (28, 1),
            _ => (0, 1),
        },
        (Transport::Icmp, IpVersion::V6) => match draft.value(row, icmp::TYPE) {
            1..=4 => (48, 1),
            130..=132 => (16, 0),
            133 => (0, 8),
            134 => (8, 8),
            135 | 136 => (16, 8),
            137 => (32, 8),
            143 => (20, 20),
            _ => (0, 1),
        },
        (Transport::Fragment, _) if draft.rows[row].more_fragments => (8, 8),
        (Transport::Fragment, _) => (1, 1),
        (Transport::Other, _) if draft.protocol(row) == ESP => (FEWEST_ESP, 1),
        _ => (0, 1),
    }
}

/// Decides IP and UDP lengths.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    // Bytes after the IPv4 header with options, or after the 40 bytes of IPv6; and their limit.
    let mut lengths = vec![(0_u32, 0_u32); draft.rows.len()];
    let headers: Vec<Headers> = (0..draft.rows.len()).map(|row| Headers::of(draft, row)).collect();
    for rows in draft.pooled_directions().iter() {
        let (v4, v6): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|r| draft.rows[**r].stack.version == IpVersion::V4);
        let totals = settle(draft, &v4, ipv4::TOTAL_LENGTH, draft.noise);
        let payloads = settle(draft, &v6, ipv6::PAYLOAD_LENGTH, draft.noise);
        let limit = |lengths: &[u32]| {
            let large = lengths.iter().filter(|l| **l > ETHERNET_MTU).count();
            // Wrong high bits make lengths large, too.
            let by_chance = HIGH_BITS * draft.noise.rate * lengths.len() as f64;
            let common = large as f64 >= 2.0 * by_chance + 0.05 * lengths.len() as f64;
            let common = common || draft.noise.is_clean();
            if common { u32::from(u16::MAX) } else { ETHERNET_MTU }
        };
        let (limit4, limit6) = (limit(&totals), limit(&payloads));
        for (row, total) in v4.into_iter().zip(totals) {
            let ip = headers[row].ip;
            lengths[row] = within(total.saturating_sub(ip), limit4 - ip);
        }
        for (row, length) in v6.into_iter().zip(payloads) {
            lengths[row] = within(length, limit6);
        }
    }
    if !(draft.noise.is_clean() && draft.evidence.is_certain()) {
        segments::agree_with_numbers(draft, &headers, &mut lengths);
    }
    for (row, ((length, limit), headers)) in lengths.into_iter().zip(headers).enumerate() {
        decide(draft, row, headers, length, limit);
    }
    udp_lengths_of_fragments(draft);
}

/// A length with its limit; where it is larger, its high bits are wrong.
fn within(length: u32, limit: u32) -> (u32, u32) {
    (if length > limit { length & 0x7ff } else { length }.min(limit), limit)
}

/// Fixes one row; `length` and `limit` count the bytes after the IPv4 header with options or
/// after the 40 bytes of IPv6.
fn decide(draft: &mut Draft<'_>, row: usize, headers: Headers, length: u32, limit: u32) {
    let Headers { ip, extension, transport } = headers;
    let facts = draft.rows[row];
    let mut length = length;
    let begins_datagram = begins_datagram_v6(draft, row, length);
    if facts.stack.transport == Transport::Udp && !facts.more_fragments && !begins_datagram {
        length = with_udp_length(draft, row, length, ip, extension, limit);
    }
    let (fewest, step) = payload_grammar(draft, row);
    let mut payload = length.saturating_sub(extension + transport);
    if facts.stack.transport == Transport::Tcp
        && !(draft.noise.is_clean() && draft.evidence.is_certain())
        && draft.value(row, tcp::RST) + draft.value(row, tcp::SYN) > 0
    {
        payload = 0;
    }
    payload = payload.max(fewest);
    if facts.stack.transport == Transport::Udp {
        let ports = draft.flows[facts.flow].ports;
        payload = payload.max(crate::compile::payload::fewest_udp(ports, payload));
    }
    payload = match step {
        0 => fewest,
        1 => payload,
        _ => fewest + (payload - fewest).div_euclid(step) * step,
    };
    if facts.more_fragments && facts.stack.transport != Transport::Fragment {
        // All but the last fragment carry a multiple of 8 bytes.
        let whole = (payload + transport).div_euclid(8).max(transport.div_ceil(8)).max(2);
        payload = 8 * whole - transport;
    }
    draft.rows[row].payload_bytes = payload;
    let after_ip = extension + transport + payload;
    match facts.stack.version {
        IpVersion::V4 => draft.set(row, ipv4::TOTAL_LENGTH, ip + after_ip),
        IpVersion::V6 => draft.set(row, ipv6::PAYLOAD_LENGTH, after_ip),
    }
    if facts.stack.transport == Transport::Udp && !begins_datagram {
        draft.set(row, udp::LENGTH, transport + payload);
    }
}

/// Whether a row is the first fragment of a longer datagram over IPv6, by evidence that has no doubt:
/// the fragment header itself has no columns. `length` counts the bytes after the 40 of IPv6.
fn begins_datagram_v6(draft: &Draft<'_>, row: usize, length: u32) -> bool {
    let stack = draft.rows[row].stack;
    let says_more = || {
        let told = draft.evidence.read(row, udp::LENGTH);
        told.is_full() && told.value + FRAGMENT_HEADER_BYTES > length
    };
    draft.noise.is_clean()
        && draft.evidence.is_certain()
        && (stack.version, stack.transport) == (IpVersion::V6, Transport::Udp)
        && draft.value(row, ipv6::NEXT_HEADER) == FRAGMENT_HEADER
        && says_more()
}

/// The likelier of the IP header's and the UDP header's word for the length.
fn with_udp_length(
    draft: &Draft<'_>,
    row: usize,
    length: u32,
    ip: u32,
    extension: u32,
    limit: u32,
) -> u32 {
    let own = draft.evidence.read(row, udp::LENGTH);
    let other = own.value + extension;
    if other == length || own.known == 0 || own.value < 8 || other > limit {
        return length;
    }
    let noise = draft.noise;
    let cost = |length: u32| {
        let at_ip = match draft.rows[row].stack.version {
            IpVersion::V4 => draft.evidence.cost(noise, row, ipv4::TOTAL_LENGTH, length + ip),
            IpVersion::V6 => draft.evidence.cost(noise, row, ipv6::PAYLOAD_LENGTH, length),
        };
        let at_udp = length
            .checked_sub(extension)
            .map_or(f32::MAX, |l| draft.evidence.cost(noise, row, udp::LENGTH, l));
        at_ip + at_udp
    };
    if cost(other) < cost(length) { other } else { length }
}

/// The UDP length of a datagram in fragments counts all of them.
fn udp_lengths_of_fragments(draft: &mut Draft<'_>) {
    let mut rest = vec![(0_u32, false); draft.rows.len()];
    for row in 0..draft.rows.len() {
        if let Some(first) = draft.rows[row].first_fragment {
            rest[first].0 += draft.rows[row].payload_bytes;
            rest[first].1 |= !draft.rows[row].more_fragments;
        }
    }
    for row in draft.rows_of(Transport::Udp) {
        if !draft.rows[row].more_fragments {
            continue;
        }
        let here = 8 + draft.rows[row].payload_bytes;
        let reading = draft.evidence.read(row, udp::LENGTH);
        let known = reading.is_full() && draft.noise.is_clean() && reading.value > here;
        let length = match rest[row] {
            (later, true) => here + later,
            (later, false) if known => reading.value.max(here + later),
            (later, false) => here + later.max(8),
        };
        draft.set(row, udp::LENGTH, length.min(u32::from(u16::MAX)));
    }
}
