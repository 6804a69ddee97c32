//! Which packets of a capture to keep, and which belong together.

use crate::filter::{addresses, ports};
use crate::{Dissection, LinkType, Packet, PacketFilter, Trace, dissect};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which packets of a capture to keep: a filter, a time window, a number, in this order.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, PacketFilter, Selection, Trace};
/// let mut trace = Trace::new(LinkType::RawIp);
/// for second in 0..4 {
///     trace.push(second * 1_000_000_000, &[0x45, 0, 0, 20], 20);
/// }
/// let selection = Selection {
///     filter: Some(PacketFilter::parse("less 100")?),
///     from_ns: Some(1_000_000_000),
///     max_packets: Some(2),
///     ..Selection::default()
/// };
/// let kept: Vec<i64> = selection.apply(&trace).iter().map(|p| p.time_ns).collect();
/// assert_eq!(kept, [1_000_000_000, 2_000_000_000]);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only packets that match; default all.
    pub filter: Option<PacketFilter>,
    /// Only packets at this time or later. Units: nanoseconds since 1970.
    pub from_ns: Option<i64>,
    /// Only packets before this time. Units: nanoseconds since 1970.
    pub until_ns: Option<i64>,
    /// Only the first so many of the packets that the rest takes; default all.
    pub max_packets: Option<usize>,
}

impl Selection {
    /// Whether filter and window take this packet.
    pub fn takes(&self, link_type: LinkType, packet: &Packet<'_>) -> bool {
        self.from_ns.is_none_or(|from| packet.time_ns >= from)
            && self.until_ns.is_none_or(|until| packet.time_ns < until)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(link_type, packet))
    }

    /// The packets that are taken.
    pub fn apply(&self, trace: &Trace) -> Trace {
        let link_type = trace.link_type();
        let mut kept = Trace::new(link_type);
        let taken = trace.iter().filter(|packet| self.takes(link_type, packet));
        for packet in taken.take(self.max_packets.unwrap_or(usize::MAX)) {
            kept.push(packet.time_ns, packet.bytes, packet.original_length);
        }
        kept
    }
}

/// What the packets of a flow have in common: the 5-tuple, the same for both directions.
///
/// The lower of both ends (address, then port) is named first. Ports are 0 where the packet shows
/// none: ICMP, other protocols, fragments other than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Address and port of the lower end.
    pub low: (IpAddr, u16),
    /// Address and port of the higher end.
    pub high: (IpAddr, u16),
    /// Protocol number of the transport header.
    pub protocol: u8,
}

impl FlowKey {
    /// The key of a packet and whether it goes from the lower end to the higher one; `None` where
    /// its addresses are not captured.
    pub fn of(d: &Dissection<'_>) -> Option<(Self, bool)> {
        let (source, destination) = addresses(d)?;
        let (from, to) = ports(d).unwrap_or((0, 0));
        let (a, b) = ((source, from), (destination, to));
        let upwards = a <= b;
        let (low, high) = if upwards { (a, b) } else { (b, a) };
        Some((Self { low, high, protocol: d.protocol }, upwards))
    }
}

/// Packets of one 5-tuple without a long pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// What they have in common.
    pub key: FlowKey,
    /// Whether the first packet goes from the lower end to the higher one.
    pub starts_upwards: bool,
    /// Their numbers in the trace, ascending, from 0.
    pub packets: Vec<usize>,
}

impl Flow {
    /// The flow's packets as a trace of its own.
    pub fn trace(&self, of: &Trace) -> Trace {
        let mut trace = Trace::new(of.link_type());
        for packet in self.packets.iter().map(|index| of.packet(*index)) {
            trace.push(packet.time_ns, packet.bytes, packet.original_length);
        }
        trace
    }
}

