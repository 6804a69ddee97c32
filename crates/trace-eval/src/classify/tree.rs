//! Exact greedy decision tree with the Gini criterion.

use super::{FeatureMatrix, argmax, check_training};
use crate::Result;
use rand::Rng;
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
    column: u32,
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
        let mut rng = None;
        if config.features == SplitFeatures::Sqrt {
            rng = Some(rand::SeedableRng::seed_from_u64(0));
        }
        Ok(Self::fit_weighted(x, labels, &weights, classes, config, rng))
    }

    /// Fits with a weight for every sample; 0 leaves it out.
    pub(crate) fn fit_weighted(
        x: &FeatureMatrix,
        labels: &[usize],
        weights: &[u32],
        classes: usize,
        config: &TreeConfig,
        rng: Option<ChaCha8Rng>,
    ) -> Self {
        let total: u32 = weights.iter().sum();
        let mut grower = Grower {
            x,
            labels,
            weights,
            classes,
            max_depth: config.max_depth.unwrap_or(usize::MAX),
            draw: if config.features == SplitFeatures::Sqrt { rng } else { None },
            total: f64::from(total.max(1)),
            tree: Self { nodes: Vec::new(), importances: BTreeMap::new() },
            present: vec![0; classes],
            ones: vec![0; classes],
        };
        let root = root_terms(labels, weights, classes, x.words());
        grower.grow(&root, 0);
        let mut tree = grower.tree;
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

/// Samples of one node, class and weight within one word: the class histogram of a column is the
/// sum of `weight * popcount(column & mask)` over terms.
#[derive(Debug, Clone, Copy)]
struct Term {
    word: u32,
    class: u16,
    weight: u16,
    mask: u64,
}

fn root_terms(labels: &[usize], weights: &[u32], classes: usize, words: usize) -> Vec<Term> {
    let heaviest = weights.iter().max().copied().unwrap_or(0);
    let mut terms = Vec::new();
    for word in 0..words {
        for class in 0..classes {
            for power in 0..(32 - heaviest.leading_zeros()) {
                let mask = (64 * word..labels.len().min(64 * word + 64))
                    .filter(|s| labels[*s] == class && (weights[*s] >> power) & 1 == 1)
                    .fold(0_u64, |m, s| m | 1 << (63 - (s & 63)));
                if mask != 0 {
                    let (word, class) = (word as u32, class as u16);
                    terms.push(Term { word, class, weight: 1 << power, mask });
                }
            }
        }
    }
    terms
}

struct Grower<'a> {
    x: &'a FeatureMatrix,
    labels: &'a [usize],
    weights: &'a [u32],
    classes: usize,
    max_depth: usize,
    draw: Option<ChaCha8Rng>,
    total: f64,
    tree: DecisionTree,
    present: Vec<u64>,
    ones: Vec<u64>,
}

/// A possible split: the sum over both sides of squared class counts over size (larger is purer).
#[derive(Debug, Clone, Copy)]
struct Candidate {
    purity: f64,
    column: usize,
    threshold: f64,
}

