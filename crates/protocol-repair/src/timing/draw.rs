//! Gaps for the packets of a trace: those of a real capture whose packets come in the same order of
//! directions and sizes.
//!
//! A trace follows one stretch of a real capture, chosen among those that fit it; longer traces
//! follow another one after each [`STRETCH`] packets. Its gaps are taken over in their order, as far
//! as directions and sizes agree, so that bursts and pauses of every scale come with them.

use super::align::{align, cost};
use super::fit::STRETCH;
use super::step::gap_ns;
use super::stretch::Stretch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Gap where the model has none. Units: nanoseconds.
const UNKNOWN_NS: u64 = 1_000_000;
/// A stretch fits if it costs at most this share of the packets more than the best one.
const SLACK: f64 = 0.1;

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
        let places = align(steps, contexts).into_iter();
        out.extend(places.map(|p| gap_ns(steps[p].level, random.random_range(0.0..1.0))));
    }
    out
}

/// The stretches whose packets are most like these.
fn fitting<'a>(stretches: &[&'a Stretch], contexts: &[u8]) -> Vec<&'a Stretch> {
    let slack = (SLACK * contexts.len() as f64) as usize;
    let mut limit = usize::MAX;
    let mut costs: Vec<(&Stretch, usize)> = Vec::new();
    for stretch in stretches {
        if let Some(cost) = cost(stretch.steps(), contexts, limit) {
            limit = limit.min(cost + slack);
            costs.push((stretch, cost));
        }
    }
    costs.into_iter().filter(|(_, cost)| *cost <= limit).map(|(stretch, _)| stretch).collect()
}
