//! Decided rows to packets: headers from the cells, addresses, payload, checksums.

use crate::compile::addresses::{Ends, ends};
use crate::compile::lengths::headers;
use crate::compile::payload::{self, Filler, Place, Segment};
use crate::config::{AddressPlan, Link, Payload, PayloadPolicy, Timing};
use crate::draft::{Draft, Transport};
use crate::infer::stack::EXTENSIONS;
use nprint_codec::{
    Checksum, Dissection, IpVersion, LinkType, RowMut, TernaryMatrix, Trace, dissect, icmp, ipv4,
    ipv6, tcp, udp,
};

/// The IP packets of a source trace.
pub(crate) fn dissect_all(trace: &Trace) -> Vec<(Dissection<'_>, &[u8], u32)> {
    (0..trace.len())
        .filter_map(|i| {
            let packet = trace.packet(i);
            let d = dissect(trace.link_type(), packet.bytes)?;
            Some((d, packet.bytes, packet.original_length))
        })
        .collect()
}

type Source<'a> = (Dissection<'a>, &'a [u8], u32);

/// Makes the capture and writes the checksums into `cells`.
pub(crate) fn compile(draft: &Draft<'_>, cells: &mut TernaryMatrix) -> Trace {
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
        draft,
        filler: Filler::new(policy, config.seed),
        streams: vec![Vec::new(); draft.rows.len()],
        datagrams: vec![Vec::new(); draft.rows.len()],
        sent: vec![[0; 2]; draft.flows.len()],
        last_ip: [[None, None]; 2],
    };
    if payload_source.is_empty() {
        maker.lay_streams();
    }
    let start_ns = match &config.timing {
        Timing::Keep(times) => times.first().copied().unwrap_or(config.start_ns),
        Timing::Model { .. } => config.start_ns,
    };
    let mut trace = Trace::new(link);
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
        let on_wire = maker.packet(row, &ends, source, &trace, &mut frame);
        copy_checksums(&mut cells.row_mut(row), &frame[link_bytes..], draft, row);
        let original = (link_bytes + on_wire).max(frame.len()) as u32;
        let facts = draft.rows[row];
        maker.last_ip[usize::from(facts.stack.version == IpVersion::V6)][facts.direction] =
            Some((row, link_bytes));
        trace.push(start_ns.saturating_add(facts.time_ns as i64), &frame, original);
    }
    trace
}

struct Maker<'a> {
    draft: &'a Draft<'a>,
    filler: Filler,
    /// Payload of TCP rows.
    streams: Vec<Vec<u8>>,
    /// UDP payload of a datagram in fragments, by the row of the first one.
    datagrams: Vec<Vec<u8>>,
    /// Messages sent so far, by flow and side.
    sent: Vec<[u32; 2]>,
    /// Last packet of each version and direction: its row and the length of its link header.
    last_ip: [[Option<(usize, usize)>; 2]; 2],
}

