//! Captures to matrices.

use crate::{
    Dissection, Header, IpVersion, Layout, LinkType, RowMut, TernaryMatrix, Trace, TransportKind,
    dissect, wireless,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which packets become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RowPolicy {
    /// Every IP packet is a row. ICMPv6 is shown in the ICMP columns; fragments other than the
    /// first, and protocols without columns, leave the transport columns vacant.
    #[default]
    EveryIpPacket,
    /// As the C++ tool has it: only TCP, UDP and ICMP directly after IPv4 or IPv6, fragments
    /// other than the first read as if they began with a transport header.
    NPrint,
}

/// Encodes every packet of `trace` that `policy` takes; the row order is the packet order.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, LinkType, RowPolicy, Trace, encode};
/// let trace = Trace::new(LinkType::Ethernet);
/// assert_eq!(encode(&trace, &Layout::reference(), RowPolicy::default()).rows(), 0);
/// ```
pub fn encode(trace: &Trace, layout: &Arc<Layout>, policy: RowPolicy) -> TernaryMatrix {
    let mut matrix = TernaryMatrix::new(layout.clone());
    for packet in trace.iter() {
        if let Some(frame) = wireless::whole_frame(trace.link_type(), policy, packet.bytes) {
            frame.write_row(&mut matrix.push_vacant());
            continue;
        }
        if let Some(d) = dissect(trace.link_type(), packet.bytes).filter(|d| takes(policy, d)) {
            write_row(&mut matrix.push_vacant(), &parts(trace.link_type(), policy, &d));
        }
    }
    matrix
}

/// Whether `policy` makes a row of this packet.
pub fn takes(policy: RowPolicy, d: &Dissection<'_>) -> bool {
    match policy {
        RowPolicy::EveryIpPacket => true,
        RowPolicy::NPrint => d.extensions.is_empty() && matches!(d.protocol, 6 | 17 | 1),
    }
}

/// The bytes of one packet as `policy` sorts them into headers.
pub(crate) struct Parts<'a> {
    /// Radiotap and 802.11, where that is the link layer.
    pub(crate) frame: Option<wireless::Frame<'a>>,
    ethernet: &'a [u8],
    network: (Header, &'a [u8]),
    /// Header and bytes, where the packet has a transport header with columns.
    pub(crate) transport: Option<(Header, &'a [u8])>,
    payload: &'a [u8],
}

pub(crate) fn parts<'a>(link_type: LinkType, policy: RowPolicy, d: &Dissection<'a>) -> Parts<'a> {
    let ip = match d.version {
        IpVersion::V4 => Header::Ipv4,
        IpVersion::V6 => Header::Ipv6,
    };
    let (transport, payload) = match (d.kind, policy) {
        (TransportKind::Tcp, _) => (Some((Header::Tcp, d.transport)), d.payload),
        (TransportKind::Udp, _) => (Some((Header::Udp, d.transport)), d.payload),
        (TransportKind::Icmp | TransportKind::Icmpv6, _) => {
            (Some((Header::Icmp, d.transport)), d.payload)
        }
        (TransportKind::LaterFragment, RowPolicy::NPrint) => {
            let (header, length) = match d.protocol {
                6 => (Header::Tcp, d.payload.get(12).map_or(20, |b| 4 * usize::from(b >> 4))),
                17 => (Header::Udp, 8),
                _ => (Header::Icmp, 8),
            };
            let (bytes, rest) = d.payload.split_at(length.min(d.payload.len()));
            (Some((header, bytes)), rest)
        }
        _ => (None, d.payload),
    };
    let ethernet = if link_type == LinkType::Ethernet { d.link } else { &[] };
    let frame = (link_type == LinkType::Radiotap).then(|| wireless::Frame::of(d.link)).flatten();
    Parts { frame, ethernet, network: (ip, d.ip), transport, payload }
}

pub(crate) fn write_row(row: &mut RowMut<'_>, parts: &Parts<'_>) {
    if let Some(frame) = &parts.frame {
        frame.write_row(row);
    }
    row.set_header(Header::Ethernet, parts.ethernet);
    row.set_header(parts.network.0, parts.network.1);
    if let Some((header, bytes)) = parts.transport {
        row.set_header(header, bytes);
    }
    row.set_header(Header::Payload, parts.payload);
}
