//! Captures to matrices.
//!
//! Representation: the value plane *is* the header bytes, so a row is a few copies of byte runs,
//! a word at a time, into vacant words; nothing looks at bits and nothing is allocated per
//! packet (`tests/allocations.rs`). Bench: `encode/*`.

use crate::dissect::found_through;
use crate::{
    Dissection, Header, IpVersion, Layer, Layers, Layout, LinkType, Row, RowMut, TernaryMatrix,
    Trace, TransportKind, link, wireless,
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
    /// nPrint's rows, and those of the packets that these layers lead to.
    Through(Layers),
}

impl RowPolicy {
    /// The layers that are looked through.
    pub const fn layers(self) -> Layers {
        match self {
            Self::EveryIpPacket => Layers::EVERY_IP_PACKET,
            Self::NPrint => Layers::NPRINT,
            Self::Through(layers) => layers,
        }
    }
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
    encode_into(&mut matrix, trace, policy);
    matrix
}

/// Appends the rows of `trace` to `matrix`, whose memory grows at most once. A matrix that is
/// [cleared](TernaryMatrix::clear) and filled again allocates nothing.
pub fn encode_into(matrix: &mut TernaryMatrix, trace: &Trace, policy: RowPolicy) {
    matrix.reserve(trace.len());
    for packet in trace.iter() {
        push_packet(matrix, trace.link_type(), packet.bytes, policy);
    }
}

/// Appends the row of one packet, and returns whether it has one.
pub(crate) fn push_packet(
    matrix: &mut TernaryMatrix,
    link_type: LinkType,
    packet: &[u8],
    policy: RowPolicy,
) -> bool {
    let parts = Parts::of(link_type, packet, policy);
    if let Some(parts) = &parts {
        parts.fill(&mut matrix.push_vacant());
    }
    parts.is_some()
}

/// Encodes packets one at a time, in the memory of one row.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, LinkType, RowEncoder, RowPolicy, ipv4};
/// let mut encoder = RowEncoder::new(&Layout::reference(), RowPolicy::default());
/// let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// let row = encoder.encode(LinkType::RawIp, &packet).expect("an IPv4 packet");
/// assert_eq!(row.get(ipv4::TTL), Some(64));
/// assert!(encoder.encode(LinkType::RawIp, &[]).is_none());
/// ```
#[derive(Debug, Clone)]
pub struct RowEncoder {
    policy: RowPolicy,
    row: TernaryMatrix,
}

impl RowEncoder {
    /// An encoder of the packets that `policy` takes.
    pub fn new(layout: &Arc<Layout>, policy: RowPolicy) -> Self {
        Self { policy, row: TernaryMatrix::vacant(layout.clone(), 1) }
    }

    /// The columns.
    pub fn layout(&self) -> &Arc<Layout> {
        self.row.layout()
    }

    /// The row of one packet, its bytes from the link layer on; `None` where the policy has no
    /// row for it.
    pub fn encode(&mut self, link_type: LinkType, packet: &[u8]) -> Option<Row<'_>> {
        self.encode_parts(link_type, packet).map(|(row, ..)| row)
    }

    /// The row, and what it was made of.
    pub(crate) fn encode_parts<'p>(
        &mut self,
        link_type: LinkType,
        packet: &'p [u8],
    ) -> Option<(Row<'_>, Parts<'p>)> {
        let parts = Parts::of(link_type, packet, self.policy)?;
        self.row.clear();
        parts.fill(&mut self.row.push_vacant());
        Some((self.row.row(0), parts))
    }
}

/// Whether `policy` makes a row of a packet that was dissected as the policy's
/// [layers](RowPolicy::layers) say, or as [`dissect`](crate::dissect) does.
#[inline]
pub fn takes(policy: RowPolicy, d: &Dissection<'_>) -> bool {
    let layers = policy.layers();
    let behind_extensions = d.version == IpVersion::V6 && !d.extensions.is_empty();
    if behind_extensions && !layers.has(Layer::Ipv6Extensions) {
        return false;
    }
    match TransportKind::of(d.version, d.protocol) {
        TransportKind::Tcp | TransportKind::Udp | TransportKind::Icmp => true,
        TransportKind::Icmpv6 if layers.has(Layer::Icmpv6) => true,
        _ => layers.has(Layer::OtherProtocols),
    }
}

