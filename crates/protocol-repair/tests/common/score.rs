//! What share of a capture's packets repair gives back, by group of fields.

use nprint_codec::{
    Field, IpVersion, Row, TernaryMatrix, Trace, dissect, icmp, ipv4, ipv6, tcp, udp,
};
use std::collections::BTreeMap;

/// What is compared in a row.
#[derive(Debug, Clone, Copy)]
pub enum Group {
    /// Every one of these fields equals the truth.
    Fields(&'static [Field]),
    /// The two ports are those of the truth, whichever way the packet goes.
    Ports,
    /// The packet stands with the packets of its conversation, and goes the right way.
    Flow,
}

/// Both ports of TCP and of UDP.
pub const PORTS: &[Field] =
    &[tcp::SOURCE_PORT, tcp::DESTINATION_PORT, udp::SOURCE_PORT, udp::DESTINATION_PORT];

/// Groups that are judged together, by name.
pub const GROUPS: [(&str, Group); 14] = [
    (
        "header stack",
        Group::Fields(&[ipv4::VERSION, ipv6::VERSION, ipv4::PROTOCOL, ipv6::NEXT_HEADER]),
    ),
    ("ports", Group::Ports),
    ("flow, direction", Group::Flow),
    ("ttl", Group::Fields(&[ipv4::TTL, ipv6::HOP_LIMIT])),
    ("tos, label", Group::Fields(&[ipv4::TOS, ipv6::TRAFFIC_CLASS, ipv6::FLOW_LABEL])),
    ("ip id", Group::Fields(&[ipv4::ID])),
    ("don't fragment", Group::Fields(&[ipv4::DONT_FRAGMENT, ipv4::MORE_FRAGMENTS])),
    ("tcp flags", Group::Fields(&[tcp::ACK, tcp::SYN, tcp::FIN, tcp::RST, tcp::PSH])),
    ("tcp options", Group::Fields(&[tcp::DATA_OFFSET])),
    ("length", Group::Fields(&[ipv4::TOTAL_LENGTH, ipv6::PAYLOAD_LENGTH, udp::LENGTH])),
    ("window", Group::Fields(&[tcp::WINDOW])),
    ("seq", Group::Fields(&[tcp::SEQ])),
    ("ack", Group::Fields(&[tcp::ACK_NUMBER])),
    ("icmp type", Group::Fields(&[icmp::TYPE, icmp::CODE])),
];

/// Rows that are right and rows that are judged, group by group.
pub type Score = [(usize, usize); GROUPS.len()];

/// A matrix and which way its packets go where ports cannot tell: whether a packet's source
/// address is the smaller one.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    pub cells: &'a TernaryMatrix,
    pub sides: Option<&'a [bool]>,
}

/// For each IP packet, whether its source address is the smaller one.
pub fn sides(trace: &Trace) -> Vec<bool> {
    trace
        .iter()
        .filter_map(|packet| dissect(trace.link_type(), packet.bytes))
        .map(|d| match d.version {
            IpVersion::V4 => d.ip.get(12..16) < d.ip.get(16..20),
            IpVersion::V6 => d.ip.get(8..24) < d.ip.get(24..40),
        })
        .collect()
}

/// Compares a result with the truth.
pub fn score(truth: Judged<'_>, found: Judged<'_>) -> Score {
    let flows = flows_right(truth, found);
    GROUPS.map(|(_, group)| {
        let (mut right, mut judged) = (0, 0);
        for (row, flow) in flows.iter().enumerate() {
            let own = truth.cells.row(row);
            let other = (row < found.cells.rows()).then(|| found.cells.row(row));
            let result = match group {
                Group::Fields(fields) => fields.iter().any(|f| own.get(*f).is_some()).then(|| {
                    other.is_some_and(|o| fields.iter().all(|f| own.get(*f) == o.get(*f)))
                }),
                Group::Ports => {
                    pair(own).map(|p| other.and_then(pair).is_some_and(|o| key(o) == key(p)))
                }
                Group::Flow => *flow,
            };
            if let Some(result) = result {
                judged += 1;
                right += usize::from(result);
            }
        }
        (right, judged)
    })
}

