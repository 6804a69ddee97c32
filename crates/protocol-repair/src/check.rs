//! An audit of any capture, rule by rule.

use nprint_codec::{
    Checksum, Dissection, Field, IpVersion, Trace, TransportKind, dissect, icmp, ipv4, ipv6, tcp,
    udp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckRule {
    /// IPv4 header length below 5 words; expected is 5.
    Ipv4HeaderLength,
    /// The IP length does not fit the frame. Units: bytes.
    IpLength,
    /// IPv4 header checksum.
    Ipv4Checksum,
    /// TTL or hop limit of 0.
    HopLimit,
    /// TCP data offset below 5 words, or past the packet's end. Units: 32-bit words.
    TcpDataOffset,
    /// TCP options break the grammar; the numbers are the area's length in bytes.
    TcpOptions,
    /// Flags that no TCP sends; the numbers are the flags.
    TcpFlags,
    /// UDP length against the IP length. Units: bytes.
    UdpLength,
    /// TCP, UDP, ICMP or ICMPv6 checksum.
    TransportChecksum,
    /// A SYN-ACK does not acknowledge the SYN.
    HandshakeAnswer,
    /// The last step of a handshake does not acknowledge the SYN-ACK.
    HandshakeLastStep,
    /// Time stamp earlier than the one before. Units: nanoseconds.
    TimeOrder,
}

impl CheckRule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::Ipv4HeaderLength,
        Self::IpLength,
        Self::Ipv4Checksum,
        Self::HopLimit,
        Self::TcpDataOffset,
        Self::TcpOptions,
        Self::TcpFlags,
        Self::UdpLength,
        Self::TransportChecksum,
        Self::HandshakeAnswer,
        Self::HandshakeLastStep,
        Self::TimeOrder,
    ];

    /// The fields that the rule judges, by IP version or protocol; none for times.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Ipv4HeaderLength => &[ipv4::HEADER_LENGTH],
            Self::IpLength => &[ipv4::TOTAL_LENGTH, ipv6::PAYLOAD_LENGTH],
            Self::Ipv4Checksum => &[ipv4::CHECKSUM],
            Self::HopLimit => &[ipv4::TTL, ipv6::HOP_LIMIT],
            Self::TcpDataOffset => &[tcp::DATA_OFFSET],
            Self::TcpOptions => &[tcp::OPTIONS],
            Self::TcpFlags => &[tcp::SYN, tcp::FIN, tcp::RST, tcp::ACK],
            Self::UdpLength => &[udp::LENGTH],
            Self::TransportChecksum => &[tcp::CHECKSUM, udp::CHECKSUM, icmp::CHECKSUM],
            Self::HandshakeAnswer => &[tcp::ACK_NUMBER],
            Self::HandshakeLastStep => &[tcp::ACK_NUMBER, tcp::SEQ],
            Self::TimeOrder => &[],
        }
    }
}

/// What an audit found, rule by rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Packets of the capture.
    pub packets: usize,
    /// Every rule, in the order of [`CheckRule::ALL`].
    pub rules: Vec<RuleAudit>,
    /// Every broken rule, packet by packet.
    pub findings: Vec<Finding>,
}

/// How often one rule was judged and broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleAudit {
    /// The rule.
    pub rule: CheckRule,
    /// Comparisons: where the rule applies and every byte that it needs was captured.
    pub judged: usize,
    /// Comparisons that failed.
    pub broken: usize,
    /// First packet that breaks it, counted from 0.
    pub first: Option<usize>,
}

/// One broken rule in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Packet, counted from 0.
    pub packet: usize,
    /// The rule.
    pub rule: CheckRule,
    /// What the rule asks for.
    pub expected: i64,
    /// What the packet has.
    pub found: i64,
}

/// The broken rules of a capture: [`audit`] without its counts.
pub fn check(trace: &Trace) -> Vec<Finding> {
    audit(trace).findings
}

