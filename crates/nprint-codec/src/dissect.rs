//! The one dissector: where the headers of a packet lie.

use crate::link::{behind_gre, network_start};
use crate::{Layer, Layers, LinkType};

/// IP version of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpVersion {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// Transport header of a dissected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP over IPv4 (or, against the standards, protocol 1 over IPv6).
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// A fragment other than the first: its data has no transport header.
    LaterFragment,
    /// Some other protocol.
    Other,
}

impl TransportKind {
    /// The header that a protocol number announces.
    #[inline]
    pub(crate) const fn of(version: IpVersion, protocol: u8) -> Self {
        match (protocol, version) {
            (6, _) => Self::Tcp,
            (17, _) => Self::Udp,
            (1, _) => Self::Icmp,
            (58, IpVersion::V6) => Self::Icmpv6,
            _ => Self::Other,
        }
    }

    /// Length of the header that `bytes` begin with: what TCP states, or the fixed one.
    #[inline]
    pub(crate) fn header_bytes(self, bytes: &[u8]) -> usize {
        match self {
            Self::Tcp => bytes.get(12).map_or(20, |b| 4 * usize::from(b >> 4)),
            Self::Udp | Self::Icmp | Self::Icmpv6 => 8,
            Self::LaterFragment | Self::Other => 0,
        }
    }
}

/// Where the headers of one packet lie.
///
/// Only captured bytes are ever referred to: a slice ends where the capture was cut, so
/// `transport.len()` may be less than the header's full size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dissection<'a> {
    /// Everything before the IP header: the link layer, and what [`dissect_through`] looked
    /// through.
    pub link: &'a [u8],
    /// IP version, by the first nibble; a link layer that announces the other one is not believed.
    pub version: IpVersion,
    /// The captured IP header: IPv4 with options, or the 40 bytes of IPv6.
    pub ip: &'a [u8],
    /// The captured IPv6 extension headers, the authentication header included where it is looked
    /// through; for IPv4 that one or nothing.
    pub extensions: &'a [u8],
    /// Protocol number of the transport header, after any extension headers.
    pub protocol: u8,
    /// Which header `transport` holds.
    pub kind: TransportKind,
    /// The captured transport header: TCP with options, 8 bytes of UDP, ICMP or ICMPv6; empty
    /// for [`TransportKind::LaterFragment`] and [`TransportKind::Other`].
    pub transport: &'a [u8],
    /// The captured bytes after the transport header, without link-layer padding.
    pub payload: &'a [u8],
    /// Bytes after the transport header on the wire, by the IP length fields; 0 where those
    /// are smaller than the headers.
    pub payload_length: usize,
}

/// Dissects one packet, or `None` where it is not IP (or too short to tell).
///
/// IPv6 hop-by-hop, routing, destination and fragment headers are walked. No tag, label or tunnel
/// is entered; [`dissect_through`] does that.
///
/// # Source
/// RFC 791, RFC 8200 section 4, RFC 9293, RFC 768, RFC 792, RFC 4443.
pub fn dissect(link_type: LinkType, bytes: &[u8]) -> Option<Dissection<'_>> {
    found_through(link_type, bytes, Layers::EVERY_IP_PACKET)
}

/// Dissects one packet behind those of `layers` that it has.
///
/// The work is bounded by the packet's length: every header that is passed over takes bytes of it.
/// A tunnel whose inside is no IP packet, or is not captured, is left shut: the outer header is
/// what is found. A later fragment is entered by nobody.
///
/// # Example
/// ```
/// use nprint_codec::{Layer, Layers, LinkType, TransportKind, dissect, dissect_through};
/// let ip = |protocol, length| {
///     [0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
/// };
/// let udp = [0, 53, 0, 54, 0, 8, 0, 0];
/// // UDP in IP in GRE with a key in IP.
/// let packet = [&ip(47, 56)[..], &[0x20, 0, 8, 0, 0, 0, 0, 7], &ip(17, 28), &udp].concat();
/// let layers = Layers::EVERY_IP_PACKET.with(Layer::Tunnels);
/// let inner = dissect_through(LinkType::RawIp, &packet, layers).expect("IP");
/// assert_eq!((inner.kind, inner.link.len()), (TransportKind::Udp, 28));
/// assert_eq!(dissect(LinkType::RawIp, &packet).map(|outer| outer.protocol), Some(47));
/// ```
///
/// # Source
/// Each [`Layer`] names its own.
pub fn dissect_through(
    link_type: LinkType,
    bytes: &[u8],
    layers: Layers,
) -> Option<Dissection<'_>> {
    found_through(link_type, bytes, layers)
}