/// The flows of a trace, in the order of their first packets. Packets without IP addresses belong
/// to none.
///
/// A packet that comes more than `timeout_ns` (units: nanoseconds) after the flow's packet before
/// it starts a new flow; `None` never does.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace, flows};
/// let udp = |from: u8, to: u8| {
///     let mut bytes = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
///     bytes.extend([0, from, 0, to, 0, 8, 0, 0]);
///     bytes
/// };
/// let mut trace = Trace::new(LinkType::RawIp);
/// for (second, bytes) in [(0, udp(1, 2)), (1, udp(2, 1)), (2, udp(3, 1)), (90, udp(1, 2))] {
///     trace.push(second * 1_000_000_000, &bytes, 28);
/// }
/// let numbers = |timeout| flows(&trace, timeout).into_iter().map(|f| f.packets).collect::<Vec<_>>();
/// assert_eq!(numbers(None), [vec![0, 1, 3], vec![2]]);
/// assert_eq!(numbers(Some(60_000_000_000)), [vec![0, 1], vec![2], vec![3]]);
/// ```
pub fn flows(trace: &Trace, timeout_ns: Option<i64>) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    // The open flow of each key, and the time of its last packet.
    let mut open: BTreeMap<FlowKey, (usize, i64)> = BTreeMap::new();
    for (index, packet) in trace.iter().enumerate() {
        let dissected = dissect(trace.link_type(), packet.bytes);
        let Some((key, upwards)) = dissected.as_ref().and_then(FlowKey::of) else { continue };
        let live = open.get(&key).filter(|(_, last_ns)| {
            timeout_ns.is_none_or(|timeout| packet.time_ns.saturating_sub(*last_ns) <= timeout)
        });
        let number = live.map_or(flows.len(), |(number, _)| *number);
        match flows.get_mut(number) {
            Some(flow) => flow.packets.push(index),
            None => flows.push(Flow { key, starts_upwards: upwards, packets: vec![index] }),
        }
        open.insert(key, (number, packet.time_ns));
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(time_ns: i64, tail: &[u8], protocol: u8) -> (i64, Vec<u8>) {
        let mut bytes =
            vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend(tail);
        (time_ns, bytes)
    }

    #[test]
    fn windows_are_half_open_and_the_number_counts_what_is_taken() {
        let mut trace = Trace::new(LinkType::RawIp);
        for (time_ns, bytes) in [
            packet(1, &[0; 8], 17),
            packet(2, &[0; 8], 1),
            packet(3, &[0; 8], 17),
            packet(4, &[0; 8], 17),
        ] {
            trace.push(time_ns, &bytes, 28);
        }
        let times = |s: Selection| s.apply(&trace).iter().map(|p| p.time_ns).collect::<Vec<_>>();
        let window = Selection { from_ns: Some(2), until_ns: Some(4), ..Selection::default() };
        assert_eq!(times(window), [2, 3]);
        let filter = PacketFilter::parse("udp").ok();
        assert_eq!(
            times(Selection { filter, max_packets: Some(2), ..Selection::default() }),
            [1, 3]
        );
        assert_eq!(times(Selection::default()), [1, 2, 3, 4]);
    }

    #[test]
    fn ports_and_protocols_divide_flows() {
        let mut trace = Trace::new(LinkType::RawIp);
        for (time_ns, bytes) in [
            packet(0, &[0, 1, 0, 2, 0, 8, 0, 0], 17),
            packet(0, &[0, 1, 0, 3, 0, 8, 0, 0], 17),
            packet(0, &[8, 0, 0, 0, 0, 0, 0, 0], 1),
            packet(0, &[0, 1, 0, 2, 0, 8, 0, 0], 17),
        ] {
            trace.push(time_ns, &bytes, 28);
        }
        trace.push(0, b"no packet", 9);
        let found = flows(&trace, None);
        let numbers: Vec<_> = found.iter().map(|f| f.packets.clone()).collect();
        assert_eq!(numbers, [vec![0, 3], vec![1], vec![2]]);
        assert!(found[0].starts_upwards);
        assert_eq!(found[0].trace(&trace).len(), 2);
        assert_eq!((found[2].key.protocol, found[2].key.low.1), (1, 0));
    }
}
