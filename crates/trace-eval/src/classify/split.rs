//! Splits of samples into training and test.

use crate::{Error, Result};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Test fold of each sample in a stratified split into `folds`: every fold has each class in
/// proportion, and fold sizes differ by at most one where that is possible. Without a generator the
/// samples of a class fill the folds in order.
///
/// # Errors
/// [`Error::Setting`] for fewer than 2 folds.
///
/// # Example
/// ```
/// use trace_eval::classify::stratified_folds;
/// assert_eq!(stratified_folds(&[0, 0, 1, 1], 2, None)?, vec![0, 1, 0, 1]);
/// # Ok::<(), trace_eval::Error>(())
/// ```
///
/// # Source
/// scikit-learn's `StratifiedKFold`: sort the labels (classes in order of appearance), deal them
/// like cards, and give each class the folds it was dealt.
pub fn stratified_folds(
    labels: &[usize],
    folds: usize,
    rng: Option<&mut ChaCha8Rng>,
) -> Result<Vec<usize>> {
    if folds < 2 {
        return Err(Error::Setting {
            setting: "folds",
            value: folds as f64,
            expected: "at least 2",
        });
    }
    let mut appearance: Vec<usize> = Vec::new();
    for label in labels {
        if !appearance.contains(label) {
            appearance.push(*label);
        }
    }
    let mut out = vec![0; labels.len()];
    let mut dealt = 0;
    let mut rng = rng;
    for class in appearance {
        let members: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
        let mut cards: Vec<usize> = (dealt..dealt + members.len()).map(|i| i % folds).collect();
        cards.sort_unstable();
        if let Some(rng) = rng.as_deref_mut() {
            cards.shuffle(rng);
        }
        members.iter().zip(cards).for_each(|(m, fold)| out[*m] = fold);
        dealt += members.len();
    }
    Ok(out)
}

/// Fold of each sample where samples of one group stay together and classes are spread evenly:
/// groups are shuffled, the largest first, and each goes where the shares of its classes are lowest.
///
/// # Errors
/// [`Error::Setting`] for fewer than 2 folds, [`Error::FeatureCount`] unless every sample has a
/// group and a label.
pub fn grouped_folds(
    groups: &[usize],
    labels: &[usize],
    folds: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<usize>> {
    if folds < 2 {
        return Err(Error::Setting {
            setting: "folds",
            value: folds as f64,
            expected: "at least 2",
        });
    }
    if groups.len() != labels.len() {
        let (expected, found) = (groups.len(), labels.len());
        return Err(Error::FeatureCount { sample: 0, expected, found });
    }
    let classes = labels.iter().max().map_or(0, |m| m + 1);
    let mut totals = vec![0_usize; classes];
    for l in labels {
        totals[*l] += 1;
    }
    let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (sample, group) in groups.iter().enumerate() {
        by_group.entry(*group).or_default().push(sample);
    }
    let mut order: Vec<Vec<usize>> = by_group.into_values().collect();
    order.shuffle(rng);
    order.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let mut filled = vec![vec![0_usize; classes]; folds];
    let mut out = vec![0; groups.len()];
    for members in order {
        let crowded = |fold: &[usize]| -> f64 {
            members.iter().map(|m| fold[labels[*m]] as f64 / totals[labels[*m]] as f64).sum()
        };
        let size = |fold: &[usize]| fold.iter().sum::<usize>();
        let best = (0..folds).min_by(|a, b| {
            let (a, b) = (&filled[*a], &filled[*b]);
            crowded(a).total_cmp(&crowded(b)).then(size(a).cmp(&size(b)))
        });
        let fold = best.unwrap_or(0);
        for m in members {
            filled[fold][labels[m]] += 1;
            out[m] = fold;
        }
    }
    Ok(out)
}

/// A random share of `members`, class by class (at least one of each), in rising order.
pub fn stratified_share(
    labels: &[usize],
    members: &[usize],
    share: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut classes: Vec<usize> = members.iter().map(|m| labels[*m]).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut out = Vec::new();
    for class in classes {
        let mut of: Vec<usize> = members.iter().filter(|m| labels[**m] == class).copied().collect();
        of.shuffle(rng);
        // Randomised rounding keeps the expected share for small classes.
        let wanted = of.len() as f64 * share;
        let extra = usize::from(rng.random::<f64>() < wanted.fract());
        of.truncate((wanted as usize + extra).max(1));
        out.extend(of);
    }
    out.sort_unstable();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        #[test]
        fn every_fold_has_its_part(labels in prop::collection::vec(0_usize..4, 1..80), folds in 2_usize..7, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let found = stratified_folds(&labels, folds, Some(&mut rng)).expect("folds");
            for class in 0..4 {
                let of: Vec<usize> = labels.iter().zip(&found).filter(|(l, _)| **l == class).map(|(_, f)| *f).collect();
                let count = |f: usize| of.iter().filter(|g| **g == f).count();
                let (least, most) = ((0..folds).map(count).min(), (0..folds).map(count).max());
                prop_assert!(most.expect("folds") - least.expect("folds") <= 1);
            }
        }

        #[test]
        fn groups_stay_together(groups in prop::collection::vec(0_usize..9, 1..60), seed: u64) {
            let labels: Vec<usize> = (0..groups.len()).map(|i| i % 2).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let found = grouped_folds(&groups, &labels, 3, &mut rng).expect("folds");
            for (a, f) in groups.iter().zip(&found) {
                prop_assert!(groups.iter().zip(&found).all(|(b, g)| a != b || f == g));
            }
        }
    }

    #[test]
    fn lone_samples_are_stratified() {
        let groups: Vec<usize> = (0..40).collect();
        let labels: Vec<usize> = groups.iter().map(|g| usize::from(*g < 20)).collect();
        let found =
            grouped_folds(&groups, &labels, 5, &mut ChaCha8Rng::seed_from_u64(1)).expect("folds");
        for fold in 0..5 {
            let of =
                |class: usize| (0..40).filter(|s| found[*s] == fold && labels[*s] == class).count();
            assert_eq!((of(0), of(1)), (4, 4));
        }
    }
}
