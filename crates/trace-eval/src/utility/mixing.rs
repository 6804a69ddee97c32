//! What happens when synthetic captures take the place of real ones in training.

use super::learner::{Learner, Scored};
use super::sets::{Run, Sets};
use crate::Result;
use crate::classify::FeatureMatrix;
use crate::config::{Classifier, EvalConfig, View};
use crate::report::Interval;
use crate::sample::{Category, Pool};
use serde::{Deserialize, Serialize};

/// One point of a mixing curve: trained on real and synthetic captures, tested on real ones that are
/// neither in training nor parents of a capture there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixingRow {
    /// Label category.
    pub category: String,
    /// What the classifier saw.
    pub view: View,
    /// The classifier.
    pub classifier: Classifier,
    /// Share of the real training captures that synthetic ones stand in for.
    pub synthetic_share: f64,
    /// Accuracy.
    pub accuracy: Interval,
    /// Macro F1.
    pub macro_f1: Interval,
    /// Captures in a training set, mean.
    pub trained: f64,
    /// Runs.
    pub runs: usize,
}

/// The curve of one category in one view.
pub(super) fn mixing_rows(
    pool: &Pool<'_>,
    category: &Category,
    view: View,
    x: &FeatureMatrix,
    shares: &[f64],
    config: &EvalConfig,
) -> Result<Vec<MixingRow>> {
    let sets = Sets::new(pool, category);
    let gram = view.bit_view().map(|_| x.gram(&[]));
    let mut rows = Vec::new();
    for share in shares {
        let runs: Vec<Run> = (0..config.runs as u64)
            .map(|run| sets.mixed_run(*share, config, run))
            .collect::<Result<_>>()?;
        if runs.iter().any(|r| r.impossible.is_some()) {
            continue;
        }
        let sizes: Vec<usize> =
            runs.iter().flat_map(|r| r.parts.iter().map(|p| p.train.len())).collect();
        for classifier in &config.classifiers {
            let learner = Learner { x, gram: gram.as_ref(), classifier: *classifier, config };
            let scored = learner.score_all(&runs, &sets.classes, category.values.len())?;
            let Some(Scored { scores: scored, accuracy, macro_f1 }) = scored else { continue };
            rows.push(MixingRow {
                category: category.name.clone(),
                view,
                classifier: *classifier,
                synthetic_share: *share,
                accuracy,
                macro_f1,
                trained: sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64,
                runs: scored.len(),
            });
        }
    }
    Ok(rows)
}
