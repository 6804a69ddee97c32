//! Stacks of tags, labels, tunnels and extension headers: what was put together is found again,
//! layer by layer, and every prefix of it is survived.

mod stack;

use nprint_codec::{
    CsvIndex, CsvOptions, Header, IpVersion, Layer, Layers, Layout, LinkType, RowPolicy, Trace,
    TransportKind, decode, dissect, dissect_through, encode, ipv4, read_csv_from, vlan, write_csv,
};
use proptest::prelude::*;
use stack::{Stack, stacks};
use std::sync::Arc;

/// What [`dissect_through`] found, in the words of [`Stack`].
fn found(stack: &Stack, layers: Layers) -> Option<Stack> {
    let d = dissect_through(stack.link_type, &stack.bytes, layers)?;
    Some(Stack {
        link: d.link.to_vec(),
        ip: d.ip.to_vec(),
        kind: d.kind,
        transport: d.transport.to_vec(),
        payload: d.payload.to_vec(),
        ..stack.clone()
    })
}

fn trace_of(stack: &Stack) -> Trace {
    let mut trace = Trace::new(stack.link_type);
    trace.push(1_000, &stack.bytes, stack.bytes.len() as u32);
    trace
}

fn every_header() -> Arc<Layout> {
    Arc::new(Layout::with_payload(&Header::WIRE_ORDER, 40).expect("40 bytes fit"))
}