/// The transport header that has columns, with its bytes, and the payload behind it.
#[inline]
pub(crate) fn transport_of<'a>(
    d: &Dissection<'a>,
    layers: Layers,
) -> (Option<(Header, &'a [u8])>, &'a [u8]) {
    let (mut kind, mut bytes, mut payload) = (d.kind, d.transport, d.payload);
    if kind == TransportKind::LaterFragment && !layers.has(Layer::Fragments) {
        // As the C++ tool has it: as if it were the first one.
        kind = TransportKind::of(d.version, d.protocol);
        (bytes, payload) = payload.split_at(kind.header_bytes(payload).min(payload.len()));
    }
    let header = match kind {
        TransportKind::Tcp => Header::Tcp,
        TransportKind::Udp => Header::Udp,
        TransportKind::Icmp => Header::Icmp,
        TransportKind::Icmpv6 if layers.has(Layer::Icmpv6) => Header::Icmp,
        _ => return (None, payload),
    };
    (Some((header, bytes)), payload)
}

/// The bytes of one packet as a policy sorts them into headers.
pub(crate) struct Parts<'a> {
    /// Radiotap and 802.11, where that is the link layer.
    pub(crate) frame: Option<wireless::Frame<'a>>,
    link_type: LinkType,
    /// Everything in front of the IP header.
    pub(crate) link: &'a [u8],
    /// The IP header; none where a frame is a row as a whole.
    pub(crate) network: Option<(Header, &'a [u8])>,
    /// Header and bytes, where the packet has a transport header with columns.
    pub(crate) transport: Option<(Header, &'a [u8])>,
    payload: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` where the policy has no row for the packet.
    fn of(link_type: LinkType, packet: &'a [u8], policy: RowPolicy) -> Option<Self> {
        // What is looked through is known to the compiler in all cases but the last.
        match policy {
            RowPolicy::EveryIpPacket => Self::through(link_type, packet, Layers::EVERY_IP_PACKET),
            RowPolicy::NPrint => Self::through(link_type, packet, Layers::NPRINT),
            RowPolicy::Through(layers) => Self::through(link_type, packet, layers),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "constant layers are folded in each of three copies")]
    fn through(link_type: LinkType, packet: &'a [u8], layers: Layers) -> Option<Self> {
        let policy = RowPolicy::Through(layers);
        if let Some(frame) = wireless::whole_frame(link_type, layers, packet) {
            return Some(Self {
                frame: Some(frame),
                link_type,
                link: packet,
                network: None,
                transport: None,
                payload: &[],
            });
        }
        let d = found_through(link_type, packet, layers).filter(|d| takes(policy, d))?;
        let ip = match d.version {
            IpVersion::V4 => Header::Ipv4,
            IpVersion::V6 => Header::Ipv6,
        };
        let (transport, payload) = transport_of(&d, layers);
        let is_radiotap = link_type == LinkType::Radiotap;
        Some(Self {
            frame: is_radiotap.then(|| wireless::Frame::of(d.link)).flatten(),
            link_type,
            link: d.link,
            network: Some((ip, d.ip)),
            transport,
            payload,
        })
    }

    /// Fills a vacant row.
    fn fill(&self, row: &mut RowMut<'_>) {
        for segment in row.layout().segments() {
            row.fill_segment(segment, self.header(segment.header));
        }
    }

    /// The bytes of one header, none where the packet has none.
    #[inline]
    fn header(&self, header: Header) -> &'a [u8] {
        match (header, self.network, self.transport) {
            (Header::Ethernet, ..) if self.link_type == LinkType::Ethernet => self.link,
            (Header::Vlan, ..) => link::vlan_tags(self.link_type, self.link),
            (Header::Payload, ..) => self.payload,
            (Header::Radiotap, ..) => self.frame.map_or(&[], |frame| frame.radiotap),
            (Header::Wlan, ..) => self.frame.map_or(&[], |frame| frame.wlan),
            (header, Some((network, bytes)), _) if header == network => bytes,
            (header, _, Some((transport, bytes))) if header == transport => bytes,
            _ => &[],
        }
    }
}
