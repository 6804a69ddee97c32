//! Checksums: computed, or brought forward from a source whose bytes were cut.

use crate::compile::addresses::Ends;
use crate::compile::source::Source;
use crate::draft::{RowFacts, Stack, Transport};
use nprint_codec::{Checksum, IpVersion, RowMut, icmp, ipv4, tcp, udp};

/// A packet whose bytes are there apart from its checksums.
#[derive(Clone, Copy)]
pub(crate) struct Packet<'a> {
    pub(crate) facts: RowFacts,
    pub(crate) ends: &'a Ends,
    pub(crate) source: Option<&'a Source<'a>>,
    /// Payload of the whole datagram, of which this packet is the first fragment.
    pub(crate) datagram: &'a [u8],
    /// Where the IP header, the transport header and the payload begin in the frame.
    pub(crate) at: [usize; 3],
    /// Whether no payload byte was cut.
    pub(crate) whole: bool,
}

/// Writes the checksums of the packet that ends `frame`.
pub(crate) fn write(packet: &Packet<'_>, frame: &mut [u8]) {
    let Packet { facts, ends, source, datagram, at, whole } = *packet;
    let [ip_at, transport_at, payload_at] = at;
    let v4 = facts.stack.version == IpVersion::V4;
    if v4 {
        let end = ip_at + (usize::from(frame[ip_at] & 15) << 2);
        let kept = source.map(|s| s.0.ip).filter(|old| same_but(old, &frame[ip_at..end], 10));
        let sum = match kept {
            Some(old) => [old[10], old[11]],
            None => Checksum::new().with(&frame[ip_at..end]).finish().to_be_bytes(),
        };
        frame[ip_at + 10..ip_at + 12].copy_from_slice(&sum);
    }
    let (field_at, protocol, pseudo) = match facts.stack.transport {
        Transport::Tcp => (16, 6, true),
        Transport::Udp => (6, 17, true),
        Transport::Icmp => (2, if v4 { 1 } else { 58 }, !v4),
        Transport::Fragment | Transport::Other => return,
    };
    frame[transport_at + field_at..transport_at + field_at + 2].fill(0);
    let header = &frame[transport_at..payload_at];
    let begin = |source: &[u8], destination: &[u8], length: usize| {
        if pseudo {
            Checksum::new().with_pseudo_header(source, destination, protocol, length as u32)
        } else {
            Checksum::new()
        }
    };
    let length = if facts.stack.transport == Transport::Udp {
        usize::from(u16::from_be_bytes([header[4], header[5]]))
    } else {
        payload_at - transport_at + facts.payload_bytes as usize
    };
    let fresh = begin(ends.source(), ends.destination(), length).with(header);
    let old = source.filter(|s| s.0.transport.len() == header.len());
    let mut sum = if let Some((d, ..)) = old {
        let addresses = if v4 { 12..20 } else { 8..40 };
        let addresses = d.ip.get(addresses).unwrap_or_default();
        let (from, to) = addresses.split_at(addresses.len() >> 1);
        let old_length = d.transport.len() + d.payload_length;
        let same = from == ends.source()
            && to == ends.destination()
            && same_but(d.transport, header, field_at)
            && d.payload_length == facts.payload_bytes as usize;
        if same {
            // Nothing that is summed changed: also a sum that was never filled in is kept.
            let kept = [d.transport[field_at], d.transport[field_at + 1]];
            frame[transport_at + field_at..transport_at + field_at + 2].copy_from_slice(&kept);
            return;
        }
        if whole && !facts.more_fragments {
            fresh.with(&frame[payload_at..]).finish()
        } else {
            // The sum of the bytes that were cut is what the old headers left of the old sum.
            let old_length = if facts.stack.transport == Transport::Udp {
                usize::from(u16::from_be_bytes([d.transport[4], d.transport[5]]))
            } else {
                old_length
            };
            let cut = begin(from, to, old_length).with(d.transport).finish();
            fresh.with(&cut.to_be_bytes()).finish()
        }
    } else if facts.more_fragments && facts.stack.transport == Transport::Udp {
        fresh.with(datagram).finish()
    } else {
        fresh.with(&frame[payload_at..]).finish()
    };
    if facts.stack.transport == Transport::Udp && sum == 0 {
        // 0 would mean "no checksum"; RFC 768.
        sum = 0xffff;
    }
    frame[transport_at + field_at..transport_at + field_at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether two headers are the same apart from the 16 bits at `at`.
fn same_but(old: &[u8], new: &[u8], at: usize) -> bool {
    old.len() == new.len() && old[..at] == new[..at] && old[at + 2..] == new[at + 2..]
}

/// Copies the checksums of a packet into its row; `at` as in [`Packet`].
pub(crate) fn copy(cells: &mut RowMut<'_>, frame: &[u8], at: [usize; 3], stack: Stack) {
    let word = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let [ip_at, transport_at, _] = at;
    if stack.version == IpVersion::V4 {
        cells.set(ipv4::CHECKSUM, word(ip_at + 10));
    }
    match stack.transport {
        Transport::Tcp => cells.set(tcp::CHECKSUM, word(transport_at + 16)),
        Transport::Udp => cells.set(udp::CHECKSUM, word(transport_at + 6)),
        Transport::Icmp => cells.set(icmp::CHECKSUM, word(transport_at + 2)),
        Transport::Fragment | Transport::Other => {}
    }
}
