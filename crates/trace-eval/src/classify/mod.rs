//! Classifiers that learn from ternary bit planes: exact decision tree, random forest, linear
//! support vector machine, gradient boosting, nearest neighbours; class balancing, scores and splits.
//!
//! A [`FeatureMatrix`] holds the ways in which columns part the samples as bit planes, each once, so
//! that the class histogram of a column in a tree node is a few bit operations, and the Gram matrix
//! of the SVM is counted the same way. All of them learn on row subsets of one matrix: build it once
//! for all samples, then pass lists of sample indices (a sample that is listed twice weighs twice).

mod balance;
mod boosting;
mod cuts;
mod draw;
mod forest;
mod gram;
mod grow;
mod matrix;
mod nearest;
mod popcount;
mod scores;
mod search;
mod split;
mod svm;
mod sweep;
mod training;
mod transpose;
mod tree;

pub use balance::{duplicate, ternary_smote};
pub use boosting::{Boosting, BoostingConfig};
pub use forest::{Forest, ForestConfig, Vote};
pub use gram::Gram;
pub use matrix::FeatureMatrix;
pub use nearest::{NearestConfig, NearestNeighbours};
pub use scores::{Scores, roc_auc};
pub use split::{grouped_folds, stratified_folds, stratified_share};
pub use svm::{LinearSvm, SvmConfig};
pub use tree::{DecisionTree, Node, SplitFeatures, TreeConfig};

use crate::{Error, Result};

/// Checks labels and training indices against a number of samples; returns the number of classes
/// (largest label + 1).
pub(crate) fn check_training(samples: usize, labels: &[usize], train: &[usize]) -> Result<usize> {
    if labels.len() != samples {
        return Err(Error::OutOfRange { what: "label", index: labels.len(), count: samples });
    }
    if let Some(bad) = train.iter().find(|s| **s >= samples) {
        return Err(Error::OutOfRange { what: "sample", index: *bad, count: samples });
    }
    let mut seen: Vec<usize> = train.iter().map(|s| labels[*s]).collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < 2 {
        return Err(Error::TooFewClasses { samples: train.len(), classes: seen.len() });
    }
    Ok(labels.iter().max().map_or(0, |m| m + 1))
}

/// Index of the largest number; the first one wins ties.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}