/// [`dissect_through`] with layers that the compiler may know.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what no layer asks for then costs nothing")]
pub(crate) fn found_through(
    link_type: LinkType,
    bytes: &[u8],
    layers: Layers,
) -> Option<Dissection<'_>> {
    let found = network(bytes, network_start(link_type, bytes, layers)?, layers)?;
    if layers.has(Layer::Tunnels) { Some(innermost(bytes, found, layers)) } else { Some(found) }
}

fn innermost<'a>(bytes: &'a [u8], mut found: Dissection<'a>, layers: Layers) -> Dissection<'a> {
    while let Some(inner) = inside(bytes, &found, layers) {
        found = inner;
    }
    found
}

/// The IP packet at `start`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as found_through")]
fn network(bytes: &[u8], start: usize, layers: Layers) -> Option<Dissection<'_>> {
    let (link, packet) = bytes.split_at_checked(start)?;
    match *packet.first()? >> 4 {
        4 => dissect_v4(link, packet, layers),
        6 => dissect_v6(link, packet, layers),
        _ => None,
    }
}

/// The IP packet that `outer` carries, if it carries one.
fn inside<'a>(bytes: &'a [u8], outer: &Dissection<'a>, layers: Layers) -> Option<Dissection<'a>> {
    const IP_IN_IP: u8 = 4;
    const IPV6: u8 = 41;
    const GRE: u8 = 47;
    // A stated length of less would be entered again and again.
    if outer.kind != TransportKind::Other || outer.ip.len() < 20 {
        return None;
    }
    let start = outer.link.len() + outer.ip.len() + outer.extensions.len();
    // What the outer header's length leaves out is padding.
    let bytes = &bytes[..start + outer.payload.len()];
    let start = match outer.protocol {
        IP_IN_IP | IPV6 => start,
        GRE => behind_gre(bytes, start, layers)?,
        _ => return None,
    };
    network(bytes, start, layers)
}

const AUTHENTICATION: u8 = 51;

/// Length of an authentication header that states `units`: 4-byte units less two.
fn authentication_bytes(units: u8) -> usize {
    4 * (usize::from(units) + 2)
}

#[inline]
fn dissect_v4<'a>(link: &'a [u8], packet: &'a [u8], layers: Layers) -> Option<Dissection<'a>> {
    let mut protocol = *packet.get(9)?;
    let header_length = 4 * usize::from(packet[0] & 15);
    let total_length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let fragment_offset = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff;
    let (ip, mut rest) = packet.split_at(header_length.min(packet.len()));
    let mut on_wire = total_length.saturating_sub(header_length);
    let mut extensions = &[][..];
    let is_first = fragment_offset == 0;
    if let (AUTHENTICATION, true, [next, units, ..]) = (protocol, is_first, rest)
        && layers.has(Layer::Authentication)
    {
        let length = authentication_bytes(*units);
        protocol = *next;
        (extensions, rest) = rest.split_at(length.min(rest.len()));
        on_wire = on_wire.saturating_sub(length);
    }
    let kind = if is_first {
        TransportKind::of(IpVersion::V4, protocol)
    } else {
        TransportKind::LaterFragment
    };
    let base = Dissection {
        link,
        version: IpVersion::V4,
        ip,
        extensions,
        protocol,
        kind,
        transport: &[],
        payload: &[],
        payload_length: 0,
    };
    Some(with_transport(base, rest, on_wire))
}

