//! Link layers: where the IP packet begins behind each of them.

use crate::{LinkType, wireless};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Protocol numbers of PPP for IPv4 and IPv6.
const PPP_IP: [u16; 2] = [0x0021, 0x0057];

/// Offset of the IP header, where the link layer announces one of either version.
///
/// | link layer | where it says what follows |
/// |---|---|
/// | Ethernet | type at byte 12 |
/// | raw IP | nowhere; the version nibble decides |
/// | NULL, LOOP | protocol family, 4 bytes; its numbers differ between systems, so the version nibble decides |
/// | SLL, SLL2 | protocol at byte 14, 0 |
/// | PPP | protocol at byte 0, or 2 behind `ff 03`; one byte where it is compressed (RFC 1661 6.5) |
/// | radiotap | LLC/SNAP behind the 802.11 header of an unencrypted data frame |
///
/// # Source
/// <https://www.tcpdump.org/linktypes.html>; RFC 1661, RFC 1662; IEEE 802.11, IEEE 802.2.
pub(crate) fn network_start(link_type: LinkType, bytes: &[u8]) -> Option<usize> {
    let ip_type = |at: usize, next: usize| match be16(bytes, at)? {
        IPV4 | IPV6 => Some(next),
        _ => None,
    };
    match link_type {
        LinkType::Ethernet => ip_type(12, 14),
        LinkType::RawIp => Some(0),
        LinkType::Null | LinkType::Loop => Some(4),
        LinkType::LinuxSll => ip_type(14, 16),
        LinkType::LinuxSll2 => ip_type(0, 20),
        LinkType::Ppp => ppp(bytes),
        LinkType::Radiotap => {
            let frame = wireless::Frame::of(bytes)?;
            let start = frame.llc_start()?;
            // LLC aa aa 03, organisation 00 00 00, type.
            (bytes.get(start..start + 6)? == [0xaa, 0xaa, 3, 0, 0, 0]).then_some(())?;
            ip_type(start + 6, start + 8)
        }
        LinkType::Other(_) => None,
    }
}

fn ppp(bytes: &[u8]) -> Option<usize> {
    let at = if bytes.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    // The first byte of a protocol number is even and its last one odd, so an odd first byte is
    // the whole number.
    let first = u16::from(*bytes.get(at)?);
    let (protocol, next) =
        if first & 1 == 1 { (first, at + 1) } else { (be16(bytes, at)?, at + 2) };
    PPP_IP.contains(&protocol).then_some(next)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_layer_finds_its_ip_header() {
        let mut sll = [0; 16];
        sll[14..].copy_from_slice(&[0x86, 0xdd]);
        let mut sll2 = [0; 20];
        sll2[..2].copy_from_slice(&[8, 0]);
        let data = [8, 1, 0, 0].into_iter().chain([1; 20]);
        let radiotap: Vec<u8> = [0, 0, 9, 0, 0, 0, 0, 0, 7].into_iter().chain(data).collect();
        let wireless = [&radiotap[..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat();
        for (link, bytes, start) in [
            (LinkType::Ethernet, [&[0; 12][..], &[8, 0]].concat(), Some(14)),
            (LinkType::Ethernet, [&[0; 12][..], &[8, 6]].concat(), None),
            (LinkType::LinuxSll, sll.to_vec(), Some(16)),
            (LinkType::LinuxSll2, sll2.to_vec(), Some(20)),
            (LinkType::Null, vec![2, 0, 0, 0], Some(4)),
            (LinkType::Ppp, vec![0xff, 3, 0, 0x21], Some(4)),
            (LinkType::Ppp, vec![0, 0x57], Some(2)),
            (LinkType::Ppp, vec![0x21], Some(1)),
            (LinkType::Ppp, vec![0xc0, 0x21], None),
            (LinkType::Radiotap, wireless, Some(9 + 24 + 8)),
            (LinkType::Radiotap, radiotap, None),
            (LinkType::Other(147), vec![0x45], None),
        ] {
            assert_eq!(network_start(link, &bytes), start, "{link:?} {bytes:02x?}");
        }
    }
}
