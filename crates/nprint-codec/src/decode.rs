//! Matrices to captures, bits taken as they are.

use crate::{Cell, Header, LinkType, Row, TernaryMatrix, Trace, ipv4, ipv6};

const ETHERNET_BYTES: usize = 14;

/// Writes each row's headers one after the other as a packet. Nothing is corrected: lengths,
/// checksums and sequence numbers are the row's. *Repair is what makes packets
/// protocol-correct*; this function is its opposite, a faithful view of the bits.
///
/// * A header ends with its last byte that has a present cell; vacant cells before that are 0.
/// * Bytes that the layout lacks (the addresses of the reference layout) are 0.
/// * The packet is filled with zeros up to the length in its IP header; where that is smaller than
///   the headers, the headers stay whole.
/// * Rows without an IP header give no packet.
/// * The link type is raw IP, or Ethernet where the layout has Ethernet columns; a row that has
///   none of them filled then gets zero addresses and the type of its IP version.
/// * Row `i` is at `times_ns[i]`; rows past the end of `times_ns` take its last time, or 0.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, TernaryMatrix, decode, ipv4};
/// let mut matrix = TernaryMatrix::new(Layout::reference());
/// let mut row = matrix.push_vacant();
/// row.set(ipv4::VERSION, 4);
/// row.set(ipv4::HEADER_LENGTH, 5);
/// row.set(ipv4::TOTAL_LENGTH, 28);
/// let trace = decode(&matrix, &[]);
/// assert_eq!(trace.packet(0).bytes[..4], [0x45, 0, 0, 28]);
/// assert_eq!(trace.packet(0).bytes.len(), 28);
/// ```
pub fn decode(matrix: &TernaryMatrix, times_ns: &[i64]) -> Trace {
    let segments = matrix.layout().segments();
    let ethernet = segments.iter().any(|s| s.header == Header::Ethernet);
    let mut trace = Trace::new(if ethernet { LinkType::Ethernet } else { LinkType::RawIp });
    for (index, row) in matrix.iter().enumerate() {
        let Some(packet) = packet_bytes(&row) else { continue };
        let link = if ethernet { link_bytes(&row) } else { Vec::new() };
        let bytes = [link, packet].concat();
        let time_ns = times_ns.get(index).or(times_ns.last()).copied().unwrap_or(0);
        trace.push(time_ns, &bytes, bytes.len() as u32);
    }
    trace
}

fn link_bytes(row: &Row<'_>) -> Vec<u8> {
    let mut link = header_bytes(row, Header::Ethernet, 0);
    if link.is_empty() {
        let ethertype = if row.has(Header::Ipv4) { [0x08, 0x00] } else { [0x86, 0xdd] };
        link = [&[0; 12][..], &ethertype].concat();
    }
    link.resize(ETHERNET_BYTES, 0);
    link
}

/// The packet from its IP header on.
fn packet_bytes(row: &Row<'_>) -> Option<Vec<u8>> {
    if !row.has(Header::Ipv4) && !row.has(Header::Ipv6) {
        return None;
    }
    let mut bytes = header_bytes(row, Header::Ipv4, 20);
    bytes.extend(header_bytes(row, Header::Ipv6, 40));
    bytes.extend(header_bytes(row, Header::Tcp, 20));
    bytes.extend(header_bytes(row, Header::Udp, 8));
    bytes.extend(header_bytes(row, Header::Icmp, 8));
    bytes.extend(header_bytes(row, Header::Payload, 0));
    let total = match (row.get(ipv4::TOTAL_LENGTH), row.get(ipv6::PAYLOAD_LENGTH)) {
        (Some(total), _) => total as usize,
        (None, Some(payload)) => 40 + payload as usize,
        (None, None) => 0,
    };
    bytes.resize(bytes.len().max(total), 0);
    Some(bytes)
}

