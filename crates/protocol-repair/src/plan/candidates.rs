//! How long a segment may be, and what later numbers say of it.

use super::known::Known;
use super::segment::{Length, Number, Numbers, Segment, filled};
use crate::evidence::Reading;
use std::cell::RefCell;

/// Later segments of the same side that say where one ends, and answers of the other side.
const NEXT: usize = 5;
const ANSWERS: usize = 3;
/// All of them, and those that say it first: the next number and the answers.
const LATER: usize = NEXT + ANSWERS;
const SOON: usize = 1 + ANSWERS;
/// Lengths that later numbers speak for that are tried.
const TRIED: usize = 3;
/// Room that most segments have enough of.
const ROOM: usize = 16;
/// Most nats that the next number of a side and the next answer are foreseen to cost: whatever it says,
/// a segment may lie elsewhere, and an answer acknowledge less.
const FORESEEN: [f32; 2] = [14.0, 10.0];
/// Wrong bits of a number that still says where a segment ends.
const FEW: f32 = 3.0;
/// Cells of a number that confirms something and may yet say nothing.
const MISSING: u32 = 4;

/// What the lengths that a segment may have cost.
pub(crate) trait Lengths {
    /// Whether a segment has no other length than its likeliest.
    const DECIDED: bool;

    /// Nats of its having `payload` bytes.
    fn cost(&self, segment: &Segment, payload: u32) -> f32;
    /// Adds its likeliest lengths by themselves, each with its cost; the least that any other costs.
    fn likely(&self, segment: &Segment, likely: &mut Vec<(u32, f32)>) -> f32;
}

/// Lengths that are decided.
pub(super) struct Fixed;

impl Lengths for Fixed {
    const DECIDED: bool = true;

    fn cost(&self, segment: &Segment, payload: u32) -> f32 {
        if payload == segment.payload { 0.0 } else { f32::MAX }
    }

    fn likely(&self, segment: &Segment, likely: &mut Vec<(u32, f32)>) -> f32 {
        likely.push((segment.payload, 0.0));
        f32::MAX
    }
}

/// A later number that says where a segment ends.
#[derive(Clone, Copy)]
pub(super) struct End {
    number: Number,
    /// Numbers between the end and it.
    skipped: u32,
}

impl End {
    /// The end, if it lies near `number`.
    pub(super) fn near(self, number: u32) -> u32 {
        filled(self.number.reading, number.wrapping_add(self.skipped)).wrapping_sub(self.skipped)
    }

    /// Whether the number is that of a segment's ending at `end`: 32 bits do not agree by chance.
    fn says(self, end: u32) -> bool {
        says(self.number.reading, end.wrapping_add(self.skipped))
    }
}

/// Later numbers that say where a segment ends: that of the next segment of its side, answers, and those
/// of the segments behind the next.
///
/// # Layout
/// Side by side, so that a compiler compares an end with all of them at once. One that is missing has no
/// known bits: it costs nothing.
#[derive(Default)]
struct Ends {
    each: [Option<End>; LATER],
    value: [u32; LATER],
    known: [u32; LATER],
    skipped: [u32; LATER],
    answers: usize,
}

impl Ends {
    /// Goes on to those of the segment at `index`: of the next segments of its side, if what lies between
    /// is as long as settled, and the other side's next acknowledgements.
    fn turn_to(&mut self, numbers: &Numbers<'_>, segments: &[Segment], index: usize) {
        let side = segments[index].side;
        let later = &segments[index + 1..];
        (self.each, self.known, self.answers) = ([None; LATER], [0; LATER], 0);
        let mut skipped = 0_u32;
        let own = later.iter().take(8 * NEXT).filter(|s| s.side == side);
        for (segment, place) in own.zip(std::iter::once(0).chain(SOON..LATER)) {
            self.put(place, End { number: numbers.seq(segment), skipped });
            skipped = skipped.wrapping_add(segment.payload + segment.control());
        }
        let answers = later.iter().take(8 * ANSWERS).filter(|s| s.side != side && s.ack);
        for (segment, place) in answers.zip(1..SOON) {
            self.put(place, End { number: numbers.ack(segment), skipped: 0 });
            self.answers = place;
        }
    }

    fn put(&mut self, place: usize, end: End) {
        self.each[place] = Some(end);
        let reading = end.number.reading;
        (self.value[place], self.known[place]) = (reading.value, reading.known);
        self.skipped[place] = end.skipped;
    }