#[inline]
fn dissect_v6<'a>(link: &'a [u8], packet: &'a [u8], layers: Layers) -> Option<Dissection<'a>> {
    let mut protocol = *packet.get(6)?;
    let payload_length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    let (ip, rest) = packet.split_at(packet.len().min(40));
    let (mut at, mut later_fragment) = (0, false);
    // Extension headers, RFC 8200 section 4: next header, length in 8-byte units less one.
    while layers.has(Layer::Ipv6Extensions) && !later_fragment {
        let Some(&[next, units, b2, b3]) = rest.get(at..).and_then(<[u8]>::first_chunk) else {
            break;
        };
        at += match protocol {
            0 | 43 | 60 => 8 * (usize::from(units) + 1),
            44 => {
                later_fragment = u16::from_be_bytes([b2, b3]) & 0xfff8 != 0;
                8
            }
            AUTHENTICATION if layers.has(Layer::Authentication) => authentication_bytes(units),
            _ => break,
        };
        protocol = next;
    }
    let kind = if later_fragment {
        TransportKind::LaterFragment
    } else {
        TransportKind::of(IpVersion::V6, protocol)
    };
    let (extensions, rest) = rest.split_at(at.min(rest.len()));
    let base = Dissection {
        link,
        version: IpVersion::V6,
        ip,
        extensions,
        protocol,
        kind,
        transport: &[],
        payload: &[],
        payload_length: 0,
    };
    Some(with_transport(base, rest, payload_length.saturating_sub(at)))
}

/// Splits `rest` (captured bytes after the IP headers) at the transport header; `on_wire` is what
/// the IP header says the length of that part is.
#[inline]
fn with_transport<'a>(base: Dissection<'a>, rest: &'a [u8], on_wire: usize) -> Dissection<'a> {
    let header_length = base.kind.header_bytes(rest);
    let (transport, payload) = rest.split_at(header_length.min(rest.len()));
    let payload_length = on_wire.saturating_sub(header_length);
    Dissection {
        transport,
        payload: &payload[..payload.len().min(payload_length)],
        payload_length,
        ..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ethernet(ethertype: [u8; 2], rest: &[u8]) -> Vec<u8> {
        [&[2; 12][..], &ethertype, rest].concat()
    }

    #[test]
    fn tcp_over_ipv4_with_padding() {
        let mut ip = vec![0x45, 0, 0, 43, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip.extend([0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 9, 0, 0, 0, 0]);
        ip.extend(b"abc-padding");
        let frame = ethernet([8, 0], &ip);
        let d = dissect(LinkType::Ethernet, &frame).expect("an IPv4 packet");
        assert_eq!((d.kind, d.ip.len(), d.transport.len()), (TransportKind::Tcp, 20, 20));
        assert_eq!((d.payload, d.payload_length), (&b"abc"[..], 3));
    }

    #[test]
    fn the_version_nibble_is_believed() {
        let mut ip = vec![0x45, 0, 0, 20, 0, 1, 0, 0, 64, 6, 0, 0];
        ip.extend([9; 8]);
        let d = dissect(LinkType::Ethernet, &ethernet([0x86, 0xdd], &ip)).map(|d| d.version);
        assert_eq!(d, Some(IpVersion::V4));
        assert_eq!(dissect(LinkType::Ethernet, &ethernet([0x08, 0x06], &ip)), None);
    }

    #[test]
    fn hop_by_hop_before_icmpv6() {
        let mut ip = vec![0x60, 0, 0, 0, 0, 16, 0, 1];
        ip.extend([0; 32]);
        ip.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0]);
        let d = dissect(LinkType::RawIp, &ip).expect("an IPv6 packet");
        assert_eq!((d.kind, d.extensions.len(), d.transport.len()), (TransportKind::Icmpv6, 8, 8));
        assert_eq!(d.payload_length, 0);
    }

    #[test]
    fn later_fragments_have_no_transport_header() {
        let mut ip = vec![0x45, 0, 0, 36, 0, 1, 0, 9, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip.extend([7; 16]);
        let d = dissect(LinkType::RawIp, &ip).expect("an IPv4 packet");
        assert_eq!((d.kind, d.payload_length), (TransportKind::LaterFragment, 16));
        assert!(d.transport.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(link in 0_u32..300, bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Some(d) = dissect(LinkType::from_number(link), &bytes) {
                prop_assert!(d.payload.len() <= d.payload_length);
            }
        }
    }
}
