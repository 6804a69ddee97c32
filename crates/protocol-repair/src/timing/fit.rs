//! Which stretches of real captures are kept.

use super::step::{CONTEXTS, LEVELS, Step};
use super::stretch::Stretch;
use std::collections::BTreeMap;

/// Gaps of a stretch: those of an image of 1024 packets. Within fewer, a capture's slow changes,
/// and with them its autocorrelation, would be lost.
pub(super) const STRETCH: usize = 1023;
/// Most stretches that a model keeps: 330 kB.
const MOST: usize = 160;

/// Bins of a distribution of gaps.
const BINS: usize = 32;

/// A capture's gaps and labels.
pub(super) type Observed<'a> = (Vec<Step>, &'a [String]);

/// Keeps at most [`MOST`] stretches, shared out evenly among the captures' kinds (those of the same
/// labels), the most [representative] of each; each with its labels.
pub(super) fn fit<'a>(captures: &[Observed<'a>]) -> Vec<(Stretch, &'a [String])> {
    let mut kinds: BTreeMap<&[String], Vec<Stretch>> = BTreeMap::new();
    for (steps, labels) in captures {
        let parts = steps.chunks(STRETCH).enumerate();
        // An unfinished last part is not worth its place.
        let whole = parts.filter(|(index, part)| *index == 0 || part.len() == STRETCH);
        let stretches = whole.filter_map(|(_, part)| Stretch::new(part.to_vec()));
        kinds.entry(labels).or_default().extend(stretches);
    }
    let found: Vec<usize> = kinds.values().map(Vec::len).collect();
    let shares = shares(&found);
    let mut out = Vec::new();
    for ((labels, stretches), share) in kinds.into_iter().zip(shares) {
        let kept = representative(&stretches, share);
        out.extend(kept.into_iter().map(|index| (stretches[index].clone(), labels)));
    }
    out
}

/// How many of each kind are kept: one of each in turn, while there are any and there is room.
fn shares(found: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; found.len()];
    let mut room = MOST;
    while room > 0 && shares != found {
        for (share, found) in shares.iter_mut().zip(found) {
            let more = usize::from(*share < *found && room > 0);
            *share += more;
            room -= more;
        }
    }
    shares
}

/// Which stretches are kept of these: one after the other, that which brings the gaps of all that are
/// kept nearest to those of all that there are. In order.
///
/// The distance is Wasserstein-1 within each context: between distribution functions, summed.
fn representative(stretches: &[Stretch], count: usize) -> Vec<usize> {
    let own: Vec<Vec<f64>> = stretches.iter().map(distribution).collect();
    let mut all = vec![0.0; CONTEXTS * BINS];
    for own in &own {
        add(&mut all, own);
    }
    for all in &mut all {
        *all /= stretches.len().max(1) as f64;
    }
    let mut sum = vec![0.0; CONTEXTS * BINS];
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
    let mut out = vec![0.0; CONTEXTS * BINS];
    for step in stretch.steps() {
        let bin = (usize::from(step.level) * BINS).div_euclid(LEVELS);
        out[usize::from(step.context) * BINS + bin] += 1.0 / stretch.steps().len() as f64;
    }
    for bins in out.chunks_mut(BINS) {
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
    use super::*;

    #[test]
    fn room_is_shared_evenly() {
        assert_eq!(shares(&[3, 500, 0, 70]), [3, 87, 0, 70]);
        assert_eq!(shares(&[9, 9]), [9, 9]);
        assert_eq!(shares(&[1; 200]).iter().sum::<usize>(), MOST);
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn parts_of_long_captures_are_kept_from_all_over() {
        let capture: Vec<Step> =
            (0..300 * STRETCH).map(|i| Step { context: 0, level: (i >> 10) as u16 }).collect();
        let kept = fit(&[(capture, &[])]);
        assert_eq!(kept.len(), MOST);
        assert!(kept.iter().all(|(stretch, _)| stretch.steps().len() == STRETCH));
        assert!(kept[0].0.steps()[0].level < 30);
        assert!(kept[MOST - 1].0.steps()[0].level > 270);
    }

    #[test]
    fn what_is_kept_represents_all() {
        // Four in ten are slow, one in ten is slower still: so are those that are kept.
        let level = |index: usize| [100, 101, 300, 99, 302, 100, 301, 98, 299, 500][index % 10];
        let stretches: Vec<Stretch> = (0..100)
            .filter_map(|i| Stretch::new(vec![Step { context: 5, level: level(i) }; 20]))
            .collect();
        let kept = representative(&stretches, 10);
        let slow = |least: u16| kept.iter().filter(|index| level(**index) >= least).count();
        assert_eq!((kept.len(), slow(200), slow(400)), (10, 5, 1));
        assert_eq!(representative(&stretches[..3], 9), [0, 1, 2]);
    }
}
