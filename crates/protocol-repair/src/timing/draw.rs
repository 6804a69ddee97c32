//! Gaps for the packets of a trace: those of real captures whose packets come in the same order of
//! directions and sizes.
//!
//! A trace is like the stretches, up to [`NEAR`], that speak the same services, whose contexts follow each
//! other as its own do, and that begin as it does. It takes over the gaps of one of them, chosen by seed, in their
//! order, as far as directions and sizes agree, so that bursts and pauses of every scale come with them. How long
//! gaps are is then what it is in all of these stretches together, in each context: ranks are kept, and become the
//! gaps of these ranks. One stretch alone would be a guess at the link that is right or wrong as a whole.
//!
//! Places that the alignment repeats or leaves out, and the new lengths, cost some of the order: gaps of the same
//! context are exchanged until the autocorrelation is that of the stretches.
//!
//! Longer traces are drawn in parts of [`STRETCH`] packets.

use super::align::align;
use super::fit::STRETCH;
use super::habits::Habits;
use super::order;
use super::step::{CONTEXTS, LEVELS, Packet, gap_ns};
use super::stretch::Stretch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Gap where the model has none. Units: nanoseconds.
const UNKNOWN_NS: u64 = 1_000_000;
/// Most stretches that a trace is like.
const NEAR: usize = 4;
/// Those that are so many times as far as the nearest one are something else.
const FAR: u32 = 2;
/// Fewer gaps of a context are no distribution.
const FEWEST: usize = 4;

/// The gap before each packet. Units: nanoseconds.
pub(super) fn gaps(stretches: &[&Stretch], packets: &[Packet], seed: u64) -> Vec<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut out = Vec::with_capacity(packets.len());
    for packets in packets.chunks(STRETCH) {
        let near = nearest(stretches, packets);
        if near.is_empty() {
            out.extend(packets.iter().map(|_| UNKNOWN_NS));
            continue;
        }
        let followed = near[random.random_range(0..near.len())];
        let steps = followed.steps();
        let places = align(followed, packets).into_iter();
        let levels: Vec<u8> = places.map(|place| steps[place].level).collect();
        let mut heights = restore(&levels, &near, packets, &mut random);
        order::restore(&mut heights, &near, packets, &mut random);
        out.extend(heights.into_iter().map(|height| gap_ns(f64::from(height))));
    }
    out
}

/// The stretches whose packets are most like these, the most similar first.
fn nearest<'a>(stretches: &[&'a Stretch], packets: &[Packet]) -> Vec<&'a Stretch> {
    let own = Habits::of(packets);
    let mut all: Vec<(u32, &Stretch)> =
        stretches.iter().map(|stretch| (own.apart(stretch.habits()), *stretch)).collect();
    all.sort_by_key(|(apart, _)| *apart);
    let far = all.first().map_or(0, |(nearest, _)| FAR * nearest);
    all.into_iter()
        .take(NEAR)
        .take_while(|(apart, _)| *apart <= far)
        .map(|(_, stretch)| stretch)
        .collect()
}

/// Heights of gaps: in each context distributed as in the stretches, in the order of the levels. Contexts that
/// are too rare in the stretches keep their levels.
fn restore(
    levels: &[u8],
    stretches: &[&Stretch],
    packets: &[Packet],
    random: &mut ChaCha8Rng,
) -> Vec<f32> {
    let mut own = [[0_usize; LEVELS]; CONTEXTS];
    for step in stretches.iter().flat_map(|stretch| stretch.steps()) {
        own[usize::from(step.context)][usize::from(step.level)] += 1;
    }
    let mut heights: Vec<f32> =
        levels.iter().map(|level| f32::from(*level) + random.random_range(0.0..1.0)).collect();
    for (context, own) in own.iter().enumerate() {
        let all: usize = own.iter().sum();
        let packets = packets.iter().enumerate().filter(|(_, p)| usize::from(p.context) == context);
        let mut packets: Vec<usize> = packets.map(|(index, _)| index).collect();
        if all < FEWEST || packets.is_empty() {
            continue;
        }
        packets.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
        let (mut level, mut below) = (0, 0);
        for (rank, packet) in packets.iter().enumerate() {
            let share = (rank as f64 + random.random_range(0.0..1.0)) / packets.len() as f64;
            let wanted = share * all as f64;
            while level + 1 < LEVELS && (below + own[level]) as f64 <= wanted {
                below += own[level];
                level += 1;
            }
            // Levels before the last gap's may be empty.
            let place = (wanted - below as f64) / own[level].max(1) as f64;
            heights[*packet] = level as f32 + place.clamp(0.0, 1.0) as f32;
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::super::step::level_of;
    use super::*;

    /// Packets of two contexts in turn, their gaps by number and context.
    fn stretch(port: u16, gap: impl Fn(u64, u8) -> u64) -> Stretch {
        let observed: Vec<(Packet, u64)> =
            packets(400, port).iter().zip(0..).map(|(p, i)| (*p, gap(i, p.context))).collect();
        Stretch::new(&observed).expect("packets")
    }

    fn packets(count: u64, port: u16) -> Vec<Packet> {
        let context = |index: u64| if index % 3 == 2 { 6 } else { 3 };
        (0..count).map(|i| Packet { context: context(i), service: (6, port) }).collect()
    }

    fn share(gaps: &[u64], over: u64) -> f64 {
        gaps.iter().filter(|gap| **gap > over).count() as f64 / gaps.len() as f64
    }

    #[test]
    fn what_is_like_a_trace_is_mixed_and_nothing_else() {
        let fast = stretch(80, |_, _| 10_000);
        let slow = stretch(80, |_, _| 1_000_000);
        let other = stretch(53, |_, _| 100_000_000);
        let all = [&fast, &slow, &other];
        let drawn = gaps(&all, &packets(900, 80), 1);
        let slow_share = share(&drawn, 100_000);
        assert!((0.45..0.55).contains(&slow_share), "{slow_share} of one in two");
        assert!(drawn.iter().all(|gap| *gap < 50_000_000), "gaps of another service");
        assert!(share(&gaps(&all, &packets(900, 53), 1), 50_000_000) > 0.99);
    }

    #[test]
    fn lengths_are_those_of_the_context() {
        let own =
            stretch(80, |i, context| if context == 6 { 1_000_000 * (1 + i % 7) } else { 5_000 });
        let packets = packets(900, 80);
        let drawn = gaps(&[&own], &packets, 2);
        for (packet, gap) in packets.iter().zip(&drawn) {
            assert_eq!(packet.context == 6, *gap > 100_000, "{packet:?} {gap}");
        }
        let of = |gap: u64| usize::from(level_of(gap));
        let mut counts = [0_usize; LEVELS];
        for gap in drawn {
            counts[of(gap)] += 1;
        }
        // A seventh of three hundred, a packet more or less.
        assert!(counts[of(1_000_000)].abs_diff(300_usize.div_ceil(7)) <= 2, "{counts:?}");
    }

    #[test]
    fn the_seed_decides() {
        let own = stretch(80, |i, _| 1_000 + i * i);
        let draw = |seed| gaps(&[&own], &packets(700, 80), seed);
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
