//! Small captures made by hand, shaped as real ones are: what the real ones of `tests/captures` lack.

use nprint_codec::{Checksum, LinkType, Trace};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

const HOSTS_V4: [[u8; 4]; 2] = [[192, 0, 2, 7], [198, 51, 100, 9]];
const HOSTS_V6: [[u8; 16]; 2] = [
    [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
    [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
];

/// A capture while it is made; packets come a millisecond apart.
struct Maker {
    trace: Trace,
    v6: bool,
    ids: [u16; 2],
}

impl Maker {
    fn new(v6: bool) -> Self {
        Self { trace: Trace::new(LinkType::Ethernet), v6, ids: [0x1200, 0x7a00] }
    }

    fn push_ip(&mut self, side: usize, ethertype: u16, ip: &[u8]) {
        let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        let frame = [&macs[1 - side][..], &macs[side], &ethertype.to_be_bytes(), ip].concat();
        let time_ns = 1_700_000_000_000_000_000 + 1_000_000 * self.trace.len() as i64;
        self.trace.push(time_ns, &frame, frame.len() as u32);
    }

    /// An IP packet from `side` with flags and offset of a fragment (IPv4 only).
    fn ip(&mut self, side: usize, protocol: u8, fragment: Option<(u16, u16)>, body: &[u8]) {
        if self.v6 {
            let length = (body.len() as u16).to_be_bytes();
            let head = [0x60, 0x0b, 0x1e, 0x55 + side as u8, length[0], length[1], protocol, 64];
            let (from, to) = (HOSTS_V6[side], HOSTS_V6[1 - side]);
            self.push_ip(side, 0x86dd, &[&head[..], &from, &to, body].concat());
            return;
        }
        let (id, word) = fragment.unwrap_or_else(|| {
            self.ids[side] += 1;
            (self.ids[side], 0x4000)
        });
        let mut head = vec![0x45, 0];
        head.extend((20 + body.len() as u16).to_be_bytes());
        head.extend([id, word].map(u16::to_be_bytes).concat());
        head.extend([[64, 55][side], protocol, 0, 0]);
        head.extend([HOSTS_V4[side], HOSTS_V4[1 - side]].concat());
        let sum = Checksum::new().with(&head).finish().to_be_bytes();
        head[10..12].copy_from_slice(&sum);
        self.push_ip(side, 0x0800, &[head, body.to_vec()].concat());
    }

    /// Fills in the checksum at `at`.
    fn summed(&self, side: usize, protocol: u8, at: usize, mut body: Vec<u8>) -> Vec<u8> {
        let sum = Checksum::new();
        let sum = match (protocol, self.v6) {
            (1, _) => sum,
            (_, false) => sum.with_pseudo_header(
                &HOSTS_V4[side],
                &HOSTS_V4[1 - side],
                protocol,
                body.len() as u32,
            ),
            (_, true) => sum.with_pseudo_header(
                &HOSTS_V6[side],
                &HOSTS_V6[1 - side],
                protocol,
                body.len() as u32,
            ),
        };
        let sum = sum.with(&body).finish().to_be_bytes();
        body[at..at + 2].copy_from_slice(&sum);
        body
    }

    fn udp(&self, side: usize, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let mut body = [ports[side], ports[1 - side]].map(u16::to_be_bytes).concat();
        body.extend((8 + payload.len() as u16).to_be_bytes());
        body.extend([0, 0]);
        body.extend(payload);
        self.summed(side, 17, 6, body)
    }

    fn tcp(&mut self, segment: &Tcp<'_>) {
        let Tcp { side, ports, seq, ack, flags, window, options, length } = segment;
        let mut body = [ports[*side], ports[1 - side]].map(u16::to_be_bytes).concat();
        body.extend([*seq, *ack].map(u32::to_be_bytes).concat());
        body.extend([((5 + (options.len() >> 2)) << 4) as u8, *flags]);
        body.extend(window.to_be_bytes());
        body.extend([0; 4]);
        body.extend(*options);
        // The same bytes of the stream for the same numbers.
        body.extend((0..*length).map(|i| seq.wrapping_add(i) as u8));
        let body = self.summed(*side, 6, 16, body);
        self.ip(*side, 6, None, &body);
    }
}

struct Tcp<'a> {
    side: usize,
    ports: [u16; 2],
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: &'a [u8],
    length: u32,
}

/// A connection over the wrap of its numbers: a segment lost and sent again, selective acknowledgements
/// of what came behind it, a shut window, a probe, a keep-alive, teardown.
fn losses(v6: bool) -> Trace {
    let mut maker = Maker::new(v6);
    let ports = [50_123, 8000];
    // Behind these numbers, the initiator's stream and the responder's.
    let (a, b) = (0xffff_f000_u32, 77_000_u32);
    let (mut clock, mut last) = (900_u32, [0_u32; 2]);
    let mut send = |side: usize, seq: u32, ack: u32, flags: u8, window: u16, rest: (&[u8], u32)| {
        clock += 3;
        let stamps = [clock, last[1 - side]].map(u32::to_be_bytes).concat();
        last[side] = clock;
        let (options, length) = rest;
        let options = if flags & SYN != 0 {
            [&[2, 4, 5, 180, 4, 2, 8, 10][..], &stamps, &[1, 3, 3, 7]].concat()
        } else {
            [&[1, 1, 8, 10][..], &stamps, options].concat()
        };
        let (own, other) = if side == 0 { (a, b) } else { (b, a) };
        let ack = if flags & ACK == 0 { 0 } else { other.wrapping_add(ack) };
        let seq = own.wrapping_add(seq);
        maker.tcp(&Tcp { side, ports, seq, ack, flags, window, options: &options, length });
    };
    let none: &[u8] = &[];
    let block = |from: u32, to: u32| {
        let edges = [a.wrapping_add(from), a.wrapping_add(to)].map(u32::to_be_bytes).concat();
        [&[1, 1, 5, 10][..], &edges].concat()
    };
    send(0, 0, 0, SYN, 64_240, (none, 0));
    send(1, 0, 1, SYN | ACK, 65_160, (none, 0));
    send(0, 1, 1, ACK, 502, (none, 0));
    send(0, 1, 1, ACK | PSH, 502, (none, 1448));
    send(1, 1, 1449, ACK, 509, (none, 0));
    // 1449..2897 is lost before it is seen.
    send(0, 2897, 1, ACK, 502, (none, 1448));
    send(1, 1, 1449, ACK, 509, (&block(2897, 4345), 0));
    send(0, 4345, 1, ACK | PSH, 502, (none, 1448));
    send(1, 1, 1449, ACK, 509, (&block(2897, 5793), 0));
    send(0, 1449, 1, ACK, 502, (none, 1448));
    send(1, 1, 5793, ACK, 0, (none, 0));
    // The window is shut: a probe below it, and its opening.
    send(0, 5792, 1, ACK, 502, (none, 0));
    send(1, 1, 5793, ACK, 0, (none, 0));
    send(1, 1, 5793, ACK, 509, (none, 0));
    send(1, 1, 5793, ACK | PSH, 509, (none, 300));
    // A segment that was seen and is sent again.
    send(1, 1, 5793, ACK | PSH, 509, (none, 300));
    send(0, 5793, 301, ACK, 501, (none, 0));
    send(0, 5792, 301, ACK, 501, (none, 0));
    send(1, 301, 5793, ACK, 509, (none, 0));
    send(0, 5793, 301, ACK | FIN, 501, (none, 0));
    send(1, 301, 5794, ACK | FIN, 509, (none, 0));
    send(0, 5794, 302, ACK, 501, (none, 0));
    maker.trace
}

/// A refused connection, one that is reset, and a request that is answered by a reset.
fn resets() -> Trace {
    let mut maker = Maker::new(false);
    let mss = [2, 4, 5, 180];
    let mut send =
        |port: u16, side: usize, numbers: [u32; 2], flags: u8, window: u16, length: u32| {
            let options: &[u8] = if flags & SYN != 0 { &mss } else { &[] };
            let [seq, ack] = numbers;
            let ports = [port, 8000];
            maker.tcp(&Tcp { side, ports, seq, ack, flags, window, options, length });
        };
    send(40_001, 0, [1000, 0], SYN, 64_240, 0);
    send(40_001, 1, [0, 1001], RST | ACK, 0, 0);
    send(40_002, 0, [5000, 0], SYN, 64_240, 0);
    send(40_002, 1, [9000, 5001], SYN | ACK, 65_535, 0);
    send(40_002, 0, [5001, 9001], ACK, 64_240, 0);
    send(40_002, 0, [5001, 9001], ACK | PSH, 64_240, 100);
    send(40_002, 1, [9001, 5101], ACK, 65_535, 0);
    send(40_002, 1, [9001, 5101], RST | ACK, 0, 0);
    send(40_003, 0, [200, 0], SYN, 64_240, 0);
    send(40_003, 1, [300, 201], SYN | ACK, 65_535, 0);
    send(40_003, 0, [201, 0], RST, 0, 0);
    maker.trace
}

/// Echo pairs, an unreachable port with the packet that it quotes, and neighbour discovery.
fn control(v6: bool) -> Trace {
    let mut maker = Maker::new(v6);
    let (protocol, request, reply) = if v6 { (58, 128, 129) } else { (1, 8, 0) };
    for sequence in 1..=6_u8 {
        for (side, kind) in [(0, request), (1, reply)] {
            let mut body = vec![kind, 0, 0, 0, 0x4b, 0x1d, 0, sequence];
            body.extend(0..56);
            let body = maker.summed(side, protocol, 2, body);
            maker.ip(side, protocol, None, &body);
        }
    }
    let query = maker.udp(0, [40_400, 9999], b"anyone there?");
    maker.ip(0, 17, None, &query);
    let last = maker.trace.packet(maker.trace.len() - 1).bytes[14..].to_vec();
    let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
    let body = [&[kind, code, 0, 0, 0, 0, 0, 0][..], &last].concat();
    let body = maker.summed(1, protocol, 2, body);
    maker.ip(1, protocol, None, &body);
    maker.trace
}

/// Queries and answers from many ports, some sent twice.
fn names(v6: bool) -> Trace {
    let mut maker = Maker::new(v6);
    for query in 0..8_u16 {
        let ports = [41_000 + 771 * query, 53];
        let name = [0, 1, 0, 0, 0, 0, 0, 0, 4, b't', b'e', b's', b't', 0, 0, 1, 0, 1];
        let ask = [&query.to_be_bytes()[..], &[1, 0], &name].concat();
        let answer = [&query.to_be_bytes()[..], &[0x81, 0x80], &name].concat();
        let ask = maker.udp(0, ports, &ask);
        let answer = maker.udp(1, ports, &answer);
        for _ in 0..=query % 2 {
            maker.ip(0, 17, None, &ask);
        }
        maker.ip(1, 17, None, &answer);
    }
    maker.trace
}

/// Datagrams in three fragments each, two of them interleaved, and a whole one between.
fn fragments_v4() -> Trace {
    let mut maker = Maker::new(false);
    let pieces = |maker: &Maker, id: u16| -> Vec<(u16, u16, Vec<u8>)> {
        let body = maker.udp(0, [40_500, 7000], &vec![id as u8; 4000]);
        let last = body.len().div_ceil(1480) - 1;
        let piece = |(i, bytes): (usize, &[u8])| {
            let more = if i < last { 0x2000 } else { 0 };
            (id, more | (185 * i) as u16, bytes.to_vec())
        };
        body.chunks(1480).enumerate().map(piece).collect()
    };
    let (one, two, three) = (pieces(&maker, 7), pieces(&maker, 8), pieces(&maker, 9));
    let mut put = |(id, word, bytes): &(u16, u16, Vec<u8>)| {
        maker.ip(0, 17, Some((*id, *word)), bytes);
    };
    one.iter().for_each(&mut put);
    for (a, b) in two.iter().zip(&three) {
        put(a);
        put(b);
    }
    let whole = maker.udp(1, [40_500, 7000], b"received");
    maker.ip(1, 17, None, &whole);
    maker.trace
}

/// A datagram in two fragments over IPv6 (RFC 8200 section 4.5), twice.
fn fragments_v6() -> Trace {
    let mut maker = Maker::new(true);
    for id in [0x51_u8, 0x52] {
        let body = maker.udp(0, [40_600, 7000], &[id; 2000]);
        for (i, bytes) in body.chunks(1448).enumerate() {
            let offset = ((1448 * i) as u16) | u16::from(i == 0);
            let head = [&[17, 0][..], &offset.to_be_bytes(), &[0, 0, 0, id]].concat();
            maker.ip(0, 44, None, &[head, bytes.to_vec()].concat());
        }
    }
    maker.trace
}

/// Every capture, by name.
pub fn captures() -> Vec<(&'static str, Trace)> {
    vec![
        ("losses over IPv4", losses(false)),
        ("losses over IPv6", losses(true)),
        ("resets", resets()),
        ("ICMP", control(false)),
        ("ICMPv6", control(true)),
        ("names over IPv4", names(false)),
        ("names over IPv6", names(true)),
        ("fragments over IPv4", fragments_v4()),
        ("fragments over IPv6", fragments_v6()),
    ]
}
