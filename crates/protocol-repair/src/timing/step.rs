//! What the gap before a packet depends on, and gaps as they are stored.

use nprint_codec::{IpVersion, Trace, TransportKind, dissect};

/// Direction kept or changed × four kinds of packet: no payload, and three sizes.
pub(super) const CONTEXTS: usize = 8;
/// Upper ends of the sizes but the largest: IP packets with payload. An acknowledgement inside a tunnel
/// is of the smallest, in every tunnel. Units: bytes.
const SIZE_ENDS: [u32; 2] = [256, 1000];
/// Levels of a gap, equally far apart in its logarithm.
pub(super) const LEVELS: usize = 512;
/// Shortest and longest gap that is stored. Units: `log10` of nanoseconds.
const LOG_RANGE: (f64, f64) = (3.0, 11.5);

/// A packet's context and the gap before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// `0..CONTEXTS`.
    pub(super) context: u8,
    /// `0..LEVELS`.
    pub(super) level: u16,
}

/// Context of an IP packet of so many bytes, some of them payload or none, in the direction of the
/// packet before or not.
pub(super) fn context(changed: bool, has_payload: bool, size_bytes: u32) -> u8 {
    let size = 1 + SIZE_ENDS.iter().filter(|end| size_bytes > **end).count() as u8;
    4 * u8::from(changed) + if has_payload { size } else { 0 }
}

pub(super) fn level_of(gap_ns: u64) -> u16 {
    let (low, high) = LOG_RANGE;
    let share = ((gap_ns.max(1) as f64).log10() - low) / (high - low);
    (share * LEVELS as f64).clamp(0.0, (LEVELS - 1) as f64) as u16
}

/// The gap at a place within a level: 0 its lower end, 1 its upper end. Units: nanoseconds.
pub(super) fn gap_ns(level: u16, place: f64) -> u64 {
    let (low, high) = LOG_RANGE;
    let log = low + (high - low) * (f64::from(level) + place) / LEVELS as f64;
    10.0_f64.powf(log).round() as u64
}

/// Context and gap of each IP packet of a capture but the first.
pub(super) fn observe(trace: &Trace) -> Vec<Step> {
    let mut out = Vec::new();
    let mut last: Option<(i64, &[u8])> = None;
    for packet in trace.iter() {
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        let source = match d.version {
            IpVersion::V4 => d.ip.get(12..16),
            IpVersion::V6 => d.ip.get(8..24),
        };
        let source = source.unwrap_or_default();
        if let Some((time_ns, from)) = last {
            let has_payload = d.payload_length > 0 || d.kind == TransportKind::LaterFragment;
            let size_bytes = packet.original_length.saturating_sub(d.link.len() as u32);
            out.push(Step {
                context: context(from != source, has_payload, size_bytes),
                level: level_of((packet.time_ns - time_ns).max(0) as u64),
            });
        }
        last = Some((packet.time_ns, source));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_four_hundredths_of_their_gap_apart() {
        for gap in [1_000, 1_234, 56_789, 3_000_000, 40_000_000_000_u64] {
            let level = level_of(gap);
            assert!(gap_ns(level, 0.0) <= gap + 1 && gap <= gap_ns(level, 1.0) + 1, "{gap}");
            assert!(gap_ns(level, 1.0) as f64 / (gap_ns(level, 0.0) as f64) < 1.04);
        }
        assert_eq!((level_of(0), level_of(u64::MAX)), (0, 511));
    }
}