/// The ports of a row, source first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub v6: bool,
    pub tcp: bool,
    pub ports: [u16; 2],
}

pub fn pair(row: Row<'_>) -> Option<Pair> {
    let v6 = row.get(ipv6::VERSION).is_some();
    for (tcp, [source, destination]) in [
        (true, [tcp::SOURCE_PORT, tcp::DESTINATION_PORT]),
        (false, [udp::SOURCE_PORT, udp::DESTINATION_PORT]),
    ] {
        if let (Some(s), Some(d)) = (row.get(source), row.get(destination)) {
            return Some(Pair { v6, tcp, ports: [s as u16, d as u16] });
        }
    }
    None
}

/// IP version, transport and ports of a conversation, the smaller port first.
pub type Key = (bool, bool, [u16; 2]);

pub fn key(pair: Pair) -> Key {
    let [a, b] = pair.ports;
    (pair.v6, pair.tcp, [a.min(b), a.max(b)])
}

/// For each row with ports whether it stands in the conversation that it belongs to (the found
/// one and the true one have more rows in common than either has with another) and goes the
/// right way.
fn flows_right(truth: Judged<'_>, found: Judged<'_>) -> Vec<Option<bool>> {
    let rows = truth.cells.rows();
    let pairs: Vec<Option<(Pair, Option<Pair>)>> = (0..rows)
        .map(|row| {
            let other = (row < found.cells.rows()).then(|| pair(found.cells.row(row))).flatten();
            pair(truth.cells.row(row)).map(|own| (own, other))
        })
        .collect();
    let mut common: BTreeMap<(Key, Key), usize> = BTreeMap::new();
    for (own, other) in pairs.iter().flatten() {
        if let Some(other) = other {
            *common.entry((key(*own), key(*other))).or_default() += 1;
        }
    }
    let (mut of_truth, mut of_found) = (BTreeMap::new(), BTreeMap::new());
    for ((own, other), count) in &common {
        let best = of_truth.entry(*own).or_insert((0, *other));
        *best = (*best).max((*count, *other));
        let best = of_found.entry(*other).or_insert((0, *own));
        *best = (*best).max((*count, *own));
    }
    // Equal ports: which of the two addresses is whose is told by most packets.
    let agrees = |row: usize| match (truth.sides, found.sides) {
        (Some(own), Some(other)) => own.get(row) == other.get(row),
        _ => true,
    };
    let mut turned: BTreeMap<Key, i64> = BTreeMap::new();
    for (row, (own, _)) in pairs.iter().enumerate().filter_map(|(r, p)| p.map(|p| (r, p))) {
        *turned.entry(key(own)).or_default() += if agrees(row) { 1 } else { -1 };
    }
    pairs
        .iter()
        .enumerate()
        .map(|(row, pairs)| {
            let (own, other) = (*pairs)?;
            let Some(other) = other else { return Some(false) };
            let (own_key, other_key) = (key(own), key(other));
            let together = of_truth.get(&own_key).is_some_and(|b| b.1 == other_key)
                && of_found.get(&other_key).is_some_and(|b| b.1 == own_key);
            let right_way = if own.ports[0] == own.ports[1] {
                agrees(row) == (turned[&own_key] >= 0)
            } else {
                // The found conversation's ports in the order that fits the true ones best.
                let wrong = |a: [u16; 2], b: [u16; 2]| {
                    (a[0] ^ b[0]).count_ones() + (a[1] ^ b[1]).count_ones()
                };
                let back = [own.ports[1], own.ports[0]];
                wrong(other.ports, own.ports) < wrong(other.ports, back)
            };
            Some(together && right_way)
        })
        .collect()
}
