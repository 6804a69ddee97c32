//! Settings of an evaluation.

use crate::features::BitView;
use crate::utility::StudyConfig;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A classifier of the utility tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Classifier {
    /// Exact decision tree.
    Tree,
    /// Random forest.
    Forest,
    /// Linear support vector machine, C = 1.
    Svm,
    /// Gradient boosting, 100 rounds of depth 3.
    Boosting,
    /// Five nearest neighbours.
    Nearest,
}

impl Classifier {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tree => "decision tree",
            Self::Forest => "random forest",
            Self::Svm => "linear SVM",
            Self::Boosting => "gradient boosting",
            Self::Nearest => "nearest neighbours",
        }
    }
}

/// What a classifier sees of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum View {
    /// Header bits without leak-prone fields.
    Bits,
    /// All header bits.
    BitsWithLeaks,
    /// Lengths, directions, times, bursts, header stacks.
    Sequence,
}

impl View {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bits => "bits, leak-prone removed",
            Self::BitsWithLeaks => "bits, all",
            Self::Sequence => "sequence features",
        }
    }

    pub(crate) const fn bit_view(self) -> Option<BitView> {
        match self {
            Self::Bits => Some(BitView::NoLeaks),
            Self::BitsWithLeaks => Some(BitView::All),
            Self::Sequence => None,
        }
    }
}

/// Settings of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Rows of each matrix that the bit views show to classifiers.
    pub rows: usize,
    /// Packets of each capture that sequence features and distributions are made from.
    pub packets: usize,
    /// Runs of every utility test; each has its own splits and forests.
    pub runs: usize,
    /// Different 4 : 1 splits of the real captures that real → synthetic trains on. The seeds name 100
    /// and reuse one.
    pub splits: usize,
    /// Folds of cross-validation, fewer where a class has fewer samples.
    pub folds: usize,
    /// Trees of a forest.
    pub trees: usize,
    /// Random splits that noise floors are averaged over.
    pub floor_splits: usize,
    /// Random divisions that the p-value of the maximum mean discrepancy is counted on.
    pub permutations: usize,
    /// Classifiers.
    pub classifiers: Vec<Classifier>,
    /// Views.
    pub views: Vec<View>,
    /// The longer tests of utility: mixing curves, class balancing, importances. Off by default: they
    /// cost one and a half to three times what everything else does together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyConfig>,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            rows: 256,
            packets: 1024,
            runs: 5,
            splits: 25,
            folds: 5,
            trees: 100,
            floor_splits: 10,
            permutations: 199,
            classifiers: vec![Classifier::Tree, Classifier::Forest, Classifier::Svm],
            views: vec![View::Bits, View::BitsWithLeaks, View::Sequence],
            study: None,
            seed: 1,
        }
    }
}

impl EvalConfig {
    /// The published protocol at full size: 1024 rows, 10 runs of 5 folds, 100 splits for
    /// real → synthetic, and the study.
    pub fn published() -> Self {
        let study = Some(StudyConfig::default());
        Self { rows: 1024, runs: 10, splits: 100, study, ..Self::default() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first one that makes no sense.
    pub fn validate(&self) -> Result<()> {
        let least = [
            ("rows", self.rows, 1, "at least 1"),
            ("packets", self.packets, 2, "at least 2"),
            ("runs", self.runs, 1, "at least 1"),
            ("splits", self.splits, 1, "at least 1"),
            ("folds", self.folds, 2, "at least 2"),
            ("trees", self.trees, 1, "at least 1"),
            ("floor_splits", self.floor_splits, 1, "at least 1"),
            ("permutations", self.permutations, 1, "at least 1"),
        ];
        match least.into_iter().find(|(_, value, least, _)| value < least) {
            Some((setting, value, _, expected)) => {
                Err(Error::Setting { setting, value: value as f64, expected })
            }
            None => self.study.as_ref().map_or(Ok(()), StudyConfig::validate),
        }
    }
}
