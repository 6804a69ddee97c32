//! Every packet of the sample captures, looked through every layer, is the packet that tshark finds.
//! The folder's README says how the table was made.
//!
//! `TORCHLIGHT_GOLDENS=DIR` takes `DIR/layers`, where there is one, and the captures of `DIR/nprint`.

use nprint_codec::{
    CaptureReader, Header, Layers, Layout, Row, RowEncoder, RowPolicy, icmp, ipv4, ipv6, tcp, udp,
    vlan,
};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first of the folders of goldens that has this file.
fn golden(file: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let other = std::env::var_os("TORCHLIGHT_GOLDENS").map(PathBuf::from);
    let other = other.map(|folder| folder.join(file)).filter(|path| path.exists());
    other.unwrap_or_else(|| own.join(file))
}

/// Packets that are read in another way than tshark reads them.
const STATED: [(&str, &str, &str); 5] = [
    ("04_v6_ext.pcap", "7", "AH announces hop-by-hop options in front of TCP; tshark stops there"),
    ("18_badlen.pcap", "6", "an IHL of 4 is a header of 16 bytes, as nPrint has it"),
    ("18_badlen.pcap", "7", "a data offset of 0 is a header of no byte, as nPrint has it"),
    ("18_badlen.pcap", "10", "an IPv6 length of 0 (a jumbogram) hides no header that is captured"),
    ("18_badlen.pcap", "13", "the version nibble is believed, not the Ethernet type"),
];

/// What names a packet: source address, source port or ICMP type, VLAN identifiers.
#[derive(Debug, PartialEq)]
struct Found {
    source: IpAddr,
    transport: Option<(&'static str, u32)>,
    vlan: Vec<u32>,
}

/// A line of the table: of each protocol, all values in the order of the packet.
struct Line<'a>(BTreeMap<&'a str, &'a str>);

impl Line<'_> {
    fn values(&self, column: &str) -> Vec<&str> {
        self.0.get(column).map_or("", |text| text).split(',').filter(|v| !v.is_empty()).collect()
    }

    /// The packet whose headers come last in front of the first transport header; what tshark
    /// reads behind that (VXLAN, the packet inside an ICMP error) is payload here.
    fn expected(&self) -> Option<Found> {
        let names: Vec<&str> = self.0["protocols"].split(':').collect();
        let is_transport = |name: &&str| matches!(*name, "tcp" | "udp" | "icmp" | "icmpv6");
        let end = names.iter().position(is_transport).unwrap_or(names.len());
        let version = names[..end].iter().rfind(|name| matches!(**name, "ip" | "ipv6"))?;
        let at = names[..end].iter().filter(|name| *name == version).count() - 1;
        let sources = self.values(if *version == "ip" { "ip.src" } else { "ipv6.src" });
        // Headers that are cut short have none, and give no row.
        let source = sources.get(at)?.parse().expect("an address of tshark");
        let number = |column: &str| {
            self.values(column).first().map(|text| text.parse().expect("a number of tshark"))
        };
        let transport = names.get(end).and_then(|name| match *name {
            "tcp" => Some(("tcp", number("tcp.srcport")?)),
            "udp" => Some(("udp", number("udp.srcport")?)),
            "icmp" => Some(("icmp", number("icmp.type")?)),
            _ => Some(("icmp", number("icmpv6.type")?)),
        });
        // A tag of 802.1ad stands in front of those of 802.1Q.
        let ids = [self.values("ieee8021ad.id"), self.values("vlan.id")].concat();
        let vlan =
            ids.into_iter().take(2).map(|id| id.parse().expect("a number of tshark")).collect();
        Some(Found { source, transport, vlan })
    }
}

fn found(row: &Row<'_>) -> Option<Found> {
    let v4 = row.byte_array::<4>(ipv4::SOURCE).map(IpAddr::from);
    let v6 = row.byte_array::<16>(ipv6::SOURCE).map(IpAddr::from);
    let mut fields =
        [("tcp", tcp::SOURCE_PORT), ("udp", udp::SOURCE_PORT), ("icmp", icmp::TYPE)].into_iter();
    Some(Found {
        source: v4.or(v6)?,
        transport: fields.find_map(|(name, field)| Some((name, row.get(field)?))),
        vlan: [vlan::ID, vlan::INNER_ID].into_iter().filter_map(|id| row.get(id)).collect(),
    })
}

#[test]
fn golden_layers_lead_to_the_packet_that_tshark_finds() {
    let table = fs::read_to_string(golden("layers/tshark.tsv")).expect("the table");
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().expect("a header line").split('\t').collect();
    let lines = lines.map(|line| Line(names.iter().copied().zip(line.split('\t')).collect()));
    let mut captures: BTreeMap<String, Vec<Line<'_>>> = BTreeMap::new();
    for line in lines {
        captures.entry(line.0["capture"].to_owned()).or_default().push(line);
    }
    let layout = Arc::new(Layout::of_headers(&Header::WIRE_ORDER));
    let mut encoder = RowEncoder::new(&layout, RowPolicy::Through(Layers::ALL));
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (capture, lines) in &captures {
        let path = golden(&format!("nprint/captures/{capture}"));
        let mut packets = CaptureReader::open(&path).expect("a capture");
        for line in lines {
            let packet = packets
                .next_packet()
                .expect("sound so far")
                .unwrap_or_else(|| panic!("{capture} ends before packet {}", line.0["frame"]));
            let row = encoder.encode(packet.link_type, packet.packet.bytes);
            let (found, expected) = (row.and_then(|row| found(&row)), line.expected());
            looked_at += 1;
            let (frame, what) = (line.0["frame"], line.0["protocols"]);
            let stated = STATED.iter().any(|(c, f, _)| (*c, *f) == (capture, frame));
            if (found != expected) != stated {
                wrong.push(format!("{capture}, frame {frame} ({what}): {found:?}, {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {looked_at}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(looked_at > 0, "the table has no packet");
}