proptest! {
    #[test]
    fn what_was_stacked_is_found(stack in stacks()) {
        prop_assert_eq!(&found(&stack, Layers::ALL), &Some(stack.clone()));
        let exactly: Layers = stack.needed.iter().copied().collect();
        prop_assert_eq!(&found(&stack, exactly), &Some(stack.clone()));
        // Without any one of them it is out of reach.
        for layer in &stack.needed {
            let without = found(&stack, Layers::ALL.without(*layer));
            prop_assert_ne!(without.as_ref(), Some(&stack), "{}", layer.name());
        }
        let plain = dissect(stack.link_type, &stack.bytes);
        prop_assert_eq!(plain, dissect_through(stack.link_type, &stack.bytes, Layers::EVERY_IP_PACKET));
    }

    #[test]
    fn cells_are_the_bytes_that_were_stacked(stack in stacks()) {
        let layout = every_header();
        let matrix = encode(&trace_of(&stack), &layout, RowPolicy::Through(Layers::ALL));
        prop_assert_eq!(matrix.rows(), 1);
        let row = matrix.row(0);
        let cut = |bytes: &[u8], most: usize| bytes[..bytes.len().min(most)].to_vec();
        let shown = |header: Header| -> Vec<u8> {
            let segments = layout.segments().iter().filter(|s| s.header == header);
            let columns = segments.flat_map(|s| s.column..s.column + 8 * s.length_bytes);
            let cells: Vec<Option<bool>> = columns.map(|c| row.cell(c).bit()).collect();
            let bytes = cells.chunks(8).map_while(|bits| {
                bits.iter().try_fold(0_u8, |byte, bit| Some(byte << 1 | u8::from((*bit)?)))
            });
            bytes.collect()
        };
        let (ip, other) = match stack.ip[0] >> 4 {
            4 => (Header::Ipv4, Header::Ipv6),
            _ => (Header::Ipv6, Header::Ipv4),
        };
        prop_assert_eq!(shown(ip), stack.ip.clone());
        prop_assert_eq!(shown(other), []);
        prop_assert_eq!(shown(Header::Vlan), cut(&stack.tags, 8));
        let transport = match stack.kind {
            TransportKind::Tcp => Some(Header::Tcp),
            TransportKind::Udp => Some(Header::Udp),
            TransportKind::Icmp | TransportKind::Icmpv6 => Some(Header::Icmp),
            _ => None,
        };
        for header in [Header::Tcp, Header::Udp, Header::Icmp] {
            let expected = if transport == Some(header) { &stack.transport[..] } else { &[] };
            prop_assert_eq!(shown(header), expected);
        }
        prop_assert_eq!(shown(Header::Payload), cut(&stack.payload, 40));
    }

    /// nPrint's rows are a part of the rows with any layers, cell by cell where those do not
    /// change what is shown.
    #[test]
    fn the_default_sees_what_it_saw(stack in stacks(), layers in prop::collection::vec(prop::sample::select(&Layer::ALL[..]), 0..6)) {
        let (trace, layout) = (trace_of(&stack), every_header());
        let nprint = encode(&trace, &layout, RowPolicy::NPrint);
        prop_assert_eq!(&encode(&trace, &layout, RowPolicy::Through(Layers::NPRINT)), &nprint);
        let every = encode(&trace, &layout, RowPolicy::EveryIpPacket);
        prop_assert_eq!(encode(&trace, &layout, RowPolicy::Through(Layers::EVERY_IP_PACKET)), every);
        let more: Layers = layers.iter().copied().collect();
        let more = encode(&trace, &layout, RowPolicy::Through(more.without(Layer::Fragments)));
        prop_assert!(more.rows() >= nprint.rows());
        if nprint.rows() == 1 {
            prop_assert_eq!(more, nprint);
        }
    }

    #[test]
    fn every_prefix_is_survived(stack in stacks()) {
        let layout = every_header();
        let mut whole_trace = Trace::new(stack.link_type);
        for end in 0..stack.bytes.len() {
            let bytes = &stack.bytes[..end];
            if let Some(d) = dissect_through(stack.link_type, bytes, Layers::ALL) {
                let parts = [d.link, d.ip, d.extensions, d.transport, d.payload];
                prop_assert!(bytes.starts_with(&parts.concat()));
                prop_assert!(d.payload.len() <= d.payload_length);
            }
            whole_trace.push(0, bytes, stack.bytes.len() as u32);
        }
        let matrix = encode(&whole_trace, &layout, RowPolicy::Through(Layers::ALL));
        prop_assert!(matrix.rows() <= whole_trace.len());
        prop_assert!(decode(&matrix, &[]).len() <= matrix.rows());
    }

    #[test]
    fn any_bytes_are_survived(
        link in prop::sample::select(&[0_u32, 1, 9, 101, 108, 113, 127, 276][..]),
        ethertype in prop::sample::select(&[0x8100_u16, 0x88a8, 0x8847, 0x8864, 0x0800][..]),
        bytes in prop::collection::vec(prop_oneof![Just(0x45_u8), Just(0x81), Just(0), Just(47), Just(4), any::<u8>()], 0..160),
    ) {
        let frame = [&[2; 12][..], &ethertype.to_be_bytes(), &bytes].concat();
        if let Some(d) = dissect_through(LinkType::from_number(link), &frame, Layers::ALL) {
            prop_assert!(d.payload.len() <= d.payload_length);
        }
    }

    /// capture → planes → CSV → planes → capture, with tags as columns.
    #[test]
    fn tagged_packets_come_back(stack in stacks(), tags in prop::collection::vec(any::<u16>(), 0..=2)) {
        let inner = [&stack.ip[..], &stack.transport, &stack.payload].concat();
        let announced: u16 = if stack.ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        // Without extension headers, which have no columns, and with the lengths put right.
        prop_assume!(!stack.needed.iter().any(|l| matches!(l, Layer::Ipv6Extensions | Layer::Authentication)));
        let (mut link, mut types) = (vec![2; 12], vec![0x8100_u16; tags.len()]);
        types.push(announced);
        link.extend(types[0].to_be_bytes());
        for (tag, ethertype) in tags.iter().zip(&types[1..]) {
            link.extend(tag.to_be_bytes());
            link.extend(ethertype.to_be_bytes());
        }
        let frame = [&link[..], &inner].concat();
        let mut trace = Trace::new(LinkType::Ethernet);
        trace.push(5_000, &frame, frame.len() as u32);

        let layout = Layout::with_payload(&Header::WIRE_ORDER, 130).expect("130 bytes fit");
        let layout = Arc::new(layout);
        let policy = RowPolicy::Through(Layers::EVERY_IP_PACKET.with(Layer::VlanTags));
        let matrix = encode(&trace, &layout, policy);
        let row = matrix.row(0);
        let id = tags.first().map(|tag| u32::from(tag & 0xfff));
        prop_assert_eq!((row.get(vlan::ID), row.get(vlan::INNER_ID).is_some()), (id, tags.len() == 2));

        let options = CsvOptions { policy, absolute_time: true, ..CsvOptions::default() };
        let mut csv = Vec::new();
        write_csv(&mut csv, &trace, &layout, &options).expect("memory takes everything");
        let table = read_csv_from(&csv[..], "memory").expect("our own");
        prop_assert_eq!(table.matrix.layout(), &layout);
        prop_assert_eq!(&table.matrix, &matrix);
        let again = decode(&table.matrix, &table.times_ns.expect("time columns"));
        prop_assert_eq!(again, trace);
    }
}

