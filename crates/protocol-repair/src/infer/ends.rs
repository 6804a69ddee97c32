//! The two ports of a row as evidence.
//!
//! Where wrong cells come in runs, a run lies over one port or over both, and shows: half of its cells
//! are wrong, and every vacant one among them is known to be. Within a run a cell says little of its bit.

use super::runs::Runs;
use super::servers::port_fields;
use super::weights::Weights;
use crate::draft::{Draft, RowFacts, Transport};
use crate::evidence::{Evidence, FieldCells, LEAST_WEIGHT, Noise, Reading, least_weight};
use nprint_codec::Field;
use std::f32::consts::LN_2;

/// What the port cells of one row say, source first.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) row: usize,
    pub(super) readings: [Reading; 2],
    /// The bits of both ports twice over, and which of them are known: what [`ways`] is compared with.
    values: u64,
    known: u64,
    /// What it costs to say that a run of wrong cells lies over them. Units: nats.
    run_cost: f32,
    /// What a known cell of theirs counts at least. Units: of a certain one.
    least_weight: f32,
    /// `None` where every cell is certain: many ports are compared with those of a row.
    weights: Option<Box<Weights>>,
}

impl Ends {
    fn new(row: usize, readings: [Reading; 2], run_cost: f32, confidence: Option<&[u8]>) -> Self {
        let twice = |[source, destination]: [u32; 2]| {
            let pair = u64::from(source) << 16 | u64::from(destination);
            pair << 32 | pair
        };
        let (values, known) = (twice(readings.map(|r| r.value)), twice(readings.map(|r| r.known)));
        let least_weight = f32::from(least_weight(confidence)) / 255.0;
        let weights = confidence.map(|c| Box::new(Weights::new(known as u32, c)));
        Self { row, readings, values, known, run_cost, least_weight, weights }
    }

    /// Ports over which no run lies.
    #[cfg(test)]
    pub(super) fn lone(row: usize, readings: [Reading; 2]) -> Self {
        Self::new(row, readings, f32::INFINITY, None)
    }

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
        better_way(self.wrong_of(ways(ports)))
    }

    /// Number of known bits that contradict each of some [`ways`], the better one, as far as there is room.
    pub(super) fn contradicted_of_each(&self, ways: &[u64], bits: &mut [u8]) {
        for (bits, ways) in bits.iter_mut().zip(ways) {
            *bits = better_way(self.wrong_of(*ways)) as u8;
        }
    }

    /// Known bits of both ports, in lanes of 16 bits, that contradict some [`ways`].
    #[inline]
    pub(super) fn wrong_of(&self, ways: u64) -> u64 {
        ones_of_lanes((ways ^ self.values) & self.known)
    }

    /// Known bits of each port that contradict `port`.
    #[inline]
    pub(super) fn wrong_as(&self, port: u16) -> [u32; 2] {
        let lanes = self.wrong_of(ways([port, port]));
        [(lanes >> 16) as u32 & 31, lanes as u32 & 31]
    }

    /// Both ports, unknown bits as 0.
    pub(super) fn ports(&self) -> [u16; 2] {
        self.readings.map(|r| r.value as u16)
    }
}

/// Number of known bits of a port that another one has otherwise.
fn contradicted(reading: &Reading, port: u16) -> u32 {
    reading.wrong(u32::from(port))
}

/// The port cells of some rows, and how much it costs to contradict them.
#[derive(Clone, Copy)]
pub(super) struct PortEvidence<'a> {
    evidence: &'a Evidence<'a>,
    cells: [FieldCells<'a>; 2],
    /// Column of the first cell of the source port; the destination's follow its 16.
    column: usize,
    pub(super) noise: Noise,
    /// What wrong bits of a port cost where every cell is certain and none is in a run, by their
    /// number.
    prices: [f32; 33],
    runs: Runs<'a>,
}

impl<'a> PortEvidence<'a> {
    pub(super) fn new(draft: &'a Draft<'_>, transport: Transport, mut noise: Noise) -> Self {
        if draft.evidence.is_certain() && !noise.is_clean() {
            // Half of the wrong cells became vacant, not the other bit.
            noise.bit_cost += LN_2;
        }
        Self::of(draft.evidence, &draft.rows, port_fields(transport), noise)
    }

    fn of(
        evidence: &'a Evidence<'a>,
        rows: &'a [RowFacts],
        fields: [Field; 2],
        noise: Noise,
    ) -> Self {
        let cells = fields.map(|field| evidence.field(field));
        let column = evidence.cells().layout().column_of(fields[0]).unwrap_or(0);
        let (prices, runs) = (noise.prices(16), Runs::new(evidence, rows, noise));
        Self { evidence, cells, column, noise, prices, runs }
    }

    pub(super) fn read(&self, row: usize) -> Ends {
        let readings = self.cells.map(|cells| cells.read(row));
        let confidence = self.evidence.confidence(row, self.column..self.column + 32);
        Ends::new(row, readings, self.runs.cost(row, self.column), confidence)
    }

