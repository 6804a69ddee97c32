//! Matrices to captures, bits taken as they are.
//!
//! Representation: the value plane is the header bytes, so a packet is one copy per run of
//! columns, a word at a time; the *present* plane only says where a header ends, and what lies
//! behind the headers is a number of zeros. Bench: `decode/*`, `decode_to_pcap/*`.

use crate::matrix::planes::{copy_run, used_bytes};
use crate::{Header, Layout, LinkType, Row, Segment, TernaryMatrix, Trace, ipv4, ipv6};

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
///   none of them filled then gets zero addresses and the type of its IP version. VLAN tags
///   follow them where the row has some; labels and tunnels have no columns and are lost.
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
    let decoder = RowDecoder::new(matrix.layout());
    let mut trace = Trace::new(decoder.link_type());
    append(decoder, &mut trace, matrix, times_ns);
    trace
}

/// Replaces the packets and the link type of `trace` by those that [`decode`] gives, in the same
/// memory.
pub fn decode_into(trace: &mut Trace, matrix: &TernaryMatrix, times_ns: &[i64]) {
    let decoder = RowDecoder::new(matrix.layout());
    trace.restart(decoder.link_type());
    append(decoder, trace, matrix, times_ns);
}

fn append(mut decoder: RowDecoder, trace: &mut Trace, matrix: &TernaryMatrix, times_ns: &[i64]) {
    for (index, row) in matrix.iter().enumerate() {
        let time_ns = times_ns.get(index).or(times_ns.last()).copied().unwrap_or(0);
        if let Some((headers, zeros)) = decoder.headers(&row) {
            trace.push_padded(time_ns, headers, zeros);
        }
    }
}

/// Decodes rows one at a time, as [`decode`] does, in the memory of one packet.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, RowDecoder, TernaryMatrix, ipv4};
/// let mut matrix = TernaryMatrix::vacant(Layout::reference(), 2);
/// matrix.row_mut(1).set(ipv4::TTL, 64);
/// let mut decoder = RowDecoder::new(matrix.layout());
/// assert_eq!(decoder.decode(&matrix.row(0)), None);
/// assert_eq!(decoder.decode(&matrix.row(1)), Some(&[0, 0, 0, 0, 0, 0, 0, 0, 64][..]));
/// ```
#[derive(Debug, Clone)]
pub struct RowDecoder {
    link_type: LinkType,
    ethernet: HeaderBytes,
    vlan: HeaderBytes,
    /// In wire order, IP first.
    packet: [HeaderBytes; 6],
    /// Room for every header, and [`SPARE_BYTES`] more.
    bytes: Vec<u8>,
}

/// Runs of columns are copied as whole words; the next copy overwrites what is too much.
const SPARE_BYTES: usize = 8;

impl RowDecoder {
    /// A decoder of rows of one layout.
    pub fn new(layout: &Layout) -> Self {
        let ethernet = layout.segments().iter().any(|s| s.header == Header::Ethernet);
        let sizes = [(Header::Ipv4, 20), (Header::Ipv6, 40), (Header::Tcp, 20)];
        let more = [(Header::Udp, 8), (Header::Icmp, 8), (Header::Payload, 0)];
        let of = |(header, fixed)| HeaderBytes::new(layout, header, fixed);
        let [a, b, c] = sizes.map(of);
        let [d, e, f] = more.map(of);
        let packet = [a, b, c, d, e, f];
        let vlan = of((Header::Vlan, 0));
        let headers: usize = packet.iter().chain([&vlan]).map(HeaderBytes::max_bytes).sum();
        Self {
            link_type: if ethernet { LinkType::Ethernet } else { LinkType::RawIp },
            ethernet: of((Header::Ethernet, 0)),
            vlan,
            packet,
            bytes: vec![0; ETHERNET_BYTES + headers + SPARE_BYTES],
        }
    }

