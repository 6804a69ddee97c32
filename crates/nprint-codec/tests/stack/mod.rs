//! Packets put together from the inside out, with what a dissector has to find in them.

use nprint_codec::{Layer, LinkType, TransportKind};
use proptest::collection::vec;
use proptest::prelude::*;

/// A packet and its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub link_type: LinkType,
    pub bytes: Vec<u8>,
    /// Layers without which the innermost packet is out of reach.
    pub needed: Vec<Layer>,
    /// All VLAN tags of the outermost frame, each with the type behind it.
    pub tags: Vec<u8>,
    /// Everything in front of the innermost IP header.
    pub link: Vec<u8>,
    pub ip: Vec<u8>,
    pub kind: TransportKind,
    pub transport: Vec<u8>,
    pub payload: Vec<u8>,
}

/// The innermost packet, without the extension headers between its parts in `ip`.
#[derive(Debug, Clone)]
struct Core {
    ip: Vec<u8>,
    extensions: Vec<u8>,
    needed: Vec<Layer>,
    kind: TransportKind,
    transport: Vec<u8>,
    payload: Vec<u8>,
}

impl Core {
    fn bytes(&self) -> Vec<u8> {
        [&self.ip[..], &self.extensions, &self.transport, &self.payload].concat()
    }
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), length)
}

/// An IP header with the length of what it carries.
fn ip_header(v4: bool, options: &[u8], protocol: u8, fragment: u16, carried: usize) -> Vec<u8> {
    if v4 {
        let length = 20 + options.len();
        let mut ip = vec![0x40 | (length >> 2) as u8, 0];
        ip.extend(((length + carried) as u16).to_be_bytes());
        ip.extend([0, 7]);
        ip.extend(fragment.to_be_bytes());
        ip.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        ip.extend(options);
        ip
    } else {
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend((carried as u16).to_be_bytes());
        ip.extend([protocol, 64]);
        ip.extend([0x20; 32]);
        ip
    }
}

/// Protocol number, header and kind.
fn transports(v4: bool) -> impl Strategy<Value = (u8, Vec<u8>, TransportKind)> {
    let tcp = (5_u8..=15, bytes(60)).prop_map(|(words, mut tcp)| {
        tcp.truncate(4 * usize::from(words));
        tcp[12] = words << 4;
        (6, tcp, TransportKind::Tcp)
    });
    let eight = move |(protocol, kind)| bytes(8).prop_map(move |b| (protocol, b, kind));
    let (icmpv6, version_6) = (TransportKind::Icmpv6, !v4);
    let icmp = if version_6 { (58, icmpv6) } else { (1, TransportKind::Icmp) };
    prop_oneof![
        tcp,
        eight((17, TransportKind::Udp)),
        eight(icmp),
        // OSPF: no columns.
        Just((89, Vec::new(), TransportKind::Other)),
    ]
}

/// Type, and the header's bytes behind its first one, which names the next.
fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let eights = (prop::sample::select(&[0_u8, 43, 60][..]), 0_u8..3).prop_flat_map(|(kind, n)| {
        bytes(8 * usize::from(n) + 6).prop_map(move |rest| (kind, [&[n][..], &rest].concat()))
    });
    let first_fragment = bytes(5).prop_map(|b| (44, [&[0, 0, 1][..], &b[..4]].concat()));
    let authentication = (1_u8..4).prop_flat_map(|n| {
        bytes(4 * usize::from(n) + 6).prop_map(move |rest| (51, [&[n][..], &rest].concat()))
    });
    prop_oneof![3 => eights, 1 => first_fragment, 1 => authentication]
}

fn cores() -> impl Strategy<Value = Core> {
    any::<bool>().prop_flat_map(|v4| {
        let extensions = if v4 { vec(extension(), 0..=1) } else { vec(extension(), 0..4) };
        let fragment = prop::bool::weighted(0.2);
        let options = (0_usize..=10).prop_flat_map(|words| bytes(4 * words));
        (transports(v4), extensions, fragment, options, bytes(0..60)).prop_map(
            move |(
                (protocol, transport, kind),
                mut extensions,
                later_fragment,
                options,
                payload,
            )| {
                if v4 {
                    // A later fragment is raw data.
                    extensions.retain(|(kind, _)| *kind == 51 && !later_fragment);
                }
                let mut needed = Vec::new();
                if !v4 && (later_fragment || !extensions.is_empty()) {
                    needed.push(Layer::Ipv6Extensions);
                }
                if extensions.iter().any(|(kind, _)| *kind == 51) {
                    needed.push(Layer::Authentication);
                }
                if later_fragment && !v4 {
                    extensions.push((44, vec![0, 0, 8, 0, 0, 0, 9]));
                }
                let (mut next, mut bytes) = (protocol, Vec::new());
                for (kind, rest) in extensions.iter().rev() {
                    bytes = [&[next][..], rest, &bytes].concat();
                    next = *kind;
                }
                let carried = bytes.len() + transport.len() + payload.len();
                let ip = ip_header(v4, &options, next, u16::from(later_fragment), carried);
                let (kind, transport, payload) = if later_fragment {
                    let data = [transport, payload].concat();
                    (TransportKind::LaterFragment, Vec::new(), data)
                } else {
                    (kind, transport, payload)
                };
                Core { ip, extensions: bytes, needed, kind, transport, payload }
            },
        )
    })
}