    /// Nats that one end (0: source) costs as `port`.
    pub(super) fn end_cost(&self, ends: &Ends, end: usize, port: u16) -> f32 {
        if ends.run_cost.is_infinite() {
            return match &ends.weights {
                Some(weights) => self.weighed(weights, &ends.readings, end, port),
                None => self.prices[contradicted(&ends.readings[end], port) as usize],
            };
        }
        let mut wrong = [0, 0];
        wrong[end] = contradicted(&ends.readings[end], port);
        self.cost_of_wrong(ends, wrong)
    }

    /// Nats of an end as `port` where cells are more or less certain.
    #[inline]
    fn weighed(&self, weights: &Weights, readings: &[Reading; 2], end: usize, port: u16) -> f32 {
        let weight = weights.of(end, readings[end].value as u16 ^ port);
        let cost = self.noise.bit_cost * f32::from(weight) / 255.0;
        cost.min(self.noise.burst_cost + 16.0 * LN_2)
    }

    /// Nats that a row costs when it goes from the first port to the second, and back.
    #[inline]
    pub(super) fn costs(&self, ends: &Ends, ports: [u16; 2]) -> [f32; 2] {
        if let (Some(weights), true) = (&ends.weights, ends.run_cost.is_infinite()) {
            let [a, b] = ports;
            let price = |end, port| self.weighed(weights, &ends.readings, end, port);
            return [price(0, a) + price(1, b), price(0, b) + price(1, a)];
        }
        let counts = ends.wrong_of(ways(ports));
        let wrong = |lane: u32| (counts >> (16 * lane)) as u32 & 31;
        if !ends.run_cost.is_infinite() {
            let way = |source, destination| self.cost_of_wrong(ends, [source, destination]);
            return [way(wrong(3), wrong(2)), way(wrong(1), wrong(0))];
        }
        let price = |lane| self.prices[wrong(lane) as usize];
        [price(3) + price(2), price(1) + price(0)]
    }

    /// Nats of so many wrong bits of each port more than the vacant ones that are wrong anyway.
    fn cost_of_wrong(&self, ends: &Ends, wrong: [u32; 2]) -> f32 {
        if wrong == [0, 0] {
            return 0.0;
        }
        let vacant = ends.readings.map(Reading::missing);
        self.explained(ends, [vacant[0] + wrong[0], vacant[1] + wrong[1]])
            - self.explained(ends, vacant)
    }

    /// Nats of so many wrong cells of each port: each by itself, or in a run over one or both.
    fn explained(&self, ends: &Ends, wrong: [u32; 2]) -> f32 {
        let lone = wrong.map(|w| w as f32 * self.noise.bit_cost);
        let in_run = wrong.map(|w| (16 + w) as f32 * LN_2);
        let first = (in_run[0] + lone[1]).min(in_run[1] + lone[0]).min(in_run[0] + in_run[1]);
        (lone[0] + lone[1]).min(ends.run_cost + first)
    }

    /// Fewest nats of a row that contradicts so many bits of its ports.
    pub(super) fn least_cost(&self, ends: &Ends, bits: u32) -> f32 {
        if ends.run_cost.is_infinite() {
            return bits as f32 * self.noise.bit_cost * ends.least_weight;
        }
        // The cost is concave in how the bits are shared out: least where one end has all it can have.
        let few = bits.min(16);
        let shared = [[few, bits - few], [bits - few, few]];
        shared.into_iter().map(|wrong| self.cost_of_wrong(ends, wrong)).fold(f32::MAX, f32::min)
    }

