//! The push flag.
//!
//! It goes with the length, and with the flags before it: a sender pushes the end of each message, and of
//! each burst of full segments, so that every second or every tenth one is pushed. How it goes on after the
//! last two flags says what a wrong cell should be. What a side does is learned from its own rows, by
//! expectation maximisation.

use crate::draft::{Draft, Transport};
use nprint_codec::tcp;

/// Kinds of segments that are pushed more or less often.
pub(crate) const KINDS: usize = 3;
/// Bytes of data that a segment with more options lacks of the largest.
const OPTIONS: u32 = 16;

/// Which kind a segment with so many bytes of data is, the largest of its side having `largest`: without
/// data, with less than fits, or full.
pub(crate) fn kind(payload: u32, largest: u32) -> usize {
    match payload {
        0 => 0,
        bytes if bytes + OPTIONS < largest => 1,
        _ => 2,
    }
}

/// The last two flags, the newest in the lowest bit.
const STATES: usize = 4;
/// A stream begins as it goes on after pushed segments.
const FIRST: usize = STATES - 1;
/// How often the shares are found anew.
const ROUNDS: usize = 3;
/// Segments whose flags a context has before any are seen. As those of the kind are.
const BEFORE: f32 = 1.0;

/// Decides PSH of every TCP row: never without data (none of 36,770 segments of real captures,
/// `examples/stream_statistics.rs`).
pub(crate) fn apply(draft: &mut Draft<'_>) {
    if draft.noise.is_clean() && draft.evidence.is_certain() {
        return;
    }
    for rows in draft.pooled_directions().iter() {
        let (mut data, bare): (Vec<usize>, Vec<usize>) = rows
            .iter()
            .filter(|row| draft.rows[**row].stack.transport == Transport::Tcp)
            .partition(|row| draft.rows[**row].payload_bytes > 0);
        for row in bare {
            draft.set(row, tcp::PSH, 0);
        }
        // One conversation after the other.
        data.sort_by_key(|row| draft.rows[*row].flow);
        let segments = segments(draft, &data);
        for (row, pushed) in data.into_iter().zip(decide(&segments)) {
            draft.set(row, tcp::PSH, u32::from(pushed));
        }
    }
}

/// A segment with data.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// Whether it is full.
    full: usize,
    /// Whether it is the first of its conversation.
    first: bool,
    /// What it shows, if that says which it is.
    shown: Option<bool>,
    /// Likelihood of what it shows if it is not pushed, and if it is.
    told: [f32; 2],
}

fn segments(draft: &Draft<'_>, rows: &[usize]) -> Vec<Segment> {
    let cells = draft.evidence.field(tcp::PSH);
    let largest = rows.iter().map(|r| draft.rows[*r].payload_bytes).max().unwrap_or(0);
    let mut last = None;
    rows.iter()
        .map(|row| {
            let reading = cells.read(*row);
            let flow = Some(draft.rows[*row].flow);
            let first = std::mem::replace(&mut last, flow) != flow;
            Segment {
                full: kind(draft.rows[*row].payload_bytes, largest) - 1,
                first,
                shown: reading.is_full().then_some(reading.value == 1),
                told: [0, 1].map(|push| (-cells.cost(draft.noise, *row, reading, push)).exp()),
            }
        })
        .collect()
}

/// Share of pushed ones among the segments that are not full, and that are, by the flags before them.
type Shares = [[f32; STATES]; 2];

/// Whether each segment is pushed.
fn decide(segments: &[Segment]) -> Vec<bool> {
    let mut shares = shares(&shown(segments));
    let mut pushed = Vec::new();
    for _ in 0..ROUNDS {
        let expected = expect(segments, &shares, &mut pushed);
        shares = self::shares(&expected);
    }
    pushed.iter().map(|share| *share > 0.5).collect()
}

/// How often segments are pushed or not, by whether they are full and by the flags before them.
type Counts = [[[f32; 2]; STATES]; 2];

