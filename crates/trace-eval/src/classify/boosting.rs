//! Gradient boosting.

use super::cuts::NONE;
use super::draw::{Draw, Marks};
use super::{FeatureMatrix, argmax, check_training};
use crate::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Settings of gradient boosting. The default is scikit-learn's
/// `GradientBoostingClassifier(max_features="sqrt")`: all features in every node would cost a
/// hundred times as much on header bits and overfit more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoostingConfig {
    /// Rounds; each adds one regression tree for each class.
    pub rounds: usize,
    /// Share of each tree's step that is taken.
    pub learning_rate: f64,
    /// Depth of a tree.
    pub max_depth: usize,
    /// Seed of the feature draws.
    pub seed: u64,
}

impl Default for BoostingConfig {
    fn default() -> Self {
        Self { rounds: 100, learning_rate: 0.1, max_depth: 3, seed: 0 }
    }
}

/// Fitted gradient-boosted trees, for the [`FeatureMatrix`] that they were fitted on.
///
/// # Source
/// Friedman, "Greedy function approximation: a gradient boosting machine", 2001, algorithm 6
/// (multinomial deviance, one Newton step a leaf), with a square root of the features drawn for each
/// node as in his "Stochastic gradient boosting", 2002.
#[derive(Debug, Clone)]
pub struct Boosting {
    /// Log share of each class in training, the score before the first tree; none of an unseen class
    /// is ever predicted.
    start: Vec<f64>,
    /// Trees by round, then class.
    rounds: Vec<Vec<Vec<RegressionNode>>>,
}

#[derive(Debug, Clone, Copy)]
enum RegressionNode {
    Leaf(f64),
    Inner { column: u32, threshold: f64, left: usize, right: usize },
}

impl Boosting {
    /// Fits on the samples `train`; `labels` has a class number for every sample of `x`.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`] unless two classes are among the training samples,
    /// [`Error::OutOfRange`] for bad indices, [`Error::Setting`] for a learning rate that is not
    /// positive.
    pub fn fit(
        x: &FeatureMatrix,
        labels: &[usize],
        train: &[usize],
        config: &BoostingConfig,
    ) -> Result<Self> {
        let classes = check_training(x.samples(), labels, train)?;
        if config.learning_rate.is_nan() || config.learning_rate <= 0.0 {
            let (setting, value) = ("learning rate", config.learning_rate);
            return Err(Error::Setting { setting, value, expected: "positive" });
        }
        let mut sizes = vec![0.0_f64; classes];
        for s in train {
            sizes[labels[*s]] += 1.0;
        }
        let start: Vec<f64> = sizes.iter().map(|n| (n / train.len() as f64).ln()).collect();
        let seen: Vec<usize> = (0..classes).filter(|c| sizes[*c] > 0.0).collect();
        let newton = (seen.len() as f64 - 1.0) / seen.len() as f64;
        let mut fitter = Fitter {
            x,
            draw: Draw::new(x.features(), x.live_columns(), ChaCha8Rng::seed_from_u64(config.seed)),
            tried: Marks::new(x.cut_count()),
            residuals: vec![0.0; x.samples()],
            max_depth: config.max_depth,
            step: config.learning_rate * newton,
            nodes: Vec::new(),
        };
        let mut members = train.to_vec();
        members.sort_unstable();
        let mut scores: Vec<Vec<f64>> = vec![start.clone(); x.samples()];
        let mut rounds = Vec::with_capacity(config.rounds);
        for _ in 0..config.rounds {
            let shares: Vec<Vec<f64>> = scores.iter().map(|s| softmax(s)).collect();
            let mut trees = vec![vec![RegressionNode::Leaf(0.0)]; classes];
            for class in &seen {
                for s in train {
                    fitter.residuals[*s] =
                        f64::from(u8::from(labels[*s] == *class)) - shares[*s][*class];
                }
                trees[*class] = fitter.tree(&members);
            }
            for (score, sample) in scores.iter_mut().zip(0..) {
                score.iter_mut().zip(&trees).for_each(|(v, t)| *v += value(t, x, sample));
            }
            rounds.push(trees);
        }
        Ok(Self { start, rounds })
    }

