//! Can a forest tell two sets apart?

use crate::classify::{FeatureMatrix, Forest, ForestConfig, grouped_folds, roc_auc};
use crate::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Area under the ROC curve of a forest that tells samples with `other` from the rest, by grouped
/// cross-validation; `None` where a kind is missing from every training fold.
///
/// Samples of one group stay in one fold: a child is never tested by a forest that knows its parent
/// or a sibling. 0.5: cannot be told apart; 1: always. Below 0.5 by more than noise means that groups
/// are alike across kinds.
///
/// # Errors
/// [`Error::FeatureCount`] unless every sample has one group and one kind, [`Error::Setting`] for
/// fewer than 2 folds.
///
/// # Source
/// The classifier two-sample test (Lopez-Paz, Oquab, 2017).
pub fn real_or_other_auc(
    x: &FeatureMatrix,
    other: &[bool],
    groups: &[usize],
    folds: usize,
    forest: &ForestConfig,
) -> Result<Option<f64>> {
    for found in [other.len(), groups.len()] {
        if found != x.samples() {
            return Err(Error::FeatureCount { sample: 0, expected: x.samples(), found });
        }
    }
    let labels: Vec<usize> = other.iter().map(|o| usize::from(*o)).collect();
    let fold_of =
        grouped_folds(groups, &labels, folds, &mut ChaCha8Rng::seed_from_u64(forest.seed))?;
    let mut scored = Vec::new();
    for fold in 0..folds {
        let part = |inside: bool| -> Vec<usize> {
            (0..labels.len()).filter(|s| (fold_of[*s] == fold) == inside).collect()
        };
        let (train, test) = (part(false), part(true));
        match Forest::fit(x, &labels, &train, forest) {
            Ok(f) => scored.extend(test.iter().map(|s| (f.probabilities(x, *s)[1], other[*s]))),
            Err(Error::TooFewClasses { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(roc_auc(&scored))
}
