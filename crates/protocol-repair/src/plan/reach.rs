//! How far ahead of what was acknowledged a sender may be: as far as the receiver's windows let it.

use super::segment::Segment;
use super::stream::REACH;
use super::windows::shifts;
use crate::draft::Draft;
use nprint_codec::tcp;

/// The largest window without scaling: what a connection begins with. Units: bytes.
pub(super) const LEAST: u32 = 1 << 16;
/// Windows that are voted on together: wrong bits are outvoted, and windows grow while a trace goes on.
const TOGETHER: usize = 32;

/// Most bytes that `side` may have sent without acknowledgement: in 63,028 data segments of real
/// captures none is beyond what the receiver offers (`examples/stream_statistics.rs`). The offer is
/// taken at the power of two above it. [`REACH`] where the trace does not say how windows are scaled.
pub(super) fn reach(draft: &Draft<'_>, segments: &[Segment], side: usize) -> u32 {
    let rows: Vec<usize> = segments.iter().map(|s| s.row).collect();
    let Some(shifts) = shifts(draft, &rows) else { return REACH };
    let receiver = |s: &&Segment| s.side != side && !s.syn && !s.rst;
    let offers: Vec<usize> = segments.iter().filter(receiver).map(|s| s.row).collect();
    let largest = offers.chunks(TOGETHER).map(|rows| voted(draft, rows)).max().unwrap_or(0);
    let above = (2 * u64::from(largest) + 1) << shifts[1 - side];
    above.clamp(u64::from(LEAST), u64::from(REACH)) as u32
}

/// The window of some rows, each bit as most of them have it.
fn voted(draft: &Draft<'_>, rows: &[usize]) -> u32 {
    let mut ones = [0_i32; 16];
    for row in rows {
        let reading = draft.evidence.read(*row, tcp::WINDOW);
        for (bit, ones) in ones.iter_mut().enumerate() {
            if (reading.known >> bit) & 1 == 1 {
                *ones += if (reading.value >> bit) & 1 == 1 { 1 } else { -1 };
            }
        }
    }
    ones.iter().enumerate().map(|(bit, ones)| u32::from(*ones > 0) << bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use nprint_codec::{Header, Layout, TernaryMatrix};

    #[test]
    fn wrong_bits_of_windows_are_outvoted() {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for row in 0..9_u32 {
            // Another high bit of each window is wrong.
            let window = 0x01f5 ^ (1_u32 << (7 + row));
            let numbers = [443_u32 << 16, 0, 0, 0x5010_0000 | window, 0];
            let header: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
            cells.push_vacant().set_header(Header::Tcp, &header);
        }
        let evidence = Evidence::certain(&cells);
        let config = crate::RepairConfig::default();
        let draft = Draft::new(&evidence, &config);
        assert_eq!(voted(&draft, &(0..9).collect::<Vec<_>>()), 0x01f5);
        assert_eq!(voted(&draft, &[3]), 0x01f5 ^ (1 << 10));
        assert_eq!(voted(&draft, &[]), 0);
    }
}
