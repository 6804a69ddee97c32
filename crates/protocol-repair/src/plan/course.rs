//! How far a search over a stream has come, and what its next step costs.
//!
//! A segment goes on where the stream stands, leaves a hole, fills one, or repeats. The costs are those
//! of real traffic: `-ln` of the shares that `examples/stream_statistics.rs` counts in captures of
//! eleven services and of video (98,000 segments).

use super::beam;
use super::segment::{Segment, distance};
use super::stream::REACH;
use std::rc::Rc;

// Losses and late segments come together: what is rare in a whole stream (first, of 89,833 segments)
// happens while a hole is open (second, of 7,418), and what happens then goes on after data that filled
// one (third, of 1,077).
/// Data after a hole that has room for some such segments: 0.12, 6.9 and 2.0 %. Of these holes 58 % are one
/// segment long, 18 % two or three, one in 645 more than 45: `n` segments cost [`FALL`] times ln n more.
const HOLE: [f32; 3] = [7.2, 3.2, 4.4];
const FALL: f32 = 2.5;
/// Data after any other hole, [`anywhere`] within reach: 0.01 and 0.11 %, and none.
const ODD_HOLE: [f32; 3] = [9.2, 6.8, 7.0];
/// Data behind the head, [`anywhere`] but where a hole begins: 0.04, 0.18 and 1.1 %; and there: 3.0
/// and 89 %.
const BEHIND: [f32; 3] = [7.9, 6.3, 4.5];
const FILLS: [f32; 3] = [f32::MAX, 3.5, 0.1];
/// Data that goes on: 90 % while a hole is open, and 8 % after data that filled one.
const GOES_ON: [f32; 3] = [0.0, 0.1, 2.5];
/// A segment that repeats one that was sent: 0.06 %.
const REPEAT: f32 = 7.5;
/// An empty segment after a hole: 4 of 98,325, [`anywhere`].
const EMPTY_HOLE: f32 = 10.1;
/// A keep-alive, one byte behind the head: 3 of 98,325; and an empty segment anywhere else behind it: 1.
const KEEP_ALIVE: f32 = 10.4;
const EMPTY_BEHIND: f32 = 11.5;
/// What data behind the head costs more where all of it was acknowledged: 8 of 1,286.
const ACKNOWLEDGED: f32 = 5.1;
/// The least that a place away from the head costs.
pub(super) const ELSEWHERE: [f32; 3] = [HOLE[0], HOLE[1], FILLS[2]];
/// Holes that are remembered. A sender that overruns a queue leaves more than a hundred.
const HOLES: usize = 256;
/// Ends of segments that an acknowledgement is compared with while the stream is laid out.
const ENDS: usize = 4;

/// Nats of being `away` bytes from the head: every order of magnitude up to [`REACH`] is as likely.
fn anywhere(away: u32) -> f32 {
    (away as f32).ln() + (REACH as f32).ln().ln()
}

/// What is left of holes (where each begins and ends) after the numbers from `seq` to `end` were sent:
/// those in the middle of a hole leave two.
pub(super) fn fill(holes: &mut Vec<(u32, u32)>, seq: u32, end: u32) {
    let touches = |(from, to): (u32, u32)| distance(seq, to) > 0 && distance(from, end) > 0;
    for at in (0..holes.len()).rev() {
        let (from, to) = holes[at];
        if !touches((from, to)) {
            continue;
        }
        match (distance(from, seq) > 0, distance(end, to) > 0) {
            (false, false) => drop(holes.remove(at)),
            (true, false) => holes[at].1 = seq,
            (false, true) => holes[at].0 = end,
            (true, true) => {
                holes[at].0 = end;
                holes.insert(at + 1, (from, seq));
            }
        }
    }
}

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
    holes: Option<Rc<Vec<(u32, u32)>>>,
    /// Whether the last data began where a hole did.
    filled: bool,
    /// Ends of the last segments, the newest first.
    pub(super) ends: [u32; ENDS],
}

impl beam::State for State {
    type Key = (u32, u32);

    fn key(&self) -> (u32, u32) {
        (self.head, self.signature())
    }
}