    /// Class shares of a sample.
    ///
    /// # Panics
    /// When `sample` is not in `x`, as slices do.
    pub fn probabilities(&self, x: &FeatureMatrix, sample: usize) -> Vec<f64> {
        let mut scores = self.start.clone();
        for trees in &self.rounds {
            scores.iter_mut().zip(trees).for_each(|(v, t)| *v += value(t, x, sample));
        }
        softmax(&scores)
    }

    /// Most likely class of each of `samples`.
    pub fn predict(&self, x: &FeatureMatrix, samples: &[usize]) -> Vec<usize> {
        samples.iter().map(|s| argmax(&self.probabilities(x, *s))).collect()
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

fn value(tree: &[RegressionNode], x: &FeatureMatrix, sample: usize) -> f64 {
    let mut at = 0;
    loop {
        match tree[at] {
            RegressionNode::Leaf(value) => return value,
            RegressionNode::Inner { column, threshold, left, right } => {
                at = if x.number(column as usize, sample) <= threshold { left } else { right };
            }
        }
    }
}

struct Fitter<'a> {
    x: &'a FeatureMatrix,
    draw: Draw,
    /// Cuts that were tried in this node.
    tried: Marks,
    residuals: Vec<f64>,
    max_depth: usize,
    step: f64,
    nodes: Vec<RegressionNode>,
}

/// The best split so far.
#[derive(Clone, Copy)]
struct Cut {
    column: usize,
    threshold: f64,
}

impl Fitter<'_> {
    fn tree(&mut self, members: &[usize]) -> Vec<RegressionNode> {
        self.grow(members, 0);
        std::mem::take(&mut self.nodes)
    }

