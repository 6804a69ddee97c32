//! Where the segments of one side lie in its stream: a search over what the numbers, the lengths and
//! the other side's acknowledgements say together.

use super::astray::is_astray;
use super::beam::{Beam, Breadth, Mark, Offers};
use super::candidates::{Candidates, Lengths};
use super::course::{State, Step};
use super::place::{ELSEWHERE, Place};
use super::reach::{LEAST, reach};
use super::segment::{Numbers, Segment, distance, filled};
use crate::draft::Draft;
use crate::evidence::Noise;
use std::cell::OnceCell;
use std::ops::Range;

/// Furthest that real data lies from what is known of its stream. Units: bytes.
pub(super) const REACH: u32 = 1 << 23;
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
/// Less than before: what came before was taken for more than it was.
const TAKEN_FOR_MORE: f32 = 5.0;
/// Lost segments that are tried whatever the numbers say.
const LOST: u32 = 3;
/// States this much dearer than one that several numbers confirm are given up. Units: nats.
const SURE: f32 = 12.0;
/// How far a search looks: first, and where that has found what the numbers contradict.
const NARROW: Breadth = Breadth { width: 12, margin: 30.0 };
const WIDE: Breadth = Breadth { width: 64, margin: 60.0 };
/// Segments of the side after which the search is judged: it goes back by up to twice as many.
const BLOCK: usize = 400;

/// What is decided about one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) seq: u32,
    pub(crate) payload: u32,
    /// Where the stream stands after it.
    pub(crate) head: u32,
}

/// Lays out the stream of `side`: one [`Placed`] for each of its segments, in order. `starts` are
/// numbers that the stream may begin with, each with its cost; `noise` is `None` where the numbers of
/// the evidence say nothing.
///
/// A narrow search finds most streams. Where what it finds contradicts more than noise does, it goes
/// back and looks further.
pub(crate) fn lay_out(
    draft: &Draft<'_>,
    segments: &[Segment],
    side: usize,
    starts: &[(f32, u32)],
    lengths: &impl Lengths,
    noise: Option<Noise>,
) -> Vec<Placed> {
    let search = Search {
        segments,
        side,
        numbers: Numbers::new(draft, noise),
        lengths,
        draft,
        reach: OnceCell::new(),
        opened: segments.iter().find(|s| s.side == side).is_some_and(|s| s.syn),
    };
    search.run(starts)
}

/// What the search for one side's stream goes by.
struct Search<'a, L> {
    segments: &'a [Segment],
    side: usize,
    numbers: Numbers<'a>,
    lengths: &'a L,
    draft: &'a Draft<'a>,
    /// How far ahead of what was acknowledged data may lie, once that is asked for.
    reach: OnceCell<u32>,
    /// Whether the side's first segment opens its stream.
    opened: bool,
}

type Placing = Beam<State, Option<Placed>>;
type Choices<'a> = Offers<'a, State, Option<Placed>>;

