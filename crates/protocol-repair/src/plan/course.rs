//! How far a search over a stream has come, and what a step makes of it.

use super::beam;
use super::holes::{Hole, fill, left, sign};
use super::known::Key;
use super::segment::{Segment, distance};
use std::rc::Rc;

/// Holes that are remembered. A sender that overruns a queue leaves more than a hundred.
const HOLES: usize = 256;
/// Ends of segments that an acknowledgement is compared with while the stream is laid out.
const ENDS: usize = 4;

/// A stream as far as a search has come. Two that stand at the same place with the same holes are the same:
/// of what led there the cheapest is kept, so that the search has room for others.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Its first number.
    pub(super) first: u32,
    /// Behind the last byte that was sent.
    pub(super) head: u32,
    /// What the other side has acknowledged.
    pub(super) acked: u32,
    /// Whether that was less than it could.
    pub(super) lagging: bool,
    /// Its open holes, the newest first: where each begins and ends. Most streams have none, and those
    /// that have share them until one changes.
    holes: Option<Rc<Vec<Hole>>>,
    /// Tells states apart that stand at the same place with different holes.
    signature: u32,
    /// Whether the last data began where a hole did.
    filled: bool,
    /// Ends of the last segments, the newest first.
    pub(super) ends: [u32; ENDS],
}

/// What happens to a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Nothing: a reset takes no numbers.
    Stays,
    /// `space` numbers from `seq` on are sent.
    Sent { seq: u32, space: u32 },
    /// The other side acknowledges all before a number: what it has is no hole.
    Acked(u32),
}

/// Where a stream stands, and the signature of its holes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Standing(u32, u32);

impl Key for Standing {
    fn number(self) -> u32 {
        self.0.wrapping_add(self.1)
    }
}

impl beam::State for State {
    type Key = Standing;
    type Step = Step;

    fn key_after(&self, step: Step) -> Standing {
        match step {
            Step::Stays => Standing(self.head, self.signature),
            Step::Sent { seq, space } => {
                let end = seq.wrapping_add(space);
                let head = if distance(self.head, end) > 0 { end } else { self.head };
                Standing(head, self.signature_after(seq, end))
            }
            Step::Acked(acked) => {
                let passed = self.holes().filter(|(from, _)| distance(*from, acked) > 0);
                let rest = passed.fold(self.signature, |sum, hole| sum.wrapping_sub(sign(hole)));
                Standing(self.head, rest)
            }
        }
    }

    fn after(&self, step: Step) -> Self {
        let after = self.clone();
        match step {
            Step::Stays => after,
            Step::Sent { seq, space } => after.sent(seq, space),
            Step::Acked(acked) => after.acknowledged(acked),
        }
    }
}

impl State {
    pub(super) fn at(first: u32) -> Self {
        let ends = [first; ENDS];
        let (head, acked) = (first, first);
        let (holes, signature) = (None, 0);
        Self { first, head, acked, lagging: false, holes, signature, filled: false, ends }
    }

    /// Where the stream stands after `segment` with `payload` bytes from `seq` on, and the step there.
    pub(super) fn with(&self, segment: &Segment, seq: u32, payload: u32) -> (u32, Step) {
        if segment.rst {
            return (self.head, Step::Stays);
        }
        let space = payload + segment.control();
        let end = seq.wrapping_add(space);
        let head = if distance(self.head, end) > 0 { end } else { self.head };
        (head, Step::Sent { seq, space })
    }

    /// After `space` numbers from `seq` on.
    fn sent(mut self, seq: u32, space: u32) -> Self {
        let end = seq.wrapping_add(space);
        if space > 0 {
            let filled = self.gaps().any(|gap| gap == seq);
            self.filled = filled;
        }
        if distance(self.head, seq) < 0 {
            let inside = |(from, to)| distance(seq, to) > 0 && distance(from, end) > 0;
            self.change_holes(inside, |holes| fill(holes, seq, end));
        }
        if distance(self.head, end) > 0 {
            if distance(self.head, seq) > 0 {
                let holes = Rc::make_mut(self.holes.get_or_insert_default());
                holes.truncate(HOLES - 1);
                holes.insert(0, (self.head, seq));
                self.sign_holes();
            }
            self.head = end;
            self.ends.rotate_right(1);
            self.ends[0] = end;
        }
        self
    }