impl Grower<'_> {
    fn grow(&mut self, terms: &[Term], depth: usize) -> usize {
        let mut counts = vec![0_u64; self.classes];
        for t in terms {
            counts[usize::from(t.class)] += u64::from(t.weight) * u64::from(t.mask.count_ones());
        }
        let n: u64 = counts.iter().sum();
        let squares: f64 = counts.iter().map(|c| (c * c) as f64).sum();
        let pure = counts.contains(&n);
        let node = Node {
            counts: counts.clone(),
            impurity: if n == 0 { 0.0 } else { 1.0 - squares / (n * n) as f64 },
            split: None,
        };
        let index = self.tree.nodes.len();
        self.tree.nodes.push(node);
        if pure || depth >= self.max_depth {
            return index;
        }
        let Some(best) = self.search(terms, &counts) else { return index };
        let decrease = (best.purity - squares / n as f64).max(0.0) / self.total;
        *self.tree.importances.entry(self.x.id(best.column)).or_insert(0.0) += decrease;
        let side = self.left_mask(&best);
        let keep = |flip: u64| -> Vec<Term> {
            terms
                .iter()
                .map(|t| Term { mask: t.mask & (side[t.word as usize] ^ flip), ..*t })
                .filter(|t| t.mask != 0)
                .collect()
        };
        let (left, right) = (keep(0), keep(u64::MAX));
        let left = self.grow(&left, depth + 1);
        let right = self.grow(&right, depth + 1);
        self.tree.nodes[index].split = Some(Split {
            feature: self.x.id(best.column),
            threshold: best.threshold,
            left,
            right,
            column: best.column as u32,
        });
        index
    }

    fn search(&mut self, terms: &[Term], counts: &[u64]) -> Option<Candidate> {
        let live = self.x.live_columns();
        let mut best = None;
        let Some(mut rng) = self.draw.take() else {
            (0..live).for_each(|c| self.try_column(c, terms, counts, &mut best));
            return best;
        };
        let features = self.x.features().max(live);
        let wanted = features.isqrt().max(1);
        for column in rand::seq::index::sample(&mut rng, features, wanted) {
            // Numbers past the live columns stand for the constant ones.
            if column < live {
                self.try_column(column, terms, counts, &mut best);
            }
        }
        if best.is_none() {
            let start = if live > 0 { rng.random_range(0..live) } else { 0 };
            let order = rand::seq::index::sample(&mut rng, live, live);
            for column in order.iter().map(|c| (c + start) % live) {
                self.try_column(column, terms, counts, &mut best);
                if best.is_some() {
                    break;
                }
            }
        }
        self.draw = Some(rng);
        best
    }

    fn try_column(
        &mut self,
        column: usize,
        terms: &[Term],
        counts: &[u64],
        best: &mut Option<Candidate>,
    ) {
        if column < self.x.ternary_columns() {
            self.try_ternary(column, terms, counts, best);
        } else {
            self.try_numeric(column, terms, counts, best);
        }
    }

    fn try_ternary(
        &mut self,
        column: usize,
        terms: &[Term],
        counts: &[u64],
        best: &mut Option<Candidate>,
    ) {
        let (present, value) = self.x.column_planes(column);
        self.present.fill(0);
        self.ones.fill(0);
        for t in terms {
            let (word, class, weight) =
                (t.word as usize, usize::from(t.class), u64::from(t.weight));
            self.present[class] += weight * u64::from((present[word] & t.mask).count_ones());
            self.ones[class] += weight * u64::from((value[word] & t.mask).count_ones());
        }
        let sum = |c: &[u64]| c.iter().sum::<u64>();
        let (all, present, ones) = (sum(counts), sum(&self.present), sum(&self.ones));
        let (vacant, zeros) = (all - present, present - ones);
        if vacant > 0 && present > 0 {
            let threshold = if zeros > 0 { -0.5 } else { 0.0 };
            consider(best, column, threshold, purity(counts, &self.present));
        }
        if zeros > 0 && ones > 0 {
            consider(best, column, 0.5, purity(counts, &self.ones));
        }
    }

    fn try_numeric(
        &mut self,
        column: usize,
        terms: &[Term],
        counts: &[u64],
        best: &mut Option<Candidate>,
    ) {
        let numeric = self.x.numeric_column(column);
        let mut inside = vec![0_u64; self.x.words()];
        for t in terms {
            inside[t.word as usize] |= t.mask;
        }
        let left = &mut self.ones;
        left.fill(0);
        let mut last: Option<f64> = None;
        for sample in numeric.order.iter().map(|s| *s as usize) {
            if (inside[sample >> 6] >> (63 - (sample & 63))) & 1 == 0 {
                continue;
            }
            let value = numeric.values[sample];
            if let Some(last) = last.filter(|l| value > *l) {
                let middle = f64::midpoint(last, value);
                let threshold = if middle < value { middle } else { last };
                consider(best, column, threshold, purity(counts, left));
            }
            left[self.labels[sample]] += u64::from(self.weights[sample]);
            last = Some(value);
        }
    }

    /// The samples that go left, one bit each.
    fn left_mask(&self, split: &Candidate) -> Vec<u64> {
        if split.column < self.x.ternary_columns() {
            let (present, value) = self.x.column_planes(split.column);
            let plane = if split.threshold > 0.25 { value } else { present };
            return plane.iter().map(|w| !w).collect();
        }
        let mut mask = vec![0_u64; self.x.words()];
        for (sample, value) in self.x.numeric_column(split.column).values.iter().enumerate() {
            if *value <= split.threshold {
                mask[sample >> 6] |= 1 << (63 - (sample & 63));
            }
        }
        mask
    }
}

fn consider(best: &mut Option<Candidate>, column: usize, threshold: f64, purity: f64) {
    // A difference in the last digits is rounding: the earlier split stays.
    if best.is_none_or(|b| purity > b.purity * (1.0 + 1e-12)) {
        *best = Some(Candidate { purity, column, threshold });
    }
}

/// Sum over `part` and the rest of `counts` of squared class counts over size.
fn purity(counts: &[u64], part: &[u64]) -> f64 {
    let (mut a, mut b, mut squares_a, mut squares_b) = (0, 0, 0, 0);
    for (all, one) in counts.iter().zip(part) {
        let other = all - one;
        a += one;
        b += other;
        squares_a += one * one;
        squares_b += other * other;
    }
    squares_a as f64 / a as f64 + squares_b as f64 / b as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use proptest::prelude::*;

    /// Best purity of the root by looking at every cell.
    fn naive_root(columns: usize, cells: &[i8], labels: &[usize], classes: usize) -> Option<f64> {
        let mut best: Option<f64> = None;
        for column in 0..columns {
            for cut in [-0.5, 0.5] {
                let (mut left, mut all) = (vec![0; classes], vec![0; classes]);
                for (sample, label) in labels.iter().enumerate() {
                    all[*label] += 1;
                    left[*label] += u64::from(f64::from(cells[sample * columns + column]) <= cut);
                }
                let n: u64 = left.iter().sum();
                if n > 0 && n < labels.len() as u64 {
                    best = Some(best.unwrap_or(0.0).max(purity(&all, &left)));
                }
            }
        }
        best
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
            let classes = labels.iter().max().expect("rows") + 1;
            let root = &tree.nodes()[0];
            if let Some(split) = root.split {
                let mut left = vec![0_u64; classes];
                for (s, label) in labels.iter().enumerate() {
                    let cell = cells[s * columns + split.feature as usize];
                    left[*label] += u64::from(f64::from(cell) <= split.threshold);
                }
                let naive = naive_root(columns, &cells, &labels, classes).expect("a split");
                prop_assert!((purity(&root.counts, &left) - naive).abs() < 1e-9);
            }
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
