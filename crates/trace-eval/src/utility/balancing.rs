//! Do synthetic captures help where classes are uneven, more than repeating or crossing real ones?

use super::learner::{Learner, Scored};
use super::sets::{Part, Sets};
use crate::classify::{FeatureMatrix, Scores, duplicate, stratified_share, ternary_smote};
use crate::config::{Classifier, EvalConfig, View};
use crate::report::Interval;
use crate::sample::{Category, Pool};
use crate::{Error, Result};
use nprint_codec::TernaryMatrix;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What small classes are filled up with, to the size of the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filling {
    /// Nothing: the classes stay uneven.
    Nothing,
    /// The same captures again.
    Duplicates,
    /// Captures crossed cell by cell, see [`ternary_smote`].
    Smote,
    /// Synthetic captures of the class whose parents are not tested; fewer where there are fewer.
    Synthetic,
}

impl Filling {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Duplicates, Self::Smote, Self::Synthetic];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "uneven classes",
            Self::Duplicates => "duplicates",
            Self::Smote => "SMOTE",
            Self::Synthetic => "synthetic captures",
        }
    }
}

/// One test of class balancing: trained on real captures with every other class thinned, and filled
/// up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceRow {
    /// Label category.
    pub category: String,
    /// What the classifier saw.
    pub view: View,
    /// The classifier.
    pub classifier: Classifier,
    /// What the thinned classes were filled up with.
    pub filling: Filling,
    /// Accuracy.
    pub accuracy: Interval,
    /// Macro F1, which thinned classes weigh in as much as the others.
    pub macro_f1: Interval,
    /// Runs.
    pub runs: usize,
}

/// Share of their captures that thinned classes keep, and neighbours that SMOTE chooses from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thinning {
    pub(super) share: f64,
    pub(super) neighbours: usize,
}

/// Every filling for one category in one bit view.
pub(super) fn balance_rows(
    pool: &Pool<'_>,
    category: &Category,
    view: View,
    x: &FeatureMatrix,
    thinning: Thinning,
    config: &EvalConfig,
) -> Result<Vec<BalanceRow>> {
    let Some(bits) = view.bit_view() else { return Ok(Vec::new()) };
    let keep = bits.columns(pool.samples[0].matrix.layout());
    let sets = Sets::new(pool, category);
    let matrices: Vec<&TernaryMatrix> = pool.samples.iter().map(|s| &s.matrix).collect();
    let gram = x.gram(&[]);
    let mut rows = Vec::new();
    for filling in Filling::ALL {
        let mut scored = vec![Vec::new(); config.classifiers.len()];
        for run in 0..config.runs as u64 {
            let mut run = sets.mixed_run(0.0, config, run)?;
            if run.impossible.is_some() {
                break;
            }
            let rng = &mut ChaCha8Rng::seed_from_u64(run.seed);
            let mut predictions = vec![(Vec::new(), Vec::new()); config.classifiers.len()];
            for part in &mut run.parts {
                thin(&sets.classes, part, thinning.share, rng);
                // The same captures are thinned whatever they are filled up with.
                let rng = &mut rng.clone();
                let mut labels = sets.classes.clone();
                let made = match filling {
                    Filling::Nothing => None,
                    Filling::Duplicates => {
                        part.train = duplicate(&labels, &part.train, rng);
                        None
                    }
                    Filling::Synthetic => {
                        fill_with(&sets.trainable(&part.test), &labels, part, rng);
                        None
                    }
                    Filling::Smote => {
                        let cut: Vec<TernaryMatrix> = part
                            .train
                            .iter()
                            .map(|s| truncated(matrices[*s], config.rows))
                            .collect();
                        let of: Vec<&TernaryMatrix> = cut.iter().collect();
                        let own: Vec<usize> = part.train.iter().map(|s| labels[*s]).collect();
                        let all: Vec<usize> = (0..own.len()).collect();
                        let (made, classes) =
                            ternary_smote(&of, &own, &all, thinning.neighbours, rng)?;
                        part.train.extend(labels.len()..labels.len() + made.len());
                        labels.extend(classes);
                        let all: Vec<&TernaryMatrix> =
                            matrices.iter().copied().chain(&made).collect();
                        Some(FeatureMatrix::from_ternary(&all, config.rows, &keep)?)
                    }
                };
                let own_gram = made.as_ref().map(|x| x.gram(&[]));
                for (classifier, (truth, found)) in config.classifiers.iter().zip(&mut predictions)
                {
                    let learner = Learner {
                        x: made.as_ref().unwrap_or(x),
                        gram: Some(own_gram.as_ref().unwrap_or(&gram)),
                        classifier: *classifier,
                        config,
                    };
                    match learner.predict(part, &labels, run.seed) {
                        Err(Error::TooFewClasses { .. }) => continue,
                        predicted => found.extend(predicted?),
                    }
                    truth.extend(part.test.iter().map(|s| sets.classes[*s]));
                }
            }
            for (scored, (truth, found)) in scored.iter_mut().zip(predictions) {
                scored.extend(Scores::of(&truth, &found, category.values.len()));
            }
        }
        for (classifier, scored) in config.classifiers.iter().zip(scored) {
            let Some(Scored { scores, accuracy, macro_f1 }) = Scored::of(scored) else { continue };
            rows.push(BalanceRow {
                category: category.name.clone(),
                view,
                classifier: *classifier,
                filling,
                accuracy,
                macro_f1,
                runs: scores.len(),
            });
        }
    }
    Ok(rows)
}

/// Keeps `share` of the training captures of every other class, which ones by chance.
fn thin(classes: &[usize], part: &mut Part, share: f64, rng: &mut ChaCha8Rng) {
    let mut present: Vec<usize> = part.train.iter().map(|s| classes[*s]).collect();
    present.sort_unstable();
    present.dedup();
    present.shuffle(rng);
    let thinned = &present[..present.len() >> 1];
    let (some, mut kept): (Vec<usize>, Vec<usize>) =
        part.train.iter().partition(|s| thinned.contains(&classes[**s]));
    kept.extend(stratified_share(classes, &some, share, rng));
    kept.sort_unstable();
    part.train = kept;
}

/// Adds captures of `spare` to the smaller classes until they are as large as the largest, or none
/// is left.
fn fill_with(spare: &[usize], classes: &[usize], part: &mut Part, rng: &mut ChaCha8Rng) {
    let count = classes.iter().max().map_or(0, |m| m + 1);
    let mut sizes = vec![0_usize; count];
    for s in &part.train {
        sizes[classes[*s]] += 1;
    }
    let largest = sizes.iter().max().copied().unwrap_or(0);
    let mut order = spare.to_vec();
    order.shuffle(rng);
    for s in order {
        let size = &mut sizes[classes[s]];
        if *size > 0 && *size < largest {
            *size += 1;
            part.train.push(s);
        }
    }
}

fn truncated(matrix: &TernaryMatrix, rows: usize) -> TernaryMatrix {
    let mut out = matrix.clone();
    out.truncate(rows);
    out
}
