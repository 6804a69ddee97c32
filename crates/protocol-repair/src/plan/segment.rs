//! The rows of a connection as the search over its streams sees them.

use crate::compile::lengths::Headers;
use crate::draft::Draft;
use crate::evidence::{Evidence, Noise, Reading, extract};
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};

/// Nats of a number that says nothing: each of its 32 bits is as likely 1 as 0.
pub(super) const SILENT: f32 = 32.0 * std::f32::consts::LN_2;

/// Wrong bits of a number from which on it is another one.
const UNRELATED: u16 = 6;

/// How far `to` lies ahead of `from`.
pub(super) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// A number as it reads; the bits that do not are those of a number near it.
pub(super) fn filled(reading: Reading, near: u32) -> u32 {
    reading.value | (near & !reading.known)
}

/// One row of a connection, as far as it is decided.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // The flags of the header are bits.
pub(crate) struct Segment {
    pub(crate) row: usize,
    pub(crate) side: usize,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) ack: bool,
    /// Bytes of data, as settled by themselves.
    pub(crate) payload: u32,
    /// What is told of them, unless they are decided.
    pub(crate) length: Option<Length>,
    /// A step of the handshake, or a reset without acknowledgement: its numbers follow from the
    /// others' whatever its own say.
    pub(crate) exact: bool,
    /// Whether its side has sent FIN before.
    pub(crate) ended: bool,
    /// Its own numbers.
    pub(crate) seq: Reading,
    pub(crate) ack_number: Reading,
}

/// The IP length of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// The field as it reads, and its first column.
    pub(crate) reading: Reading,
    pub(crate) column: usize,
    /// What it says of an empty segment.
    pub(crate) empty: u32,
    /// Most bytes of data that the segment can have.
    pub(crate) most: u32,
    /// PSH, if it says which it is: what comes with it is data, and most often its end.
    pub(crate) push: Option<bool>,
}

impl Length {
    /// That of a row with `headers` and at most `most` bytes of data.
    pub(crate) fn of(draft: &Draft<'_>, row: usize, headers: Headers, most: u32) -> Self {
        let (field, empty) = match draft.rows[row].stack.version {
            IpVersion::V4 => (ipv4::TOTAL_LENGTH, headers.ip + headers.behind_ip()),
            IpVersion::V6 => (ipv6::PAYLOAD_LENGTH, headers.behind_ip()),
        };
        let column = draft.evidence.cells().layout().column_of(field).unwrap_or(0);
        let push = draft.evidence.read(row, tcp::PSH);
        let push = push.is_full().then_some(push.value == 1);
        Self { reading: draft.evidence.read(row, field), column, empty, most, push }
    }
}

impl Segment {
    /// Sequence space that SYN and FIN take.
    pub(super) fn control(&self) -> u32 {
        u32::from(self.syn) + u32::from(self.fin)
    }

    /// Most bytes of data that it can have.
    pub(crate) fn most(&self) -> u32 {
        self.length.map_or(self.payload, |told| told.most)
    }
}

/// The rows of a connection; `payload` says how long the data of each one is, which may be one with SYN or
/// RST, and what is told of that where it is not decided.
pub(crate) fn segments(
    draft: &Draft<'_>,
    rows: &[usize],
    payload: impl Fn(usize, bool) -> (u32, Option<Length>),
) -> Vec<Segment> {
    let column = |field| draft.cells.layout().column_of(field).unwrap_or(0);
    let [syn, fin, rst, ack, seq, ack_number] =
        [tcp::SYN, tcp::FIN, tcp::RST, tcp::ACK, tcp::SEQ, tcp::ACK_NUMBER].map(column);
    // Of a handshake, numbers are exact; it ends with the first segment without SYN.
    let (mut answered, mut shaken) = (false, false);
    let mut ended = [false; 2];
    let mut out = Vec::with_capacity(rows.len());
    for &row in rows {
        let words = draft.cells.row(row).value_words();
        let [syn, fin, rst, ack] = [syn, fin, rst, ack].map(|c| extract(words, c, 1) == 1);
        // One that was not seen to open is past it.
        shaken |= out.is_empty() && !syn;
        let side = draft.rows[row].direction;
        let (payload, length) = payload(row, syn || rst);
        out.push(Segment {
            row,
            side,
            syn,
            fin,
            rst,
            ack,
            payload,
            length,
            exact: syn || (rst && !ack) || (!shaken && answered && side == 0),
            ended: ended[side] && !syn,
            seq: draft.evidence.read_columns(row, seq, 32),
            ack_number: draft.evidence.read_columns(row, ack_number, 32),
        });
        ended[side] = fin || (ended[side] && !syn);
        answered |= syn && side == 1;
        shaken |= !syn && ack && !rst;
    }
    out
}