#[test]
fn names_of_layers_say_what_is_left_out() {
    // An IPv6 packet with a hop-by-hop header in front of ICMPv6, in a frame with two tags.
    let mut ip = vec![0x60, 0, 0, 0, 0, 16, 0, 1];
    ip.extend([0; 32]);
    ip.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0]);
    let tags = [0x88, 0xa8, 0x60, 7, 0x81, 0, 0x10, 9, 0x86, 0xdd];
    let frame = [&[2; 12][..], &tags, &ip].concat();
    let mut trace = Trace::new(LinkType::Ethernet);
    trace.push(0, &frame, frame.len() as u32);
    let layout = Arc::new(Layout::of_headers(&[Header::Vlan, Header::Icmp]));
    let rows = |layers| encode(&trace, &layout, RowPolicy::Through(layers)).rows();
    assert_eq!(rows(Layers::EVERY_IP_PACKET), 0);
    assert_eq!(rows(Layers::NPRINT.with(Layer::VlanTags)), 0);
    let layers: Layers =
        [Layer::VlanTags, Layer::Ipv6Extensions, Layer::Icmpv6].into_iter().collect();
    let matrix = encode(&trace, &layout, RowPolicy::Through(layers));
    let row = matrix.row(0);
    let outer = [vlan::PRIORITY, vlan::DROP_ELIGIBLE, vlan::ID, vlan::ETHERTYPE];
    assert_eq!(outer.map(|f| row.get(f)), [3, 0, 7, 0x8100].map(Some));
    let inner = [vlan::INNER_DROP_ELIGIBLE, vlan::INNER_ID, vlan::INNER_ETHERTYPE];
    assert_eq!(inner.map(|f| row.get(f)), [1, 9, 0x86dd].map(Some));
    assert_eq!(row.get(nprint_codec::icmp::TYPE), Some(143));
}

/// The index column names the packet that the row shows: the inner one.
#[test]
fn a_tunnel_is_indexed_by_its_inside() {
    let ip = |protocol, length, last| {
        [0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, last, 10, 0, 0, 9]
    };
    let packet = [&ip(4, 48, 1)[..], &ip(17, 28, 2), &[0, 53, 0, 54, 0, 8, 0, 0]].concat();
    let mut trace = Trace::new(LinkType::RawIp);
    trace.push(0, &packet, 48);
    let layout = Arc::new(Layout::of_headers(&[Header::Ipv4]));
    let policy = RowPolicy::Through(Layers::NPRINT.with(Layer::Tunnels));
    let options = CsvOptions { policy, index: CsvIndex::Flow, ..CsvOptions::default() };
    let mut csv = Vec::new();
    assert_eq!(write_csv(&mut csv, &trace, &layout, &options).expect("memory"), 1);
    let text = String::from_utf8(csv).expect("text");
    assert!(text.contains("\n10.0.0.2_10.0.0.9_53_54_UDP,"), "{text}");
    let matrix = encode(&trace, &layout, policy);
    assert_eq!(matrix.row(0).get(ipv4::PROTOCOL), Some(17));
    let d = dissect_through(LinkType::RawIp, &packet, policy.layers()).expect("IP");
    assert_eq!((d.version, d.link.len()), (IpVersion::V4, 20));
}

/// A header that states no length at all is not entered for ever.
#[test]
fn a_tunnel_without_length_ends() {
    let mut packet = [0; 60];
    (packet[0], packet[3], packet[9]) = (0x40, 60, 4);
    let d = dissect_through(LinkType::RawIp, &packet, Layers::ALL).expect("IP");
    assert_eq!((d.kind, d.ip.len(), d.link.len()), (TransportKind::Other, 0, 0));
}
