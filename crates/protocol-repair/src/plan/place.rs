//! What it costs that a segment begins somewhere in its stream.
//!
//! A segment goes on where the stream stands, leaves a hole, fills one, or repeats. The costs are those
//! of real traffic: `-ln` of the shares that `examples/stream_statistics.rs` counts in captures of
//! eleven services and of video (98,000 segments).

use super::course::State;
use super::segment::distance;
use super::stream::REACH;

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
/// Nats of being `away` bytes from the head: every order of magnitude up to [`REACH`] is as likely.
fn anywhere(away: u32) -> f32 {
    (away as f32).ln() + (REACH as f32).ln().ln()
}

/// Where a segment may begin.
pub(super) struct Place<'a> {
    state: &'a State,
    seq: u32,
    /// How far ahead of where the stream stands.
    ahead: i32,
    /// What [`State::open`] says.
    open: usize,
    /// Whether a hole begins there.
    fills: bool,
    /// What [`anywhere`] says of it.
    anywhere: f32,
}

impl<'a> Place<'a> {
    pub(super) fn new(state: &'a State, seq: u32) -> Self {
        let ahead = distance(state.head, seq);
        let fills = ahead < 0 && state.gaps().any(|gap| gap == seq);
        let anywhere = if ahead == 0 { 0.0 } else { anywhere(ahead.unsigned_abs()) };
        Self { state, seq, ahead, open: state.open(), fills, anywhere }
    }

    /// How far ahead of where the stream stands.
    pub(super) fn ahead(&self) -> i32 {
        self.ahead
    }

    /// What a segment of at most `most` bytes costs there at least, whatever it says itself.
    pub(super) fn least(&self, most: u32) -> f32 {
        let open = self.open;
        match self.ahead {
            0 => 0.0,
            1.. => {
                let fewest = self.ahead.unsigned_abs().div_euclid(most.max(1));
                let room = if fewest > 1 { FALL * (fewest as f32).ln() } else { 0.0 };
                (HOLE[open] + room).min(ODD_HOLE[open].min(EMPTY_HOLE) + self.anywhere)
            }
            _ if self.fills => FILLS[open],
            behind => {
                let empty = if behind == -1 { KEEP_ALIVE } else { f32::MAX };
                let again =
                    if self.state.ends[1..].contains(&self.seq) { REPEAT } else { f32::MAX };
                (BEHIND[open] + self.anywhere).min(empty).min(again)
            }
        }
    }

    /// What a segment of `payload` bytes and `space` numbers costs there, whatever it says itself.
    pub(super) fn price(&self, payload: u32, space: u32) -> f32 {
        let Self { state, seq, ahead, open, fills, anywhere } = *self;
        let away = ahead.unsigned_abs();
        let end = seq.wrapping_add(space);
        match ahead {
            0 if payload == 0 => 0.0,
            0 => GOES_ON[open],
            1.. if payload == 0 => EMPTY_HOLE + anywhere,
            1.. if away.is_multiple_of(payload) => {
                HOLE[open] + FALL * (away.div_euclid(payload) as f32).ln()
            }
            1.. => ODD_HOLE[open] + anywhere,
            -1 if payload == 0 => KEEP_ALIVE,
            _ if payload == 0 => EMPTY_BEHIND + anywhere,
            _ => {
                let done = distance(end, state.acked) >= 0;
                let place = if fills {
                    FILLS[open]
                } else if state.repeats(seq, end) {
                    REPEAT
                } else {
                    BEHIND[open] + anywhere
                };
                place + if done { ACKNOWLEDGED } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::beam::State as _;
    use super::super::course::{State, Step};
    use super::Place;

    #[test]
    fn no_segment_is_cheaper_than_the_least() {
        let (first, most) = (0_u32.wrapping_sub(4000), 1448);
        let sent = |state: State, seq: u32, space| state.after(Step::Sent { seq, space });
        // Without a hole, with two, with one after data that filled the other, and with acknowledged ones.
        let whole = sent(sent(State::at(first), first, 1448), first.wrapping_add(1448), 100);
        let holes = sent(sent(whole.clone(), 0, 1448), 3000, 500);
        let filled = sent(holes.clone(), 1448, 1552);
        let acked = holes.after(Step::Acked(10));
        for state in [whole, holes, filled, acked] {
            for away in -5000..60_000_i32 {
                let seq = state.head.wrapping_add_signed(away);
                let place = Place::new(&state, seq);
                let least = place.least(most);
                for payload in [0, 1, 2, 7, 500, 724, 1447, 1448] {
                    for control in 0..2 {
                        let price = place.price(payload, payload + control);
                        assert!(least <= price, "{away} {payload}: {least} {price}");
                    }
                }
            }
        }
    }
}
