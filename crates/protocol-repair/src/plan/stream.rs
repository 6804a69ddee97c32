//! Where the segments of one side lie in its stream: a search over what the numbers, the lengths and
//! the other side's acknowledgements say together.

use super::beam::{Beam, Breadth, State as _};
use super::course::{ELSEWHERE, State};
use super::reach::reach;
use crate::compile::lengths::headers;
use crate::draft::Draft;
use crate::evidence::{Evidence, Noise, Reading};
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
/// Lengths that later numbers speak for that are tried.
const TRIED: usize = 3;
/// Most nats that the next number of a side and the next answer are foreseen to cost: whatever it says,
/// a segment may lie elsewhere, and an answer acknowledge less.
const FORESEEN: [f32; 2] = [14.0, 10.0];
/// Wrong bits of a number that still says where a segment ends.
const FEW: f32 = 3.0;
/// Wrong bits of a number from which on it is another one.
const UNRELATED: f32 = 6.0;
const ANSWERS: usize = 3;
/// Cells of a number that confirms something and may yet say nothing.
const MISSING: u32 = 4;
/// States this much dearer than one that several numbers confirm are given up. Units: nats.
const SURE: f32 = 12.0;

/// How far a search looks: first, and where that has found a stream which the numbers contradict.
const NARROW: Breadth = Breadth { width: 12, margin: 30.0 };
const WIDE: Breadth = Breadth { width: 64, margin: 60.0 };
/// Segments whose numbers are judged together, and standard deviations above what noise makes from which
/// on a stream is astray.
const TOGETHER: usize = 16;
const ASTRAY: f32 = 4.0;

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
///
/// A narrow search finds most streams. Where what it finds contradicts more than noise does, a wide
/// one is made.
pub(crate) fn lay_out(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    starts: &[(f32, u32)],
    lengths: &impl Lengths,
    noise: Option<Noise>,
) -> Vec<Placed> {
    let (cost, narrow) = search(draft, segments, side, starts, lengths, noise, NARROW);
    if !noise.is_some_and(|noise| is_astray(draft, segments, side, &narrow, noise)) {
        return narrow;
    }
    let (least, wide) = search(draft, segments, side, starts, lengths, noise, WIDE);
    if least < cost { wide } else { narrow }
}

/// Whether a stream contradicts the numbers of its segments somewhere by more than noise does.
fn is_astray(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    placed: &[Placed],
    noise: Noise,
) -> bool {
    let column = draft.evidence.cells().layout().column_of(tcp::SEQ).unwrap_or(0);
    let cost = |(segment, placed): (&Segment, &Placed)| {
        let (row, reading) = (segment.row, segment.seq);
        draft.evidence.cost_of(noise, row, column, reading, placed.seq).min(SILENT)
    };
    let own = segments.iter().filter(|s| s.side == side);
    let costs: Vec<f32> = own.zip(placed).map(cost).collect();
    let bits = 32.0 * noise.rate as f32;
    let ruined = (-noise.burst_cost).exp();
    let expected = bits * noise.bit_cost + ruined * SILENT;
    let spread = bits * noise.bit_cost.powi(2) + ruined * SILENT.powi(2);
    let most = |rows: usize| {
        let rows = rows as f32;
        rows * expected + ASTRAY * (rows * spread).sqrt()
    };
    costs.chunks(TOGETHER).any(|costs| costs.iter().sum::<f32>() > most(costs.len()))
}

