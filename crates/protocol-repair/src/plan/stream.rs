//! Where the segments of one side lie in its stream: a search over what the numbers, the lengths and
//! the other side's acknowledgements say together.

use super::beam::{Beam, MARGIN, State as _};
use super::course::{ELSEWHERE, State};
use crate::compile::lengths::headers;
use crate::draft::Draft;
use crate::evidence::{Noise, Reading};
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};
use std::cell::RefCell;
use std::ops::Range;

/// Furthest that real data lies from what is known of its stream. Units: bytes.
pub(super) const REACH: u32 = 1 << 23;
/// Nats of a number that says nothing: each of its 32 bits is as likely 1 as 0.
pub(super) const SILENT: f32 = 32.0 * std::f32::consts::LN_2;
/// An acknowledgement of what an open hole hides: 5 of 6,133 sent while a hole is open.
pub(super) const PASSES: f32 = 7.1;
/// Where there is something new to acknowledge up to the first hole: all of it, nothing of it, or some.
/// An acknowledgement after one of all (first, of 35,159) is different from one after one of less
/// (second, of 6,961).
pub(super) const ALL: [f32; 2] = [0.02, 2.1];
pub(super) const AS_BEFORE: [f32; 2] = [4.9, 0.5];
pub(super) const SOME: [f32; 2] = [4.1, 1.25];
/// Up to one of the ends of segments between.
const AN_END: f32 = 1.4;
/// Lost segments that are tried whatever the numbers say.
const LOST: u32 = 3;
/// Later segments of the same side that say where one ends, and answers of the other side.
const NEXT: usize = 5;
const ANSWERS: usize = 3;
/// Cells of a number that confirms something and may yet say nothing.
const MISSING: u32 = 4;
/// States this much dearer than one that several numbers confirm are given up. Units: nats.
const SURE: f32 = 12.0;

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
    /// Most bytes that it can have.
    pub(crate) most: u32,
    /// The IP length field as it reads, its column, and what it says of an empty segment.
    pub(crate) length: Reading,
    pub(crate) length_column: usize,
    pub(crate) empty: u32,
    /// A step of the handshake, or a reset without acknowledgement: its numbers follow from the
    /// others' whatever its own say.
    pub(crate) exact: bool,
    /// Its own numbers.
    pub(crate) seq: Reading,
    pub(crate) ack_number: Reading,
}

impl Segment {
    /// Sequence space that SYN and FIN take.
    pub(super) fn control(&self) -> u32 {
        u32::from(self.syn) + u32::from(self.fin)
    }
}

/// The rows of a connection; `payload` says how long each one's data is, and how long at most.
pub(crate) fn segments(
    draft: &Draft<'_>,
    rows: &[usize],
    payload: impl Fn(usize) -> (u32, u32),
) -> Vec<Segment> {
    let opened = rows.first().is_some_and(|r| draft.value(*r, tcp::SYN) == 1);
    // Of a handshake, numbers are exact; it ends with the first segment without SYN.
    let (mut answered, mut shaken) = (false, !opened);
    let mut out = Vec::with_capacity(rows.len());
    for &row in rows {
        let flag = |field| draft.value(row, field) == 1;
        let (syn, rst, ack) = (flag(tcp::SYN), flag(tcp::RST), flag(tcp::ACK));
        let facts = draft.rows[row];
        let side = facts.direction;
        let (payload, most) = payload(row);
        let (ip, extension, transport) = headers(draft, row);
        let (length, ip) = match facts.stack.version {
            IpVersion::V4 => (ipv4::TOTAL_LENGTH, ip),
            IpVersion::V6 => (ipv6::PAYLOAD_LENGTH, 0),
        };
        out.push(Segment {
            row,
            side,
            syn,
            fin: flag(tcp::FIN),
            rst,
            ack,
            payload,
            most,
            length: draft.evidence.read(row, length),
            length_column: draft.evidence.cells().layout().column_of(length).unwrap_or(0),
            empty: ip + extension + transport,
            exact: syn || (rst && !ack) || (!shaken && answered && side == 0),
            seq: draft.evidence.read(row, tcp::SEQ),
            ack_number: draft.evidence.read(row, tcp::ACK_NUMBER),
        });
        answered |= syn && side == 1;
        shaken |= !syn && ack && !rst;
    }
    out
}

/// What is decided about one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) seq: u32,
    pub(crate) payload: u32,
    /// Where the stream stands after it.
    pub(crate) head: u32,
}

/// What the lengths that a segment may have cost.
pub(crate) trait Lengths {
    /// Whether a segment has no other length than its likeliest.
    const DECIDED: bool;

    /// Nats of its having `payload` bytes.
    fn cost(&self, segment: &Segment, payload: u32) -> f32;
    /// Its likeliest lengths by themselves.
    fn likely(&self, segment: &Segment) -> Vec<u32>;
}

/// Lengths that are decided.
pub(super) struct Fixed;

impl Lengths for Fixed {
    const DECIDED: bool = true;