impl State {
    pub(super) fn at(first: u32) -> Self {
        let ends = [first; ENDS];
        let (head, acked) = (first, first);
        Self { first, head, acked, lagging: false, holes: None, filled: false, ends }
    }

    /// After `space` numbers from `seq` on.
    pub(super) fn after(mut self, seq: u32, space: u32) -> Self {
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
            }
            self.head = end;
            self.ends.rotate_right(1);
            self.ends[0] = end;
        }
        self
    }

    /// When the other side has acknowledged all before `acked`: what it has is no hole.
    pub(super) fn acknowledged(mut self, acked: u32) -> Self {
        let lagging = acked != self.whole();
        let passed = |(from, _)| distance(from, acked) > 0;
        self.change_holes(passed, |holes| holes.retain(|hole| !passed(*hole)));
        Self { acked, lagging, ..self }
    }

    /// Changes holes; they are copied only where there is one of this kind.
    fn change_holes(
        &mut self,
        kind: impl Fn((u32, u32)) -> bool,
        change: impl FnOnce(&mut Vec<(u32, u32)>),
    ) {
        if self.holes().any(kind)
            && let Some(holes) = &mut self.holes
        {
            change(Rc::make_mut(holes));
        }
    }

    /// Tells states apart that stand at the same place with different holes.
    fn signature(&self) -> u32 {
        self.holes().fold(0, |sum, (from, to)| {
            sum.wrapping_add(
                from.wrapping_mul(0x9e37_79b1) ^ to.wrapping_mul(0x85eb_ca6b).rotate_left(13),
            )
        })
    }

    fn holes(&self) -> impl Iterator<Item = (u32, u32)> {
        self.holes.iter().flat_map(|holes| holes.iter().copied())
    }

    /// Behind the last byte before the first hole: what the other side can acknowledge.
    pub(super) fn whole(&self) -> u32 {
        self.gaps().min_by_key(|gap| distance(self.head, *gap)).unwrap_or(self.head)
    }

    /// Whether a segment that was sent not long ago began and ended there.
    fn repeats(&self, seq: u32, end: u32) -> bool {
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

    /// What it costs that `segment` begins at `seq` with `payload` bytes, whatever it says itself.
    pub(super) fn price(&self, segment: &Segment, seq: u32, payload: u32) -> f32 {
        let ahead = distance(self.head, seq);
        let away = ahead.unsigned_abs();
        let end = seq.wrapping_add(payload + segment.control());
        let open = self.open();
        match ahead {
            0 if payload == 0 => 0.0,
            0 => GOES_ON[open],
            1.. if payload == 0 => EMPTY_HOLE + anywhere(away),
            1.. if away.is_multiple_of(payload) => {
                HOLE[open] + FALL * (away.div_euclid(payload) as f32).ln()
            }
            1.. => ODD_HOLE[open] + anywhere(away),
            -1 if payload == 0 => KEEP_ALIVE,
            _ if payload == 0 => EMPTY_BEHIND + anywhere(away),
            _ => {
                let done = distance(end, self.acked) >= 0;
                let place = if self.gaps().any(|gap| gap == seq) {
                    FILLS[open]
                } else if self.repeats(seq, end) {
                    REPEAT
                } else {
                    BEHIND[open] + anywhere(away)
                };
                place + if done { ACKNOWLEDGED } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_lose_what_was_sent() {
        // Around 2^32, the newest hole first.
        let number = |n: u32| n.wrapping_sub(50);
        let holes = |all: &[(u32, u32)]| -> Vec<(u32, u32)> {
            all.iter().map(|(from, to)| (number(*from), number(*to))).collect()
        };
        for (from, to, left) in [
            (20, 40, vec![(60, 90)]),
            (60, 70, vec![(70, 90), (20, 40)]),
            (80, 99, vec![(60, 80), (20, 40)]),
            (65, 75, vec![(75, 90), (60, 65), (20, 40)]),
            (30, 75, vec![(75, 90), (20, 30)]),
            (40, 60, vec![(60, 90), (20, 40)]),
        ] {
            let mut all = holes(&[(60, 90), (20, 40)]);
            fill(&mut all, number(from), number(to));
            assert_eq!(all, holes(&left), "{from}..{to}");
        }
    }
}