    /// Most bits that a row of such a cost may contradict; any number where they lie in runs.
    pub(super) fn most_bits(&self, ends: &Ends, nats: f32) -> u32 {
        if ends.run_cost.is_infinite() {
            (nats / (self.noise.bit_cost * ends.least_weight)) as u32
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
        let column = self.column + 16 * end;
        let confidence = self.evidence.confidence(ends.row, column..column + 16);
        let vacant = reading.missing() as f32;
        let in_run = ends.run_cost + (16.0 + vacant) * LN_2 < vacant * self.noise.bit_cost;
        let full = if in_run { LN_2 } else { self.noise.bit_cost };
        let signed = |i: usize, weight: f32| {
            let bit = 0x8000 >> i;
            let weight = if reading.known & bit == 0 { 0.0 } else { weight };
            if reading.value & bit == 0 { -weight } else { weight }
        };
        match confidence {
            None => std::array::from_fn(|i| signed(i, full)),
            Some(c) => {
                std::array::from_fn(|i| signed(i, full * f32::from(c[i].max(LEAST_WEIGHT)) / 255.0))
            }
        }
    }
}

/// Two ports from the first to the second, and back: source and destination, 16 bits each.
pub(super) fn ways([a, b]: [u16; 2]) -> u64 {
    u64::from(a) << 48 | u64::from(b) << 32 | u64::from(b) << 16 | u64::from(a)
}

/// Ones of each 16 bits of a word.
#[inline]
pub(super) fn ones_of_lanes(word: u64) -> u64 {
    let word = word - ((word >> 1) & 0x5555_5555_5555_5555);
    let word = (word & 0x3333_3333_3333_3333) + ((word >> 2) & 0x3333_3333_3333_3333);
    let word = (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (word + (word >> 8)) & 0x00ff_00ff_00ff_00ff
}

/// The bits of both ports together, the way that has fewer, of those of each lane.
#[inline]
pub(super) fn better_way(lanes: u64) -> u32 {
    let pairs = lanes + (lanes >> 16);
    u32::from(((pairs >> 32) as u8).min(pairs as u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepairConfig;
    use crate::draft::Stack;
    use nprint_codec::{Cell, Header, IpVersion, Layout, SoftMatrix, TernaryMatrix, tcp};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn both_ways_cost_what_their_ends_do() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 50);
        let fields = [tcp::SOURCE_PORT, tcp::DESTINATION_PORT];
        let columns = fields.map(|f| cells.layout().column_of(f).expect("a reference column"));
        for row in 0..cells.rows() {
            for column in columns.into_iter().flat_map(|c| c..c + 16) {
                let cell = [Cell::Vacant, Cell::Zero, Cell::One][random.random_range(0..3)];
                cells.row_mut(row).set_cell(column, cell);
            }
        }
        let confidence = (0..50 * 1088).map(|_| random.random()).collect();
        let soft = SoftMatrix::new(cells.clone(), confidence).expect("one confidence a cell");
        let (certain, soft) = (Evidence::certain(&cells), Evidence::new(&soft));
        let lone = Noise::of_rate(0.02);
        for (evidence, noise) in [(&certain, lone), (&certain, Noise::CLEAN), (&soft, lone)] {
            let ports = PortEvidence::of(evidence, &[], fields, noise);
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
                assert!(wrong <= ports.most_bits(&ends, along.min(back) + 1e-2), "{wrong} bits");
                // The same where a run may lie over them; it makes nothing dearer.
                let ends = Ends { run_cost: 3.0, ..ends };
                let way = |ports: [u16; 2]| {
                    [0, 1].map(|end| contradicted(&ends.readings[end], ports[end]))
                };
                let [a, b] = pair;
                let ways = [[a, b], [b, a]].map(|pair| ports.cost_of_wrong(&ends, way(pair)));
                assert_eq!(ports.costs(&ends, pair).map(f32::to_bits), ways.map(f32::to_bits));
                assert!(!evidence.is_certain() || (ways[0] <= along && ways[1] <= back));
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

    /// Row 1 has 10 vacant cells in its ports, row 0 none; wrong cells come in runs.
    fn with_evidence(judge: impl Fn(&PortEvidence<'_>, [Ends; 2])) {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for _ in 0..2 {
            let mut row = cells.push_vacant();
            row.set_header(Header::Ipv4, &[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            row.set_header(Header::Udp, &[0x80, 0, 0, 53, 0, 8, 0, 0]);
        }
        (960..980).step_by(2).for_each(|column| cells.row_mut(1).set_cell(column, Cell::Vacant));
        let (evidence, config) = (Evidence::certain(&cells), RepairConfig::default());
        let mut draft = Draft::new(&evidence, &config);
        for facts in &mut draft.rows {
            facts.stack = Stack { version: IpVersion::V4, transport: Transport::Udp };
        }
        let noise = Noise { burst_cost: 5.0, ..Noise::of_rate(0.001) };
        let ports = PortEvidence::new(&draft, Transport::Udp, noise);
        judge(&ports, [0, 1].map(|row| ports.read(row)));
    }

    #[test]
    fn vacant_cells_show_a_run_and_bits_in_it_say_little() {
        with_evidence(|ports, [whole, damaged]| {
            let near = |a: f32, b: f32| (a - b).abs() < 1e-3;
            // One bit of each port is wrong.
            let other = [0x8001, 52];
            assert!(near(ports.costs(&whole, other)[0], 2.0 * ports.noise.bit_cost));
            assert!(near(ports.costs(&damaged, other)[0], 2.0 * LN_2));
        });
    }

    #[test]
    fn no_ports_cost_less_than_the_bits_in_which_they_differ() {
        with_evidence(|ports, both| {
            for ends in both {
                for pair in (0..2000_u32).map(|n| n.wrapping_mul(2_654_435_761)) {
                    let pair = [(pair >> 16) as u16, pair as u16];
                    let bits = contradicted(&ends.readings[0], pair[0])
                        + contradicted(&ends.readings[1], pair[1]);
                    let cost = ports.costs(&ends, pair)[0];
                    assert!(ports.least_cost(&ends, bits) <= cost + 1e-3, "{pair:?}");
                }
            }
        });
    }
}
