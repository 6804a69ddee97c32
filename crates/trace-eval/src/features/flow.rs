//! Packets grouped into flows.

use crate::packet::{Facts, facts};
use nprint_codec::Trace;

/// Longest time from the first packet of a flow on; a later packet starts a new one. Units: ns.
const TIMEOUT_NS: i64 = 120_000_000_000;

/// One packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowPacket {
    /// Time since 1970-01-01. Units: nanoseconds.
    pub time_ns: i64,
    /// Whether it goes the way of the first packet of its flow.
    pub forward: bool,
    /// Length that the IP header states, header included.
    pub ip_bytes: u32,
    /// Bytes after the transport header.
    pub payload_bytes: u32,
    /// Length of the transport header. Units: bytes.
    pub header_bytes: u32,
    /// TCP flags, FIN lowest; 0 for other protocols.
    pub flags: u8,
    /// TCP receive window, before scaling; 0 for other protocols.
    pub window: u16,
    /// Time to live or hop limit.
    pub ttl: u8,
}

/// Packets of both directions between two endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Number of the transport protocol: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Source port of the first packet; 0 where there are no ports.
    pub source_port: u16,
    /// Destination port of the first packet; 0 where there are no ports.
    pub destination_port: u16,
    /// The packets in capture order, at least one.
    pub packets: Vec<FlowPacket>,
}

impl Flow {
    /// Time from the first packet to the last, never below 0. Units: seconds.
    pub fn duration_s(&self) -> f64 {
        let ends = self.packets.first().zip(self.packets.last());
        ends.map_or(0.0, |(a, b)| seconds(a.time_ns, b.time_ns))
    }

    /// The packets that go one way.
    pub fn way(&self, forward: bool) -> impl Iterator<Item = &FlowPacket> {
        self.packets.iter().filter(move |p| p.forward == forward)
    }
}

/// Time from `from` to `to`, 0 where it would be negative. Units: seconds.
pub(super) fn seconds(from_ns: i64, to_ns: i64) -> f64 {
    (to_ns.saturating_sub(from_ns) as f64 / 1e9).max(0.0)
}

/// The flows among the first `packets` IP packets of a capture, by their first packet.
///
/// A flow is all packets of one protocol between two endpoints (address and port), in both directions,
/// within 120 s of its first packet. Unlike CICFlowMeter's, it does not end at a FIN, so that the
/// last acknowledgement of a connection is no flow of its own.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use trace_eval::features::flows;
/// assert!(flows(&Trace::new(LinkType::RawIp), 1024).is_empty());
/// ```
///
/// # Source
/// RFC 7011 section 2 (flow); RFC 5103 (bidirectional flow); CICFlowMeter's flow timeout.
pub fn flows(trace: &Trace, packets: usize) -> Vec<Flow> {
    let (mut facts, known) = facts(trace);
    facts.truncate(packets);
    // For each key its newest flow, and which way that one's first packet went.
    let mut newest: Vec<Option<(usize, bool)>> = vec![None; known];
    let mut out: Vec<Flow> = Vec::new();
    for f in &facts {
        let slot = &mut newest[f.flow];
        let current = slot.filter(|(flow, _)| {
            out[*flow]
                .packets
                .first()
                .is_some_and(|p| f.time_ns.saturating_sub(p.time_ns) <= TIMEOUT_NS)
        });
        let (flow, reversed) = current.unwrap_or_else(|| {
            out.push(Flow {
                protocol: f.protocol,
                source_port: f.source_port,
                destination_port: f.destination_port,
                packets: Vec::new(),
            });
            (out.len() - 1, f.reversed)
        });
        *slot = Some((flow, reversed));
        out[flow].packets.push(packet(f, f.reversed == reversed));
    }
    out
}

fn packet(f: &Facts, forward: bool) -> FlowPacket {
    FlowPacket {
        time_ns: f.time_ns,
        forward,
        ip_bytes: f.ip_bytes,
        payload_bytes: f.payload_bytes,
        header_bytes: f.header_bytes,
        flags: f.flags,
        window: f.window,
        ttl: f.ttl,
    }
}
