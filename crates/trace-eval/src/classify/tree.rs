//! Exact greedy decision tree with the Gini criterion.

use super::draw::Draw;
use super::grow::grow;
use super::search::Candidates;
use super::training::Training;
use super::{FeatureMatrix, argmax, check_training};
use crate::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many features are searched for the best split of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitFeatures {
    /// All of them.
    #[default]
    All,
    /// The rounded-down square root of the number of features, drawn anew for each node, and more
    /// until one can split the node.
    Sqrt,
}

/// Settings of a tree. The default is scikit-learn's `DecisionTreeClassifier()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeConfig {
    /// Depth at which nodes become leaves; `None` grows until every leaf is pure.
    pub max_depth: Option<usize>,
    /// Features searched in each node.
    pub features: SplitFeatures,
}

impl Default for TreeConfig {
    fn default() -> Self {
        Self { max_depth: None, features: SplitFeatures::All }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Weighted number of training samples of each class.
    pub counts: Vec<u64>,
    /// Gini impurity.
    pub impurity: f64,
    /// The test, in an inner node.
    pub split: Option<Split>,
}

/// The test of an inner node: left where the feature is at most the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Original number of the feature.
    pub feature: u32,
    /// Midpoint of the two neighbouring values in the node.
    pub threshold: f64,
    /// Index of the left child.
    pub left: usize,
    /// Index of the right child.
    pub right: usize,
    pub(crate) column: u32,
}

/// A fitted decision tree, for the [`FeatureMatrix`] that it was fitted on.
///
/// # Layout
/// Nodes in pre-order, left before right; node 0 is the root. Of equally good splits the one with the
/// lowest feature number and the lowest threshold is taken, so there is no randomness.
///
/// # Example
/// ```
/// use trace_eval::classify::{DecisionTree, FeatureMatrix, TreeConfig};
/// use trace_eval::distance::Planes;
/// let x = FeatureMatrix::from_planes(&Planes::from_cells(1, &[-1, 0, 1, 1])?);
/// let tree = DecisionTree::fit(&x, &[0, 0, 1, 1], &[0, 1, 2, 3], &TreeConfig::default())?;
/// assert_eq!(tree.nodes().len(), 3);
/// assert_eq!(tree.predict(&x, &[0, 3]), vec![0, 1]);
/// # Ok::<(), trace_eval::Error>(())
/// ```
///
/// # Source
/// Breiman et al., "Classification and Regression Trees", 1984; scikit-learn's conventions.
#[derive(Debug, Clone)]
pub struct DecisionTree {
    nodes: Vec<Node>,
    importances: BTreeMap<u32, f64>,
}

impl DecisionTree {
    /// Fits on the samples `train`; `labels` has a class number for every sample of `x`.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`](crate::Error::TooFewClasses) unless two classes are among the
    /// training samples, [`Error::OutOfRange`](crate::Error::OutOfRange) for bad indices.
    pub fn fit(
        x: &FeatureMatrix,
        labels: &[usize],
        train: &[usize],
        config: &TreeConfig,
    ) -> Result<Self> {
        let classes = check_training(x.samples(), labels, train)?;
        let mut weights = vec![0; x.samples()];
        for s in train {
            weights[*s] += 1;
        }
        let depth = config.max_depth;
        if config.features == SplitFeatures::All {
            let training = Training::whole(x);
            return Ok(Self::grown(&training, labels, &weights, classes, depth, None));
        }
        let training = Training::by_class(x, labels, train);
        let columns = training.columns();
        let rng = ChaCha8Rng::seed_from_u64(0);
        let draw = Draw::new(x.features(), columns.numbers.len(), rng);
        let candidates = Some(Candidates::new(&training, &columns, draw));
        Ok(Self::grown(&training, labels, &weights, classes, depth, candidates))
    }

    /// Grows with a weight for every sample; 0 leaves it out.
    pub(crate) fn grown(
        training: &Training<'_>,
        labels: &[usize],
        weights: &[u32],
        classes: usize,
        max_depth: Option<usize>,
        candidates: Option<Candidates<'_>>,
    ) -> Self {
        let depth = max_depth.unwrap_or(usize::MAX);
        let (nodes, importances) = grow(training, labels, weights, classes, depth, candidates);
        let mut tree = Self { nodes, importances };
        let sum: f64 = tree.importances.values().sum();
        if sum > 0.0 {
            tree.importances.values_mut().for_each(|v| *v /= sum);
        }
        tree
    }

    /// The nodes, in pre-order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Share of the impurity decrease by feature number; features without any are left out. The sum
    /// is 1 unless the tree is a single leaf.
    pub fn importances(&self) -> &BTreeMap<u32, f64> {
        &self.importances
    }

    /// Class shares of the leaf that `sample` falls into.
    ///
    /// # Panics
    /// When `sample` is not in `x`, as slices do.
    pub fn probabilities(&self, x: &FeatureMatrix, sample: usize) -> Vec<f64> {
        let mut node = &self.nodes[0];
        while let Some(split) = &node.split {
            let left = x.number(split.column as usize, sample) <= split.threshold;
            node = &self.nodes[if left { split.left } else { split.right }];
        }
        let total: u64 = node.counts.iter().sum();
        node.counts.iter().map(|c| *c as f64 / total.max(1) as f64).collect()
    }