/// A sequence or acknowledgement number of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) reading: Reading,
    row: usize,
    column: usize,
}

/// What the evidence says to sequence and acknowledgement numbers.
pub(super) struct Numbers<'a> {
    evidence: &'a Evidence<'a>,
    /// `None` where it says nothing.
    noise: Option<Noise>,
    /// Nats of so many wrong bits, where only their number counts.
    prices: [f32; 33],
    /// The same of numbers that may be others than they are taken for.
    related: [f32; 64],
    /// First columns of both numbers.
    columns: [usize; 2],
}

impl<'a> Numbers<'a> {
    pub(super) fn new(draft: &Draft<'a>, noise: Option<Noise>) -> Self {
        let column = |field| draft.evidence.cells().layout().column_of(field).unwrap_or(0);
        let columns = [tcp::SEQ, tcp::ACK_NUMBER].map(column);
        let prices = noise.map_or([0.0; 33], silent_at_most);
        let unrelated = f32::from(UNRELATED) * noise.map_or(0.0, |noise| noise.lone_cost);
        let related = std::array::from_fn(|wrong| prices[wrong.min(32)].min(unrelated));
        Self { evidence: draft.evidence, noise, prices, related, columns }
    }

    /// Whether the numbers of the evidence say anything.
    pub(super) fn tell(&self) -> bool {
        self.noise.is_some()
    }

    /// How noisy they are; `None` where they say nothing.
    pub(super) fn noise(&self) -> Option<Noise> {
        self.noise
    }

    /// Nats of a wrong bit.
    pub(super) fn bit_cost(&self) -> f32 {
        self.noise.map_or(0.0, |noise| noise.lone_cost)
    }

    /// The segment's sequence number.
    #[inline]
    pub(super) fn seq(&self, segment: &Segment) -> Number {
        Number { reading: segment.seq, row: segment.row, column: self.columns[0] }
    }

    /// Its acknowledgement number.
    #[inline]
    pub(super) fn ack(&self, segment: &Segment) -> Number {
        Number { reading: segment.ack_number, row: segment.row, column: self.columns[1] }
    }

    /// Nats of a number's being `value`.
    #[inline]
    pub(super) fn cost(&self, number: Number, value: u32) -> f32 {
        let Number { reading, row, column } = number;
        match self.noise {
            Some(noise) if !self.evidence.costs_by_count(noise) => {
                self.evidence.cost_of(noise, row, column, reading, value).min(SILENT)
            }
            _ => self.prices[reading.wrong(value) as usize],
        }
    }

    /// Nats of numbers with these wrong bits, of which one with many is another number. `number` says which
    /// number it is.
    #[inline]
    pub(super) fn related<const N: usize>(
        &self,
        wrong: [u32; N],
        number: impl Fn(usize) -> Option<Number>,
    ) -> [f32; N] {
        match self.noise {
            Some(noise) if !self.evidence.costs_by_count(noise) => std::array::from_fn(|place| {
                let told = number(place).filter(|_| wrong[place] != 0);
                told.map_or(0.0, |Number { row, column, .. }| {
                    let wrong = wrong[place];
                    self.evidence.cost_up_to(UNRELATED, noise, row, column, wrong).min(SILENT)
                })
            }),
            _ => ones(wrong).map(|count| self.related[count as usize]),
        }
    }
}

/// How many bits of each word are 1: at most 32, told in 6 bits.
///
/// # Layout
/// Bits are added side by side, all words alike, so that a compiler without a population count
/// instruction makes vectors of it.
fn ones<const N: usize>(words: [u32; N]) -> [u32; N] {
    words.map(|word| {
        let word = word - ((word >> 1) & 0x5555_5555);
        let word = (word & 0x3333_3333) + ((word >> 2) & 0x3333_3333);
        let word = (word + (word >> 4)) & 0x0f0f_0f0f;
        let word = word + (word >> 8);
        (word + (word >> 16)) & 0x3f
    })
}

/// Nats of so many wrong bits of a number: at most as many as of one that says nothing.
pub(super) fn silent_at_most(noise: Noise) -> [f32; 33] {
    noise.prices(32).map(|price| price.min(SILENT))
}

#[cfg(test)]
mod tests {
    use super::ones;

    #[test]
    fn ones_are_counted_in_every_word() {
        let words: [u32; 8] =
            std::array::from_fn(|n| 0x9e37_79b9_u32.wrapping_mul(n as u32).rotate_left(n as u32));
        assert_eq!(ones(words), words.map(u32::count_ones));
        assert_eq!(ones([0, u32::MAX, 1, 1 << 31]), [0, 32, 1, 1]);
    }
}