/// The counts as the segments show them. One that says nothing passes for one that is not pushed.
fn shown(segments: &[Segment]) -> Counts {
    let mut counts = Counts::default();
    let mut state = FIRST;
    for segment in segments {
        if segment.first {
            state = FIRST;
        }
        if let Some(push) = segment.shown {
            counts[segment.full][state][usize::from(push)] += 1.0;
        }
        state = next(state, usize::from(segment.shown == Some(true)));
    }
    counts
}

/// The state behind a segment.
fn next(state: usize, push: usize) -> usize {
    (state << 1 | push) & (STATES - 1)
}

fn shares(counts: &Counts) -> Shares {
    counts.map(|states| {
        let all = states.iter().fold([0.5; 2], |sum, of| [sum[0] + of[0], sum[1] + of[1]]);
        let usual = all[1] / (all[0] + all[1]);
        states.map(|[not, pushed]| (pushed + BEFORE * usual) / (not + pushed + BEFORE))
    })
}

/// What the counts are expected to be with these shares, and the probability that each segment is pushed:
/// the forward-backward algorithm.
fn expect(segments: &[Segment], shares: &Shares, pushed: &mut Vec<f32>) -> Counts {
    let steps = |segment: &Segment, state: usize| {
        let share = shares[segment.full][state];
        [(1.0 - share) * segment.told[0], share * segment.told[1]]
    };
    let begin: [f32; STATES] = std::array::from_fn(|state| if state == FIRST { 1.0 } else { 0.0 });
    // Probability of each state before each segment and of what was shown up to there.
    let mut before = Vec::with_capacity(segments.len());
    let mut here = begin;
    for segment in segments {
        if segment.first {
            here = begin;
        }
        before.push(here);
        let mut after = [0.0; STATES];
        for (state, likely) in here.iter().enumerate() {
            for (push, step) in steps(segment, state).into_iter().enumerate() {
                after[next(state, push)] += likely * step;
            }
        }
        let sum: f32 = after.iter().sum();
        here = after.map(|likely| likely / sum);
    }
    let mut counts = Counts::default();
    pushed.clear();
    pushed.resize(segments.len(), 0.0);
    let mut behind = [1.0; STATES];
    for (at, segment) in segments.iter().enumerate().rev() {
        let mut likely = [0.0; 2];
        let mut joint = [[0.0; 2]; STATES];
        let mut sums = [0.0; STATES];
        for state in 0..STATES {
            for (push, step) in steps(segment, state).into_iter().enumerate() {
                let rest = step * behind[next(state, push)];
                sums[state] += rest;
                joint[state][push] = before[at][state] * rest;
                likely[push] += joint[state][push];
            }
        }
        let all = likely[0] + likely[1];
        pushed[at] = likely[1] / all;
        for (counts, joint) in counts[segment.full].iter_mut().zip(joint) {
            (0..2).for_each(|push| counts[push] += joint[push] / all);
        }
        let most = sums.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        behind = if segment.first { [1.0; STATES] } else { sums.map(|sum| sum / most) };
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments that show these flags, of which some are wrong and some say nothing.
    fn segments(truth: &[bool], wrong: &[usize], silent: &[usize]) -> Vec<Segment> {
        (0..truth.len())
            .map(|at| {
                let shown = (!silent.contains(&at)).then_some(truth[at] != wrong.contains(&at));
                let told =
                    shown.map_or([1.0; 2], |push| if push { [0.02, 0.98] } else { [0.98, 0.02] });
                Segment { full: 1, first: at == 0, shown, told }
            })
            .collect()
    }

    #[test]
    fn every_second_and_every_third_is_found() {
        for period in [2, 3] {
            let truth: Vec<bool> = (0..120).map(|at| at % period == 0).collect();
            let segments = segments(&truth, &[7, 30, 55, 91], &[12, 41, 80]);
            assert_eq!(decide(&segments), truth, "every {period}");
        }
    }

    #[test]
    fn without_order_what_is_shown_is_kept() {
        let random = |at: u32| (at.wrapping_mul(0x9e37_79b9) >> 13).count_ones().is_multiple_of(2);
        let truth: Vec<bool> = (0..200).map(random).collect();
        assert_eq!(decide(&segments(&truth, &[], &[])), truth);
    }
}
