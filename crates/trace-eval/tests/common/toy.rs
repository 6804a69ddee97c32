//! Small captures with right checksums, for tests that need to know what is in them.
#![allow(dead_code)]

use nprint_codec::{Checksum, Labels, Layout, LinkType, RowPolicy, Trace, encode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use trace_eval::Sample;

const CLIENT: [u8; 4] = [10, 0, 0, 2];
const SERVER: [u8; 4] = [10, 0, 0, 1];

/// What is written into one TCP segment.
#[derive(Clone, Copy)]
pub struct Segment {
    pub up: bool,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub payload: usize,
    pub ttl: u8,
    pub id: u16,
}

/// An IPv4 packet with a TCP segment, all lengths and checksums right.
pub fn tcp(s: Segment) -> Vec<u8> {
    let (from, to) = if s.up { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let (source, destination): (u16, u16) = if s.up { (40_000, 443) } else { (443, 40_000) };
    let total = (40 + s.payload) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend(s.id.to_be_bytes());
    ip.extend([0x40, 0, s.ttl, 6, 0, 0]);
    ip.extend(from);
    ip.extend(to);
    let sum = Checksum::new().with(&ip).finish();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut segment = Vec::new();
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend(s.seq.to_be_bytes());
    segment.extend(s.ack.to_be_bytes());
    segment.extend([0x50, s.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.resize(20 + s.payload, 0);
    let sum = Checksum::new()
        .with_pseudo_header(&from, &to, 6, segment.len() as u32)
        .with(&segment)
        .finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ip.extend(segment);
    ip
}

/// A whole connection: handshake, requests with answers whose size and TTL depend on `class`, end.
pub fn connection(class: usize, seed: u64, exchanges: usize) -> Trace {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut trace = Trace::new(LinkType::RawIp);
    let mut time_ns = 1_700_000_000_000_000_000;
    let (mut client, mut server): (u32, u32) = (rng.random(), rng.random());
    let mut id: u16 = rng.random();
    let mut send = |up: bool, flags: u8, payload: usize, client: &mut u32, server: &mut u32| {
        time_ns += rng.random_range(100_000..5_000_000);
        id = id.wrapping_add(1);
        let ttl = if up { 64 } else { 48 + 4 * class as u8 };
        let (seq, ack) = if up { (*client, *server) } else { (*server, *client) };
        let ack = if flags & 0x10 == 0 { 0 } else { ack };
        let bytes = tcp(Segment { up, flags, seq, ack, payload, ttl, id });
        trace.push(time_ns, &bytes, bytes.len() as u32);
        let next = if up { client } else { server };
        *next = next.wrapping_add(payload as u32 + u32::from(flags & 3 != 0));
    };
    send(true, 0x02, 0, &mut client, &mut server);
    send(false, 0x12, 0, &mut client, &mut server);
    send(true, 0x10, 0, &mut client, &mut server);
    let mut sizes = ChaCha8Rng::seed_from_u64(seed ^ 0x63);
    for _ in 0..exchanges {
        send(true, 0x18, sizes.random_range(20..60), &mut client, &mut server);
        for _ in 0..=class {
            let size = 200 + 300 * class + sizes.random_range(0..40);
            send(false, 0x18, size, &mut client, &mut server);
        }
        send(true, 0x10, 0, &mut client, &mut server);
    }
    send(true, 0x11, 0, &mut client, &mut server);
    send(false, 0x11, 0, &mut client, &mut server);
    send(true, 0x10, 0, &mut client, &mut server);
    trace
}

pub fn sample(name: &str, class: usize, trace: Trace, parent: Option<&str>) -> Sample {
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::default());
    let labels: Labels = [("service", format!("class{class}"))].into_iter().collect();
    Sample { name: name.to_owned(), trace, matrix, labels, parent: parent.map(str::to_owned) }
}

/// `n` captures of each of three classes.
pub fn real(n: usize, first_seed: u64) -> Vec<Sample> {
    (0..3 * n)
        .map(|i| {
            let (class, seed) = (i % 3, first_seed + i as u64);
            sample(&format!("real-{seed}"), class, connection(class, seed, 30), None)
        })
        .collect()
}

/// One child of each: another capture of the same class.
pub fn children(of: &[Sample]) -> Vec<Sample> {
    of.iter()
        .enumerate()
        .map(|(i, parent)| {
            let trace = connection(i % 3, 10_000 + i as u64, 30);
            sample(&format!("{}.child", parent.name), i % 3, trace, Some(&parent.name))
        })
        .collect()
}