    fn grow(&mut self, members: &[usize], depth: usize) -> usize {
        let index = self.nodes.len();
        self.nodes.push(RegressionNode::Leaf(self.leaf(members)));
        if depth >= self.max_depth || members.len() < 2 {
            return index;
        }
        let Some(best) = self.search(members) else { return index };
        let (left, right): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|s| self.x.number(best.column, **s) <= best.threshold);
        let left = self.grow(&left, depth + 1);
        let right = self.grow(&right, depth + 1);
        let (column, threshold) = (best.column as u32, best.threshold);
        self.nodes[index] = RegressionNode::Inner { column, threshold, left, right };
        index
    }

    /// One Newton step of the deviance.
    fn leaf(&self, members: &[usize]) -> f64 {
        let (mut sum, mut curvature) = (0.0, 0.0);
        for r in members.iter().map(|s| self.residuals[*s]) {
            sum += r;
            curvature += r.abs() * (1.0 - r.abs());
        }
        if curvature < 1e-150 { 0.0 } else { self.step * sum / curvature }
    }

    fn search(&mut self, members: &[usize]) -> Option<Cut> {
        let sum: f64 = members.iter().map(|s| self.residuals[*s]).sum();
        let n = members.len();
        // A split that gains nothing but rounding is none.
        let mut best = None;
        let mut bar = sum * sum / n as f64 + 1e-12;
        let mut left = self.draw.live_among_drawn();
        self.draw.begin_node();
        self.tried.clear();
        while let Some(column) = self.draw.next_live().map(|c| c as usize) {
            let mut consider = |threshold: f64, upper: f64, size: usize| {
                if size == 0 || size == n {
                    return;
                }
                let lower = sum - upper;
                // The sum over both sides of the squared sum of residuals over size.
                let gain = upper * upper / size as f64 + lower * lower / (n - size) as f64;
                if gain > bar {
                    best = Some(Cut { column, threshold });
                    bar = gain * (1.0 + 1e-12);
                }
            };
            if column < self.x.ternary_columns() {
                for (cut, threshold) in self.x.column_cuts(column).into_iter().zip([-0.5, 0.5]) {
                    if cut == NONE || !self.tried.insert(cut) {
                        continue;
                    }
                    let plane = self.x.cut(cut);
                    let (mut upper, mut size) = (0.0, 0);
                    for s in members {
                        if (plane[s >> 6] >> (63 - (s & 63))) & 1 == 1 {
                            upper += self.residuals[*s];
                            size += 1;
                        }
                    }
                    consider(threshold, upper, size);
                }
            } else {
                let mut values: Vec<(f64, f64)> = members
                    .iter()
                    .map(|s| (self.x.number(column, *s), self.residuals[*s]))
                    .collect();
                values.sort_by(|a, b| a.0.total_cmp(&b.0));
                let mut lower = 0.0;
                for (below, pair) in values.windows(2).enumerate() {
                    lower += pair[0].1;
                    if pair[0].0 < pair[1].0 {
                        let middle = f64::midpoint(pair[0].0, pair[1].0);
                        let threshold = if middle < pair[1].0 { middle } else { pair[0].0 };
                        consider(threshold, sum - lower, n - below - 1);
                    }
                }
            }
            left = left.saturating_sub(1);
            if left == 0 && best.is_some() {
                break;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use rand::Rng;

    #[test]
    fn one_round_is_one_newton_step() {
        // One feature that tells the classes: shares 1/2, residuals ±1/2, a leaf of one class has
        // the step 0.1 * 1/2 * (1/2) / (1/2 * 1/2) = 0.1.
        let x = FeatureMatrix::from_planes(&Planes::from_cells(1, &[0, 0, 1, 1]).expect("ternary"));
        let config = BoostingConfig { rounds: 1, ..BoostingConfig::default() };
        let fitted = Boosting::fit(&x, &[0, 0, 1, 1], &[0, 1, 2, 3], &config).expect("fit");
        let expected = 0.2_f64.exp() / (1.0 + 0.2_f64.exp());
        assert!((fitted.probabilities(&x, 0)[0] - expected).abs() < 1e-12);
        assert_eq!(fitted.predict(&x, &[0, 1, 2, 3]), vec![0, 0, 1, 1]);
    }

    #[test]
    fn learns_what_no_single_feature_tells() {
        // Class = parity of two of nine features; the rest are noise.
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let cells: Vec<i8> = (0..9 * 200).map(|_| rng.random_range(0..=1)).collect();
        let labels: Vec<usize> = cells.chunks_exact(9).map(|r| (r[2] ^ r[6]) as usize).collect();
        let x = FeatureMatrix::from_planes(&Planes::from_cells(9, &cells).expect("ternary"));
        let (train, test): (Vec<usize>, Vec<usize>) = (0..200).partition(|s| s % 4 > 0);
        let fitted = Boosting::fit(&x, &labels, &train, &BoostingConfig::default()).expect("fit");
        let found = fitted.predict(&x, &test);
        let hits = found.iter().zip(&test).filter(|(p, s)| **p == labels[**s]).count();
        assert!(hits > 40, "{hits} of {}", test.len());
    }

    #[test]
    fn numbers_and_planes_agree() {
        let rng = &mut ChaCha8Rng::seed_from_u64(6);
        let cells: Vec<i8> = (0..6 * 60).map(|_| rng.random_range(-1..=1)).collect();
        let rows: Vec<Vec<f64>> =
            cells.chunks_exact(6).map(|r| r.iter().map(|c| f64::from(*c)).collect()).collect();
        let names: Vec<String> = (0..6).map(|i| i.to_string()).collect();
        let labels: Vec<usize> = cells.chunks_exact(6).map(|r| (r[1] + 1) as usize).collect();
        let planes = FeatureMatrix::from_planes(&Planes::from_cells(6, &cells).expect("ternary"));
        let numbers = FeatureMatrix::from_numbers(&names, &rows).expect("finite");
        let all: Vec<usize> = (0..60).collect();
        let found = |x: &FeatureMatrix| {
            let config = BoostingConfig { rounds: 20, ..BoostingConfig::default() };
            Boosting::fit(x, &labels, &all[..40], &config).expect("fit").predict(x, &all)
        };
        assert_eq!(found(&planes), found(&numbers));
    }

    #[test]
    fn classes_that_were_never_seen_are_never_named() {
        let x = FeatureMatrix::from_planes(&Planes::from_cells(1, &[0, 1, 1]).expect("ternary"));
        let fitted =
            Boosting::fit(&x, &[0, 2, 1], &[0, 1], &BoostingConfig::default()).expect("fit");
        assert_eq!(fitted.predict(&x, &[0, 1, 2]), vec![0, 2, 2]);
        assert!(Boosting::fit(&x, &[0, 2, 1], &[0], &BoostingConfig::default()).is_err());
    }
}
