//! Which packets of a capture belong together.

use crate::filter::{addresses, ports};
use crate::{Dissection, Error, Trace, dissect};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What the packets of a flow have in common: the 5-tuple, the same for both directions.
///
/// The lower of both ends (address, then port) is named first. Ports are 0 where the packet shows
/// none: ICMP, other protocols, fragments other than the first.
///
/// As text it is the cell of nPrint's index column `flow`, in either direction; the protocol may
/// also be a number.
///
/// # Example
/// ```
/// use nprint_codec::FlowKey;
/// let key: FlowKey = "10.0.0.2_10.0.0.1_51202_53_UDP".parse()?;
/// assert_eq!((key.low.1, key.high.1, key.protocol), (53, 51202, 17));
/// assert_eq!(key.to_string(), "10.0.0.1_10.0.0.2_53_51202_UDP");
/// assert_eq!("fe80::1_fe80::2_NULL_NULL_58".parse::<FlowKey>()?.protocol, 58);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
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
        Some(Self::between((source, from), (destination, to), d.protocol))
    }

    /// The key of a packet between two ends, and whether it goes from the lower to the higher one.
    fn between(from: (IpAddr, u16), to: (IpAddr, u16), protocol: u8) -> (Self, bool) {
        let upwards = from <= to;
        let (low, high) = if upwards { (from, to) } else { (to, from) };
        (Self { low, high, protocol }, upwards)
    }
}

/// Protocols that have a name in the text of a key.
const NAMES: [(&str, u8); 4] = [("TCP", 6), ("UDP", 17), ("ICMP", 1), ("ICMPV6", 58)];

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_", self.low.0, self.high.0)?;
        match (self.low.1, self.high.1) {
            (0, 0) => write!(f, "NULL_NULL_")?,
            (low, high) => write!(f, "{low}_{high}_")?,
        }
        match NAMES.into_iter().find(|(_, number)| *number == self.protocol) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.protocol),
        }
    }
}

impl FromStr for FlowKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |expected| Error::FlowText { text: text.to_owned(), expected };
        let parts: Vec<&str> = text.split('_').collect();
        let [source, destination, from, to, protocol] = parts[..] else {
            return Err(wrong("source, destination, both ports and the protocol, joined by _"));
        };
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong("two IP addresses"));
        let port = |text: &str| match text {
            "NULL" => Ok(0),
            number => number.parse::<u16>().map_err(|_| wrong("ports, or NULL for none")),
        };
        let name = protocol.to_ascii_uppercase();
        let known = NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, number)| number);
        let protocol = known.or_else(|| protocol.parse().ok());
        let protocol =
            protocol.ok_or_else(|| wrong("TCP, UDP, ICMP, ICMPV6 or a number at the end"))?;
        let ends = ((address(source)?, port(from)?), (address(destination)?, port(to)?));
        Ok(Self::between(ends.0, ends.1, protocol).0)
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
    use crate::LinkType;

    fn packet(time_ns: i64, tail: &[u8], protocol: u8) -> (i64, Vec<u8>) {
        let mut bytes =
            vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend(tail);
        (time_ns, bytes)
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

    #[test]
    fn texts_that_are_no_key_say_why() {
        for (text, expected) in [
            ("10.0.0.1_10.0.0.2_53_5353", "joined by _"),
            ("10.0.0.1_host_53_5353_UDP", "IP addresses"),
            ("10.0.0.1_10.0.0.2_53_70000_UDP", "ports"),
            ("10.0.0.1_10.0.0.2_53_5353_QUIC", "a number at the end"),
        ] {
            let error = text.parse::<FlowKey>().expect_err("no key").to_string();
            assert!(error.contains(text) && error.contains(expected), "{error}");
        }
    }
}