    /// In the order in which they come: those of its own side, then answers.
    fn iter(&self) -> impl Iterator<Item = &End> {
        let (soon, behind) = self.each.split_at(SOON);
        soon[..1].iter().chain(behind).chain(&soon[1..]).flatten()
    }

    /// Nats that the first `N` speak against a segment's ending at `end`. A number with many wrong bits is
    /// another one.
    #[inline]
    fn costs<const N: usize>(&self, numbers: &Numbers<'_>, end: u32) -> [f32; N] {
        let wrong: [u32; N] = std::array::from_fn(|place| {
            (self.value[place] ^ end.wrapping_add(self.skipped[place])) & self.known[place]
        });
        numbers.related(wrong, |place| self.each[place].map(|told| told.number))
    }
}

/// Whether a reading is that of a number.
fn says(reading: Reading, number: u32) -> bool {
    reading.wrong(number) == 0 && reading.missing() <= MISSING
}

/// Lengths that a segment may have.
pub(super) struct Candidates<'a, L> {
    numbers: &'a Numbers<'a>,
    segments: &'a [Segment],
    lengths: &'a L,
    /// Which segment it is.
    index: usize,
    /// The likeliest by themselves, each with its cost.
    likely: Vec<(u32, f32)>,
    /// The least that any other costs.
    unlikely: f32,
    /// Where later numbers say that it ends.
    ends: Ends,
    /// Whether later numbers leave no doubt of its length.
    pub(super) sure: bool,
    /// What these ends make of its lengths.
    told: RefCell<Told>,
    /// What is foreseen where a stream stands: many states stand there.
    foreseen: RefCell<Foreseen>,
}

/// What later numbers speak against each end so far.
struct Foreseen {
    ends: Known<u32>,
    costs: Vec<f32>,
}

/// The lengths of a segment by the numbers that it may begin at.
struct Told {
    /// Those that one wrong bit of its length field makes what it reads.
    turned: Vec<(u32, f32)>,
    /// Numbers so far, and where the lengths of each with their costs end.
    numbers: Known<u32>,
    ends: Vec<usize>,
    lengths: Vec<(u32, f32)>,
}

impl<'a, L: Lengths> Candidates<'a, L> {
    pub(super) fn new(numbers: &'a Numbers<'a>, segments: &'a [Segment], lengths: &'a L) -> Self {
        Self {
            numbers,
            segments,
            lengths,
            index: 0,
            likely: Vec::with_capacity(ROOM),
            unlikely: 0.0,
            ends: Ends::default(),
            sure: false,
            told: RefCell::new(Told {
                turned: Vec::with_capacity(ROOM),
                numbers: Known::with_capacity(ROOM),
                ends: Vec::with_capacity(ROOM),
                lengths: Vec::with_capacity(ROOM),
            }),
            foreseen: RefCell::new(Foreseen {
                ends: Known::with_capacity(ROOM),
                costs: Vec::with_capacity(ROOM),
            }),
        }
    }

    /// Goes on to the segment at `index`.
    pub(super) fn turn_to(&mut self, index: usize) {
        self.index = index;
        self.sure = false;
        let segment = &self.segments[index];
        self.likely.clear();
        self.unlikely = self.lengths.likely(segment, &mut self.likely);
        self.ends.turn_to(self.numbers, self.segments, index);
        self.told.get_mut().numbers.clear();
        let Foreseen { ends, costs } = self.foreseen.get_mut();
        ends.clear();
        costs.clear();
    }

