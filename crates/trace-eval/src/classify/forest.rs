//! Random forest.

use super::draw::Draw;
use super::search::Candidates;
use super::training::Training;
use super::{DecisionTree, FeatureMatrix, argmax, check_training};
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the trees of a forest decide together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vote {
    /// Mean of the trees' class shares (scikit-learn).
    #[default]
    Soft,
    /// Each tree names one class (Breiman).
    Majority,
}

/// Settings of a forest. The default is scikit-learn's `RandomForestClassifier()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForestConfig {
    /// Number of trees.
    pub trees: usize,
    /// Depth limit of each tree.
    pub max_depth: Option<usize>,
    /// Seed of bootstraps and feature draws; tree `i` uses stream `i` of the generator.
    pub seed: u64,
    /// How the trees decide.
    pub vote: Vote,
}

impl Default for ForestConfig {
    fn default() -> Self {
        Self { trees: 100, max_depth: None, seed: 0, vote: Vote::Soft }
    }
}

/// A fitted random forest, for the [`FeatureMatrix`] that it was fitted on.
///
/// Each tree sees a bootstrap of the training samples and, in each node, a square root of the
/// features, constant ones counted. The result depends on the seed only, not on threads.
///
/// # Source
/// Breiman, "Random Forests", 2001.
#[derive(Debug, Clone)]
pub struct Forest {
    trees: Vec<DecisionTree>,
    classes: usize,
    vote: Vote,
}

impl Forest {
    /// Fits on the samples `train`; `labels` has a class number for every sample of `x`.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`] unless two classes are among the training samples,
    /// [`Error::OutOfRange`] for bad indices, [`Error::Setting`] for a forest of no trees.
    pub fn fit(
        x: &FeatureMatrix,
        labels: &[usize],
        train: &[usize],
        config: &ForestConfig,
    ) -> Result<Self> {
        let classes = check_training(x.samples(), labels, train)?;
        if config.trees == 0 {
            return Err(Error::Setting {
                setting: "forest trees",
                value: 0.0,
                expected: "at least 1",
            });
        }
        let training = Training::by_class(x, labels, train);
        let columns = training.columns();
        let trees = (0..config.trees as u64)
            .into_par_iter()
            .map(|tree| {
                let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
                rng.set_stream(tree);
                let mut weights = vec![0_u32; x.samples()];
                for _ in train {
                    weights[train[rng.random_range(0..train.len())]] += 1;
                }
                let draw = Draw::new(x.features(), columns.numbers.len(), rng);
                let candidates = Some(Candidates::new(&training, &columns, draw));
                let depth = config.max_depth;
                DecisionTree::grown(&training, labels, &weights, classes, depth, candidates)
            })
            .collect();
        Ok(Self { trees, classes, vote: config.vote })
    }

    /// Class shares of a sample: the mean of the trees' shares, or their votes.
    pub fn probabilities(&self, x: &FeatureMatrix, sample: usize) -> Vec<f64> {
        let mut sum = vec![0.0; self.classes];
        for tree in &self.trees {
            let shares = tree.probabilities(x, sample);
            match self.vote {
                Vote::Soft => sum.iter_mut().zip(&shares).for_each(|(s, p)| *s += p),
                Vote::Majority => sum[argmax(&shares)] += 1.0,
            }
        }
        for s in &mut sum {
            *s /= self.trees.len() as f64;
        }
        sum
    }

    /// Most likely class of each of `samples`.
    pub fn predict(&self, x: &FeatureMatrix, samples: &[usize]) -> Vec<usize> {
        samples.iter().map(|s| argmax(&self.probabilities(x, *s))).collect()
    }

    /// Mean of the trees' importances by feature number, scaled to sum 1.
    pub fn importances(&self) -> BTreeMap<u32, f64> {
        let mut sum: BTreeMap<u32, f64> = BTreeMap::new();
        for (feature, share) in self.trees.iter().flat_map(DecisionTree::importances) {
            *sum.entry(*feature).or_insert(0.0) += share;
        }
        let total: f64 = sum.values().sum();
        if total > 0.0 {
            for v in sum.values_mut() {
                *v /= total;
            }
        }
        sum
    }
}
