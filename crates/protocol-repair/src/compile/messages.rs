//! What follows the first 8 bytes of an ICMP or ICMPv6 message.

use crate::compile::addresses::Ends;
use crate::compile::payload::Filler;
use crate::draft::Draft;
use nprint_codec::{Checksum, IpVersion, icmp};

/// Appends at most `length` bytes of the message of `row`; `quoted` is the last IP packet that went
/// the other way.
pub(crate) fn icmp_message(
    draft: &Draft<'_>,
    row: usize,
    ends: &Ends,
    quoted: Option<&[u8]>,
    filler: &mut Filler,
    frame: &mut Vec<u8>,
    length: usize,
) {
    let facts = draft.rows[row];
    let (kind, v6) = (draft.value(row, icmp::TYPE), facts.stack.version == IpVersion::V6);
    let start = frame.len();
    match (v6, kind) {
        (false, 3 | 4 | 5 | 11) | (true, 1..=4) => {
            // Errors quote a packet that went the other way.
            if let Some(bytes) = quoted {
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
            filler.start(0x3000_0000_0000 + sequence);
            frame.resize(start + length, 0);
            filler.fill(&mut frame[start..]);
        }
    }
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