    fn segment(&self) -> &'a Segment {
        &self.segments[self.index]
    }

    /// The number of the next segment of its side.
    pub(super) fn next(&self) -> Option<End> {
        self.ends.each[0]
    }

    /// Whether two numbers or more agree without a wrong bit that the segment begins at `seq` and has
    /// the length that it has by itself.
    pub(super) fn confirmed(&self, seq: u32) -> bool {
        let end = seq.wrapping_add(self.segment().payload + self.segment().control());
        let ends = self.ends.iter().filter(|told| told.says(end)).take(2).count();
        ends > 0 && ends + usize::from(says(self.segment().seq, seq)) > 1
    }

    /// The likeliest lengths of the segment by themselves, each with its cost.
    pub(super) fn likely(&self) -> &[(u32, f32)] {
        &self.likely
    }

    /// The least that any other length costs.
    pub(super) fn unlikely(&self) -> f32 {
        self.unlikely
    }

    /// Offers the other lengths, each with its cost, that later numbers speak for if the segment begins
    /// at `seq`.
    pub(super) fn told(&self, seq: u32, offer: impl FnMut(&(u32, f32))) {
        let Some(field) = self.segment().length.filter(|_| !self.sure) else { return };
        // Many states stand at the same number.
        let mut told = self.told.borrow_mut();
        let Told { turned, numbers, ends, lengths } = &mut *told;
        let (place, known) = numbers.place(seq);
        if !known {
            if place == 0 {
                self.turn(field, turned);
                lengths.clear();
                ends.clear();
            }
            lengths.extend(self.tell(seq, field.most, turned));
            ends.push(lengths.len());
        }
        let start = place.checked_sub(1).map_or(0, |before| ends[before]);
        lengths[start..ends[place]].iter().for_each(offer);
    }

    /// The lengths that one wrong bit of the segment's length field makes what it reads.
    fn turn(&self, field: Length, turned: &mut Vec<(u32, f32)>) {
        let segment = self.segment();
        let most = field.most + field.empty;
        let own = field.reading.value & low_bits(most);
        let totals = (0..32 - most.leading_zeros()).map(|bit| own ^ (1 << bit)).chain([own]);
        let lengths = totals.filter_map(|total| total.checked_sub(field.empty));
        let other = |l: &u32| *l <= field.most && self.likely.iter().all(|(known, _)| known != l);
        turned.clear();
        turned.extend(lengths.filter(other).map(|l| (l, self.lengths.cost(segment, l))));
    }

    /// The lengths that later numbers speak for if the segment begins at `seq`, each with its cost: of
    /// those that they make and those one wrong bit away from its own, the likeliest.
    fn tell(&self, seq: u32, most: u32, turned: &[(u32, f32)]) -> impl Iterator<Item = (u32, f32)> {
        let first = seq.wrapping_add(self.segment().control());
        let mut best = [(f32::MAX, (0, 0.0)); TRIED];
        let mut consider = |(payload, cost): (u32, f32)| {
            if cost >= best[TRIED - 1].0 || best.iter().any(|b| b.0 < f32::MAX && b.1.0 == payload)
            {
                return;
            }
            let end = first.wrapping_add(payload);
            let price = self.with_later(cost, end);
            if price < best[TRIED - 1].0 {
                insert(&mut best, (price, (payload, cost)));
            }
        };
        let low = low_bits(most);
        let few = FEW * self.numbers.bit_cost();
        for end in self.ends.iter() {
            // High bits that are wrong would make no packet's length.
            let payload = end.near(first).wrapping_sub(first) & low;
            let number = first.wrapping_add(payload).wrapping_add(end.skipped);
            if payload <= most
                && self.numbers.cost(end.number, number) <= few
                && self.likely.iter().all(|(l, _)| *l != payload)
            {
                consider((payload, self.lengths.cost(self.segment(), payload)));
            }
        }
        turned.iter().copied().for_each(consider);
        best.into_iter().filter(|b| b.0 < f32::MAX).map(|b| b.1)
    }

    /// What a stream that stands at `head` after the segment will cost: what the next number of its side
    /// speaks against it, and of the answers the one that does so least.
    pub(super) fn foreseen(&self, head: u32) -> f32 {
        let Foreseen { ends, costs } = &mut *self.foreseen.borrow_mut();
        let (place, known) = ends.place(head);
        if !known {
            costs.push(self.foresee(head));
        }
        costs[place]
    }

    fn foresee(&self, head: u32) -> f32 {
        let [next, answers @ ..] = self.ends.costs::<SOON>(self.numbers, head);
        let answered = answers[..self.ends.answers].iter().copied().reduce(f32::min);
        next.min(FORESEEN[0]) + answered.unwrap_or(0.0).min(FORESEEN[1])
    }

    /// `cost` and what the later numbers speak against a segment that ends there.
    fn with_later(&self, cost: f32, end: u32) -> f32 {
        let costs = self.ends.costs::<LATER>(self.numbers, end);
        let (soon, behind) = costs.split_at(SOON);
        let in_order = soon[..1].iter().chain(behind).chain(&soon[1..]);
        in_order.fold(cost, |sum, cost| sum + cost)
    }
}

/// Puts what is cheaper than the last of `best` in its place: behind what costs as much.
pub(crate) fn insert<K: Copy + PartialOrd, T: Copy>(best: &mut [(K, T)], new: (K, T)) {
    let mut at = best.len() - 1;
    while at > 0 && best[at - 1].0 > new.0 {
        best[at] = best[at - 1];
        at -= 1;
    }
    best[at] = new;
}

/// The bits that a number up to `most` has.
fn low_bits(most: u32) -> u32 {
    u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0)
}
