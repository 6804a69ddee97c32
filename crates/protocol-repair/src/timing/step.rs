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