    fn cost(&self, segment: &Segment, payload: u32) -> f32 {
        if payload == segment.payload { 0.0 } else { f32::MAX }
    }

    fn likely(&self, segment: &Segment) -> Vec<u32> {
        vec![segment.payload]
    }
}

/// Lays out the stream of `side`: one [`Placed`] for each of its segments, in order. `starts` are
/// numbers that the stream may begin with, each with its cost; `noise` is `None` where the numbers of
/// the evidence say nothing.
pub(crate) fn lay_out(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    starts: &[(f32, u32)],
    lengths: &impl Lengths,
    noise: Option<Noise>,
) -> Vec<Placed> {
    let columns = [tcp::SEQ, tcp::ACK_NUMBER]
        .map(|f| draft.evidence.cells().layout().column_of(f).unwrap_or(0));
    let mut beam = Beam::new(starts.iter().map(|(cost, first)| (*cost, State::at(*first))));
    for (index, segment) in segments.iter().enumerate() {
        if segment.side != side {
            let Some(noise) = noise.filter(|_| segment.ack && !segment.rst) else { continue };
            let cost = |value| {
                let (row, reading) = (segment.row, segment.ack_number);
                draft.evidence.cost_of(noise, row, columns[1], reading, value).min(SILENT)
            };
            beam.step(|state, offers| {
                let whole = state.whole();
                let lagging = usize::from(state.lagging);
                let all = if state.acked == whole { 0.0 } else { ALL[lagging] };
                let mut best = (all + cost(whole), whole);
                let mut offer = |price: f32, acked: u32| {
                    if price < best.0 && price + cost(acked) < best.0 {
                        best = (price + cost(acked), acked);
                    }
                };
                if whole != state.head && !segment.exact {
                    // Past all holes, or past the first, up to the next.
                    offer(PASSES, state.head);
                    let further = state.gaps().filter(|gap| *gap != whole);
                    let next = further.min_by_key(|gap| distance(state.head, *gap));
                    if let Some(to) = next {
                        offer(PASSES, to);
                    }
                }
                let some = state.ends.map(|end| (SOME[lagging] + AN_END, end));
                let less = some.into_iter().chain([(AS_BEFORE[lagging], state.acked)]);
                for (price, acked) in less.filter(|_| !segment.exact) {
                    let sent = distance(acked, whole) > 0;
                    if sent && distance(state.acked, acked) >= 0 {
                        offer(price, acked);
                    }
                }
                let (cost, acked) = best;
                offers.add(cost, state.head, || state.clone().acknowledged(acked), None);
            });
            continue;
        }
        let control = segment.control();
        let cost = |value| {
            let (row, reading) = (segment.row, segment.seq);
            let of = |noise| draft.evidence.cost_of(noise, row, columns[0], reading, value);
            noise.map_or(0.0, |noise| of(noise).min(SILENT))
        };
        if segment.exact || noise.is_none() {
            beam.step(|state, offers| {
                let seq = if segment.syn { state.first } else { state.head };
                let payload = segment.payload;
                let after = state.clone();
                let after = if segment.rst { after } else { after.after(seq, payload + control) };
                let placed = Placed { seq, payload, head: after.head };
                offers.add(cost(seq), after.key(), || after, Some(placed));
            });
            continue;
        }
        let candidates = Candidates::of(segments, index, lengths);
        // Two numbers of 32 bits do not agree by chance: nothing else is worth following far.
        let sure = beam.best().is_some_and(|best| candidates.confirmed(best.head));
        let margin = if sure { SURE } else { MARGIN };
        beam.step_within(margin, |state, offers| {
            let elsewhere = ELSEWHERE[state.open()];
            let mut place = |seq: u32| {
                let told = cost(seq);
                // Most places cost too much whatever the length is.
                let least = told + if seq == state.head { 0.0 } else { elsewhere };
                if !offers.within(least) {
                    return;
                }
                candidates.offer(seq, |payload, price| {
                    if !offers.within(least + price) {
                        return;
                    }
                    let price = told + price + state.price(segment, seq, payload);
                    let space = if segment.rst { 0 } else { payload + control };
                    let end = seq.wrapping_add(space);
                    let head = if distance(state.head, end) > 0 && !segment.rst {
                        end
                    } else {
                        state.head
                    };
                    let after = || {
                        let after = state.clone();
                        if segment.rst { after } else { after.after(seq, space) }
                    };
                    let placed = Placed { seq, payload, head };
                    offers.add(price, head, after, Some(placed));
                });
            };
            place(state.head);
            let within =
                |seq: u32| seq != state.head && distance(state.head, seq).unsigned_abs() < REACH;
            Some(filled(segment.seq, state.head)).filter(|s| within(*s)).map(&mut place);
            state.gaps().for_each(&mut place);
            if let Some(next) = candidates.ends.first() {
                // After a hole, where only the next segment's number tells.
                let seq = next.near(state.head).wrapping_sub(segment.payload + control);
                Some(seq).filter(|s| within(*s)).map(&mut place);
            }
            if segment.payload > 0 {
                // The last bytes again: also what a segment does that has strayed into this stream.
                place(state.head.wrapping_sub(segment.payload + control));
                // Behind a hole of a few such segments, if its own number has too many wrong bits.
                for lost in 1..=LOST {
                    place(state.head.wrapping_add(lost * segment.payload));
                }
            }
        });
    }
    beam.finish().into_iter().flatten().collect()
}

