//! The two ports of a row as evidence.
//!
//! Where wrong cells come in runs, a run lies over one port or over both, and shows: half of its cells
//! are wrong, and every vacant one among them is known to be. Within a run a cell says little of its bit.

use super::runs::Runs;
use super::servers::port_fields;
use crate::draft::{Draft, Transport};
use crate::evidence::{Evidence, Noise, Reading};
use std::f32::consts::LN_2;

/// What the port cells of one row say, source first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) row: usize,
    pub(super) readings: [Reading; 2],
    /// What it costs to say that a run of wrong cells lies over them. Units: nats.
    run_cost: f32,
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
        let [source, destination] = &self.readings;
        let along = contradicted(source, ports[0]) + contradicted(destination, ports[1]);
        let back = contradicted(source, ports[1]) + contradicted(destination, ports[0]);
        along.min(back)
    }

    /// Both ports, unknown bits as 0.
    pub(super) fn ports(&self) -> [u16; 2] {
        self.readings.map(|r| r.value as u16)
    }
}

/// Number of known bits of a port that another one has otherwise.
fn contradicted(reading: &Reading, port: u16) -> u32 {
    ((reading.value ^ u32::from(port)) & reading.known).count_ones()
}

/// The port cells of some rows, and how much it costs to contradict them.
#[derive(Clone, Copy)]
pub(super) struct PortEvidence<'a> {
    evidence: &'a Evidence<'a>,
    columns: [usize; 2],
    pub(super) noise: Noise,
    runs: Runs<'a>,
}

impl<'a> PortEvidence<'a> {
    pub(super) fn new(draft: &'a Draft<'_>, transport: Transport, mut noise: Noise) -> Self {
        if draft.evidence.is_certain() && !noise.is_clean() {
            // Half of the wrong cells became vacant, not the other bit.
            noise.bit_cost += LN_2;
        }
        let layout = draft.evidence.cells().layout();
        let columns = port_fields(transport).map(|f| layout.column_of(f).unwrap_or(0));
        Self { evidence: draft.evidence, columns, noise, runs: Runs::new(draft, noise) }
    }

    pub(super) fn read(&self, row: usize) -> Ends {
        let readings = self.columns.map(|c| self.evidence.read_columns(row, c, 16));
        Ends { row, readings, run_cost: self.runs.cost(row, self.columns[0]) }
    }

    /// Nats that one end (0: source) costs as `port`.
    pub(super) fn end_cost(&self, ends: &Ends, end: usize, port: u16) -> f32 {
        if ends.run_cost.is_infinite() {
            let (column, reading) = (self.columns[end], ends.readings[end]);
            return self.evidence.cost_of(self.noise, ends.row, column, reading, u32::from(port));
        }
        let mut wrong = [0, 0];
        wrong[end] = contradicted(&ends.readings[end], port);
        self.cost_of_wrong(ends, wrong)
    }

    /// Nats that a row costs when it goes from the first port to the second, and back.
    pub(super) fn costs(&self, ends: &Ends, ports: [u16; 2]) -> [f32; 2] {
        let [a, b] = ports;
        let way = |ports: [u16; 2]| {
            if ends.run_cost.is_infinite() {
                self.end_cost(ends, 0, ports[0]) + self.end_cost(ends, 1, ports[1])
            } else {
                let [source, destination] = &ends.readings;
                let wrong = [contradicted(source, ports[0]), contradicted(destination, ports[1])];
                self.cost_of_wrong(ends, wrong)
            }
        };
        let along = way([a, b]);
        if a == b { [along; 2] } else { [along, way([b, a])] }
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

    /// Fewest nats of a row that contradicts so many bits of its ports; 0 where cells are more or
    /// less certain.
    pub(super) fn least_cost(&self, ends: &Ends, bits: u32) -> f32 {
        if !self.evidence.is_certain() {
            return 0.0;
        }
        if ends.run_cost.is_infinite() {
            return bits as f32 * self.noise.bit_cost;
        }
        // The cost is concave in how the bits are shared out: least where one end has all it can have.
        let few = bits.min(16);
        let shared = [[few, bits - few], [bits - few, few]];
        shared.into_iter().map(|wrong| self.cost_of_wrong(ends, wrong)).fold(f32::MAX, f32::min)
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
        let vacant = reading.missing() as f32;
        let in_run = ends.run_cost + (16.0 + vacant) * LN_2 < vacant * self.noise.bit_cost;
        let full = if in_run { LN_2 } else { self.noise.bit_cost };
        std::array::from_fn(|i| {
            let bit = |of: u32| (of >> (15 - i)) & 1 == 1;
            let weight = confidence.map_or(full, |c| full * f32::from(c[i].max(8)) / 255.0);
            match (bit(reading.known), bit(reading.value)) {
                (true, true) => weight,
                (true, false) => -weight,
                (false, _) => 0.0,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepairConfig;
    use crate::draft::Stack;
    use nprint_codec::{Cell, Header, IpVersion, Layout, TernaryMatrix};

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
