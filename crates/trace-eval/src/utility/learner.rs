//! One classifier, trained and tested.

use super::sets::{Part, Run};
use crate::classify::{
    Boosting, BoostingConfig, DecisionTree, FeatureMatrix, Forest, ForestConfig, Gram, LinearSvm,
    NearestConfig, NearestNeighbours, Scores, SvmConfig, TreeConfig,
};
use crate::config::{Classifier, EvalConfig};
use crate::report::Interval;
use crate::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;

/// A classifier on a feature matrix.
pub(super) struct Learner<'a> {
    pub(super) x: &'a FeatureMatrix,
    /// Inner products, where they do not depend on the training set.
    pub(super) gram: Option<&'a Gram>,
    pub(super) classifier: Classifier,
    pub(super) config: &'a EvalConfig,
}

/// How a learner did over several runs.
pub(super) struct Scored {
    /// Scores of the runs in which something was learned.
    pub(super) scores: Vec<Scores>,
    pub(super) accuracy: Interval,
    pub(super) macro_f1: Interval,
}

impl Scored {
    /// `None` without a score.
    pub(super) fn of(scores: Vec<Scores>) -> Option<Self> {
        let of = |f: fn(&Scores) -> f64| Interval::of(&scores.iter().map(f).collect::<Vec<_>>());
        let (accuracy, macro_f1) = (of(|s| s.accuracy)?, of(|s| s.macro_f1)?);
        Some(Self { scores, accuracy, macro_f1 })
    }
}

impl Learner<'_> {
    /// Scores several runs; `None` where nothing was learned in any.
    pub(super) fn score_all(
        &self,
        runs: &[Run],
        classes: &[usize],
        count: usize,
    ) -> Result<Option<Scored>> {
        let scores: Vec<Option<Scores>> =
            runs.par_iter().map(|run| self.score(run, classes, count)).collect::<Result<_>>()?;
        Ok(Scored::of(scores.into_iter().flatten().collect()))
    }

    /// Scores all predictions of a run together; `None` where none of its parts could be learned.
    pub(super) fn score(
        &self,
        run: &Run,
        classes: &[usize],
        count: usize,
    ) -> Result<Option<Scores>> {
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        for part in &run.parts {
            let labels = part.shuffled.as_deref().unwrap_or(classes);
            let found = match self.predict(part, labels, run.seed) {
                // Shuffling can leave one class only: nothing is learned, nothing is scored.
                Err(Error::TooFewClasses { .. }) => continue,
                other => other?,
            };
            predicted.extend(found);
            truth.extend(part.test.iter().map(|s| classes[*s]));
        }
        Ok(Scores::of(&truth, &predicted, count))
    }

    pub(super) fn predict(&self, part: &Part, labels: &[usize], seed: u64) -> Result<Vec<usize>> {
        let (x, Part { train, test, .. }) = (self.x, part);
        Ok(match self.classifier {
            Classifier::Tree => {
                DecisionTree::fit(x, labels, train, &TreeConfig::default())?.predict(x, test)
            }
            Classifier::Forest => {
                let config =
                    ForestConfig { trees: self.config.trees, seed, ..ForestConfig::default() };
                Forest::fit(x, labels, train, &config)?.predict(x, test)
            }
            Classifier::Svm => {
                let gram = self.gram(train);
                LinearSvm::fit_gram(&gram, labels, train, &SvmConfig::default())?
                    .predict(&gram, test)
            }
            Classifier::Boosting => {
                let config = BoostingConfig { seed, ..BoostingConfig::default() };
                Boosting::fit(x, labels, train, &config)?.predict(x, test)
            }
            Classifier::Nearest => {
                let (gram, config) = (self.gram(train), NearestConfig::default());
                NearestNeighbours::fit(&gram, labels, train, &config)?.predict(&gram, test)
            }
        })
    }

    fn gram(&self, train: &[usize]) -> Cow<'_, Gram> {
        self.gram.map_or_else(|| Cow::Owned(self.x.gram(train)), Cow::Borrowed)
    }
}