    /// When the other side has acknowledged all before `acked`: what it has is no hole.
    fn acknowledged(mut self, acked: u32) -> Self {
        let lagging = acked != self.whole();
        let passed = |(from, _)| distance(from, acked) > 0;
        self.change_holes(passed, |holes| holes.retain(|hole| !passed(*hole)));
        Self { acked, lagging, ..self }
    }

    /// Changes holes; they are copied only where there is one of this kind.
    fn change_holes(&mut self, kind: impl Fn(Hole) -> bool, change: impl FnOnce(&mut Vec<Hole>)) {
        if self.holes().any(kind)
            && let Some(holes) = &mut self.holes
        {
            change(Rc::make_mut(holes));
            self.sign_holes();
        }
    }

    fn sign_holes(&mut self) {
        self.signature = self.holes().fold(0, |sum, hole| sum.wrapping_add(sign(hole)));
    }

    /// The signature after the numbers from `seq` to `end` were sent.
    fn signature_after(&self, seq: u32, end: u32) -> u32 {
        let ahead = distance(self.head, seq);
        if ahead > 0 && distance(self.head, end) > 0 {
            let oldest = self.holes.as_ref().and_then(|holes| holes.get(HOLES - 1..));
            let rest = oldest.into_iter().flatten();
            let rest = rest.fold(self.signature, |sum, hole| sum.wrapping_sub(sign(*hole)));
            return rest.wrapping_add(sign((self.head, seq)));
        }
        let holes = self.holes().filter(|_| ahead < 0);
        holes.fold(self.signature, |sum, hole| match left(hole, seq, end) {
            None => sum,
            Some(left) => {
                let sum = sum.wrapping_sub(sign(hole));
                left.into_iter().flatten().fold(sum, |sum, part| sum.wrapping_add(sign(part)))
            }
        })
    }

    fn holes(&self) -> impl Iterator<Item = Hole> {
        self.holes.iter().flat_map(|holes| holes.iter().copied())
    }

    /// Behind the last byte before the first hole: what the other side can acknowledge.
    pub(super) fn whole(&self) -> u32 {
        self.gaps().min_by_key(|gap| distance(self.head, *gap)).unwrap_or(self.head)
    }

    /// Whether a segment that was sent not long ago began and ended there.
    pub(super) fn repeats(&self, seq: u32, end: u32) -> bool {
        self.ends.windows(2).any(|pair| pair == [end, seq]) && end != seq
    }

    /// 0 where no hole is open, 2 after data that filled one of those that are, else 1.
    pub(super) fn open(&self) -> usize {
        match self.holes().next() {
            None => 0,
            Some(_) => 1 + usize::from(self.filled),
        }
    }

    /// Where open holes begin.
    pub(super) fn gaps(&self) -> impl Iterator<Item = u32> {
        self.holes().map(|(from, _)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::beam::State as _;
    use super::*;

    #[test]
    fn the_key_behind_a_step_is_that_of_the_state_behind_it() {
        // Around 2^32; so many holes that the oldest are forgotten.
        let mut state = State::at(0_u32.wrapping_sub(9000));
        let (mut random, mut most) = (1_u32, 0);
        for _ in 0..4 * HOLES {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (kind, away) = (random >> 28, (random >> 12) & 0x3ff);
            let step = match kind {
                0 => Step::Stays,
                1 => Step::Acked(state.whole().wrapping_add(away & 0x3f)),
                2..=5 => Step::Sent { seq: state.head.wrapping_sub(away), space: away >> 3 },
                6 => Step::Sent { seq: state.head, space: away },
                _ => Step::Sent { seq: state.head.wrapping_add(away), space: (away & 3) * away },
            };
            let key = state.key_after(step);
            state = state.after(step);
            let signature = state.holes().fold(0, |sum: u32, hole| sum.wrapping_add(sign(hole)));
            assert_eq!(key, Standing(state.head, signature), "{step:?}");
            assert_eq!(state.key_after(Step::Stays), key);
            most = most.max(state.holes().count());
        }
        assert!(most >= HOLES, "{most}");
    }
}
