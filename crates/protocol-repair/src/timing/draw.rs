//! Gaps for the packets of a trace: those of a real capture whose packets come in the same order of
//! directions and sizes.
//!
//! A trace follows one stretch of a real capture, chosen among those that fit it; longer traces
//! follow another one after each [`STRETCH`] packets. Its gaps are taken over in their order, as far
//! as directions and sizes agree, so that bursts and pauses of every scale come with them. Places that
//! the alignment repeats or leaves out would shift how long gaps are: their ranks are kept, and become
//! the gaps of these ranks among the stretch's own of the same context.

use super::align::{align, cost};
use super::fit::STRETCH;
use super::step::{CONTEXTS, Step, gap_ns};
use super::stretch::Stretch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Gap where the model has none. Units: nanoseconds.
const UNKNOWN_NS: u64 = 1_000_000;
/// A stretch fits if it costs at most this share of the packets more than the best one.
const SLACK: f64 = 0.1;
/// Fewer gaps of a context are no distribution.
const FEWEST: usize = 4;

/// The gap before each packet of these contexts. Units: nanoseconds.
pub(super) fn gaps(stretches: &[&Stretch], contexts: &[u8], seed: u64) -> Vec<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut out = Vec::with_capacity(contexts.len());
    for (part, contexts) in contexts.chunks(STRETCH).enumerate() {
        let fitting = fitting(stretches, contexts);
        // Traces of consecutive seeds follow different captures.
        let turn = seed.wrapping_add(part as u64) % fitting.len().max(1) as u64;
        let Some(stretch) = fitting.get(turn as usize) else {
            out.extend(contexts.iter().map(|_| UNKNOWN_NS));
            continue;
        };
        let steps = stretch.steps();
        let mut levels: Vec<u16> =
            align(stretch, contexts).into_iter().map(|place| steps[place].level).collect();
        restore(&mut levels, steps, contexts, &mut random);
        let places = levels.into_iter();
        out.extend(places.map(|level| gap_ns(level, random.random_range(0.0..1.0))));
    }
    out
}

/// Gives the levels of each context the distribution that they have in the stretch; their order
/// stays. Contexts that are too rare in the stretch are left as they are.
fn restore(levels: &mut [u16], steps: &[Step], contexts: &[u8], random: &mut ChaCha8Rng) {
    for context in 0..CONTEXTS {
        let own = steps.iter().filter(|step| usize::from(step.context) == context);
        let mut own: Vec<u16> = own.map(|step| step.level).collect();
        if own.len() < FEWEST {
            continue;
        }
        own.sort_unstable();
        let packets = contexts.iter().enumerate().filter(|(_, c)| usize::from(**c) == context);
        let mut packets: Vec<usize> = packets.map(|(packet, _)| packet).collect();
        packets.sort_by_key(|packet| levels[*packet]);
        for (rank, packet) in packets.iter().enumerate() {
            let share = (rank as f64 + random.random_range(0.0..1.0)) / packets.len() as f64;
            levels[*packet] = own[((share * own.len() as f64) as usize).min(own.len() - 1)];
        }
    }
}

/// The stretches whose packets are most like these.
fn fitting<'a>(stretches: &[&'a Stretch], contexts: &[u8]) -> Vec<&'a Stretch> {
    let slack = (SLACK * contexts.len() as f64) as usize;
    let mut limit = usize::MAX;
    let mut costs: Vec<(&Stretch, usize)> = Vec::new();
    for stretch in stretches {
        if let Some(cost) = cost(stretch, contexts, limit) {
            limit = limit.min(cost + slack);
            costs.push((stretch, cost));
        }
    }
    costs.into_iter().filter(|(_, cost)| *cost <= limit).map(|(stretch, _)| stretch).collect()
}
