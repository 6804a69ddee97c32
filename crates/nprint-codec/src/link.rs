//! Link layers: where the IP packet begins behind each of them.

use crate::{Layer, Layers, LinkType, wireless};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Protocol numbers of PPP for IPv4 and IPv6.
const PPP_IP: [u16; 2] = [0x0021, 0x0057];

/// 802.1Q, 802.1ad, and what QinQ was before it.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Unicast and multicast labels.
const MPLS: [u16; 2] = [0x8847, 0x8848];
const PPPOE_SESSION: u16 = 0x8864;
/// An Ethernet frame as the data of GRE.
const BRIDGED_ETHERNET: u16 = 0x6558;

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
#[inline]
pub(crate) fn network_start(link_type: LinkType, bytes: &[u8], layers: Layers) -> Option<usize> {
    if let Some((at, next)) = type_field(link_type) {
        return behind_type(be16(bytes, at)?, bytes, next, layers);
    }
    match link_type {
        LinkType::RawIp => Some(0),
        LinkType::Null | LinkType::Loop => Some(4),
        LinkType::Ppp => ppp(bytes, if bytes.starts_with(&[0xff, 0x03]) { 2 } else { 0 }),
        LinkType::Radiotap => {
            let frame = wireless::Frame::of(bytes)?;
            let start = frame.llc_start()?;
            // LLC aa aa 03, organisation 00 00 00, type.
            (bytes.get(start..start + 6)? == [0xaa, 0xaa, 3, 0, 0, 0]).then_some(())?;
            behind_type(be16(bytes, start + 6)?, bytes, start + 8, layers)
        }
        _ => None,
    }
}

/// Offsets of the Ethernet type and of what it announces, where those are fixed.
#[inline]
const fn type_field(link_type: LinkType) -> Option<(usize, usize)> {
    match link_type {
        LinkType::Ethernet => Some((12, 14)),
        LinkType::LinuxSll => Some((14, 16)),
        LinkType::LinuxSll2 => Some((0, 20)),
        _ => None,
    }
}

/// Offset of the IP header behind an Ethernet type, whose data begin at `next`. Each turn moves
/// forward, so that the packet's end is the bound.
#[inline]
fn behind_type(ethertype: u16, bytes: &[u8], next: usize, layers: Layers) -> Option<usize> {
    match ethertype {
        IPV4 | IPV6 => Some(next),
        _ => behind_tags(ethertype, bytes, next, layers),
    }
}

fn behind_tags(ethertype: u16, bytes: &[u8], next: usize, layers: Layers) -> Option<usize> {
    match ethertype {
        _ if VLAN.contains(&ethertype) && layers.has(Layer::VlanTags) => {
            let (mut ethertype, mut next) = (ethertype, next);
            while VLAN.contains(&ethertype) {
                ethertype = be16(bytes, next + 2)?;
                next += 4;
            }
            behind_type(ethertype, bytes, next, layers)
        }
        _ if MPLS.contains(&ethertype) && layers.has(Layer::MplsLabels) => {
            // The lowest bit of the third byte marks the last label; the version nibble behind it
            // tells what follows.
            let last = bytes.get(next..)?.as_chunks::<4>().0.iter().position(|l| l[2] & 1 == 1)?;
            Some(next + 4 * (last + 1))
        }
        PPPOE_SESSION if layers.has(Layer::Pppoe) => {
            // Version and type 1, code 0; session 2, length 2.
            (bytes.get(next..next + 2)? == [0x11, 0]).then_some(())?;
            ppp(bytes, next + 6)
        }
        _ => None,
    }
}

/// Offset of the IP header inside GRE, whose own header begins at `at`.
///
/// ```text
/// | C 1 | 0 1 | K 1 | S 1 | … 9 | version 3 | type 16 | C: checksum 32 | K: key 32 | S: sequence 32 |
/// ```
/// Routing (RFC 1701) and other versions (PPTP) are not entered.
pub(crate) fn behind_gre(bytes: &[u8], at: usize, layers: Layers) -> Option<usize> {
    const OPTIONAL_WORDS: u16 = 0xb000;
    const MUST_BE_ZERO: u16 = 0x4c07;
    let (flags, ethertype) = (be16(bytes, at)?, be16(bytes, at + 2)?);
    if flags & MUST_BE_ZERO != 0 {
        return None;
    }
    let next = at + 4 + 4 * (flags & OPTIONAL_WORDS).count_ones() as usize;
    match ethertype {
        BRIDGED_ETHERNET => behind_type(be16(bytes, next + 12)?, bytes, next + 14, layers),
        _ => behind_type(ethertype, bytes, next, layers),
    }
}

/// The VLAN tags in front of an IP header, each with the type behind it; `link` is what comes
/// before that header.
#[inline(never)] // rare, and it would make the copying of rows longer
pub(crate) fn vlan_tags(link_type: LinkType, link: &[u8]) -> &[u8] {
    let tags = || {
        let (mut at, start) = type_field(link_type)?;
        let mut end = start;
        while VLAN.contains(&be16(link, at)?) {
            (at, end) = (end + 2, end + 4);
        }
        link.get(start..end)
    };
    tags().unwrap_or_default()
}

/// Offset of the IP header behind a protocol number of PPP at `at`.
fn ppp(bytes: &[u8], at: usize) -> Option<usize> {
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
            assert_eq!(network_start(link, &bytes, Layers::NPRINT), start, "{link:?} {bytes:02x?}");
        }
    }
}