/// One search for [`lay_out`], with what the stream costs.
fn search<L: Lengths>(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    starts: &[(f32, u32)],
    lengths: &L,
    noise: Option<Noise>,
    breadth: Breadth,
) -> (f64, Vec<Placed>) {
    let columns = [tcp::SEQ, tcp::ACK_NUMBER]
        .map(|f| draft.evidence.cells().layout().column_of(f).unwrap_or(0));
    let reach = reach(draft, segments, side);
    let opened = segments.iter().find(|s| s.side == side).is_some_and(|s| s.syn);
    let mut beam =
        Beam::new(breadth, starts.iter().map(|(cost, first)| (*cost, State::at(*first))));
    for (index, segment) in segments.iter().enumerate() {
        if segment.side != side {
            let Some(noise) = noise.filter(|_| segment.ack && !segment.rst) else { continue };
            let cost = |value| {
                let (row, reading) = (segment.row, segment.ack_number);
                draft.evidence.cost_of(noise, row, columns[1], reading, value).min(SILENT)
            };
            beam.step(|state, offers| {
                let mut offer = |cost: f32, acked: u32| {
                    if !offers.within(cost) {
                        return;
                    }
                    let after = state.clone().acknowledged(acked);
                    offers.add(cost, after.key(), || after, None);
                };
                let whole = state.whole();
                let lagging = usize::from(state.lagging);
                let all = if state.acked == whole { 0.0 } else { ALL[lagging] };
                offer(all + cost(whole), whole);
                if segment.exact {
                    return;
                }
                if whole != state.head {
                    // Past all holes, or past the first, up to the next.
                    offer(PASSES + cost(state.head), state.head);
                    let further = state.gaps().filter(|gap| *gap != whole);
                    let next = further.min_by_key(|gap| distance(state.head, *gap));
                    if let Some(to) = next {
                        offer(PASSES + cost(to), to);
                    }
                }
                let some = state.ends.map(|end| (SOME[lagging] + AN_END, end));
                for (price, acked) in some.into_iter().chain([(AS_BEFORE[lagging], state.acked)]) {
                    let sent = distance(acked, whole) > 0;
                    if sent && distance(state.acked, acked) >= 0 {
                        offer(price + cost(acked), acked);
                    }
                }
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
            // The last step of a handshake may still be shorter than it was settled.
            let shorter = [0].into_iter().filter(|l| !L::DECIDED && *l != segment.payload);
            let open = !segment.syn && !segment.rst;
            let tried: Vec<(u32, f32)> = std::iter::once(segment.payload)
                .chain(shorter.filter(|_| open))
                .map(|l| (l, if L::DECIDED { 0.0 } else { lengths.cost(segment, l) }))
                .collect();
            beam.step(|state, offers| {
                let seq = if segment.syn { state.first } else { state.head };
                for &(payload, price) in &tried {
                    let after = state.clone();
                    let after =
                        if segment.rst { after } else { after.after(seq, payload + control) };
                    let placed = Placed { seq, payload, head: after.head };
                    offers.add(cost(seq) + price, after.key(), || after, Some(placed));
                }
            });
            continue;
        }
        let mut candidates =
            Candidates::of(*draft.evidence, segments, index, columns, lengths, noise);
        // Two numbers of 32 bits do not agree by chance: nothing else is worth following far.
        candidates.sure = beam.best().is_some_and(|best| candidates.confirmed(best.head));
        beam.step_within(if candidates.sure { SURE } else { f32::MAX }, |state, offers| {
            let elsewhere = ELSEWHERE[state.open()];
            let mut place = |seq: u32| {
                if opened && distance(state.first, seq) <= 0 {
                    // Nothing was sent before the connection was opened.
                    return;
                }
                let told = cost(seq);
                // Most places cost too much whatever the length is.
                let least = told + if seq == state.head { 0.0 } else { elsewhere };
                if !offers.within(least) {
                    return;
                }
                let ahead = distance(state.head, seq) > 0;
                candidates.offer(seq, |payload, price| {
                    let end = seq.wrapping_add(payload);
                    if ahead && distance(state.acked, end) > reach as i32 {
                        return;
                    }
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
                    if !offers.within(price) {
                        return;
                    }
                    let after = state.clone();
                    let after = if segment.rst { after } else { after.after(seq, space) };
                    let placed = Placed { seq, payload, head };
                    let foreseen = candidates.foreseen(after.head);
                    offers.add_foreseen(price, foreseen, after.key(), || after, Some(placed));
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
    let (cost, placed) = beam.finish();
    (cost, placed.into_iter().flatten().collect())
}

/// A later number that says where a segment ends.
#[derive(Debug, Clone, Copy, PartialEq)]
struct End {
    row: usize,
    column: usize,
    reading: Reading,
    /// Numbers between the end and it.
    skipped: u32,
}

impl End {
    /// The end, if it lies near `number`.
    fn near(self, number: u32) -> u32 {
        filled(self.reading, number.wrapping_add(self.skipped)).wrapping_sub(self.skipped)
    }

    /// Nats that the number speaks against a segment's ending at `end`. One with many wrong bits is
    /// another number.
    fn cost(self, evidence: Evidence<'_>, noise: Noise, end: u32) -> f32 {
        let number = end.wrapping_add(self.skipped);
        let cost = evidence.cost_of(noise, self.row, self.column, self.reading, number);
        cost.min(UNRELATED * noise.bit_cost)
    }
}

/// Where later numbers say that a segment ends: those of the next segments of its side, if what lies
/// between is as long as settled, and the other side's next acknowledgements.
fn told_ends(segments: &[Segment], index: usize, columns: [usize; 2]) -> (Vec<End>, usize) {
    let side = segments[index].side;
    let later = &segments[index + 1..];
    let mut skipped = 0_u32;
    let mut out = Vec::with_capacity(NEXT + ANSWERS);
    for s in later.iter().take(8 * NEXT).filter(|s| s.side == side).take(NEXT) {
        out.push(End { row: s.row, column: columns[0], reading: s.seq, skipped });
        skipped = skipped.wrapping_add(s.payload + s.control());
    }
    let own = out.len();
    let answers = later.iter().take(8 * ANSWERS).filter(|s| s.side != side && s.ack);
    out.extend(answers.take(ANSWERS).map(|s| End {
        row: s.row,
        column: columns[1],
        reading: s.ack_number,
        skipped: 0,
    }));
    (out, own)
}

/// Lengths that a segment may have.
struct Candidates<'a, L> {
    segment: &'a Segment,
    lengths: &'a L,
    /// The likeliest by themselves, each with its cost.
    likely: Vec<(u32, f32)>,
    /// Those that one wrong bit of its length field makes what it reads.
    turned: Vec<(u32, f32)>,
    /// Where later numbers say that it ends.
    ends: Vec<End>,
    /// How many of these are of its own side; the others are answers.
    own: usize,
    /// Whether later numbers leave no doubt of its length.
    sure: bool,
    evidence: Evidence<'a>,
    /// `None` where these numbers say nothing.
    noise: Option<Noise>,
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
    fn of(
        evidence: Evidence<'a>,
        segments: &'a [Segment],
        index: usize,
        columns: [usize; 2],
        lengths: &'a L,
        noise: Option<Noise>,
    ) -> Self {
        let segment = &segments[index];
        let priced = |length: u32| (length, lengths.cost(segment, length));
        let likely: Vec<(u32, f32)> = lengths.likely(segment).into_iter().map(priced).collect();
        let mut turned = Vec::new();
        if !L::DECIDED {
            let own = segment.length.value & low_bits(segment.most + segment.empty);
            turned = (0..32 - (segment.most + segment.empty).leading_zeros())
                .map(|bit| own ^ (1 << bit))
                .chain([own])
                .filter_map(|total| total.checked_sub(segment.empty))
                .filter(|l| *l <= segment.most && likely.iter().all(|(known, _)| known != l))
                .map(priced)
                .collect();
        }
        let (ends, own) = told_ends(segments, index, columns);
        Self {
            segment,
            lengths,
            likely,
            turned,
            ends,
            own,
            sure: false,
            evidence,
            noise,
            told: RefCell::default(),
        }
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
        if L::DECIDED || self.sure {
            return;
        }
        // Many states stand at the same number.
        let mut told = self.told.borrow_mut();
        let Told { numbers, lengths } = &mut *told;
        let known = numbers.iter().find(|(number, _)| *number == seq);
        let range = if let Some((_, range)) = known {
            range.clone()
        } else {
            let start = lengths.len();
            lengths.extend(self.tell(seq));
            numbers.push((seq, start..lengths.len()));
            start..lengths.len()
        };
        lengths[range].iter().for_each(|(payload, cost)| offer(*payload, *cost));
    }

    /// The lengths that later numbers speak for if the segment begins at `seq`, each with its cost: of
    /// those that they make and those one wrong bit away from its own, the likeliest.
    fn tell(&self, seq: u32) -> impl Iterator<Item = (u32, f32)> {
        let first = seq.wrapping_add(self.segment.control());
        let mut best = [(f32::MAX, (0, 0.0)); TRIED];
        let mut consider = |(payload, cost): (u32, f32)| {
            if cost >= best[TRIED - 1].0 || best.iter().any(|b| b.0 < f32::MAX && b.1.0 == payload)
            {
                return;
            }
            let end = first.wrapping_add(payload);
            if let Some(price) = self.with_later(cost, end, best[TRIED - 1].0) {
                let at = best.partition_point(|(known, _)| *known <= price);
                best[at..].rotate_right(1);
                best[at] = (price, (payload, cost));
            }
        };
        let low = low_bits(self.segment.most);
        let few = FEW * self.noise.map_or(0.0, |noise| noise.bit_cost);
        for end in &self.ends {
            // High bits that are wrong would make no packet's length.
            let payload = end.near(first).wrapping_sub(first) & low;
            if payload <= self.segment.most
                && self.cost(end, first.wrapping_add(payload)) <= few
                && self.likely.iter().all(|(l, _)| *l != payload)
            {
                consider((payload, self.lengths.cost(self.segment, payload)));
            }
        }
        self.turned.iter().copied().for_each(consider);
        best.into_iter().filter(|b| b.0 < f32::MAX).map(|b| b.1)
    }

    /// What a stream that stands at `head` after the segment will cost: what the next number of its side
    /// speaks against it, and of the answers the one that does so least.
    fn foreseen(&self, head: u32) -> f32 {
        let (own, answers) = self.ends.split_at(self.own);
        let next = own.first().map_or(0.0, |told| self.cost(told, head));
        let answered = answers.iter().map(|told| self.cost(told, head)).reduce(f32::min);
        next.min(FORESEEN[0]) + answered.unwrap_or(0.0).min(FORESEEN[1])
    }

    /// `cost` and what the later numbers speak against a segment that ends there, if together less than
    /// `most`.
    fn with_later(&self, cost: f32, end: u32, most: f32) -> Option<f32> {
        self.ends.iter().try_fold(cost, |sum, told| {
            let sum = sum + self.cost(told, end);
            (sum < most).then_some(sum)
        })
    }

    fn cost(&self, told: &End, end: u32) -> f32 {
        self.noise.map_or(0.0, |noise| told.cost(self.evidence, noise, end))
    }
}

/// The bits that a number up to `most` has.
fn low_bits(most: u32) -> u32 {
    u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0)
}
