//! Rows whose ports say so little that nearly every row names a pair of its own.
//!
//! An image model draws the ports of every row anew. A port that many captures share it draws
//! well; one that a single client chose at random comes out as a different number in every row. A
//! capture with a conversation a packet does not exist, so such rows are read as one
//! conversation, whose ports are the vote of all rows, each bit by its confidence.

use super::conversations::Conversations;
use crate::draft::Draft;
use nprint_codec::Field;
use std::collections::HashMap;

/// Fewer rows may well be as many conversations (DNS).
const FEWEST_ROWS: usize = 64;
/// Contradicted bits of ports that are no noise, as a multiple of those that noise makes.
const BEYOND_NOISE: f64 = 3.0;
/// How far apart two rows of a short conversation stand. Units: rows of the transport.
const NEIGHBOURS: usize = 8;
/// Rounds of voting and taking sides.
const ROUNDS: usize = 4;

/// Most bits of conversations' ports that so many rows of uncertain evidence may contradict: more than
/// noise explains are those of rows that have no conversations.
pub(super) fn most_contradicted(draft: &Draft<'_>, rows: usize) -> u32 {
    if draft.evidence.is_certain() || rows < FEWEST_ROWS {
        return u32::MAX;
    }
    (rows as f64 * (BEYOND_NOISE * 32.0 * draft.noise.rate + 0.25)) as u32
}

/// Whether rows of uncertain evidence have no conversations though they contradict none: nearly every row
/// is one of its own.
///
/// Where there really are many conversations (DNS), a row stands next to another one of its own; a
/// pair that is drawn anew comes back anywhere.
pub(super) fn is_crowd(draft: &Draft<'_>, found: &Conversations) -> bool {
    let rows = found.of_row.len();
    if draft.evidence.is_certain() || rows < FEWEST_ROWS {
        return false;
    }
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut accompanied = 0;
    for (row, conversation) in found.of_row.iter().enumerate() {
        let before = last.insert(*conversation, row);
        accompanied += usize::from(before.is_some_and(|b| row - b <= NEIGHBOURS));
    }
    4 * last.len() > rows && 8 * accompanied < rows
}

/// The port pair that the rows vote for, and each row's direction: 0 from the first port to the
/// second. `sides` is where the rows' hop counts put them.
pub(crate) fn vote(
    draft: &Draft<'_>,
    rows: &[usize],
    fields: (Field, Field),
    sides: Vec<usize>,
) -> ([u16; 2], Vec<usize>) {
    let ends: Vec<[Vec<f32>; 2]> =
        rows.iter().map(|r| [fields.0, fields.1].map(|f| signed_bits(draft, *r, f))).collect();
    // Hop counts tell directions better than such ports do; where they do not differ, begin with
    // the rows that look like the first one.
    let known = sides.contains(&1);
    let mut sides = sides;
    let mut votes = tally(&ends, &sides);
    for _ in 0..ROUNDS {
        if !known {
            sides =
                ends.iter().map(|e| usize::from(fit(e, &votes, 1) > fit(e, &votes, 0))).collect();
        }
        votes = tally(&ends, &sides);
    }
    let port = |votes: &[f32]| votes.iter().fold(0, |port, v| port << 1 | u16::from(*v > 0.0));
    ([port(&votes[0]), port(&votes[1])], sides)
}

/// The bits of a port, most significant first, as confidences with the sign of the bit.
fn signed_bits(draft: &Draft<'_>, row: usize, field: Field) -> Vec<f32> {
    let reading = draft.evidence.read(row, field);
    let column = draft.evidence.cells().layout().column_of(field);
    let Some(confidence) = column.and_then(|c| draft.evidence.confidence(row, c..c + 16)) else {
        return vec![0.0; 16];
    };
    let bit = |i: usize, of: u32| (of >> (15 - i)) & 1 == 1;
    (0..16)
        .map(|i| match (bit(i, reading.known), bit(i, reading.value)) {
            (true, true) => f32::from(confidence[i]),
            (true, false) => -f32::from(confidence[i]),
            (false, _) => 0.0,
        })
        .collect()
}

/// Sums of the signed bits of both ports, rows turned to their side.
fn tally(ends: &[[Vec<f32>; 2]], sides: &[usize]) -> [Vec<f32>; 2] {
    let mut votes = [vec![0.0; 16], vec![0.0; 16]];
    for (row, side) in ends.iter().zip(sides) {
        for (end, bits) in row.iter().enumerate() {
            let port = &mut votes[end ^ side];
            port.iter_mut().zip(bits).for_each(|(sum, bit)| *sum += bit);
        }
    }
    votes
}

/// How well a row agrees with the votes when it goes in `direction`.
fn fit(row: &[Vec<f32>; 2], votes: &[Vec<f32>; 2], direction: usize) -> f32 {
    row.iter()
        .enumerate()
        .flat_map(|(end, bits)| bits.iter().zip(&votes[end ^ direction]))
        .map(|(bit, vote)| bit * vote.signum())
        .sum()
}

#[cfg(test)]
mod tests {
    use crate::{RepairConfig, repair};
    use nprint_codec::{Header, Layout, SoftMatrix, TernaryMatrix, dissect, ipv4, udp};
    use std::collections::BTreeSet;

    /// A conversation whose client port is drawn anew in half of its bits in every row.
    #[test]
    fn rows_with_ports_of_their_own_are_one_conversation() {
        let mut cells = TernaryMatrix::new(Layout::reference());
        let mut draw = 1_u32;
        for row in 0..256_u32 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let client = 0xa000 | (draw >> 24);
            let up = row % 3 == 0;
            let (ttl, source, destination) =
                if up { (64, client, 51_820) } else { (57, 51_820, client) };
            let mut at = cells.push_vacant();
            at.set_header(Header::Ipv4, &[0x45, 0, 0, 200, 0, 0, 0x40, 0, 0, 17, 0, 0]);
            at.set(ipv4::TTL, ttl);
            for (field, value) in [
                (udp::SOURCE_PORT, source),
                (udp::DESTINATION_PORT, destination),
                (udp::LENGTH, 180),
            ] {
                at.set(field, value);
            }
            at.set(udp::CHECKSUM, 0);
        }
        let confidence = vec![200; cells.rows() * cells.columns()];
        let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell");
        let (trace, report) = repair(&soft, &RepairConfig::default()).expect("a valid matrix");
        assert_eq!((trace.len(), report.flows), (256, 1));
        let pairs: BTreeSet<Vec<u8>> = trace
            .iter()
            .map(|p| dissect(trace.link_type(), p.bytes).expect("IP").transport[..4].to_vec())
            .collect();
        assert_eq!(pairs.len(), 2, "one pair of ports, both ways");
    }
}
