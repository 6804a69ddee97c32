//! Numbers that move slowly within a role: what their high bits say of a row's being of it.

use super::ends::{Ends, ones_of_lanes};
use crate::evidence::{Evidence, Noise};
use nprint_codec::Field;
use std::f32::consts::LN_2;

/// Rows of a role on each side that a moving number is compared with.
pub(super) const NEIGHBOURS: usize = 3;
/// Most numbers that move: the identification, and both of a stream.
const NUMBERS: usize = 3;
/// What a bit in which two rows differ costs: either one may be wrong. Units: of a wrong bit.
const TWO_COPIES: f32 = 0.7;

/// The high bits of such numbers.
pub(super) struct Moving {
    lanes: Vec<Lane>,
    rows: Vec<Numbers>,
}

/// One of them.
struct Lane {
    bits: u16,
    /// Nats where there is nothing to compare it with.
    unknown: f32,
    /// Nats by the bits in which two rows differ.
    prices: [f32; 32],
}

/// What a row says of them, in lanes of 16 bits, the first number low.
#[derive(Clone, Copy, Default)]
struct Numbers {
    values: u64,
    known: u64,
}

impl Moving {
    pub(super) fn new(
        evidence: &Evidence<'_>,
        ends: &[Ends],
        fields: &[Field],
        noise: Noise,
    ) -> Self {
        let mut rows = vec![Numbers::default(); ends.len()];
        for (lane, field) in fields.iter().enumerate() {
            let cells = evidence.field(*field);
            for (row, ends) in rows.iter_mut().zip(ends) {
                let reading = cells.read(ends.row);
                row.values |= u64::from(reading.value) << (16 * lane);
                row.known |= u64::from(reading.known) << (16 * lane);
            }
        }
        let price = |wrong: usize| TWO_COPIES * wrong as f32 * noise.bit_cost;
        let lanes = fields.iter().map(|field| Lane {
            bits: field.bits,
            unknown: f32::from(field.bits) * LN_2,
            prices: std::array::from_fn(|wrong| price(wrong).min(f32::from(field.bits) * LN_2)),
        });
        Self { lanes: lanes.collect(), rows }
    }

    /// The lane of a stream's sequence number, which its acknowledgement number follows.
    pub(super) fn lane_of_stream(&self) -> Option<usize> {
        let [before @ .., Lane { bits: 16, .. }, Lane { bits: 16, .. }] = self.lanes.as_slice()
        else {
            return None;
        };
        Some(before.len())
    }

    /// The number of a lane and the next one, as far as a row says them, and which bits it does.
    pub(super) fn two_numbers(&self, row: usize, lane: usize) -> (u32, u32) {
        let Numbers { values, known } = self.rows[row];
        ((values >> (16 * lane)) as u32, (known >> (16 * lane)) as u32)
    }

    /// Nats of each number of a row beside neighbours, at most [`NEIGHBOURS`] on each side.
    pub(super) fn nats(
        &self,
        row: usize,
        neighbours: impl Iterator<Item = usize>,
    ) -> [f32; NUMBERS] {
        let (mut apart, mut length) = ([0; 2 * NEIGHBOURS], 0);
        for near in neighbours {
            apart[length] = self.rows[row].apart(self.rows[near]);
            length += 1;
        }
        let mut each = [0.0; NUMBERS];
        for (shift, (lane, each)) in (0..).step_by(16).zip(self.lanes.iter().zip(&mut each)) {
            let nats = |apart: &u64| lane.prices[usize::from((apart >> shift) as u8 & 31)];
            // The mean: one neighbour in the wrong place must not draw others after it.
            let sum: f32 = apart[..length].iter().map(nats).sum();
            *each = if length == 0 { lane.unknown } else { sum / length as f32 };
        }
        each
    }
}

impl Numbers {
    /// In how many bits each number differs from another row's, in its lane.
    fn apart(self, other: Self) -> u64 {
        ones_of_lanes((self.values ^ other.values) & self.known & other.known)
    }
}

/// The high bits of a field.
pub(super) fn high(mut field: Field, bits: u16) -> Field {
    field.bits = bits;
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Cell, Layout, TernaryMatrix, ipv4, tcp};

    #[test]
    fn numbers_in_lanes_cost_what_each_does_alone() {
        const ROWS: usize = 9;
        let fields = [high(ipv4::ID, 8), high(tcp::SEQ, 16), high(tcp::ACK_NUMBER, 16)];
        let mut cells = TernaryMatrix::vacant(Layout::reference(), ROWS);
        for row in 0..ROWS {
            let drawn = (row as u32 + 1).wrapping_mul(0x9e37_79b9);
            cells.row_mut(row).set(ipv4::ID, drawn >> 16);
            cells.row_mut(row).set(tcp::SEQ, drawn.rotate_left(9));
            cells.row_mut(row).set(tcp::ACK_NUMBER, 0x1234_5678 ^ (drawn >> 14));
            cells.row_mut(row).set_cell(510 + 4 * row, Cell::Vacant);
        }
        let (evidence, noise) = (Evidence::certain(&cells), Noise::of_rate(0.02));
        let ends: Vec<Ends> =
            (0..ROWS).map(|row| Ends::lone(row, [evidence.read(row, ipv4::ID); 2])).collect();
        let moving = Moving::new(&evidence, &ends, &fields, noise);
        for row in 0..ROWS {
            let neighbours: Vec<usize> = (0..ROWS).filter(|r| *r != row).step_by(2).collect();
            let nats = moving.nats(row, neighbours.iter().copied());
            for (field, nats) in fields.into_iter().zip(nats) {
                let unknown = f32::from(field.bits) * std::f32::consts::LN_2;
                let one = |near: &usize| {
                    let [a, b] = [row, *near].map(|row| evidence.read(row, field));
                    let wrong = (a.value ^ b.value) & a.known & b.known;
                    (TWO_COPIES * wrong.count_ones() as f32 * noise.bit_cost).min(unknown)
                };
                let naive = neighbours.iter().map(one).sum::<f32>() / neighbours.len() as f32;
                assert!((naive - nats).abs() < 1e-4, "{} of row {row}", field.name);
            }
            let alone = moving.nats(row, std::iter::empty());
            assert!((alone[0] - 8.0 * std::f32::consts::LN_2).abs() < 1e-4);
        }
    }
}
