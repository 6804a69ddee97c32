//! Captures to matrices.

use crate::{
    Dissection, Header, IpVersion, Layout, RowMut, TernaryMatrix, Trace, TransportKind, dissect,
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
        if let Some(d) = dissect(trace.link_type(), packet.bytes).filter(|d| takes(policy, d)) {
            write_row(&mut matrix.push_vacant(), policy, &d);
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

fn write_row(row: &mut RowMut<'_>, policy: RowPolicy, d: &Dissection<'_>) {
    let ip = match d.version {
        IpVersion::V4 => Header::Ipv4,
        IpVersion::V6 => Header::Ipv6,
    };
    row.set_header(ip, d.ip);
    let (header, bytes) = match (d.kind, policy) {
        (TransportKind::Tcp, _) => (Header::Tcp, d.transport),
        (TransportKind::Udp, _) => (Header::Udp, d.transport),
        (TransportKind::Icmp | TransportKind::Icmpv6, _) => (Header::Icmp, d.transport),
        (TransportKind::LaterFragment, RowPolicy::NPrint) => match d.protocol {
            6 => {
                let length = d.payload.get(12).map_or(20, |b| 4 * usize::from(b >> 4));
                (Header::Tcp, &d.payload[..length.min(d.payload.len())])
            }
            17 => (Header::Udp, &d.payload[..d.payload.len().min(8)]),
            _ => (Header::Icmp, &d.payload[..d.payload.len().min(8)]),
        },
        _ => return,
    };
    row.set_header(header, bytes);
}
