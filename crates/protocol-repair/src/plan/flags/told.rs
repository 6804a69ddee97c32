//! What the cells of a segment say of the event that it is.

use super::{Event, FLAGS, OPENING_OPTIONS, OTHER_OPTIONS};
use crate::evidence::{Evidence, FieldCells, Noise};
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};

/// Nats of one length among those that data has.
const SOME_LENGTH: f32 = 7.0;
/// Nats of 16 bits that say nothing.
const SILENT: f32 = 16.0 * std::f32::consts::LN_2;

/// The fields that tell events apart, in every row.
pub(super) struct Told<'a> {
    evidence: &'a Evidence<'a>,
    noise: Noise,
    flags: [FieldCells<'a>; 4],
    /// Nats of so many wrong flags, where every cell is certain.
    prices: [f32; 5],
    options_column: usize,
    data_offset: FieldCells<'a>,
    header_length: FieldCells<'a>,
    total_length: FieldCells<'a>,
    payload_length: FieldCells<'a>,
}

impl<'a> Told<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, noise: Noise) -> Self {
        let wrong = noise.prices(1)[1];
        let mut prices = [0.0; 5];
        for flags in 1..prices.len() {
            prices[flags] = prices[flags - 1] + wrong;
        }
        Self {
            evidence,
            noise,
            flags: FLAGS.map(|flag| evidence.field(flag)),
            prices,
            options_column: evidence.cells().layout().column_of(tcp::OPTIONS).unwrap_or_default(),
            data_offset: evidence.field(tcp::DATA_OFFSET),
            header_length: evidence.field(ipv4::HEADER_LENGTH),
            total_length: evidence.field(ipv4::TOTAL_LENGTH),
            payload_length: evidence.field(ipv6::PAYLOAD_LENGTH),
        }
    }

    /// Nats of a row's flags and first options against each event.
    pub(super) fn events(&self, row: usize) -> [f32; Event::ALL.len()] {
        let column = self.options_column;
        let reading = self.evidence.read_columns(row, column, 16);
        let [opening, other] = [OPENING_OPTIONS, OTHER_OPTIONS].map(|options| {
            self.evidence.cost_of(self.noise, row, column, reading, options).min(SILENT)
        });
        let flags = if self.evidence.is_certain() { self.counted(row) } else { self.weighed(row) };
        let mut costs = flags;
        for (cost, event) in costs.iter_mut().zip(Event::ALL) {
            *cost += if event.opens() { opening } else { other };
        }
        costs
    }

    /// Nats of a row's flags against each event.
    fn weighed(&self, row: usize) -> [f32; Event::ALL.len()] {
        let [ack, rst, syn, fin] = self.flags.each_ref().map(|flag| {
            let reading = flag.read(row);
            [0, 1].map(|value| flag.cost(self.noise, row, reading, value))
        });
        Event::ALL.map(|event| {
            let [a, r, s, f] = event.bits().map(|bit| bit as usize);
            ack[a] + rst[r] + syn[s] + fin[f]
        })
    }

    /// The same where every cell is certain: wrong flags are counted.
    fn counted(&self, row: usize) -> [f32; Event::ALL.len()] {
        let readings = self.flags.each_ref().map(|flag| flag.read(row));
        let side_by_side = |bits: [u32; 4]| bits.into_iter().fold(0, |all, bit| 2 * all + bit);
        let value = side_by_side(readings.map(|reading| reading.value));
        let known = side_by_side(readings.map(|reading| reading.known));
        Event::ALL.map(|event| {
            let wrong = (value ^ side_by_side(event.bits())) & known;
            // How many of four bits are 1.
            self.prices[(0x4332_3221_3221_2110_u64 >> (4 * wrong) & 0xf) as usize]
        })
    }

    /// Nats by which the length fields of a row speak for data: what it costs that they leave no room for
    /// any, less what one of the lengths of data costs.
    pub(super) fn data(&self, row: usize, version: IpVersion) -> f32 {
        let offset = self.data_offset.read(row);
        let (length, headers) = match version {
            IpVersion::V4 => {
                let own = self.header_length.read(row).value.max(5);
                (&self.total_length, [own, 5])
            }
            IpVersion::V6 => (&self.payload_length, [0, 0]),
        };
        let told = length.read(row);
        let mut least = f32::MAX;
        // As it reads, without options, with time stamps.
        for words in [offset.value.max(5), 5, 8] {
            let [own, plain] =
                headers.map(|header| length.cost(self.noise, row, told, 4 * (header + words)));
            least =
                least.min(own.min(plain) + self.data_offset.cost(self.noise, row, offset, words));
            if least <= SOME_LENGTH {
                return 0.0;
            }
        }
        least - SOME_LENGTH
    }
}

#[cfg(test)]
mod tests {
    use super::Told;
    use crate::evidence::{Evidence, Noise};
    use nprint_codec::{Cell, Layout, TernaryMatrix, tcp};

    #[test]
    fn wrong_flags_are_counted_as_they_are_weighed() {
        let layout = Layout::reference();
        let column = layout.column_of(tcp::ACK).expect("a column of the layout");
        let mut cells = TernaryMatrix::vacant(layout, 243);
        // Every state of ACK and the four cells behind it.
        for row in 0..243_usize {
            for cell in 0..5 {
                let state = row.div_euclid(3_usize.pow(cell)) % 3;
                let state = [Cell::Vacant, Cell::Zero, Cell::One][state];
                cells.row_mut(row).set_cell(column + cell as usize, state);
            }
        }
        let evidence = Evidence::certain(&cells);
        let runs = Noise { burst_cost: 1.5, ..Noise::of_rate(0.02) };
        for noise in [Noise::CLEAN, Noise::of_rate(0.02), runs] {
            let told = Told::new(&evidence, noise);
            for row in 0..cells.rows() {
                let [counted, weighed] = [told.counted(row), told.weighed(row)];
                assert_eq!(counted.map(f32::to_bits), weighed.map(f32::to_bits), "{row}");
            }
        }
    }
}
