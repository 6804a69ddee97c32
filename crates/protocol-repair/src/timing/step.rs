//! What the gap before a packet depends on, and gaps as they are stored.

use nprint_codec::{Dissection, FlowKey, Trace, TransportKind, dissect};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Direction kept or changed × five kinds of packet: no payload, three sizes, and those that begin or
/// end a conversation.
pub(super) const CONTEXTS: usize = 2 * KINDS;
const KINDS: usize = 5;
const ENDS: u8 = 4;
/// Upper ends of the sizes but the largest: IP packets with payload. An acknowledgement inside a tunnel
/// is of the smallest, in every tunnel. Units: bytes.
const SIZE_ENDS: [u32; 2] = [256, 1000];
/// Levels of a gap, equally far apart in its logarithm: six to a power of ten.
pub(super) const LEVELS: usize = 51;
/// Shortest and longest gap that is stored. Units: `log10` of nanoseconds.
const LOG_RANGE: (f64, f64) = (3.0, 11.5);

/// What the gap before a packet depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    /// `0..CONTEXTS`.
    pub(super) context: u8,
    pub(super) service: Service,
}

/// What is spoken: the transport's protocol number and the lower of both ports; without ports 0, and for ICMP
/// over IPv6 that over IPv4.
pub(super) type Service = (u8, u16);

/// A packet's context and the gap before it, as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// `0..CONTEXTS`.
    pub(super) context: u8,
    /// `0..LEVELS`.
    pub(super) level: u8,
}

/// What a packet shows of its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// Whether it begins or ends it: a TCP segment with SYN, FIN or RST, the first packet of a port pair.
    pub(super) ends: bool,
    pub(super) has_payload: bool,
    /// Of the IP packet. Units: bytes.
    pub(super) size_bytes: u32,
}

/// Context of a packet in the direction of the packet before or not.
pub(super) fn context(changed: bool, sight: Sight) -> u8 {
    let size = 1 + SIZE_ENDS.iter().filter(|end| sight.size_bytes > **end).count() as u8;
    let kind = match sight {
        Sight { ends: true, .. } => ENDS,
        Sight { has_payload: true, .. } => size,
        Sight { has_payload: false, .. } => 0,
    };
    KINDS as u8 * u8::from(changed) + kind
}

/// The level of a gap, and the place within it, as one number.
pub(super) fn height_of(gap_ns: u64) -> f64 {
    let (low, high) = LOG_RANGE;
    let share = ((gap_ns.max(1) as f64).log10() - low) / (high - low);
    share * LEVELS as f64
}

pub(super) fn level_of(gap_ns: u64) -> u8 {
    height_of(gap_ns).clamp(0.0, (LEVELS - 1) as f64) as u8
}

/// The gap at a height: a level at its lower end, the next one at its upper end. Units: nanoseconds.
pub(super) fn gap_ns(height: f64) -> u64 {
    let (low, high) = LOG_RANGE;
    10.0_f64.powf(low + (high - low) * height / LEVELS as f64).round() as u64
}

/// Each IP packet of a capture but the first, and the gap before it in nanoseconds.
pub(super) fn observe(trace: &Trace) -> Vec<(Packet, u64)> {
    let mut out = Vec::new();
    let mut conversations = Conversations::default();
    let mut last: Option<(i64, bool)> = None;
    for packet in trace.iter() {
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        let (first, back, port) = conversations.place(&d);
        let sight = Sight {
            ends: port > 0 && first || opens_or_closes(&d),
            has_payload: d.payload_length > 0 || d.kind == TransportKind::LaterFragment,
            size_bytes: packet.original_length.saturating_sub(d.link.len() as u32),
        };
        if let Some((time_ns, before)) = last {
            let context = context(before != back, sight);
            let service = (protocol(&d), port);
            out.push((Packet { context, service }, (packet.time_ns - time_ns).max(0) as u64));
        }
        last = Some((packet.time_ns, back));
    }
    out
}

/// Who began what.
#[derive(Default)]
struct Conversations {
    /// Which way the first packet of each goes.
    begun: BTreeMap<FlowKey, bool>,
    /// Whether the last packet from one host to another goes back to who began.
    last: BTreeMap<([IpAddr; 2], bool), bool>,
}

impl Conversations {
    /// Whether a packet is its conversation's first, whether it goes back to who began, and the lower port.
    fn place(&mut self, d: &Dissection<'_>) -> (bool, bool, u16) {
        let Some((key, up)) = FlowKey::of(d) else { return (false, false, 0) };
        let between = ([key.low.0, key.high.0], up);
        // Later fragments show no ports: they are like what came that way.
        if d.kind == TransportKind::LaterFragment
            && let Some(back) = self.last.get(&between)
        {
            return (false, *back, 0);
        }
        let conversations = self.begun.len();
        let begun = *self.begun.entry(key).or_insert(up);
        let back = echo_reply(d).unwrap_or(begun != up);
        self.last.insert(between, back);
        (self.begun.len() > conversations, back, key.low.1.min(key.high.1))
    }
}

