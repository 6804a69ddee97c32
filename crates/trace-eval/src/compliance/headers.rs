//! Rules that look at one packet.

use super::{Audit, Rule};
use crate::packet::{addresses, flag};
use nprint_codec::{Checksum, Dissection, IpVersion, LinkType, Packet, TransportKind, dissect};

/// Smallest Ethernet frame without its check sequence. Units: bytes.
const ETHERNET_MINIMUM_BYTES: usize = 60;

pub(super) fn check(link: LinkType, index: usize, packet: &Packet<'_>, audit: &mut Audit) {
    let Some(d) = dissect(link, packet.bytes) else {
        audit.check(Rule::IsIp, index, false);
        return;
    };
    audit.check(Rule::IsIp, index, true);
    let full = match d.version {
        IpVersion::V4 => 20,
        IpVersion::V6 => 40,
    };
    if d.ip.len() < full {
        // Cut by the capture, unless the packet really is that short.
        if packet.bytes.len() == packet.original_length as usize {
            audit.check(Rule::IpHeader, index, false);
        }
        return;
    }
    let (header_bytes, ip_bytes) = match d.version {
        IpVersion::V4 => (4 * usize::from(d.ip[0] & 15), be16(d.ip, 2)),
        IpVersion::V6 => (40, 40 + be16(d.ip, 4)),
    };
    let sound = header_bytes >= full && ip_bytes >= header_bytes + d.extensions.len();
    audit.check(Rule::IpHeader, index, sound);
    let wire = (packet.original_length as usize).saturating_sub(d.link.len());
    let padded = link == LinkType::Ethernet
        && packet.original_length as usize <= ETHERNET_MINIMUM_BYTES
        && ip_bytes < wire;
    audit.check(Rule::IpLength, index, ip_bytes == wire || padded);
    let ttl = d.ip[if d.version == IpVersion::V4 { 8 } else { 7 }];
    audit.check(Rule::TtlNotZero, index, ttl != 0);
    if d.version == IpVersion::V4 && d.ip.len() == header_bytes {
        audit.check(Rule::Ipv4Checksum, index, Checksum::new().with(d.ip).is_valid());
    }
    if sound {
        transport(&d, index, is_fragment(&d), audit);
    }
}

fn transport(d: &Dissection<'_>, index: usize, fragment: bool, audit: &mut Audit) {
    let whole = !fragment && d.payload.len() == d.payload_length;
    match d.kind {
        TransportKind::Tcp if d.transport.len() >= 20 => {
            let header_bytes = 4 * usize::from(d.transport[12] >> 4);
            let segment = segment_bytes(d);
            let sound = header_bytes >= 20 && header_bytes <= segment;
            audit.check(Rule::TcpHeader, index, sound);
            if sound && d.transport.len() == header_bytes {
                audit.check(Rule::TcpOptions, index, options_parse(&d.transport[20..]));
            }
            audit.check(Rule::TcpFlags, index, flags_legal(d.transport[13]));
            if sound && whole && d.transport.len() == header_bytes {
                audit.check(Rule::TcpChecksum, index, checksum_right(d));
            }
        }
        // Less than 20 bytes though more was captured, or nothing was cut: the offset is too small,
        // or the segment is.
        TransportKind::Tcp if !d.payload.is_empty() || whole => {
            audit.check(Rule::TcpHeader, index, false);
        }
        TransportKind::Udp if d.transport.len() == 8 => {
            let length = be16(d.transport, 4);
            if !fragment {
                audit.check(Rule::UdpLength, index, length == 8 + d.payload_length);
            }
            if whole {
                let none = be16(d.transport, 6) == 0 && d.version == IpVersion::V4;
                audit.check(Rule::UdpChecksum, index, none || checksum_right(d));
            }
        }
        TransportKind::Icmp | TransportKind::Icmpv6 if d.transport.len() == 8 => {
            audit.check(Rule::IcmpType, index, icmp_assigned(d.kind, d.transport[0]));
            if whole {
                audit.check(Rule::IcmpChecksum, index, checksum_right(d));
            }
        }
        _ => {}
    }
}

/// Whether the packet is a fragment (any but an unfragmented one).
fn is_fragment(d: &Dissection<'_>) -> bool {
    match d.version {
        IpVersion::V4 => be16(d.ip, 6) & 0x3fff != 0,
        // A fragment header stands among the extensions: walk them as the dissector does.
        IpVersion::V6 => {
            let (mut next, mut at) = (d.ip[6], 0);
            while let (0 | 43 | 44 | 60, Some(bytes)) = (next, d.extensions.get(at..at + 4)) {
                if next == 44 {
                    return true;
                }
                at += 8 * (usize::from(bytes[1]) + 1);
                next = bytes[0];
            }
            false
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])))
}

/// Bytes of transport header and payload, by the IP length.
fn segment_bytes(d: &Dissection<'_>) -> usize {
    match d.version {
        IpVersion::V4 => be16(d.ip, 2).saturating_sub(4 * usize::from(d.ip[0] & 15)),
        IpVersion::V6 => be16(d.ip, 4).saturating_sub(d.extensions.len()),
    }
}

fn checksum_right(d: &Dissection<'_>) -> bool {
    let sum = Checksum::new();
    let sum = match (d.kind, addresses(d)) {
        (TransportKind::Icmp, _) => sum,
        (_, Some((source, destination))) => {
            sum.with_pseudo_header(source, destination, d.protocol, segment_bytes(d) as u32)
        }
        (_, None) => return false,
    };
    sum.with(d.transport).with(d.payload).is_valid()
}

fn flags_legal(flags: u8) -> bool {
    let has = |f: u8| flags & f != 0;
    let base = flags & (flag::FIN | flag::SYN | flag::RST | flag::ACK);
    let clash = has(flag::SYN) && (has(flag::FIN) || has(flag::RST));
    base != 0 && !clash && (has(flag::ACK) || has(flag::SYN) || has(flag::RST))
}

/// Kind 0 ends, kind 1 is one byte, any other has a length; fixed lengths of the common ones.
fn options_parse(mut options: &[u8]) -> bool {
    loop {
        match *options {
            [] | [0, ..] => return true,
            [1, ref rest @ ..] => options = rest,
            [kind, length, ..] => {
                let length = usize::from(length);
                let right = match kind {
                    2 => length == 4,
                    3 => length == 3,
                    4 => length == 2,
                    5 => length >= 10 && length % 8 == 2,
                    8 => length == 10,
                    _ => length >= 2,
                };
                match options.get(length..) {
                    Some(rest) if right => options = rest,
                    _ => return false,
                }
            }
            [_] => return false,
        }
    }
}

fn icmp_assigned(kind: TransportKind, message: u8) -> bool {
    if kind == TransportKind::Icmp {
        matches!(message, 0 | 3..=6 | 8..=19 | 30..=43 | 253 | 254)
    } else {
        matches!(message, 1..=4 | 100 | 101 | 127..=161 | 200 | 201)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        assert!(options_parse(&[]));
        assert!(options_parse(&[2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 0, 99]));
        assert!(options_parse(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]));
        assert!(!options_parse(&[8, 9, 0, 0, 0, 1, 0, 0, 0, 2]));
        assert!(!options_parse(&[2, 0, 0, 0]));
        assert!(!options_parse(&[254]));
    }

    #[test]
    fn flags() {
        assert!([0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0xc2].into_iter().all(flags_legal));
        assert!(![0x00, 0x03, 0x06, 0x01, 0x08, 0x29].into_iter().any(flags_legal));
    }
}
