//! What features and audit need to know of each packet.

use nprint_codec::{Dissection, IpVersion, Trace, TransportKind, dissect};
use std::collections::BTreeMap;

/// Source and destination address as they lie in the IP header.
pub(crate) fn addresses<'a>(d: &Dissection<'a>) -> Option<(&'a [u8], &'a [u8])> {
    match d.version {
        IpVersion::V4 => Some((d.ip.get(12..16)?, d.ip.get(16..20)?)),
        IpVersion::V6 => Some((d.ip.get(8..24)?, d.ip.get(24..40)?)),
    }
}

/// Source and destination port of TCP and UDP.
pub(crate) fn ports(d: &Dissection<'_>) -> Option<(u16, u16)> {
    let be16 =
        |at: usize| Some(u16::from_be_bytes([*d.transport.get(at)?, *d.transport.get(at + 1)?]));
    match d.kind {
        TransportKind::Tcp | TransportKind::Udp => Some((be16(0)?, be16(2)?)),
        _ => None,
    }
}

/// TCP flags as bits of one byte, FIN lowest.
pub(crate) mod flag {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const PSH: u8 = 8;
    pub(crate) const ACK: u8 = 16;
    pub(crate) const URG: u8 = 32;
    pub(crate) const ECE: u8 = 64;
    pub(crate) const CWR: u8 = 128;
}

/// One dissected packet in a few numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Number of the packet in the capture.
    pub(crate) index: usize,
    pub(crate) time_ns: i64,
    /// Length that the IP header states, header included.
    pub(crate) ip_bytes: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) ttl: u8,
    pub(crate) version: IpVersion,
    pub(crate) kind: TransportKind,
    /// Number of the transport protocol.
    pub(crate) protocol: u8,
    /// Length of the captured transport header.
    pub(crate) header_bytes: u32,
    /// Ports of TCP and UDP, else 0.
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// 0 where the packet is not TCP or its header is cut.
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// Number of the flow (protocol, addresses, ports; both directions), in order of appearance.
    pub(crate) flow: usize,
    /// Whether the packet goes from the higher (address, port) of the flow to the lower one.
    pub(crate) reversed: bool,
    /// Whether the packet goes from the client of its pair of hosts to the server.
    pub(crate) up: bool,
}

/// Two addresses, the lower one first.
type HostPair<'a> = (&'a [u8], &'a [u8]);
/// Address and port.
type Endpoint<'a> = (&'a [u8], u16);

/// Facts of every IP packet of a capture, in order, and the number of flows.
pub(crate) fn facts(trace: &Trace) -> (Vec<Facts>, usize) {
    let mut flows: BTreeMap<(u8, Endpoint<'_>, Endpoint<'_>), usize> = BTreeMap::new();
    let mut pairs: BTreeMap<HostPair<'_>, i64> = BTreeMap::new();
    let mut out: Vec<(Facts, HostPair<'_>, bool)> = Vec::with_capacity(trace.len());
    for (index, packet) in trace.iter().enumerate() {
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        let Some((source, destination)) = addresses(&d) else { continue };
        let (from, to) = ports(&d).unwrap_or((0, 0));
        let reversed = (source, from) > (destination, to);
        let (low, high) = if reversed {
            ((destination, to), (source, from))
        } else {
            ((source, from), (destination, to))
        };
        let next = flows.len();
        let flow = *flows.entry((d.protocol, low, high)).or_insert(next);
        let word = |at: usize| {
            let bytes = d.transport.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        let tcp = d.kind == TransportKind::Tcp && d.transport.len() >= 20;
        let flags = if tcp { d.transport[13] } else { 0 };
        let flipped = source > destination;
        let pair = if flipped { (destination, source) } else { (source, destination) };
        // The client opens connections (a SYN outweighs the rest) and has the higher port.
        let clearly = if flags & (flag::SYN | flag::ACK) == flag::SYN { 1_000 } else { 1 };
        let from_client = match from.cmp(&to) {
            _ if clearly > 1 => clearly,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
        };
        // Positive: the lower address is the client. The first packet breaks a draw.
        let vote = 2 * if flipped { -from_client } else { from_client };
        *pairs.entry(pair).or_insert(if flipped { -1 } else { 1 }) += vote;
        let ip_bytes = match d.version {
            IpVersion::V4 => {
                d.ip.get(2..4).map_or(0, |b| u32::from(u16::from_be_bytes([b[0], b[1]])))
            }
            IpVersion::V6 => {
                d.ip.get(4..6).map_or(0, |b| 40 + u32::from(u16::from_be_bytes([b[0], b[1]])))
            }
        };
        let facts = Facts {
            index,
            time_ns: packet.time_ns,
            ip_bytes,
            payload_bytes: d.payload_length as u32,
            ttl: d.ip.get(if d.version == IpVersion::V4 { 8 } else { 7 }).copied().unwrap_or(0),
            version: d.version,
            kind: d.kind,
            protocol: d.protocol,
            header_bytes: d.transport.len() as u32,
            source_port: from,
            destination_port: to,
            flags,
            seq: if tcp { word(4) } else { 0 },
            ack: if tcp { word(8) } else { 0 },
            window: if tcp { u16::from_be_bytes([d.transport[14], d.transport[15]]) } else { 0 },
            flow,
            reversed,
            up: false,
        };
        out.push((facts, pair, flipped));
    }
    let facts = out.into_iter().map(|(facts, pair, flipped)| {
        let low_is_client = pairs.get(&pair).is_none_or(|votes| *votes > 0);
        Facts { up: low_is_client != flipped, ..facts }
    });
    (facts.collect(), flows.len())
}
