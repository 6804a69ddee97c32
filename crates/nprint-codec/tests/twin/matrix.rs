//! Captures to cells and back.

use nprint_codec::{
    Cell, Header, IpVersion, Layer, Layout, LinkType, Row, RowPolicy, TernaryMatrix, Trace,
    TransportKind, dissect_through, ipv4, ipv6, takes,
};

/// Planes *present* and *value*.
pub type Planes = (Vec<u64>, Vec<u64>);

/// A packet's headers by `policy`.
pub fn headers(
    link_type: LinkType,
    bytes: &[u8],
    policy: RowPolicy,
) -> Option<Vec<(Header, &[u8])>> {
    let layers = policy.layers();
    let d = dissect_through(link_type, bytes, layers).filter(|d| takes(policy, d))?;
    let mut headers = Vec::with_capacity(5);
    if link_type == LinkType::Ethernet {
        headers.push((Header::Ethernet, d.link));
        if layers.has(Layer::VlanTags) {
            let is_tag =
                |at: usize| matches!(&d.link[at..], [0x81 | 0x91, 0, ..] | [0x88, 0xa8, ..]);
            let most = d.link.len() >> 2;
            let tags = (0..most).take_while(|tag| is_tag(12 + 4 * tag)).count();
            headers.push((Header::Vlan, &d.link[14..14 + 4 * tags]));
        }
    }
    headers.push(match d.version {
        IpVersion::V4 => (Header::Ipv4, d.ip),
        IpVersion::V6 => (Header::Ipv6, d.ip),
    });
    let mut payload = d.payload;
    match d.kind {
        TransportKind::Tcp => headers.push((Header::Tcp, d.transport)),
        TransportKind::Udp => headers.push((Header::Udp, d.transport)),
        TransportKind::Icmp => headers.push((Header::Icmp, d.transport)),
        TransportKind::Icmpv6 if layers.has(Layer::Icmpv6) => {
            headers.push((Header::Icmp, d.transport));
        }
        TransportKind::LaterFragment if !layers.has(Layer::Fragments) => {
            let tcp_length = d.payload.get(12).map_or(20, |b| 4 * usize::from(b >> 4));
            let (header, length) = match (d.protocol, d.version) {
                (6, _) => (Some(Header::Tcp), tcp_length),
                (17, _) => (Some(Header::Udp), 8),
                (1, _) => (Some(Header::Icmp), 8),
                (58, IpVersion::V6) => (layers.has(Layer::Icmpv6).then_some(Header::Icmp), 8),
                _ => (None, 0),
            };
            let (bytes, rest) = d.payload.split_at(length.min(d.payload.len()));
            headers.extend(header.map(|header| (header, bytes)));
            payload = rest;
        }
        _ => {}
    }
    headers.push((Header::Payload, payload));
    Some(headers)
}

/// A byte at a time.
pub fn encode(trace: &Trace, layout: &Layout, policy: RowPolicy) -> Planes {
    let (mut present, mut value) = (Vec::new(), Vec::new());
    for packet in trace.iter() {
        let Some(headers) = headers(trace.link_type(), packet.bytes, policy) else { continue };
        let start = present.len();
        present.resize(start + layout.words(), 0);
        value.resize(start + layout.words(), 0);
        for (header, bytes) in headers {
            for s in layout.segments().iter().filter(|s| s.header == header) {
                for i in 0..s.length_bytes {
                    if let Some(byte) = bytes.get(s.header_offset_bytes + i) {
                        let at = (s.column >> 3) + i;
                        let (word, shift) = (start + (at >> 3), 56 - 8 * (at & 7));
                        present[word] |= 0xff << shift;
                        value[word] |= u64::from(*byte) << shift;
                    }
                }
            }
        }
    }
    (present, value)
}

/// A cell at a time.
pub fn to_i8(matrix: &TernaryMatrix) -> Vec<i8> {
    let mut out = Vec::with_capacity(matrix.rows() * matrix.columns());
    for row in matrix.iter() {
        out.extend((0..matrix.columns()).map(|c| row.cell(c).to_i8()));
    }
    out
}

/// A cell at a time.
pub fn from_i8(matrix: &mut TernaryMatrix, cells: &[i8]) {
    for (index, cells) in cells.chunks_exact(matrix.columns()).enumerate() {
        let mut row = matrix.row_mut(index);
        for (column, cell) in cells.iter().enumerate() {
            let cell = match cell {
                0 => Cell::Zero,
                1 => Cell::One,
                _ => Cell::Vacant,
            };
            row.set_cell(column, cell);
        }
    }
}

/// A cell at a time.
pub fn decode(matrix: &TernaryMatrix, times_ns: &[i64]) -> Trace {
    let segments = matrix.layout().segments();
    let ethernet = segments.iter().any(|s| s.header == Header::Ethernet);
    let mut trace = Trace::new(if ethernet { LinkType::Ethernet } else { LinkType::RawIp });
    for (index, row) in matrix.iter().enumerate() {
        let Some(packet) = packet_bytes(&row) else { continue };
        let link = if ethernet { link_bytes(&row) } else { Vec::new() };
        let tags = if ethernet { header_bytes(&row, Header::Vlan, 0) } else { Vec::new() };
        let bytes = [link, tags, packet].concat();
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
    link.resize(14, 0);
    link
}

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