    /// Most likely class of each of `samples`.
    pub fn predict(&self, x: &FeatureMatrix, samples: &[usize]) -> Vec<usize> {
        samples.iter().map(|s| argmax(&self.probabilities(x, *s))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use proptest::prelude::*;

    /// Twin that looks at every cell: lists (feature, threshold) of the inner nodes in pre-order.
    fn naive(
        columns: usize,
        cells: &[i8],
        labels: &[usize],
        inside: &[usize],
        out: &mut Vec<(u32, f64)>,
    ) {
        let classes = labels.iter().max().map_or(0, |m| m + 1);
        let squares_over_size = |part: &[usize]| {
            let mut counts = vec![0_u64; classes];
            for s in part {
                counts[labels[*s]] += 1;
            }
            counts.iter().map(|c| c * c).sum::<u64>() as f64 / part.len() as f64
        };
        if inside.iter().all(|s| labels[*s] == labels[inside[0]]) {
            return;
        }
        let cell = |sample: usize, column: usize| f64::from(cells[sample * columns + column]);
        let mut best: Option<(f64, usize, f64)> = None;
        for column in 0..columns {
            let mut values: Vec<f64> = inside.iter().map(|s| cell(*s, column)).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            for pair in values.windows(2) {
                let cut = f64::midpoint(pair[0], pair[1]);
                let (left, right): (Vec<usize>, Vec<usize>) =
                    inside.iter().partition(|s| cell(**s, column) <= cut);
                let purity = squares_over_size(&left) + squares_over_size(&right);
                if best.is_none_or(|b| purity > b.0 * (1.0 + 1e-12)) {
                    best = Some((purity, column, cut));
                }
            }
        }
        let Some((_, column, cut)) = best else { return };
        out.push((column as u32, cut));
        let (left, right): (Vec<usize>, Vec<usize>) =
            inside.iter().partition(|s| cell(**s, column) <= cut);
        naive(columns, cells, labels, &left, out);
        naive(columns, cells, labels, &right, out);
    }

    proptest! {
        #[test]
        fn takes_the_best_split_and_learns_by_heart(
            columns in 1_usize..20,
            rows in prop::collection::vec((0_usize..3, prop::collection::vec(-1_i8..=1, 20)), 2..150),
        ) {
            let cells: Vec<i8> = rows.iter().flat_map(|r| r.1[..columns].to_vec()).collect();
            let labels: Vec<usize> = rows.iter().map(|r| r.0).collect();
            let x = FeatureMatrix::from_planes(&Planes::from_cells(columns, &cells).expect("ternary"));
            let train: Vec<usize> = (0..rows.len()).collect();
            let Ok(tree) = DecisionTree::fit(&x, &labels, &train, &TreeConfig::default()) else {
                prop_assert!(labels.iter().all(|l| *l == labels[0]));
                return Ok(());
            };
            let mut expected = Vec::new();
            naive(columns, &cells, &labels, &train, &mut expected);
            let splits = tree.nodes().iter().filter_map(|n| n.split);
            let found: Vec<(u32, f64)> = splits.map(|s| (s.feature, s.threshold)).collect();
            prop_assert_eq!(found, expected);
            // Samples with equal cells cannot be told apart; all others must be right.
            for (s, p) in tree.predict(&x, &train).into_iter().enumerate() {
                let twins = train.iter().filter(|t| cells[*t * columns..][..columns] == cells[s * columns..][..columns]);
                let labels: Vec<usize> = twins.map(|t| labels[*t]).collect();
                prop_assert!(labels.contains(&p));
                if labels.iter().all(|l| *l == labels[0]) {
                    prop_assert_eq!(p, labels[0]);
                }
            }
        }

        /// The same samples as numbers give the same predictions as the bit planes.
        #[test]
        fn numbers_and_planes_agree(
            rows in prop::collection::vec((0_usize..3, prop::collection::vec(-1_i8..=1, 6)), 2..90),
        ) {
            let labels: Vec<usize> = rows.iter().map(|r| r.0).collect();
            let cells: Vec<i8> = rows.iter().flat_map(|r| r.1.clone()).collect();
            let numbers: Vec<Vec<f64>> = rows.iter().map(|r| r.1.iter().map(|c| f64::from(*c)).collect()).collect();
            let names: Vec<String> = (0..6).map(|i| i.to_string()).collect();
            let a = FeatureMatrix::from_planes(&Planes::from_cells(6, &cells).expect("ternary"));
            let b = FeatureMatrix::from_numbers(&names, &numbers).expect("finite");
            let train: Vec<usize> = (0..rows.len()).step_by(2).collect();
            let all: Vec<usize> = (0..rows.len()).collect();
            let fit = |x: &FeatureMatrix| {
                DecisionTree::fit(x, &labels, &train, &TreeConfig::default()).map(|t| t.predict(x, &all)).ok()
            };
            prop_assert_eq!(fit(&a), fit(&b));
        }
    }
}
