//! What the cells of a segment say of the event that it is.

use super::states::Event;
use super::{OPENING_OPTIONS, OTHER_OPTIONS};
use crate::evidence::{Evidence, FieldCells, Noise, Reading};
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};

/// Nats of one length among those that data has.
const SOME_LENGTH: f32 = 7.0;
/// Cells from the reserved ones to FIN, and those of them that come with any event: CWR, ECE and PSH.
const FLAG_BITS: usize = 12;
const OF_ANY_EVENT: u32 = 0b0_1100_1000;
/// Nats of 16 bits that say nothing.
const SILENT: f32 = 16.0 * std::f32::consts::LN_2;

/// The fields that tell events apart, in every row.
pub(super) struct Told<'a> {
    evidence: &'a Evidence<'a>,
    noise: Noise,
    flags_column: usize,
    by_count: bool,
    /// Nats of so many wrong flags, where only their number counts.
    prices: [f32; 33],
    options_column: usize,
    data_offset: FieldCells<'a>,
    header_length: FieldCells<'a>,
    total_length: FieldCells<'a>,
    payload_length: FieldCells<'a>,
    seq: FieldCells<'a>,
    ack_number: FieldCells<'a>,
}

impl<'a> Told<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, noise: Noise) -> Self {
        let column = |field| evidence.cells().layout().column_of(field).unwrap_or_default();
        Self {
            evidence,
            noise,
            flags_column: column(tcp::RESERVED),
            by_count: evidence.costs_by_count(noise),
            prices: noise.prices(FLAG_BITS as u16),
            options_column: column(tcp::OPTIONS),
            data_offset: evidence.field(tcp::DATA_OFFSET),
            header_length: evidence.field(ipv4::HEADER_LENGTH),
            total_length: evidence.field(ipv4::TOTAL_LENGTH),
            payload_length: evidence.field(ipv6::PAYLOAD_LENGTH),
            seq: evidence.field(tcp::SEQ),
            ack_number: evidence.field(tcp::ACK_NUMBER),
        }
    }

    /// Nats of a row's flags and first options against each event.
    pub(super) fn events(&self, row: usize) -> [f32; Event::ALL.len()] {
        // A run that goes through the flags goes through the cells beside them, too.
        let mut flags = self.evidence.read_columns(row, self.flags_column, FLAG_BITS);
        flags.known &= !OF_ANY_EVENT;
        let column = self.options_column;
        let reading = self.evidence.read_columns(row, column, 16);
        let [opening, other] = [OPENING_OPTIONS, OTHER_OPTIONS].map(|options| {
            self.evidence.cost_of(self.noise, row, column, reading, options).min(SILENT)
        });
        let mut costs = [0.0; Event::ALL.len()];
        for (cost, event) in costs.iter_mut().zip(Event::ALL) {
            let options = if event.opens() { opening } else { other };
            *cost = self.flags(row, flags, event.flags()) + options;
        }
        costs
    }

    /// Nats of flags, as they read, against those of an event.
    fn flags(&self, row: usize, told: Reading, event: u32) -> f32 {
        if self.by_count {
            return self.prices[told.wrong(event) as usize];
        }
        self.evidence.cost_of(self.noise, row, self.flags_column, told, event)
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

    /// The sequence number of a row and its bytes of data, where all that says so can be read.
    pub(super) fn span(&self, row: usize, version: IpVersion) -> Option<(u32, u32)> {
        let full = |cells: &FieldCells<'_>| Some(cells.read(row)).filter(|r| r.is_full());
        let (headers, length) = match version {
            IpVersion::V4 => (full(&self.header_length)?.value, full(&self.total_length)?.value),
            IpVersion::V6 => (0, full(&self.payload_length)?.value),
        };
        let data = length.checked_sub(4 * (headers + full(&self.data_offset)?.value))?;
        Some((full(&self.seq)?.value, data))
    }

    /// Nats by which the numbers of later rows speak for a number that a row takes behind its `data`, which
    /// begins at `seq`: that of the side's next segment, and that which the other side acknowledges next.
    /// That they do without it says nothing: it may be on its way, or sent once more. The length may be
    /// misread, too.
    pub(super) fn taken(
        &self,
        (seq, data): (u32, u32),
        next: Option<usize>,
        answer: Option<usize>,
    ) -> f32 {
        let end = seq.wrapping_add(data);
        let says = |(cells, row): (&FieldCells<'_>, Option<usize>)| {
            let told = row.map(|row| (row, cells.read(row)));
            let (row, told) =
                told.filter(|(_, t)| t.is_full() && t.value == end.wrapping_add(1))?;
            Some(cells.cost(self.noise, row, told, end))
        };
        let said = [(&self.seq, next), (&self.ack_number, answer)].into_iter().filter_map(says);
        let misread = self.noise.bit_cost + if data == 0 { SOME_LENGTH } else { 0.0 };
        said.sum::<f32>().min(misread)
    }
}