    /// Link type of the packets.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The packet of one row of the decoder's layout; `None` where the row has no IP header.
    ///
    /// # Panics
    /// When the row is shorter than the decoder's layout, as slices do.
    pub fn decode(&mut self, row: &Row<'_>) -> Option<&[u8]> {
        let (headers, zeros) = self.headers(row)?;
        let (start, end) = (headers.len(), headers.len() + zeros);
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].fill(0);
        Some(&self.bytes[..end])
    }

    /// The headers of a row's packet, and the number of zeros behind them; `None` where it has no
    /// packet.
    pub(crate) fn headers(&mut self, row: &Row<'_>) -> Option<(&[u8], usize)> {
        let (present, value) = (row.present_words(), row.value_words());
        let out = &mut self.bytes[..];
        let mut start = 0;
        let mut has_ethernet = false;
        if self.link_type == LinkType::Ethernet {
            let length = self.ethernet.write(present, value, out);
            has_ethernet = length != 0;
            if length < ETHERNET_BYTES {
                out[length..ETHERNET_BYTES].fill(0);
            }
            start = ETHERNET_BYTES + self.vlan.write(present, value, &mut out[ETHERNET_BYTES..]);
        }
        let [v4, v6, above @ ..] = &self.packet;
        let v4 = v4.write(present, value, &mut out[start..]);
        let v6 = v6.write(present, value, &mut out[start + v4..]);
        if v4 + v6 == 0 {
            return None;
        }
        if self.link_type == LinkType::Ethernet && !has_ethernet {
            let ethertype = if v4 != 0 { [0x08, 0x00] } else { [0x86, 0xdd] };
            out[ETHERNET_BYTES - 2..ETHERNET_BYTES].copy_from_slice(&ethertype);
        }
        let mut end = start + v4 + v6;
        for header in above {
            end += header.write(present, value, &mut out[end..]);
        }
        let total = match (row.get(ipv4::TOTAL_LENGTH), row.get(ipv6::PAYLOAD_LENGTH)) {
            (Some(total), _) => total as usize,
            (None, Some(payload)) => 40 + payload as usize,
            (None, None) => 0,
        };
        Some((&self.bytes[..end], (start + total).saturating_sub(end)))
    }
}

/// Where the bytes of one header lie in a row.
#[derive(Debug, Clone)]
struct HeaderBytes {
    /// In the order of the header's bytes.
    segments: Vec<Segment>,
    /// By the length that the row shows: the length with the bytes that the layout lacks, which
    /// count as zeros where the bytes before them are present.
    completed: Vec<usize>,
}

impl HeaderBytes {
    fn new(layout: &Layout, header: Header, fixed: usize) -> Self {
        let mut segments: Vec<Segment> =
            layout.segments().iter().filter(|s| s.header == header).copied().collect();
        segments.sort_by_key(|s| s.header_offset_bytes);
        let covered = |at: usize| {
            segments.iter().any(|s| {
                (s.header_offset_bytes..s.header_offset_bytes + s.length_bytes).contains(&at)
            })
        };
        let complete = |length: usize| match length {
            0 => 0,
            _ => (length..fixed).find(|at| covered(*at)).unwrap_or(fixed.max(length)),
        };
        let completed = (0..=fixed).map(complete).collect();
        Self { segments, completed }
    }

    fn max_bytes(&self) -> usize {
        let end = self.segments.last().map_or(0, |s| s.header_offset_bytes + s.length_bytes);
        end.max(self.completed.len())
    }

    /// Writes the header up to its last byte that has a present cell to the start of `out`, and
    /// returns its length; what lies behind it is undefined.
    #[inline]
    fn write(&self, present: &[u64], value: &[u64], out: &mut [u8]) -> usize {
        let mut length = 0;
        for s in &self.segments {
            let used = used_bytes(present, s.column >> 3, s.length_bytes);
            if used == 0 {
                continue;
            }
            let at = s.header_offset_bytes;
            if at > length {
                out[length..at].fill(0);
            }
            copy_run(value, s.column >> 3, used, &mut out[at..]);
            length = at + used;
        }
        let completed = self.completed.get(length).copied().unwrap_or(length);
        if completed > length {
            out[length..completed].fill(0);
        }
        completed
    }
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
