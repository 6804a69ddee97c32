//! Decided rows to packets: headers from the cells, addresses, payload, checksums.

use crate::compile::addresses::{Ends, ends};
use crate::compile::checksums;
use crate::compile::lengths::Headers;
use crate::compile::messages::icmp_message;
use crate::compile::payload::{self, ESP, Filler, Place};
use crate::compile::source::{self, Source, dissect_all};
use crate::compile::streams::Streams;
use crate::config::{AddressPlan, Link, Payload, PayloadPolicy, Timing};
use crate::draft::{Draft, RowFacts, Transport};
use crate::infer::extension::EXTENSIONS;
use nprint_codec::{IpVersion, LinkType, Trace, ipv4, ipv6, udp};

/// Bytes of headers that few packets exceed: Ethernet, IPv6 and TCP with time stamps.
const MOST_HEADERS: usize = 14 + 40 + 32;

/// Makes the capture and writes its checksums into the draft's cells.
pub(crate) fn compile(draft: &mut Draft<'_>) -> Trace {
    let config = draft.config;
    let link = match config.link {
        Link::Ethernet => LinkType::Ethernet,
        Link::RawIp => LinkType::RawIp,
    };
    let address_source = match &config.addresses {
        AddressPlan::Keep(trace) => dissect_all(trace),
        _ => Vec::new(),
    };
    let payload_source = match &config.payload {
        Payload::Keep(trace) => dissect_all(trace),
        Payload::Policy(_) => Vec::new(),
    };
    let policy = match config.payload {
        Payload::Policy(policy) => policy,
        Payload::Keep(_) => PayloadPolicy::Zero,
    };
    let mut maker = Maker {
        filler: Filler::new(policy, config.seed),
        streams: payload_source.is_empty().then(|| Streams::new(draft)),
        datagrams: vec![Vec::new(); draft.rows.len()],
        sent: vec![[0; 2]; draft.flows.len()],
        last_ip: [[None, None]; 2],
    };
    let start_ns = match &config.timing {
        Timing::Keep(times) => times.first().copied().unwrap_or(config.start_ns),
        Timing::Model { .. } => config.start_ns,
    };
    let payload: usize = draft.rows.iter().map(|facts| facts.payload_bytes as usize).sum();
    let mut trace =
        Trace::with_capacity(link, draft.rows.len(), payload + MOST_HEADERS * draft.rows.len());
    let mut frame = Vec::with_capacity(2048);
    for row in 0..draft.rows.len() {
        let ends = ends(draft, row, address_source.get(row).map(|s| &s.0));
        let source = payload_source.get(row);
        frame.clear();
        if link == LinkType::Ethernet {
            let kept = address_source.get(row).filter(|s| s.0.link.len() == 14);
            match kept {
                Some(s) if s.0.version == draft.rows[row].stack.version => {
                    frame.extend(s.0.link);
                }
                _ => {
                    frame.extend(ends.macs[1]);
                    frame.extend(ends.macs[0]);
                    let v4 = draft.rows[row].stack.version == IpVersion::V4;
                    frame.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
                }
            }
        }
        let link_bytes = frame.len();
        let (at, on_wire) = maker.packet(draft, row, &ends, source, &trace, &mut frame);
        let facts = draft.rows[row];
        checksums::copy(&mut draft.cells.row_mut(row), &frame, at, facts.stack);
        let original = (link_bytes + on_wire).max(frame.len()) as u32;
        maker.last_ip[usize::from(facts.stack.version == IpVersion::V6)][facts.direction] =
            Some((row, link_bytes));
        trace.push(start_ns.saturating_add(facts.time_ns as i64), &frame, original);
    }
    trace
}

struct Maker {
    filler: Filler,
    /// Payload of TCP rows, where it is made up.
    streams: Option<Streams>,
    /// UDP payload of a datagram in fragments, by the row of the first one.
    datagrams: Vec<Vec<u8>>,
    /// Messages sent so far, by flow and side.
    sent: Vec<[u32; 2]>,
    /// Last packet of each version and direction: its row and the length of its link header.
    last_ip: [[Option<(usize, usize)>; 2]; 2],
}

impl Maker {
    /// Appends the IP packet of `row`; returns where its IP header, its transport header and its payload
    /// begin, and its length on the wire.
    fn packet(
        &mut self,
        draft: &Draft<'_>,
        row: usize,
        ends: &Ends,
        source: Option<&Source<'_>>,
        trace: &Trace,
        frame: &mut Vec<u8>,
    ) -> ([usize; 3], usize) {
        let facts = draft.rows[row];
        let headers = Headers::of(draft, row);
        let ip_at = frame.len();
        let cells = draft.cells.row(row);
        let mut raw = [0_u8; 136];
        for (word, out) in cells.value_words().iter().zip(raw.as_chunks_mut::<8>().0) {
            *out = word.to_be_bytes();
        }
        match facts.stack.version {
            IpVersion::V4 => {
                frame.extend(&raw[..12]);
                frame[ip_at + 10..ip_at + 12].fill(0);
                frame.extend(ends.source());
                frame.extend(ends.destination());
                frame.extend(&raw[12..12 + headers.ip as usize - 20]);
            }
            IpVersion::V6 => {
                frame.extend(&raw[52..60]);
                frame.extend(ends.source());
                frame.extend(ends.destination());
                if headers.extension > 0 {
                    let made = extension(draft, row);
                    let kept =
                        source.map(|s| s.0.extensions).filter(|e| e.len() == 8 && e[0] == made[0]);
                    frame.extend(kept.unwrap_or(&made));
                }
            }
        }
        let transport_at = frame.len();
        let transport_length = headers.transport as usize;
        match facts.stack.transport {
            Transport::Tcp => frame.extend(&raw[60..60 + transport_length]),
            Transport::Udp => frame.extend(&raw[120..128]),
            Transport::Icmp => frame.extend(&raw[128..136]),
            Transport::Fragment | Transport::Other => {}
        }
        let payload_at = frame.len();
        let payload_length = facts.payload_bytes as usize;
        let on_wire = payload_at - ip_at + payload_length;
        let whole = if let Some(source) = source {
            source::take(frame, source, payload_length)
        } else {
            self.make(draft, row, ends, trace, frame, payload_length);
            true
        };
        let at = [ip_at, transport_at, payload_at];
        let datagram = &self.datagrams[row];
        let packet = checksums::Packet { facts, ends, source, datagram, at, whole };
        checksums::write(&packet, frame);
        if let Some(source) = source.filter(|_| whole) {
            frame.extend(source::padding(source, frame.len()));
        }
        (at, on_wire)
    }