impl<L: Lengths> Search<'_, L> {
    /// The cheapest stream that is found.
    fn run(&self, starts: &[(f32, u32)]) -> Vec<Placed> {
        let starts = starts.iter().map(|(cost, first)| (*cost, State::at(*first)));
        let mut beam = Beam::new(NARROW, starts);
        // Where the block before begins, unless it was searched wide.
        let mut before: Option<(usize, Mark<State>)> = None;
        // Whether a wide search has not helped since a block was sound.
        let mut in_vain = false;
        for block in self.blocks() {
            let mark = beam.mark();
            beam.breadth = NARROW;
            self.steps(&mut beam, block.clone());
            let astray = self.is_astray(&beam, &mark, block.clone());
            if astray && !in_vain {
                let (start, mark) = before.take().unwrap_or((block.start, mark));
                beam.back_to(&mark);
                beam.breadth = WIDE;
                self.steps(&mut beam, start..block.end);
                in_vain = self.is_astray(&beam, &mark, start..block.end);
            } else {
                in_vain &= astray;
                before = Some((block.start, mark));
            }
        }
        beam.finish().into_iter().flatten().collect()
    }

    /// Runs of segments of which so many are of the side.
    fn blocks(&self) -> Vec<Range<usize>> {
        let own = self.segments.iter().enumerate().filter(|(_, s)| s.side == self.side);
        let mut starts: Vec<usize> = own.map(|(index, _)| index).step_by(BLOCK).collect();
        if let Some(first) = starts.first_mut() {
            *first = 0;
        }
        let ends = starts.iter().copied().skip(1).chain([self.segments.len()]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Takes the search past some segments.
    fn steps(&self, beam: &mut Placing, block: Range<usize>) {
        let mut candidates = Candidates::new(&self.numbers, self.segments, self.lengths);
        for index in block {
            let segment = &self.segments[index];
            if segment.side != self.side {
                if self.numbers.tell() && segment.ack && !segment.rst {
                    beam.step(|state, offers| self.answer(segment, state, offers));
                }
            } else if segment.exact || !self.numbers.tell() {
                let tried = self.exact_lengths(segment);
                beam.step(|state, offers| self.follow(segment, &tried, state, offers));
            } else {
                candidates.turn_to(index);
                // Two numbers of 32 bits do not agree by chance: nothing else is worth following far.
                candidates.sure = beam.best().is_some_and(|best| candidates.confirmed(best.head));
                let margin = if candidates.sure { SURE } else { f32::MAX };
                let goes_on = |state: &State| self.goes_on(segment, &candidates, state);
                beam.step_within(margin, goes_on, |state, offers| {
                    self.place(segment, &candidates, state, offers);
                });
            }
        }
    }

    /// Offers the likeliest of what a segment of the other side may acknowledge.
    fn answer(&self, segment: &Segment, state: &State, offers: &mut Choices<'_>) {
        let number = self.numbers.ack(segment);
        let cost = |value| self.numbers.cost(number, value);
        let whole = state.whole();
        let lagging = usize::from(state.lagging);
        let all = if state.acked == whole { 0.0 } else { ALL[lagging] };
        let mut best = (all + cost(whole), whole);
        // Nothing else is cheaper than to acknowledge what was before.
        let others = !segment.exact && best.0 > AS_BEFORE[lagging];
        let mut consider = |price: f32, acked: u32| {
            if price < best.0 && price + cost(acked) < best.0 {
                best = (price + cost(acked), acked);
            }
        };
        if others && whole != state.head {
            // Past all holes, or past the first, up to the next.
            consider(PASSES, state.head);
            let further = state.gaps().filter(|gap| *gap != whole);
            let next = further.min_by_key(|gap| distance(state.head, *gap));
            if let Some(to) = next {
                consider(PASSES, to);
            }
        }
        let some = state.ends.map(|end| (SOME[lagging] + AN_END, end));
        let less = some.into_iter().chain([(AS_BEFORE[lagging], state.acked)]);
        for (price, acked) in less.filter(|_| others) {
            if distance(acked, whole) > 0 {
                let back = distance(state.acked, acked) < 0;
                consider(price + if back { TAKEN_FOR_MORE } else { 0.0 }, acked);
            }
        }
        let (cost, acked) = best;
        if offers.within(cost) {
            offers.add(cost, Step::Acked(acked), None);
        }
    }

    /// The lengths, each with its cost, that a segment may have whose number follows from the others': the
    /// last step of a handshake may still be shorter than it was settled.
    fn exact_lengths(&self, segment: &Segment) -> Vec<(u32, f32)> {
        if L::DECIDED {
            return vec![(segment.payload, 0.0)];
        }
        let shorter = !segment.syn && !segment.rst && segment.payload > 0;
        let lengths = std::iter::once(segment.payload).chain(shorter.then_some(0));
        lengths.map(|length| (length, self.lengths.cost(segment, length))).collect()
    }

    /// Offers the one place of a segment whose number follows from the others'.
    fn follow(
        &self,
        segment: &Segment,
        lengths: &[(u32, f32)],
        state: &State,
        offers: &mut Choices<'_>,
    ) {
        let seq = if segment.syn { state.first } else { state.head };
        for &(payload, price) in lengths {
            let (head, step) = state.with(segment, seq, payload);
            let cost = price + self.numbers.cost(self.numbers.seq(segment), seq);
            offers.add(cost, step, Some(Placed { seq, payload, head }));
        }
    }

    /// Offers the places that a segment may have.
    fn place(
        &self,
        segment: &Segment,
        candidates: &Candidates<'_, L>,
        state: &State,
        offers: &mut Choices<'_>,
    ) {
        let space = segment.payload + segment.control();
        let head = state.head;
        let stays = candidates.foreseen(head);
        let mut at = |seq: u32| self.place_at(seq, segment, candidates, (state, stays), offers);
        at(head);
        let within = |seq: &u32| *seq != head && distance(head, *seq).unsigned_abs() < REACH;
        Some(filled(segment.seq, head)).filter(within).map(&mut at);
        state.gaps().for_each(&mut at);
        // After a hole, where only the next segment's number tells.
        let next = candidates.next().map(|next| next.near(head).wrapping_sub(space));
        next.filter(within).map(&mut at);
        if segment.payload > 0 {
            // The last bytes again: also what a segment does that has strayed into this stream.
            at(head.wrapping_sub(space));
            // Behind a hole of a few such segments, if its own number has too many wrong bits.
            for lost in 1..=LOST {
                at(head.wrapping_add(lost * segment.payload));
            }
        }
    }

    /// What it costs, and what is foreseen behind it, that a segment of the likeliest length goes on where the
    /// stream stands.
    fn goes_on(
        &self,
        segment: &Segment,
        candidates: &Candidates<'_, L>,
        state: &State,
    ) -> Option<(f32, f32)> {
        let (payload, price) = *candidates.likely().first()?;
        let seq = state.head;
        if self.is_before(state, seq) || segment.rst {
            return None;
        }
        let told = self.numbers.cost(self.numbers.seq(segment), seq);
        let space = payload + segment.control();
        let price = told + price + Place::new(state, seq).price(payload, space);
        Some((price, candidates.foreseen(seq.wrapping_add(space))))
    }

    /// Whether a number lies before the opening of the connection: nothing was sent there.
    fn is_before(&self, state: &State, seq: u32) -> bool {
        self.opened && distance(state.first, seq) <= 0
    }

    /// Whether data that far ahead of what was acknowledged is more than the receiver lets be sent.
    fn is_beyond(&self, ahead: i32) -> bool {
        // Few conversations come as far as to ask.
        let reach = || reach(self.draft, self.segments, self.side);
        ahead > LEAST as i32 && ahead > *self.reach.get_or_init(reach) as i32
    }

    /// Offers the lengths that a segment may have if it begins at `seq`; `stays` is what is foreseen where the
    /// stream stands.
    fn place_at(
        &self,
        seq: u32,
        segment: &Segment,
        candidates: &Candidates<'_, L>,
        (state, stays): (&State, f32),
        offers: &mut Choices<'_>,
    ) {
        if self.is_before(state, seq) {
            return;
        }
        let told = self.numbers.cost(self.numbers.seq(segment), seq);
        // Most places cost too much whatever the length is: also those behind which the stream stands as
        // before.
        let elsewhere = if seq == state.head { 0.0 } else { ELSEWHERE[state.open()] };
        if !offers.within(told + elsewhere) {
            return;
        }
        let place = Place::new(state, seq);
        let least = place.least(segment.most());
        let furthest = seq.wrapping_add(segment.most() + segment.control());
        let foreseen = if distance(state.head, furthest) <= 0 { stays } else { 0.0 };
        if !offers.within(told + least + foreseen) {
            return;
        }
        let offer = |offers: &mut Choices<'_>, &(payload, price): &(u32, f32)| {
            let end = seq.wrapping_add(payload);
            if !offers.within(told + price + least) {
                return;
            }
            if place.ahead() > 0 && self.is_beyond(distance(state.acked, end)) {
                return;
            }
            let price = told + price + place.price(payload, payload + segment.control());
            if !offers.within(price) {
                return;
            }
            let (head, step) = state.with(segment, seq, payload);
            let foreseen = if head == state.head { stays } else { candidates.foreseen(head) };
            offers.add_foreseen(price, foreseen, step, Some(Placed { seq, payload, head }));
        };
        candidates.likely().iter().for_each(|length| offer(offers, length));
        if offers.within(told + candidates.unlikely() + least + foreseen) {
            candidates.told(seq, |length| offer(offers, length));
        }
    }

    /// Whether the cheapest stream contradicts the numbers of a block, which began at `mark`, somewhere by
    /// more than noise does.
    fn is_astray(&self, beam: &Placing, mark: &Mark<State>, block: Range<usize>) -> bool {
        let Some(noise) = self.numbers.noise() else { return false };
        let own = self.segments[block].iter().filter(|s| s.side == self.side);
        let cost = |(segment, placed): (&Segment, Placed)| {
            self.numbers.cost(self.numbers.seq(segment), placed.seq)
        };
        let costs: Vec<f32> = own.zip(beam.since(mark).into_iter().flatten()).map(cost).collect();
        is_astray(&costs, noise)
    }
}
