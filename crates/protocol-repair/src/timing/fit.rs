//! Which stretches of real captures are kept.

use super::step::{CONTEXTS, LEVELS, Packet};
use super::stretch::Stretch;
use std::collections::BTreeMap;

/// Gaps of a stretch: those of an image of 1024 packets. Within fewer, a capture's slow changes,
/// and with them its autocorrelation, would be lost.
pub(super) const STRETCH: usize = 1023;
/// Most gaps that a model keeps, nearly: 375 kB.
const MOST: usize = 250_000;

/// A capture's packets, gaps and labels.
pub(super) type Observed<'a> = (Vec<(Packet, u64)>, &'a [String]);

/// Keeps stretches of about [`MOST`] gaps at most, as many of each of the captures' kinds (those of the same
/// labels), the most [representative] of each; each with its labels.
pub(super) fn fit<'a>(captures: &[Observed<'a>]) -> Vec<(Stretch, &'a [String])> {
    let mut kinds: BTreeMap<&[String], Vec<Stretch>> = BTreeMap::new();
    for (observed, labels) in captures {
        let parts = observed.chunks(STRETCH).enumerate();
        // An unfinished last part is not worth its place.
        let whole = parts.filter(|(index, part)| *index == 0 || part.len() == STRETCH);
        let stretches = whole.filter_map(|(_, part)| Stretch::new(part));
        kinds.entry(labels).or_default().extend(stretches);
    }
    let shares = shares(&kinds.values().map(Vec::as_slice).collect::<Vec<_>>());
    let mut out = Vec::new();
    for ((labels, stretches), share) in kinds.into_iter().zip(shares) {
        let kept = representative(&stretches, share);
        out.extend(kept.into_iter().map(|index| (stretches[index].clone(), labels)));
    }
    out
}

/// How many of each kind are kept: one of each in turn, while there are any and there is room for one of
/// mean length.
fn shares(kinds: &[&[Stretch]]) -> Vec<usize> {
    let mean = |kind: &&[Stretch]| {
        let gaps: usize = kind.iter().map(|stretch| stretch.steps().len()).sum();
        gaps.div_ceil(kind.len().max(1))
    };
    let means: Vec<usize> = kinds.iter().map(mean).collect();
    let mut shares = vec![0; kinds.len()];
    let mut room = MOST;
    loop {
        let before = room;
        for ((share, kind), mean) in shares.iter_mut().zip(kinds).zip(&means) {
            if *share < kind.len() && *mean <= room {
                *share += 1;
                room -= mean;
            }
        }
        if room == before {
            return shares;
        }
    }
}

/// Which stretches are kept of these: one after the other, that which brings the gaps of all that are
/// kept nearest to those of all that there are. In order.
///
/// The distance is Wasserstein-1 within each context: between distribution functions, summed.
fn representative(stretches: &[Stretch], count: usize) -> Vec<usize> {
    let own: Vec<Vec<f64>> = stretches.iter().map(distribution).collect();
    let mut all = vec![0.0; CONTEXTS * LEVELS];
    for own in &own {
        add(&mut all, own);
    }
    for all in &mut all {
        *all /= stretches.len().max(1) as f64;
    }
    let mut sum = vec![0.0; CONTEXTS * LEVELS];
    let mut left: Vec<usize> = (0..stretches.len()).collect();
    for size in 1..=count.min(left.len()) {
        let apart = |index: usize| -> f64 {
            let sums = sum.iter().zip(&own[index]).map(|(sum, own)| (sum + own) / size as f64);
            sums.zip(&all).map(|(mean, all)| (mean - all).abs()).sum()
        };
        let nearest = left.iter().enumerate().map(|(at, index)| (apart(*index), at));
        let Some((_, at)) = nearest.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        add(&mut sum, &own[left.remove(at)]);
    }
    (0..stretches.len()).filter(|index| left.binary_search(index).is_err()).collect()
}

/// For each context, how many gaps are in a bin or a lower one, as shares of the stretch.
fn distribution(stretch: &Stretch) -> Vec<f64> {
    let mut out = vec![0.0; CONTEXTS * LEVELS];
    for step in stretch.steps() {
        let bin = usize::from(step.context) * LEVELS + usize::from(step.level);
        out[bin] += 1.0 / stretch.steps().len() as f64;
    }
    for bins in out.chunks_mut(LEVELS) {
        let mut sum = 0.0;
        for bin in bins {
            sum += *bin;
            *bin = sum;
        }
    }
    out
}

fn add(to: &mut [f64], more: &[f64]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

#[cfg(test)]
mod tests {
    use super::super::step::gap_ns;
    use super::*;

    const SOME: Packet = Packet { context: 5, service: (6, 80) };

    fn stretches(lengths: &[usize]) -> Vec<Stretch> {
        lengths.iter().filter_map(|length| Stretch::new(&vec![(SOME, 5_000); *length])).collect()
    }

    #[test]
    fn room_is_shared_evenly() {
        let kinds = [[1000; 3].as_slice(), &[1000; 300], &[], &[500; 90]].map(stretches);
        let of =
            |kinds: &[Vec<Stretch>]| shares(&kinds.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(of(&kinds), [3, 202, 0, 90]);
        assert_eq!(of(&[stretches(&[1000; 200]), stretches(&[1000; 200])]), [125, 125]);
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn parts_of_long_captures_are_kept_from_all_over() {
        let capture: Vec<(Packet, u64)> =
            (0..500 * STRETCH).map(|i| (SOME, gap_ns((i >> 14) as f64 + 0.5))).collect();
        let kept = fit(&[(capture, &[])]);
        assert_eq!(kept.len(), MOST.div_euclid(STRETCH));
        assert!(kept.iter().all(|(stretch, _)| stretch.steps().len() == STRETCH));
        assert!(kept[0].0.steps()[0].level < 4);
        assert!(kept[kept.len() - 1].0.steps()[0].level > 26);
    }

    #[test]
    fn what_is_kept_represents_all() {
        // Four in ten are slow, one in ten is slower still: so are those that are kept.
        let level = |index: usize| [10, 10, 30, 9, 30, 10, 30, 9, 29, 50][index % 10];
        let stretches: Vec<Stretch> = (0..100)
            .filter_map(|i| Stretch::new(&[(SOME, gap_ns(f64::from(level(i)) + 0.5)); 20]))
            .collect();
        let kept = representative(&stretches, 10);
        let slow = |least: u8| kept.iter().filter(|index| level(**index) >= least).count();
        assert_eq!((kept.len(), slow(20), slow(40)), (10, 5, 1));
        assert_eq!(representative(&stretches[..3], 9), [0, 1, 2]);
    }
}