impl Maker<'_> {
    /// Lays out the bytes of every TCP stream.
    fn lay_streams(&mut self) {
        for (index, flow) in self.draft.flows.iter().enumerate() {
            if flow.transport != Transport::Tcp {
                continue;
            }
            for side in 0..2 {
                self.lay_stream(index, side);
            }
        }
    }

    fn lay_stream(&mut self, flow: usize, side: usize) {
        let draft = self.draft;
        let ports = draft.flows[flow].ports;
        let mut segments: Vec<Segment> = Vec::new();
        let mut repeats: Vec<(usize, usize)> = Vec::new();
        let mut starts: Vec<(u32, u32, usize)> = Vec::new();
        let mut next: Option<u32> = None;
        for row in &draft.tcp_rows(flow) {
            let facts = draft.rows[*row];
            let length = facts.payload_bytes;
            if facts.direction != side || length == 0 {
                continue;
            }
            let seq = draft.value(*row, tcp::SEQ).wrapping_add(draft.value(*row, tcp::SYN));
            let ahead = next.map_or(0, |n| seq.wrapping_sub(n) as i32);
            if ahead < 0
                && let Some(first) =
                    starts.iter().rev().find(|s| s.0 == seq && s.1 == length).map(|s| s.2)
            {
                repeats.push((*row, first));
                continue;
            }
            let joined = next.is_some() && ahead == 0;
            segments.push(Segment { row: *row, length: length as usize, joined });
            starts.push((seq, length, *row));
            if ahead >= 0 {
                next = Some(seq.wrapping_add(length));
            }
        }
        let place = Place { ports, answer: side == 1, index: 0, flow };
        payload::tcp(&mut self.filler, place, &segments, &mut self.streams);
        for (row, first) in repeats {
            let again = self.streams[first].clone();
            self.streams[row] = again;
        }
    }

    /// Appends the IP packet of `row`; returns its length on the wire.
    fn packet(
        &mut self,
        row: usize,
        ends: &Ends,
        source: Option<&Source<'_>>,
        trace: &Trace,
        frame: &mut Vec<u8>,
    ) -> usize {
        let draft = self.draft;
        let facts = draft.rows[row];
        let (ip_bytes, extension_bytes, transport_bytes) = headers(draft, row);
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
                frame.extend(&raw[12..12 + ip_bytes as usize - 20]);
            }
            IpVersion::V6 => {
                frame.extend(&raw[52..60]);
                frame.extend(ends.source());
                frame.extend(ends.destination());
                if extension_bytes > 0 {
                    let made = self.extension(row);
                    let kept =
                        source.map(|s| s.0.extensions).filter(|e| e.len() == 8 && e[0] == made[0]);
                    frame.extend(kept.unwrap_or(&made));
                }
            }
        }
        let transport_at = frame.len();
        let transport_length = transport_bytes as usize;
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
            take(frame, source, payload_length)
        } else {
            self.make(row, ends, trace, frame, payload_length);
            true
        };
        self.checksums(row, ends, source, frame, [ip_at, transport_at, payload_at], whole);
        if let Some((d, bytes, original)) = source {
            // Link-layer padding of a short frame.
            let end = d.link.len()
                + d.ip.len()
                + d.extensions.len()
                + d.transport.len()
                + d.payload_length;
            if whole
                && *original as usize == bytes.len()
                && end < bytes.len()
                && frame.len() + bytes.len() - end <= 60
            {
                frame.extend(&bytes[end..]);
            }
        }
        on_wire
    }

    /// An extension header of 8 bytes of the kind that the IPv6 header announces.
    fn extension(&self, row: usize) -> [u8; 8] {
        let draft = self.draft;
        let stack = draft.rows[row].stack;
        let kind = draft.value(row, ipv6::NEXT_HEADER);
        debug_assert!(EXTENSIONS.contains(&kind));
        let next = stack.protocol().unwrap_or(if kind == 44 { 17 } else { 59 }) as u8;
        match kind {
            // A later fragment behind a full Ethernet frame; RFC 8200 section 4.5.
            44 if stack.transport == Transport::Fragment => [next, 0, 0x05, 0xa8, 0, 0, 0, 1],
            44 => [next, 0, 0, 0, 0, 0, 0, 1],
            // Router alert: a listener message follows; RFC 2711.
            0 if stack.transport == Transport::Icmp => [next, 0, 5, 2, 0, 0, 1, 0],
            // RFC 4727 section 5 reserves routing type 253 for experiments.
            43 => [next, 0, 253, 0, 0, 0, 0, 0],
            _ => [next, 0, 1, 4, 0, 0, 0, 0],
        }
    }

    /// Appends made-up payload.
    fn make(&mut self, row: usize, ends: &Ends, trace: &Trace, frame: &mut Vec<u8>, length: usize) {
        let facts = self.draft.rows[row];
        let flow = &self.draft.flows[facts.flow];
        let start = frame.len();
        match facts.stack.transport {
            Transport::Tcp => frame.extend(&self.streams[row]),
            Transport::Udp => {
                let index = self.sent[facts.flow][facts.direction];
                self.sent[facts.flow][facts.direction] += 1;
                let place = Place {
                    ports: flow.ports,
                    answer: facts.direction == 1,
                    index,
                    flow: facts.flow,
                };
                self.filler.start(row as u64);
                let total = if facts.more_fragments {
                    (self.draft.value(row, udp::LENGTH) as usize).saturating_sub(8).max(length)
                } else {
                    length
                };
                let mut message = payload::udp(&mut self.filler, place, total);
                if facts.more_fragments {
                    self.datagrams[row].clone_from(&message);
                    message.truncate(length);
                }
                frame.extend(message);
            }
            Transport::Icmp => self.make_icmp(row, ends, trace, frame, length),
            Transport::Fragment => {
                let datagram = facts.first_fragment.map_or(&[][..], |f| &self.datagrams[f]);
                let at =
                    (8 * self.draft.value(row, ipv4::FRAGMENT_OFFSET) as usize).saturating_sub(8);
                let rest = datagram.get(at..).unwrap_or_default();
                frame.extend(&rest[..rest.len().min(length)]);
            }
            Transport::Other => {
                let protocol = match facts.stack.version {
                    IpVersion::V4 => self.draft.value(row, ipv4::PROTOCOL),
                    IpVersion::V6 => self.draft.value(row, ipv6::NEXT_HEADER),
                };
                if protocol == 50 {
                    let index = self.sent[facts.flow][facts.direction];
                    self.sent[facts.flow][facts.direction] += 1;
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

    fn make_icmp(
        &mut self,
        row: usize,
        ends: &Ends,
        trace: &Trace,
        frame: &mut Vec<u8>,
        length: usize,
    ) {
        let draft = self.draft;
        let facts = draft.rows[row];
        let (kind, v6) = (draft.value(row, icmp::TYPE), facts.stack.version == IpVersion::V6);
        let start = frame.len();
        match (v6, kind) {
            (false, 3 | 4 | 5 | 11) | (true, 1..=4) => {
                // Errors quote a packet that went the other way.
                let quoted = self.last_ip[usize::from(v6)][1 - facts.direction];
                if let Some((quoted, link)) = quoted {
                    let bytes = &trace.packet(quoted).bytes[link..];
                    frame.extend(&bytes[..bytes.len().min(length)]);
                } else {
                    frame.extend(invented_quote(ends, v6));
                }
            }
            (true, 135 | 136) => {
                let (target, option) =
                    if kind == 135 { (ends.destination(), 1) } else { (ends.source(), 2) };
                frame.extend(target);
                if length >= 24 {
                    frame.extend([option, 1]);
                    frame.extend(ends.macs[0]);
                }
                nonce(frame, start + length);
            }
            (true, 133) => {
                if length >= 8 {
                    frame.extend([1, 1]);
                    frame.extend(ends.macs[0]);
                }
                nonce(frame, start + length);
            }
            (true, 134) => {
                frame.extend([0; 8]);
                nonce(frame, start + length);
            }
            (true, 137) => {
                frame.extend(ends.destination());
                frame.extend(ends.destination());
                nonce(frame, start + length);
            }
            (true, 130..=132) => frame.extend(ends.destination()),
            (true, 143) => {
                for record in 0..length.div_euclid(20) {
                    frame.extend([4, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0]);
                    frame.push(record as u8);
                }
            }
            _ => {
                // A reply repeats the bytes of its request.
                let sequence = u64::from(draft.value(row, icmp::REST));
                self.filler.start(0x3000_0000_0000 + sequence);
                frame.resize(start + length, 0);
                self.filler.fill(&mut frame[start..]);
            }
        }
    }

    /// Writes the checksums of the packet that starts at `at[0]`, its transport header at `at[1]`
    /// and its payload at `at[2]`. `whole` says that no payload byte was cut.
    fn checksums(
        &self,
        row: usize,
        ends: &Ends,
        source: Option<&Source<'_>>,
        frame: &mut [u8],
        at: [usize; 3],
        whole: bool,
    ) {
        let facts = self.draft.rows[row];
        let [ip_at, transport_at, payload_at] = at;
        let v4 = facts.stack.version == IpVersion::V4;
        if v4 {
            let end = ip_at + (usize::from(frame[ip_at] & 15) << 2);
            let kept = source.map(|s| s.0.ip).filter(|old| same_but(old, &frame[ip_at..end], 10));
            let sum = match kept {
                Some(old) => [old[10], old[11]],
                None => Checksum::new().with(&frame[ip_at..end]).finish().to_be_bytes(),
            };
            frame[ip_at + 10..ip_at + 12].copy_from_slice(&sum);
        }
        let (field_at, protocol, pseudo) = match facts.stack.transport {
            Transport::Tcp => (16, 6, true),
            Transport::Udp => (6, 17, true),
            Transport::Icmp => (2, if v4 { 1 } else { 58 }, !v4),
            Transport::Fragment | Transport::Other => return,
        };
        frame[transport_at + field_at..transport_at + field_at + 2].fill(0);
        let header = &frame[transport_at..payload_at];
        let begin = |source: &[u8], destination: &[u8], length: usize| {
            if pseudo {
                Checksum::new().with_pseudo_header(source, destination, protocol, length as u32)
            } else {
                Checksum::new()
            }
        };
        let length = if facts.stack.transport == Transport::Udp {
            usize::from(u16::from_be_bytes([header[4], header[5]]))
        } else {
            payload_at - transport_at + facts.payload_bytes as usize
        };
        let fresh = begin(ends.source(), ends.destination(), length).with(header);
        let old = source.filter(|s| s.0.transport.len() == header.len());
        let mut sum = if let Some((d, ..)) = old {
            let addresses = if v4 { 12..20 } else { 8..40 };
            let addresses = d.ip.get(addresses).unwrap_or_default();
            let (from, to) = addresses.split_at(addresses.len() >> 1);
            let old_length = d.transport.len() + d.payload_length;
            let same = from == ends.source()
                && to == ends.destination()
                && same_but(d.transport, header, field_at)
                && d.payload_length == facts.payload_bytes as usize;
            if same {
                // Nothing that is summed changed: also a sum that was never filled in is kept.
                let kept = [d.transport[field_at], d.transport[field_at + 1]];
                frame[transport_at + field_at..transport_at + field_at + 2].copy_from_slice(&kept);
                return;
            }
            if whole && !facts.more_fragments {
                fresh.with(&frame[payload_at..]).finish()
            } else {
                // The sum of the bytes that were cut is what the old headers left of the old sum.
                let old_length = if facts.stack.transport == Transport::Udp {
                    usize::from(u16::from_be_bytes([d.transport[4], d.transport[5]]))
                } else {
                    old_length
                };
                let cut = begin(from, to, old_length).with(d.transport).finish();
                fresh.with(&cut.to_be_bytes()).finish()
            }
        } else if facts.more_fragments && facts.stack.transport == Transport::Udp {
            fresh.with(&self.datagrams[row]).finish()
        } else {
            fresh.with(&frame[payload_at..]).finish()
        };
        if facts.stack.transport == Transport::Udp && sum == 0 {
            // 0 would mean "no checksum"; RFC 768.
            sum = 0xffff;
        }
        frame[transport_at + field_at..transport_at + field_at + 2]
            .copy_from_slice(&sum.to_be_bytes());
    }
}

/// Appends payload from a source packet; whether none of it was cut.
fn take(frame: &mut Vec<u8>, source: &Source<'_>, length: usize) -> bool {
    let (d, ..) = source;
    let own = &d.payload[..d.payload.len().min(length)];
    frame.extend(own);
    if d.payload.len() < d.payload_length && own.len() < length {
        return false;
    }
    let end = frame.len() + length - own.len();
    frame.resize(end, 0);
    true
}

/// Whether two headers are the same apart from the 16 bits at `at`.
fn same_but(old: &[u8], new: &[u8], at: usize) -> bool {
    old.len() == new.len() && old[..at] == new[..at] && old[at + 2..] == new[at + 2..]
}

/// Nonce options (RFC 3971 section 5.3) up to `end`, in units of 8 bytes.
fn nonce(frame: &mut Vec<u8>, end: usize) {
    while frame.len() + 8 <= end {
        let units = ((end - frame.len()) >> 3).min(255);
        let start = frame.len();
        frame.extend([14, units as u8]);
        frame.resize(start + 8 * units, 0x5a);
    }
}

/// The head of a UDP packet that went the other way, for an error without a quotable packet.
fn invented_quote(ends: &Ends, v6: bool) -> Vec<u8> {
    let mut out = if v6 {
        vec![0x60, 0, 0, 0, 2, 8, 17, 64]
    } else {
        vec![0x45, 0, 2, 28, 0, 0, 0x40, 0, 64, 17, 0, 0]
    };
    out.extend(ends.destination());
    out.extend(ends.source());
    if !v6 {
        let sum = Checksum::new().with(&out).finish();
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    out.extend([0x9c, 0x40, 0x9c, 0x41, 2, 8, 0x12, 0x34]);
    out
}

fn copy_checksums(cells: &mut RowMut<'_>, packet: &[u8], draft: &Draft<'_>, row: usize) {
    let stack = draft.rows[row].stack;
    let (ip, extension, _) = headers(draft, row);
    let word = |at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    if stack.version == IpVersion::V4 {
        cells.set(ipv4::CHECKSUM, word(10));
    }
    let at = (ip + extension) as usize;
    match stack.transport {
        Transport::Tcp => cells.set(tcp::CHECKSUM, word(at + 16)),
        Transport::Udp => cells.set(udp::CHECKSUM, word(at + 6)),
        Transport::Icmp => cells.set(icmp::CHECKSUM, word(at + 2)),
        Transport::Fragment | Transport::Other => {}
    }
}