    /// Appends made-up payload.
    fn make(
        &mut self,
        draft: &Draft<'_>,
        row: usize,
        ends: &Ends,
        trace: &Trace,
        frame: &mut Vec<u8>,
        length: usize,
    ) {
        let facts = draft.rows[row];
        let start = frame.len();
        let mut place = Place {
            ports: draft.flows[facts.flow].ports,
            answer: facts.direction == 1,
            index: 0,
            flow: facts.flow,
        };
        match facts.stack.transport {
            Transport::Tcp => {
                if let Some(streams) = &mut self.streams {
                    streams.write(&mut self.filler, place, row, length, frame);
                }
            }
            Transport::Udp => {
                place.index = self.next_index(facts);
                self.filler.start(row as u64);
                let total = if facts.more_fragments {
                    (draft.value(row, udp::LENGTH) as usize).saturating_sub(8).max(length)
                } else {
                    length
                };
                payload::udp(&mut self.filler, place, total, frame);
                if facts.more_fragments {
                    self.datagrams[row].extend_from_slice(&frame[start..]);
                }
            }
            Transport::Icmp => {
                let v6 = usize::from(facts.stack.version == IpVersion::V6);
                let quoted = self.last_ip[v6][1 - facts.direction]
                    .map(|(row, link)| &trace.packet(row).bytes[link..]);
                let filler = &mut self.filler;
                icmp_message(draft, row, ends, quoted, filler, frame, length);
            }
            Transport::Fragment => {
                let datagram = facts.first_fragment.map_or(&[][..], |f| &self.datagrams[f]);
                let at = (8 * draft.value(row, ipv4::FRAGMENT_OFFSET) as usize).saturating_sub(8);
                let rest = datagram.get(at..).unwrap_or_default();
                frame.extend(&rest[..rest.len().min(length)]);
            }
            Transport::Other => {
                if draft.protocol(row) == ESP {
                    let index = self.next_index(facts);
                    let head = [0x1000_0001_u32.to_be_bytes(), (index + 1).to_be_bytes()].concat();
                    frame.extend(&head[..length.min(8)]);
                }
            }
        }
        frame.truncate(start + length);
        let made = frame.len();
        frame.resize(start + length, 0);
        if made < frame.len() {
            self.filler.start(0x2000_0000 + row as u64);
            self.filler.fill(&mut frame[made..]);
        }
    }

    /// How many messages this side of the conversation has sent before.
    fn next_index(&mut self, facts: RowFacts) -> u32 {
        let sent = &mut self.sent[facts.flow][facts.direction];
        *sent += 1;
        *sent - 1
    }
}

/// An extension header of 8 bytes of the kind that the IPv6 header announces.
fn extension(draft: &Draft<'_>, row: usize) -> [u8; 8] {
    let stack = draft.rows[row].stack;
    let kind = draft.value(row, ipv6::NEXT_HEADER);
    debug_assert!(EXTENSIONS.contains(&kind));
    let next = stack.protocol().unwrap_or(if kind == 44 { 17 } else { 59 }) as u8;
    match kind {
        // A later fragment behind a full Ethernet frame; RFC 8200 section 4.5.
        44 if stack.transport == Transport::Fragment => [next, 0, 0x05, 0xa8, 0, 0, 0, 1],
        // More fragments follow a first one; each has an identification of its own, for which later
        // one belongs to it is not in the representation.
        44 if stack.transport == Transport::Udp
            && draft.value(row, udp::LENGTH) > draft.rows[row].payload_bytes + 8 =>
        {
            let id = (0x8000_0000 | row as u32).to_be_bytes();
            [next, 0, 0, 1, id[0], id[1], id[2], id[3]]
        }
        44 => [next, 0, 0, 0, 0, 0, 0, 1],
        // Router alert: a listener message follows; RFC 2711.
        0 if stack.transport == Transport::Icmp => [next, 0, 5, 2, 0, 0, 1, 0],
        // RFC 4727 section 5 reserves routing type 253 for experiments.
        43 => [next, 0, 253, 0, 0, 0, 0, 0],
        _ => [next, 0, 1, 4, 0, 0, 0, 0],
    }
}
