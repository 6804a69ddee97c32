//! What follows what: short words of packets.

use crate::distance::ValueCounts;
use crate::packet::facts;
use nprint_codec::Trace;

/// Upper bounds of the size buckets; everything longer is in one more. Units: bytes.
const BUCKET_BYTES: [u32; 10] = [52, 80, 128, 256, 384, 512, 768, 1024, 1280, 1420];
/// Bits of a token: direction 1, flags 6, bucket 4.
const TOKEN_BITS: u32 = 11;

/// One token for each of the first `packets` IP packets of a capture.
///
/// # Layout
/// Bit 0: from the client; bits 1 to 6: the TCP flags FIN, SYN, RST, PSH, ACK, URG (0 for other
/// protocols); bits 7 to 10: number of the bucket of the IP length (up to 52, 80, 128, 256, 384, 512,
/// 768, 1024, 1280, 1420 bytes, longer).
pub fn packet_tokens(trace: &Trace, packets: usize) -> Vec<u16> {
    let (facts, _) = facts(trace);
    let token = |f: &crate::packet::Facts| {
        let bucket = BUCKET_BYTES.iter().filter(|b| f.ip_bytes > **b).count() as u16;
        u16::from(f.up) | u16::from(f.flags & 0x3f) << 1 | bucket << 7
    };
    facts.iter().take(packets).map(token).collect()
}

/// How often each word of `n` tokens in a row occurs; none where there are fewer tokens.
///
/// # Layout
/// A word is its tokens side by side, 11 bits each, the first one highest; `n` is 1 to 5.
///
/// # Example
/// ```
/// use trace_eval::features::token_ngrams;
/// let words = token_ngrams(&[1, 2, 1, 2], 2);
/// assert_eq!(words.count(1 << 11 | 2), 2);
/// assert_eq!(words.total(), 3);
/// assert_eq!(token_ngrams(&[1], 2).total(), 0);
/// ```
pub fn token_ngrams(tokens: &[u16], n: usize) -> ValueCounts {
    let n = n.clamp(1, 5);
    let word = |tokens: &[u16]| {
        tokens.iter().fold(0_u64, |word, t| word << TOKEN_BITS | u64::from(t & 0x7ff))
    };
    tokens.windows(n).map(word).collect()
}