/// A later number that says where a segment ends.
#[derive(Debug, Clone, Copy, PartialEq)]
struct End {
    reading: Reading,
    /// Numbers between the end and it.
    skipped: u32,
}

impl End {
    /// The end, if it lies near `number`.
    fn near(self, number: u32) -> u32 {
        filled(self.reading, number.wrapping_add(self.skipped)).wrapping_sub(self.skipped)
    }
}

/// Where later numbers say that a segment ends: those of the next segments of its side, if what lies
/// between is as long as settled, and the other side's next acknowledgements.
fn told_ends(segments: &[Segment], index: usize) -> Vec<End> {
    let side = segments[index].side;
    let later = &segments[index + 1..];
    let mut skipped = 0_u32;
    let mut out = Vec::with_capacity(NEXT + ANSWERS);
    for s in later.iter().take(8 * NEXT).filter(|s| s.side == side).take(NEXT) {
        out.push(End { reading: s.seq, skipped });
        skipped = skipped.wrapping_add(s.payload + s.control());
    }
    let answers = later.iter().take(8 * ANSWERS).filter(|s| s.side != side && s.ack);
    out.extend(answers.take(ANSWERS).map(|s| End { reading: s.ack_number, skipped: 0 }));
    out
}

/// Lengths that a segment may have.
struct Candidates<'a, L> {
    segment: &'a Segment,
    lengths: &'a L,
    /// The likeliest by themselves, each with its cost.
    likely: Vec<(u32, f32)>,
    /// Where later numbers say that it ends.
    ends: Vec<End>,
    /// Numbers that it may begin at, each with the lengths that these ends then make.
    told: RefCell<Told>,
}

/// For each number so far, where its lengths with their costs stand.
#[derive(Default)]
struct Told {
    numbers: Vec<(u32, Range<usize>)>,
    lengths: Vec<(u32, f32)>,
}

impl<'a, L: Lengths> Candidates<'a, L> {
    fn of(segments: &'a [Segment], index: usize, lengths: &'a L) -> Self {
        let segment = &segments[index];
        let likely = lengths.likely(segment);
        let likely = likely.into_iter().map(|l| (l, lengths.cost(segment, l))).collect();
        let ends = told_ends(segments, index);
        Self { segment, lengths, likely, ends, told: RefCell::default() }
    }

    /// Whether two numbers or more agree without a wrong bit that the segment begins at `seq` and has
    /// the length that it has by itself.
    fn confirmed(&self, seq: u32) -> bool {
        let end = seq.wrapping_add(self.segment.payload + self.segment.control());
        let says = |reading: Reading, number: u32| {
            (reading.value ^ number) & reading.known == 0 && reading.missing() <= MISSING
        };
        let ends = self.ends.iter().filter(|e| says(e.reading, end.wrapping_add(e.skipped)));
        let ends = ends.take(2).count();
        ends > 0 && ends + usize::from(says(self.segment.seq, seq)) > 1
    }

    /// Offers the lengths of the segment if it begins at `seq`, each with its cost.
    fn offer(&self, seq: u32, mut offer: impl FnMut(u32, f32)) {
        self.likely.iter().for_each(|(payload, cost)| offer(*payload, *cost));
        if L::DECIDED {
            return;
        }
        // Many states stand at the same number.
        let mut told = self.told.borrow_mut();
        let Told { numbers, lengths } = &mut *told;
        let known = numbers.iter().find(|(number, _)| *number == seq);
        let range = if let Some((_, range)) = known {
            range.clone()
        } else {
            let range = self.tell(seq, lengths);
            numbers.push((seq, range.clone()));
            range
        };
        lengths[range].iter().for_each(|(payload, cost)| offer(*payload, *cost));
    }

    /// Appends the lengths that later numbers make of the segment if it begins at `seq`.
    fn tell(&self, seq: u32, out: &mut Vec<(u32, f32)>) -> Range<usize> {
        let start = out.len();
        let first = seq.wrapping_add(self.segment.control());
        let mut offered = [None; NEXT + ANSWERS];
        for (place, end) in self.ends.iter().enumerate() {
            let payload = end.near(first).wrapping_sub(first);
            let known = offered.contains(&Some(payload))
                || self.likely.iter().any(|(likely, _)| *likely == payload);
            offered[place] = Some(payload);
            if payload <= self.segment.most && !known {
                let cost = self.lengths.cost(self.segment, payload);
                if cost < f32::MAX {
                    out.push((payload, cost));
                }
            }
        }
        start..out.len()
    }
}