fn ethertype(ip: &[u8]) -> u16 {
    if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// What goes in front of `packet` so that it travels inside another one.
fn tunnel((v4, kind, flags): (bool, u8, u16), inner: &[u8]) -> Vec<u8> {
    let protocol_of_inner = if inner[0] >> 4 == 4 { 4 } else { 41 };
    let (protocol, between) = match kind {
        0 => (protocol_of_inner, Vec::new()),
        kind => {
            let flags = (flags & 0xb) << 12;
            let words = 4 * flags.count_ones() as usize;
            let bridged = kind == 2;
            let announced = if bridged { 0x6558 } else { ethertype(inner) };
            let mut gre = [flags.to_be_bytes(), announced.to_be_bytes()].concat();
            gre.resize(4 + words, 0xab);
            if bridged {
                gre.extend([3; 12]);
                gre.extend(ethertype(inner).to_be_bytes());
            }
            (47, gre)
        }
    };
    let ip = ip_header(v4, &[], protocol, 0, between.len() + inner.len());
    [ip, between].concat()
}

/// Tags, labels or a session in front of an IP header, and the type that announces them.
#[derive(Debug, Clone)]
enum Announced {
    Nothing,
    Mpls(Vec<[u8; 3]>),
    Pppoe(bool),
}

fn labelled(announced: &Announced, ip: &[u8]) -> (u16, Vec<u8>, Option<Layer>) {
    match announced {
        Announced::Nothing => (ethertype(ip), Vec::new(), None),
        Announced::Mpls(labels) => {
            let last = labels.len() - 1;
            let label = |(i, [a, b, ttl]): (usize, &[u8; 3])| {
                [*a, *b, (b & 0xf0) | u8::from(i == last), *ttl]
            };
            let stack: Vec<u8> = labels.iter().enumerate().flat_map(label).collect();
            (0x8847, stack, Some(Layer::MplsLabels))
        }
        Announced::Pppoe(compressed) => {
            let protocol = if ip[0] >> 4 == 4 { 0x21 } else { 0x57 };
            let mut session = vec![0x11, 0, 0, 5, 0, 40];
            session.extend(if *compressed { vec![protocol] } else { vec![0, protocol] });
            (0x8864, session, Some(Layer::Pppoe))
        }
    }
}

/// Any stack on a link layer that announces what follows.
pub fn stacks() -> impl Strategy<Value = Stack> {
    let link = prop::sample::select(
        &[LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::RawIp][..],
    );
    let tags = vec((prop::sample::select(&[0x8100_u16, 0x88a8, 0x9100][..]), any::<u16>()), 0..4);
    let announced = prop_oneof![
        2 => Just(Announced::Nothing),
        1 => vec(any::<[u8; 3]>(), 1..4).prop_map(Announced::Mpls),
        1 => any::<bool>().prop_map(Announced::Pppoe),
    ];
    let tunnels = vec((any::<bool>(), 0_u8..3, any::<u16>()), 0..3);
    (cores(), tunnels, tags, announced, link, bytes(0..6)).prop_map(
        |(core, tunnels, tags, announced, link_type, padding)| {
            let mut needed = core.needed.clone();
            let (mut packet, mut front) = (core.bytes(), Vec::new());
            for shape in &tunnels {
                let before = tunnel(*shape, &packet);
                packet = [&before[..], &packet].concat();
                front = [before, front].concat();
            }
            if !tunnels.is_empty() {
                needed.push(Layer::Tunnels);
            }
            let mut tag_bytes = Vec::new();
            let mut link = Vec::new();
            if link_type != LinkType::RawIp {
                let (mut ethertype, mut labels, layer) = labelled(&announced, &packet);
                needed.extend(layer);
                for (kind, tag) in &tags {
                    tag_bytes =
                        [&tag.to_be_bytes()[..], &ethertype.to_be_bytes(), &tag_bytes].concat();
                    ethertype = *kind;
                }
                if !tags.is_empty() {
                    needed.push(Layer::VlanTags);
                }
                labels = [&tag_bytes[..], &labels].concat();
                let kind = ethertype.to_be_bytes();
                link = match link_type {
                    LinkType::Ethernet => [&[2; 12][..], &kind].concat(),
                    LinkType::LinuxSll => [&[0; 14][..], &kind].concat(),
                    _ => [&kind[..], &[0; 18]].concat(),
                };
                link.extend(labels);
            }
            let link = [link, front].concat();
            let bytes = [&link[..], &core.bytes(), &padding].concat();
            let Core { ip, kind, transport, payload, .. } = core;
            Stack { link_type, bytes, needed, tags: tag_bytes, link, ip, kind, transport, payload }
        },
    )
}
