//! Gaps for the packets of a trace: the order of gaps of a real capture, with the sizes that
//! belong to the trace's own packets.
//!
//! A trace follows one real capture. There, every gap has a rank among the gaps of packets with
//! the same context. The ranks are taken over in their order, which carries bursts and pauses; each
//! becomes the gap that has this rank among those of the packet's own context. So gaps depend on
//! direction and size as they do in the capture, and on each other over any distance.

use super::sessions::GapModel;
use super::step::{CONTEXTS, Step, gap_ns};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fewer gaps of a context say little of its ranks: those of all captures are taken.
const FEWEST: usize = 4;
/// Gap where the model has none.
const UNKNOWN_NS: u64 = 1_000_000;

/// Draws gaps, one packet after the other.
pub(super) struct Gaps {
    random: ChaCha8Rng,
    /// Ranks of the followed capture's gaps in their order: shares of those that are shorter.
    ranks: Vec<f64>,
    /// Levels of each context, the shortest first.
    levels: [Vec<u16>; CONTEXTS],
    /// Where in the ranks the next gap is.
    at: usize,
}

impl Gaps {
    pub(super) fn new(model: &GapModel, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Traces of consecutive seeds follow different captures.
        let followed = (seed % model.sessions.len().max(1) as u64) as usize;
        let session = model.sessions.get(followed).map_or(&[][..], Vec::as_slice);
        let own = sorted(session.iter());
        let ranks: Vec<f64> = session
            .iter()
            .map(|step| {
                let levels = &own[usize::from(step.context)];
                let shorter = levels.partition_point(|level| *level < step.level);
                let equal = levels.partition_point(|level| *level <= step.level) - shorter;
                (shorter as f64 + equal as f64 * random.random_range(0.0..1.0))
                    / levels.len() as f64
            })
            .collect();
        let at = random.random_range(0..ranks.len().max(1));
        let mut levels = own;
        if levels.iter().any(|l| l.len() < FEWEST) {
            let all = sorted(model.sessions.iter().flatten());
            for (own, all) in levels.iter_mut().zip(all).filter(|(own, _)| own.len() < FEWEST) {
                *own = all;
            }
        }
        Self { random, ranks, levels, at }
    }

    /// The gap before a packet. Units: nanoseconds.
    pub(super) fn next(&mut self, context: u8) -> u64 {
        let levels = &self.levels[usize::from(context).min(CONTEXTS - 1)];
        let Some(rank) = self.ranks.get(self.at) else { return UNKNOWN_NS };
        self.at = (self.at + 1) % self.ranks.len();
        let Some(last) = levels.len().checked_sub(1) else { return UNKNOWN_NS };
        let level = levels[((rank * levels.len() as f64) as usize).min(last)];
        gap_ns(level, self.random.random_range(0.0..1.0))
    }
}

/// The levels of each context in order.
fn sorted<'a>(steps: impl Iterator<Item = &'a Step>) -> [Vec<u16>; CONTEXTS] {
    let mut levels = <[Vec<u16>; CONTEXTS]>::default();
    for step in steps {
        levels[usize::from(step.context)].push(step.level);
    }
    for levels in &mut levels {
        levels.sort_unstable();
    }
    levels
}