/// One header's bytes, empty where the row has none of it. Bytes below `fixed` that the layout
/// lacks count as present zeros where the bytes before them are present.
fn header_bytes(row: &Row<'_>, header: Header, fixed: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut covered = vec![false; fixed];
    for segment in row.layout().segments().iter().filter(|s| s.header == header) {
        for i in 0..segment.length_bytes {
            let at = segment.header_offset_bytes + i;
            if let Some(slot) = covered.get_mut(at) {
                *slot = true;
            }
            let cells = (0..8).map(|bit| row.cell(segment.column + 8 * i + bit));
            let (any, value) = cells.fold((false, 0_u8), |(any, value), cell| {
                (any || cell != Cell::Vacant, (value << 1) | u8::from(cell == Cell::One))
            });
            if any {
                bytes.resize(bytes.len().max(at + 1), 0);
                bytes[at] = value;
            }
        }
    }
    while !bytes.is_empty() && covered.get(bytes.len()) == Some(&false) {
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, RowPolicy, encode};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A packet with valid length fields and anything else at random.
    fn packet() -> impl Strategy<Value = Vec<u8>> {
        let bytes = |n| prop::collection::vec(any::<u8>(), n);
        let transport = prop_oneof![
            (5_u8..=15, bytes(60)).prop_map(|(words, mut tcp)| {
                tcp.truncate(4 * usize::from(words));
                tcp[12] = (tcp[12] & 15) | (words << 4);
                (6_u8, tcp)
            }),
            bytes(8).prop_map(|udp| (17, udp)),
            bytes(8).prop_map(|icmp| (1, icmp)),
        ];
        (transport, bytes(60), 5_u8..=15, any::<bool>(), prop::collection::vec(any::<u8>(), 0..30))
            .prop_map(|((protocol, transport), mut ip, words, v4, payload)| {
                let rest = transport.len() + payload.len();
                if v4 {
                    ip.truncate(4 * usize::from(words));
                    ip[0] = 0x40 | words;
                    let total = (ip.len() + rest) as u16;
                    ip[2..4].copy_from_slice(&total.to_be_bytes());
                    ip[6..8].copy_from_slice(&[0x40, 0]);
                    ip[9] = protocol;
                } else {
                    ip.truncate(40);
                    ip[0] = 0x60 | (ip[0] & 15);
                    ip[4..6].copy_from_slice(&(rest as u16).to_be_bytes());
                    ip[6] = protocol;
                }
                [ip, transport, payload].concat()
            })
    }

    fn layouts() -> Vec<Arc<Layout>> {
        let every = [Header::ALL.as_slice(), &[Header::Ethernet]].concat();
        vec![
            Layout::reference(),
            Arc::new(Layout::of_headers(&Header::ALL)),
            Arc::new(Layout::with_payload(&every, 16).expect("16 bytes fit")),
        ]
    }

    proptest! {
        #[test]
        fn decoding_covers_every_header_bit(packets in prop::collection::vec(packet(), 1..5)) {
            let mut trace = Trace::new(LinkType::Ethernet);
            for (i, packet) in packets.iter().enumerate() {
                let ethertype = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
                let frame = [&[7; 12][..], &ethertype, packet].concat();
                trace.push(1_000 * i as i64, &frame, frame.len() as u32);
            }
            for layout in layouts() {
                let matrix = encode(&trace, &layout, RowPolicy::default());
                let decoded = decode(&matrix, &[]);
                prop_assert_eq!(decoded.len(), packets.len());
                prop_assert_eq!(encode(&decoded, &layout, RowPolicy::default()), matrix);
            }
            // With addresses and enough payload columns the very bytes come back.
            let layout = Arc::new(Layout::with_payload(&Header::ALL, 30).expect("30 bytes fit"));
            let matrix = encode(&trace, &layout, RowPolicy::default());
            let decoded = decode(&matrix, &[5, 6]);
            for (found, expected) in decoded.iter().zip(&packets) {
                prop_assert_eq!(found.bytes, &expected[..]);
            }
            prop_assert_eq!(decoded.packet(0).time_ns, 5);
        }

        #[test]
        fn any_matrix_is_survived(planes in prop::collection::vec(any::<(u64, u64)>(), 17)) {
            let mut matrix = TernaryMatrix::new(Layout::reference());
            let (present, value): (Vec<u64>, Vec<u64>) = planes.into_iter().unzip();
            matrix.push_vacant().set_words(&present, &value);
            matrix.push_vacant();
            prop_assert_eq!(decode(&matrix, &[]).len(), 1);
        }
    }
}
