//! Made-up bytes after the headers: well-formed messages of the port's protocol around filler, so
//! that a dissector that goes by the port finds nothing malformed.

use crate::config::PayloadPolicy;
use rand::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Filler in the configured style.
///
/// Each packet's is a series of its own that begins at once: most packets are short, and a generator
/// that makes blocks of keystream would make more of them than it hands out.
pub(crate) struct Filler {
    policy: PayloadPolicy,
    seed: u64,
    random: Xoshiro256PlusPlus,
}

impl Filler {
    pub(crate) fn new(policy: PayloadPolicy, seed: u64) -> Self {
        let seed = seed ^ 0x5eed_da7a;
        Self { policy, seed, random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Filler of one packet: the same bytes for the same `key`, whatever was filled before.
    pub(crate) fn start(&mut self, key: u64) {
        // An odd factor: another seed for another key.
        let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.random = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ key);
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        match self.policy {
            PayloadPolicy::Zero => bytes.fill(0),
            PayloadPolicy::Random => self.random.fill_bytes(bytes),
            PayloadPolicy::Pattern => {
                bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
            }
        }
    }

    fn push(&mut self, out: &mut Vec<u8>, length: usize) {
        let start = out.len();
        out.resize(start + length, 0);
        self.fill(&mut out[start..]);
    }
}

/// Protocol number of the encapsulating security payload; RFC 4303.
pub(crate) const ESP: u32 = 50;
/// Fewest bytes of one: index, sequence number, padded data, check value. Units: bytes.
pub(crate) const FEWEST_ESP: u32 = 16;

/// Fewest bytes that a UDP message on these ports can have, when it has any.
pub(crate) fn fewest_udp(ports: [u16; 2], length: u32) -> u32 {
    match udp_protocol(ports) {
        _ if length == 0 => 0,
        UdpProtocol::Dns => 12,
        UdpProtocol::Isakmp => 28,
        UdpProtocol::Esp if length > 1 => FEWEST_ESP,
        UdpProtocol::Ntp => 48,
        UdpProtocol::WireGuard => 32,
        UdpProtocol::OpenVpn => 4,
        UdpProtocol::Quic => 21,
        UdpProtocol::Esp | UdpProtocol::Other => 0,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UdpProtocol {
    Dns,
    Isakmp,
    Esp,
    Ntp,
    WireGuard,
    OpenVpn,
    Quic,
    Other,
}

fn udp_protocol(ports: [u16; 2]) -> UdpProtocol {
    let of = |port| match port {
        53 | 5353 => UdpProtocol::Dns,
        500 => UdpProtocol::Isakmp,
        4500 => UdpProtocol::Esp,
        123 => UdpProtocol::Ntp,
        51820 => UdpProtocol::WireGuard,
        1194 => UdpProtocol::OpenVpn,
        443 => UdpProtocol::Quic,
        _ => UdpProtocol::Other,
    };
    match of(ports[1]) {
        UdpProtocol::Other => of(ports[0]),
        protocol => protocol,
    }
}

/// What a UDP message depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Initiator's and responder's port.
    pub(crate) ports: [u16; 2],
    /// Whether it comes from the responder.
    pub(crate) answer: bool,
    /// How many messages this side has sent before in the conversation.
    pub(crate) index: u32,
    /// Number of the conversation.
    pub(crate) flow: usize,
}

/// Appends a UDP message of exactly `length` bytes.
pub(crate) fn udp(filler: &mut Filler, place: Place, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    let tag = (place.flow as u32 & 0xff_ffff) | 0x1000_0000;
    match udp_protocol(place.ports) {
        _ if length == 0 => return,
        UdpProtocol::Dns if length >= 12 => return out.extend(dns(place, length)),
        UdpProtocol::Isakmp if length >= 28 => {
            // RFC 7296 section 3.1: an INFORMATIONAL exchange.
            out.extend([0x11; 8]);
            out.extend([0x22; 8]);
            out.extend([0, 0x20, 37, if place.answer { 0x20 } else { 0x08 }]);
            out.extend(place.index.to_be_bytes());
            out.extend((length as u32).to_be_bytes());
        }
        // RFC 3948: a keep-alive, or ESP with a security parameter index other than 0.
        UdpProtocol::Esp if length == 1 => out.push(0xff),
        UdpProtocol::Esp if length >= 8 => {
            out.extend((tag ^ if place.answer { 0x0100_0000 } else { 0 }).to_be_bytes());
            out.extend((place.index + 1).to_be_bytes());
        }
        // RFC 5905: mode 3 asks, mode 4 answers.
        UdpProtocol::Ntp if length >= 48 => {
            out.push(if place.answer { 0x24 } else { 0x23 });
            out.extend([0; 47]);
        }
        UdpProtocol::WireGuard if length >= 32 => {
            out.extend([4, 0, 0, 0]);
            out.extend(tag.to_le_bytes());
            out.extend(u64::from(place.index).to_le_bytes());
        }
        // P_DATA_V2 with key 0 and the peer's number.
        UdpProtocol::OpenVpn => {
            out.push(9 << 3);
            out.extend(&[0, 0, 0][..(length - 1).min(3)]);
        }
        // RFC 9000 section 17.3: a short header, with the connection ID that the receiver chose. It begins
        // with a byte that makes no ISO transport message of the packet, as which tshark takes some others.
        UdpProtocol::Quic => {
            let tag = tag.to_be_bytes();
            let id =
                [0x90 | u8::from(place.answer), 0x5a, 0xc3, 0x96, tag[0], tag[1], tag[2], tag[3]];
            out.push(0x40);
            out.extend(&id[..(length - 1).min(8)]);
        }
        // No version or type that a heuristic dissector takes for its own.
        _ => out.extend(&[0x7f, 0x5a, 0xc3, 0x96][..length.min(4)]),
    }
    let left = end - out.len();
    filler.push(out, left);
}

/// RFC 1035 section 4 with the padding of RFC 7830.
fn dns(place: Place, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    let id = (place.index as u16).wrapping_mul(0x9e37) ^ (place.flow as u16) ^ 0x5a5a;
    out.extend(id.to_be_bytes());
    out.extend(if place.answer { [0x81, 0x80] } else { [0x01, 0x00] });
    let room = length - 12;
    // Question: one name that fills a short message; a long one is filled by EDNS padding.
    let (name, padding) = match room {
        0..=4 => (None, None),
        5..=60 => (Some(room - 4), None),
        _ => (Some(13), Some(room - 17)),
    };
    out.extend([0, u8::from(name.is_some()), 0, 0, 0, 0, 0, u8::from(padding.is_some())]);
    let Some(name) = name else {
        out.resize(length, 0);
        return out;
    };
    // A name of `name` bytes with its final 0: one label, or the root.
    match name {
        1 => out.push(0),
        2 => out.extend([0, 0]),
        _ => {
            out.push((name - 2) as u8);
            out.extend((0..name - 2).map(|i| b'a' + (i % 26) as u8));
            out.push(0);
        }
    }
    if name == 2 {
        // The name took one byte; type A begins with the other.
        out.extend([1, 0, 1]);
        out.truncate(length);
        out.resize(length, 0);
        return out;
    }
    out.extend([0, 1, 0, 1]);
    if let Some(padding) = padding {
        // OPT: root, type 41, payload size 1232, flags, data length, option 12.
        out.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
        out.extend(((padding - 11) as u16).to_be_bytes());
        out.extend([0, 12]);
        out.extend(((padding - 15) as u16).to_be_bytes());
        let start = out.len();
        out.resize(start + padding - 15, 0);
    }
    out
}

/// Fewest bytes of a message on these TCP ports: shorter segments share one.
pub(crate) fn fewest_tcp(port: u16) -> usize {
    match port {
        443 | 853 | 8443 | 465 | 993 | 995 | 8883 => 6,
        53 => 14,
        22 => 16,
        25 | 587 | 1883 => 2,
        _ => 1,
    }
}

/// Appends a message of exactly `length` bytes, at least [`fewest_tcp`].
pub(crate) fn tcp(
    filler: &mut Filler,
    place: Place,
    index: usize,
    length: usize,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let end = start + length;
    match place.ports[1] {
        // RFC 8446 section 5.1: application data.
        443 | 853 | 8443 | 465 | 993 | 995 | 8883 => {
            while end - out.len() >= 6 {
                let mut record = (end - out.len() - 5).min(16_384);
                // Leave room for the header of the next record, or nothing.
                let left = end - out.len() - 5 - record;
                if (1..6).contains(&left) {
                    record -= 6;
                }
                out.extend([23, 3, 3]);
                out.extend((record as u16).to_be_bytes());
                filler.push(out, record);
            }
        }
        53 => {
            while end - out.len() >= 14 {
                let mut message = (end - out.len() - 2).min(4096);
                let left = end - out.len() - 2 - message;
                if (1..14).contains(&left) {
                    message -= 14;
                }
                out.extend((message as u16).to_be_bytes());
                let place = Place { index: index as u32, ..place };
                out.extend(dns(place, message));
            }
        }
        // MQTT 3.1.1: PINGREQ or PINGRESP; PUBACK.
        1883 if length == 2 => out.extend([if place.answer { 0xd0 } else { 0xc0 }, 0]),
        1883 if length == 4 => out.extend([0x40, 2, (index >> 8) as u8, index as u8 | 1]),
        // MQTT 5: DISCONNECT with its reason.
        1883 if length == 3 => out.extend([0xe0, 1, 0]),
        // MQTT 3.1.1: PUBLISH with quality 0 and topic "t".
        1883 => {
            let digits = match length {
                0..=129 => 1,
                130..=16_386 => 2,
                _ => 3,
            };
            let mut remaining = length - 1 - digits;
            out.push(0x30);
            for digit in 0..digits {
                let more = if digit + 1 < digits { 0x80 } else { 0 };
                out.push((remaining & 0x7f) as u8 | more);
                remaining >>= 7;
            }
            out.extend(&[0, 1, b't'][..(end - out.len()).min(3)]);
            let left = end - out.len();
            filler.push(out, left);
        }
        // RFC 4253 section 6: binary packets with the code of channel data.
        22 => {
            while end - out.len() >= 16 {
                let mut packet = (end - out.len() - 4).min(16_384);
                let left = end - out.len() - 4 - packet;
                if (1..16).contains(&left) {
                    packet -= 16;
                }
                out.extend((packet as u32).to_be_bytes());
                out.extend([4, 94]);
                filler.push(out, packet - 2);
            }
        }
        // Neither letters nor line ends, so that no header is read into it.
        80 | 8080 => {
            filler.push(out, length);
            for byte in &mut out[start..] {
                *byte |= 0x80;
            }
        }
        25 | 587 | 21 | 110 | 143 => {
            out.extend((0..length.saturating_sub(2)).map(|i| b'a' + (i % 26) as u8));
            out.extend(b"\r\n");
        }
        _ => filler.push(out, length),
    }
}