/// Audits headers, lengths, checksums, handshakes and time order, rule by rule. Nothing is changed,
/// and any capture will do. Checksums are judged only where every byte that they cover was captured.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use protocol_repair::{CheckRule, audit};
///
/// // An IPv4 packet with a TTL of 0 and no checksum.
/// let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 0, 59, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(1, &packet, 20);
/// let audit = audit(&trace);
/// let broken: Vec<CheckRule> =
///     audit.rules.iter().filter(|r| r.broken > 0).map(|r| r.rule).collect();
/// assert_eq!(broken, [CheckRule::Ipv4Checksum, CheckRule::HopLimit]);
/// assert_eq!(audit.findings[1].packet, 0);
/// ```
pub fn audit(trace: &Trace) -> Audit {
    let mut audit = Audit {
        packets: trace.len(),
        rules: CheckRule::ALL
            .map(|rule| RuleAudit { rule, judged: 0, broken: 0, first: None })
            .to_vec(),
        findings: Vec::new(),
    };
    let mut handshakes: BTreeMap<Vec<u8>, Handshake> = BTreeMap::new();
    let mut last_ns = i64::MIN;
    for (packet, record) in trace.iter().enumerate() {
        let mut found = |rule: CheckRule, expected: i64, found: i64| {
            let counts = &mut audit.rules[rule as usize];
            counts.judged += 1;
            if expected != found {
                counts.broken += 1;
                counts.first = counts.first.or(Some(packet));
                audit.findings.push(Finding { packet, rule, expected, found });
            }
        };
        found(CheckRule::TimeOrder, record.time_ns.max(last_ns), record.time_ns);
        last_ns = record.time_ns.max(last_ns);
        if let Some(d) = dissect(trace.link_type(), record.bytes) {
            network(&d, record.original_length, &mut found);
            transport(&d, &mut found);
            if d.kind == TransportKind::Tcp {
                handshake(&d, &mut handshakes, &mut found);
            }
        }
    }
    audit
}

fn be16(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..at + 2).map_or(0, |b| i64::from(u16::from_be_bytes([b[0], b[1]])))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn network(d: &Dissection<'_>, original_length: u32, found: &mut impl FnMut(CheckRule, i64, i64)) {
    let frame = i64::from(original_length) - d.link.len() as i64;
    match d.version {
        IpVersion::V4 => {
            let words = i64::from(d.ip[0] & 15);
            found(CheckRule::Ipv4HeaderLength, words.max(5), words);
            let total = be16(d.ip, 2);
            found(CheckRule::IpLength, total.clamp(4 * words, frame.max(4 * words)), total);
            if words >= 5 && d.ip.len() as i64 == 4 * words {
                let sum = Checksum::new().with(d.ip).is_valid();
                found(CheckRule::Ipv4Checksum, 1, i64::from(sum));
            }
            found(CheckRule::HopLimit, i64::from(d.ip[8].max(1)), i64::from(d.ip[8]));
        }
        IpVersion::V6 => {
            let length = be16(d.ip, 4);
            found(CheckRule::IpLength, length.min((frame - 40).max(0)), length);
            let hops = d.ip.get(7).copied().unwrap_or(1);
            found(CheckRule::HopLimit, i64::from(hops.max(1)), i64::from(hops));
        }
    }
}

