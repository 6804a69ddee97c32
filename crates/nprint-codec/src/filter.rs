//! Which packets to take, said as `tcpdump` says it.
//!
//! ```text
//! expression = term { ("and" | "or") term }          left to right, both bind alike
//! term       = ("not" | "!") term | "(" expression ")" | primitive
//! primitive  = "ip" | "ip6" | "tcp" | "udp" | "icmp" | "icmp6"
//!            | ["ip" | "ip6"] "proto" PROTOCOL
//!            | ["ip" | "ip6"] [direction] ["host"] ADDRESS
//!            | ["ip" | "ip6"] [direction] "net" ADDRESS["/" BITS]
//!            | ["tcp" | "udp"] [direction] ("port" PORT | "portrange" PORT "-" PORT)
//!            | "less" BYTES | "greater" BYTES
//! direction  = "src" | "dst" | "src or dst" | "src and dst"
//! ```

mod parse;
mod words;

use crate::{Dissection, IpVersion, LinkType, Packet, Result, TransportKind, dissect};
use std::net::IpAddr;

/// A filter expression: the part of `tcpdump`'s language that asks for protocols, hosts,
/// networks, ports and lengths.
///
/// As there, `and` and `or` bind alike and group from the left, `not` binds tighter, `&&`, `||`
/// and `!` say the same, and a value alone takes the qualifiers of the one before it
/// (`port 80 or 443`). Protocols and ports may be names (`proto ospf`, `port https`). Beyond it,
/// IPv6 extension headers are walked. Packets that are not IP never match a primitive other than
/// `less` and `greater`.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Packet, PacketFilter};
/// let syn = [
///     0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
///     200, 1, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0,
/// ];
/// let packet = Packet { time_ns: 0, bytes: &syn, original_length: 40 };
/// let filter = PacketFilter::parse("tcp dst port 80 and src net 10.0.0.0/8")?;
/// assert!(filter.matches(LinkType::RawIp, &packet));
/// let error = PacketFilter::parse("tcp prot 80").expect_err("a typing error");
/// assert!(error.to_string().contains("column 5"));
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// pcap-filter(7) of libpcap 1.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketFilter {
    /// `None` takes everything, as an empty expression does.
    root: Option<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Test(Test),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

/// One primitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Version(IpVersion),
    Protocol {
        version: Option<IpVersion>,
        number: u8,
    },
    /// An address whose first `bits` bits are those of `address`.
    Network {
        version: Option<IpVersion>,
        direction: Direction,
        address: IpAddr,
        bits: u8,
    },
    Ports {
        transport: Option<u8>,
        direction: Direction,
        first: u16,
        last: u16,
    },
    /// At most so many bytes on the wire.
    Less(u32),
    /// At least so many bytes on the wire.
    Greater(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Direction {
    Source,
    Destination,
    #[default]
    Either,
    Both,
}

impl Direction {
    fn holds(self, source: bool, destination: bool) -> bool {
        match self {
            Self::Source => source,
            Self::Destination => destination,
            Self::Either => source || destination,
            Self::Both => source && destination,
        }
    }
}

impl PacketFilter {
    /// Parses an expression; an empty one takes every packet.
    ///
    /// # Errors
    /// [`Error::Filter`](crate::Error::Filter) with the column and what was expected there.
    pub fn parse(expression: &str) -> Result<Self> {
        Ok(Self { root: parse::parse(expression)? })
    }

    /// Whether a packet of this link type is taken.
    pub fn matches(&self, link_type: LinkType, packet: &Packet<'_>) -> bool {
        let Some(root) = &self.root else { return true };
        let subject = Subject::new(link_type, packet);
        root.holds(&subject)
    }
}

/// A packet as the primitives see it.
struct Subject<'a> {
    length: u32,
    dissection: Option<Dissection<'a>>,
    addresses: Option<(IpAddr, IpAddr)>,
    ports: Option<(u16, u16)>,
}

impl<'a> Subject<'a> {
    fn new(link_type: LinkType, packet: &Packet<'a>) -> Self {
        let dissection = dissect(link_type, packet.bytes);
        Self {
            length: packet.original_length,
            addresses: dissection.as_ref().and_then(addresses),
            ports: dissection.as_ref().and_then(ports),
            dissection,
        }
    }
}

impl Node {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Test(test) => test.holds(subject),
            Self::Not(node) => !node.holds(subject),
            Self::And(a, b) => a.holds(subject) && b.holds(subject),
            Self::Or(a, b) => a.holds(subject) || b.holds(subject),
        }
    }
}

impl Test {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match *self {
            Self::Less(bytes) => return subject.length <= bytes,
            Self::Greater(bytes) => return subject.length >= bytes,
            _ => {}
        }
        let Some(d) = &subject.dissection else { return false };
        let is = |version: Option<IpVersion>| version.is_none_or(|v| v == d.version);
        match *self {
            Self::Less(_) | Self::Greater(_) => false,
            Self::Version(version) => d.version == version,
            Self::Protocol { version, number } => is(version) && d.protocol == number,
            Self::Network { version, direction, address, bits } => {
                let within = |a: IpAddr| same_prefix(a, address, bits);
                is(version)
                    && subject.addresses.is_some_and(|(s, d)| direction.holds(within(s), within(d)))
            }
            Self::Ports { transport, direction, first, last } => {
                let within = |port: u16| (first..=last).contains(&port);
                transport.is_none_or(|number| number == d.protocol)
                    && subject.ports.is_some_and(|(s, d)| direction.holds(within(s), within(d)))
            }
        }
    }
}

/// Source and destination address, where they are captured.
pub(crate) fn addresses(d: &Dissection<'_>) -> Option<(IpAddr, IpAddr)> {
    match d.version {
        IpVersion::V4 => {
            let four = |at: usize| <[u8; 4]>::try_from(d.ip.get(at..at + 4)?).ok();
            Some((four(12)?.into(), four(16)?.into()))
        }
        IpVersion::V6 => {
            let sixteen = |at: usize| <[u8; 16]>::try_from(d.ip.get(at..at + 16)?).ok();
            Some((sixteen(8)?.into(), sixteen(24)?.into()))
        }
    }
}

/// Source and destination port, where the packet has them.
pub(crate) fn ports(d: &Dissection<'_>) -> Option<(u16, u16)> {
    if !matches!(d.kind, TransportKind::Tcp | TransportKind::Udp) {
        return None;
    }
    let [a, b, c, d] = <[u8; 4]>::try_from(d.transport.get(..4)?).ok()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn same_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let shift = |width: u8| u32::from(width.saturating_sub(bits));
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}
