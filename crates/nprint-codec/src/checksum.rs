//! The one checksum implementation.

/// Running ones' complement sum of 16-bit big-endian words.
///
/// # Example
/// ```
/// use nprint_codec::Checksum;
/// let sum = Checksum::new().with(&[0x45, 0, 0, 20]).with(&[0; 16]).finish();
/// assert_eq!(sum, 0xbaeb);
/// ```
///
/// # Source
/// RFC 1071; pseudo headers: RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// A sum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; an odd last byte counts as the high half of a word, so only the last call may
    /// have an odd length.
    pub fn with(self, bytes: &[u8]) -> Self {
        // Sums of longer words fold to the same: 2^16 is 1 in this arithmetic.
        let (eights, rest) = bytes.as_chunks::<8>();
        let halves = |word: u64| (word >> 32) + (word & 0xffff_ffff);
        let long: u64 = eights.iter().map(|eight| halves(u64::from_be_bytes(*eight))).sum();
        let (pairs, rest) = rest.as_chunks::<2>();
        let words: u64 = pairs.iter().map(|p| u64::from(u16::from_be_bytes(*p))).sum();
        let last = rest.first().map_or(0, |b| u64::from(*b) << 8);
        Self(self.0 + long + words + last)
    }

    /// Adds the pseudo header for an upper-layer packet of `length` bytes. Addresses are 4 bytes
    /// each for IPv4 or 16 for IPv6.
    pub fn with_pseudo_header(
        self,
        source: &[u8],
        destination: &[u8],
        protocol: u8,
        length: u32,
    ) -> Self {
        self.with(source).with(destination).with(&length.to_be_bytes()).with(&[0, protocol])
    }

    /// The checksum: the ones' complement of the folded sum.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    /// Whether data summed with its checksum field in place is intact.
    pub fn is_valid(self) -> bool {
        self.finish() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1071_example() {
        let sum = Checksum::new().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).finish();
        assert_eq!(sum, !0xddf2);
    }

    #[test]
    fn long_words_fold_as_short_ones_do() {
        for length in 0..70_usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 151 + length) as u8).collect();
            let short: u64 = bytes
                .chunks(2)
                .map(|p| u64::from(p[0]) << 8 | p.get(1).map_or(0, |b| u64::from(*b)))
                .sum();
            assert_eq!(Checksum::new().with(&bytes).finish(), Checksum(short).finish(), "{length}");
        }
        assert_eq!(Checksum::new().with(&[0xff; 16]).finish(), 0);
        assert_eq!(Checksum::new().with(&[0; 16]).finish(), 0xffff);
    }

    #[test]
    fn a_packet_with_its_checksum_is_valid() {
        let mut header = [0x45, 0, 0, 40, 1, 2, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let sum = Checksum::new().with(&header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        assert!(Checksum::new().with(&header).is_valid());
        header[8] = 63;
        assert!(!Checksum::new().with(&header).is_valid());
    }
}