fn transport(d: &Dissection<'_>, found: &mut impl FnMut(CheckRule, i64, i64)) {
    let fragment = is_fragment(d);
    let length = d.transport.len() + d.payload_length;
    match d.kind {
        TransportKind::Tcp if d.transport.len() >= 20 => {
            let words = i64::from(d.transport[12] >> 4);
            let bytes = d.transport.len() as i64;
            found(CheckRule::TcpDataOffset, words.max(5), words);
            if bytes == 4 * words {
                let options = &d.transport[20..];
                let flags = d.transport[13];
                let legal = crate::plan::options::parse(options)
                    .is_some_and(|l| crate::plan::options::is_legal(&l, flags & 2 != 0));
                let area = options.len() as i64;
                found(CheckRule::TcpOptions, if legal { area } else { -1 }, area);
                // SYN with FIN or RST, or none of the flags that every packet has one of.
                let wrong = flags & 3 == 3 || flags & 6 == 6 || flags & 0b1_0110 == 0;
                found(
                    CheckRule::TcpFlags,
                    if wrong { 0x10 } else { i64::from(flags) },
                    flags.into(),
                );
            }
        }
        TransportKind::Udp if d.transport.len() == 8 && !fragment => {
            found(CheckRule::UdpLength, length as i64, be16(d.transport, 4));
        }
        _ => {}
    }
    let header = match d.kind {
        TransportKind::Tcp => 20,
        TransportKind::Udp | TransportKind::Icmp | TransportKind::Icmpv6 => 8,
        _ => return,
    };
    if fragment || d.transport.len() < header || d.payload.len() != d.payload_length {
        return;
    }
    if d.kind == TransportKind::Udp && be16(d.transport, 6) == 0 {
        return;
    }
    let sum = if d.kind == TransportKind::Icmp {
        Checksum::new()
    } else {
        let at = if d.version == IpVersion::V4 { 12..20 } else { 8..40 };
        let Some(addresses) = d.ip.get(at) else { return };
        let (from, to) = addresses.split_at(addresses.len() >> 1);
        Checksum::new().with_pseudo_header(from, to, d.protocol, length as u32)
    };
    let valid = sum.with(d.transport).with(d.payload).is_valid();
    found(CheckRule::TransportChecksum, 1, i64::from(valid));
}

fn is_fragment(d: &Dissection<'_>) -> bool {
    match d.version {
        IpVersion::V4 => be16(d.ip, 6) & 0x3fff != 0,
        IpVersion::V6 => d.extensions.len() >= 8 && d.ip.get(6) == Some(&44),
    }
}

#[derive(Debug, Clone, Copy)]
enum Handshake {
    Opened { isn: u32, by_lower: bool },
    Answered { isn: u32, answer: u32, by_lower: bool },
}

fn handshake(
    d: &Dissection<'_>,
    open: &mut BTreeMap<Vec<u8>, Handshake>,
    found: &mut impl FnMut(CheckRule, i64, i64),
) {
    let at = if d.version == IpVersion::V4 { 12..20 } else { 8..40 };
    let (Some(addresses), Some(ports)) = (d.ip.get(at), d.transport.get(..4)) else { return };
    if d.transport.len() < 20 {
        return;
    }
    let (from, to) = addresses.split_at(addresses.len() >> 1);
    let source = [from, &ports[..2]].concat();
    let destination = [to, &ports[2..]].concat();
    let lower = source <= destination;
    let key = if lower { [source, destination].concat() } else { [destination, source].concat() };
    let (seq, ack, flags) = (be32(d.transport, 4), be32(d.transport, 8), d.transport[13]);
    match (flags & 0b1_0110, open.get(&key).copied()) {
        (0b0_0010, _) => {
            open.insert(key, Handshake::Opened { isn: seq, by_lower: lower });
        }
        (
            0b1_0010,
            Some(Handshake::Opened { isn, by_lower } | Handshake::Answered { isn, by_lower, .. }),
        ) if by_lower != lower => {
            found(CheckRule::HandshakeAnswer, i64::from(isn.wrapping_add(1)), i64::from(ack));
            open.insert(key, Handshake::Answered { isn, answer: seq, by_lower });
        }
        (0b1_0000, Some(Handshake::Answered { isn, answer, by_lower })) if by_lower == lower => {
            found(CheckRule::HandshakeLastStep, i64::from(answer.wrapping_add(1)), i64::from(ack));
            found(CheckRule::HandshakeLastStep, i64::from(isn.wrapping_add(1)), i64::from(seq));
            open.remove(&key);
        }
        (flags, Some(_)) if flags & 4 != 0 => {
            open.remove(&key);
        }
        _ => {}
    }
}
