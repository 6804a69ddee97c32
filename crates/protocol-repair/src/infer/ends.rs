//! The two ports of a row as evidence.

use super::servers::port_fields;
use crate::draft::{Draft, Transport};
use crate::evidence::{Evidence, Noise, Reading};

/// What the port cells of one row say, source first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) row: usize,
    pub(super) readings: [Reading; 2],
}

impl Ends {
    /// Both ports, where every cell of theirs is known.
    pub(super) fn full(&self) -> Option<[u16; 2]> {
        let [source, destination] = self.readings;
        (source.is_full() && destination.is_full())
            .then_some([source.value as u16, destination.value as u16])
    }

    /// Number of bits of both ports that are not known.
    pub(super) fn missing(&self) -> u32 {
        self.readings.iter().map(|r| r.missing()).sum()
    }

    /// Number of known bits that contradict a pair of ports, the better way round.
    pub(super) fn contradicted(&self, ports: [u16; 2]) -> u32 {
        let wrong = |reading: &Reading, port: u16| {
            ((reading.value ^ u32::from(port)) & reading.known).count_ones()
        };
        let [source, destination] = &self.readings;
        let along = wrong(source, ports[0]) + wrong(destination, ports[1]);
        let back = wrong(source, ports[1]) + wrong(destination, ports[0]);
        along.min(back)
    }

    /// The bits of both ports twice over, and which of them are known: what [`ways`] is compared with.
    pub(super) fn ways(&self) -> (u64, u64) {
        let [source, destination] = &self.readings;
        let twice = |source: u32, destination: u32| {
            let pair = u64::from(source) << 16 | u64::from(destination);
            pair << 32 | pair
        };
        (twice(source.value, destination.value), twice(source.known, destination.known))
    }

    /// Both ports, unknown bits as 0.
    pub(super) fn ports(&self) -> [u16; 2] {
        self.readings.map(|r| r.value as u16)
    }
}

/// The port cells of some rows, and how much it costs to contradict them.
#[derive(Clone, Copy)]
pub(super) struct PortEvidence<'a> {
    evidence: &'a Evidence<'a>,
    columns: [usize; 2],
    pub(super) noise: Noise,
    /// What wrong bits of a port cost where every cell is certain, by their number.
    prices: [f32; 33],
}

impl<'a> PortEvidence<'a> {
    pub(super) fn new(draft: &Draft<'a>, transport: Transport, mut noise: Noise) -> Self {
        if draft.evidence.is_certain() && !noise.is_clean() {
            // Half of the wrong cells became vacant, not the other bit.
            noise.bit_cost += std::f32::consts::LN_2;
        }
        let layout = draft.evidence.cells().layout();
        let columns = port_fields(transport).map(|f| layout.column_of(f).unwrap_or(0));
        Self { evidence: draft.evidence, columns, noise, prices: noise.prices(16) }
    }

    pub(super) fn read(&self, row: usize) -> Ends {
        Ends { row, readings: self.columns.map(|c| self.evidence.read_columns(row, c, 16)) }
    }

    /// Nats that one end (0: source) costs as `port`.
    pub(super) fn end_cost(&self, ends: &Ends, end: usize, port: u16) -> f32 {
        let (column, reading) = (self.columns[end], ends.readings[end]);
        if self.evidence.is_certain() {
            return self.prices
                [((reading.value ^ u32::from(port)) & reading.known).count_ones() as usize];
        }
        self.evidence.cost_of(self.noise, ends.row, column, reading, u32::from(port))
    }

    /// Nats that a row costs when it goes from the first port to the second, and back.
    pub(super) fn costs(&self, ends: &Ends, ports: [u16; 2]) -> [f32; 2] {
        let [a, b] = ports;
        if self.evidence.is_certain() {
            let (value, known) = ends.ways();
            let counts = ones_of_lanes((ways(ports) ^ value) & known);
            let price = |lane: u32| self.prices[(counts >> (16 * lane)) as usize & 31];
            return [price(3) + price(2), price(1) + price(0)];
        }
        let along = self.end_cost(ends, 0, a) + self.end_cost(ends, 1, b);
        if a == b {
            return [along; 2];
        }
        [along, self.end_cost(ends, 0, b) + self.end_cost(ends, 1, a)]
    }