/// Whether an echo message is a reply: both hosts may ask. RFC 792, RFC 4443 section 4.
fn echo_reply(d: &Dissection<'_>) -> Option<bool> {
    match (d.kind, d.transport.first()?) {
        (TransportKind::Icmp, 8) | (TransportKind::Icmpv6, 128) => Some(false),
        (TransportKind::Icmp, 0) | (TransportKind::Icmpv6, 129) => Some(true),
        _ => None,
    }
}

fn protocol(d: &Dissection<'_>) -> u8 {
    match d.kind {
        TransportKind::Tcp => 6,
        TransportKind::Udp => 17,
        TransportKind::Icmp | TransportKind::Icmpv6 => 1,
        _ => 0,
    }
}

/// SYN, FIN or RST; RFC 9293 section 3.1.
fn opens_or_closes(d: &Dissection<'_>) -> bool {
    d.kind == TransportKind::Tcp && d.transport.get(13).is_some_and(|flags| flags & 0b111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::LinkType;

    /// IPv4 from host 1 to host 2 or back, with this protocol and transport header.
    fn packet(back: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let (from, to) = if back { (2, 1) } else { (1, 2) };
        let bytes = 20 + transport.len() as u8;
        let mut out =
            vec![0x45, 0, 0, bytes, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
        out.extend(transport);
        out
    }

    fn observed(packets: &[Vec<u8>]) -> Vec<Packet> {
        let mut trace = Trace::new(LinkType::RawIp);
        for (bytes, now) in packets.iter().zip(0..) {
            trace.push(1_000_000 * now, bytes, bytes.len() as u32);
        }
        observe(&trace).into_iter().map(|(packet, _)| packet).collect()
    }

    #[test]
    fn a_request_goes_forward_whoever_asks() {
        let echo = |back, kind| packet(back, 1, &[kind, 0, 0, 0, 0, 7, 0, 1]);
        // One asks, the other answers and asks, the first answers.
        let found = observed(&[echo(false, 8), echo(true, 0), echo(true, 8), echo(false, 0)]);
        let one = Packet { context: KINDS as u8, service: (1, 0) };
        assert_eq!(found, [one; 3]);
    }

    #[test]
    fn what_begins_and_ends_is_seen() {
        let tcp = |back: bool, client: u8, flags: u8| {
            let (from, to) = if back { (80, client) } else { (client, 80) };
            let mut header = vec![0, from, 0, to, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags];
            header.extend([0; 6]);
            packet(back, 6, &header)
        };
        // Of two connections: SYN, SYN and ACK, ACK; the middle of the second one; its FIN.
        let found = observed(&[
            tcp(false, 200, 2),
            tcp(true, 200, 18),
            tcp(false, 200, 16),
            tcp(false, 201, 16),
            tcp(false, 201, 16),
            tcp(false, 201, 17),
        ]);
        let contexts: Vec<u8> = found.iter().map(|packet| packet.context).collect();
        assert_eq!(contexts, [9, 5, 4, 0, 4]);
        assert!(found.iter().all(|packet| packet.service == (6, 80)));
    }

    #[test]
    fn later_fragments_go_with_what_came_that_way() {
        let udp = |back: bool| {
            let ports = if back { [0, 53, 0, 99] } else { [0, 99, 0, 53] };
            packet(back, 17, &[&ports[..], &[0, 9, 0, 0, 1]].concat())
        };
        let mut fragment = packet(true, 17, &[1; 8]);
        fragment[7] = 1;
        let contexts: Vec<u8> =
            observed(&[udp(false), udp(true), fragment]).iter().map(|p| p.context).collect();
        assert_eq!(contexts, [6, 1]);
    }

    #[test]
    fn levels_are_six_to_a_power_of_ten() {
        for gap in [1_000, 1_234, 56_789, 3_000_000, 40_000_000_000_u64] {
            let level = f64::from(level_of(gap));
            assert!(gap_ns(level) <= gap + 1 && gap <= gap_ns(level + 1.0) + 1, "{gap}");
            assert!(gap_ns(level + 6.0) as f64 / (gap_ns(level) as f64) < 10.01);
            assert!(gap_ns(height_of(gap)).abs_diff(gap) <= 1);
        }
        assert_eq!((level_of(0), level_of(u64::MAX)), (0, 50));
    }
}