    /// Fewest nats of a row that contradicts so many bits of its ports; 0 where cells are more or
    /// less certain.
    pub(super) fn least_cost(&self, bits: u32) -> f32 {
        if !self.evidence.is_certain() {
            return 0.0;
        }
        (bits as f32 * self.noise.bit_cost)
            .min(self.noise.burst_cost + 16.0 * std::f32::consts::LN_2)
    }

    /// Most bits that a row of such a cost may contradict; any number where cells are more or less certain.
    pub(super) fn most_bits(&self, nats: f32) -> u32 {
        if nats < self.least_cost(u32::BITS) {
            (nats / self.noise.bit_cost) as u32
        } else {
            u32::BITS
        }
    }

    /// The cheaper way.
    pub(super) fn cost(&self, ends: &Ends, ports: [u16; 2]) -> f32 {
        let [along, back] = self.costs(ends, ports);
        along.min(back)
    }

    /// Log-odds of each bit of one end being 1, the most significant first.
    pub(super) fn log_odds(&self, ends: &Ends, end: usize) -> [f32; 16] {
        let reading = ends.readings[end];
        let confidence =
            self.evidence.confidence(ends.row, self.columns[end]..self.columns[end] + 16);
        std::array::from_fn(|i| {
            let bit = |of: u32| (of >> (15 - i)) & 1 == 1;
            let weight = confidence.map_or(1.0, |c| f32::from(c[i].max(8)) / 255.0);
            match (bit(reading.known), bit(reading.value)) {
                (true, true) => weight * self.noise.bit_cost,
                (true, false) => -weight * self.noise.bit_cost,
                (false, _) => 0.0,
            }
        })
    }
}

/// Two ports from the first to the second, and back: source and destination, 16 bits each.
pub(super) fn ways([a, b]: [u16; 2]) -> u64 {
    u64::from(a) << 48 | u64::from(b) << 32 | u64::from(b) << 16 | u64::from(a)
}

/// Ones of each 16 bits of a word.
pub(super) fn ones_of_lanes(word: u64) -> u64 {
    let word = word - ((word >> 1) & 0x5555_5555_5555_5555);
    let word = (word & 0x3333_3333_3333_3333) + ((word >> 2) & 0x3333_3333_3333_3333);
    let word = (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (word + (word >> 8)) & 0x00ff_00ff_00ff_00ff
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Cell, Layout, TernaryMatrix, tcp};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn both_ways_cost_what_their_ends_do() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 50);
        let columns = [tcp::SOURCE_PORT, tcp::DESTINATION_PORT]
            .map(|f| cells.layout().column_of(f).expect("a reference column"));
        for row in 0..cells.rows() {
            for column in columns.into_iter().flat_map(|c| c..c + 16) {
                let cell = [Cell::Vacant, Cell::Zero, Cell::One][random.random_range(0..3)];
                cells.row_mut(row).set_cell(column, cell);
            }
        }
        let evidence = Evidence::certain(&cells);
        let lone = Noise::of_rate(0.02);
        for noise in [lone, Noise { burst_cost: 3.0, ..lone }, Noise::CLEAN] {
            let ports =
                PortEvidence { evidence: &evidence, columns, noise, prices: noise.prices(16) };
            for row in 0..cells.rows() {
                let ends = ports.read(row);
                let pair: [u16; 2] = [random.random(), random.random()];
                let one = |end: usize, port: u16| {
                    let (column, reading) = (columns[end], ends.readings[end]);
                    evidence.cost_of(noise, row, column, reading, u32::from(port))
                };
                let along = one(0, pair[0]) + one(1, pair[1]);
                let back = one(0, pair[1]) + one(1, pair[0]);
                assert_eq!(
                    ports.costs(&ends, pair).map(f32::to_bits),
                    [along, back].map(f32::to_bits)
                );
                let wrong = ends.contradicted(pair);
                assert!(wrong <= ports.most_bits(along.min(back) + 1e-2), "{wrong} bits");
            }
        }
    }

    #[test]
    fn lanes_count_their_own_ones() {
        for word in [0, u64::MAX, 0x8001_0000_ffff_0f0f, 0x1234_5678_9abc_def0] {
            for lane in 0..4 {
                let own = (word >> (16 * lane)) as u16;
                assert_eq!((ones_of_lanes(word) >> (16 * lane)) as u8, own.count_ones() as u8);
            }
        }
    }
}
