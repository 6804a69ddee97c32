//! Scores of predicted classes.

use serde::{Deserialize, Serialize};

/// The usual scores of a classification.
///
/// # Layout
/// `confusion[true class][predicted class]`. Macro means are over the classes that are true or
/// predicted at least once; balanced accuracy over those that are true at least once; a class that
/// is never predicted has precision 0 (scikit-learn's conventions).
///
/// # Example
/// ```
/// use trace_eval::classify::Scores;
/// let s = Scores::of(&[0, 0, 1, 1], &[0, 1, 1, 1], 2).expect("four samples");
/// assert_eq!((s.accuracy, s.confusion), (0.75, vec![vec![1, 1], vec![0, 2]]));
/// assert!(Scores::of(&[], &[], 2).is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Share of right predictions.
    pub accuracy: f64,
    /// Mean of the classes' recalls.
    pub balanced_accuracy: f64,
    /// Mean of the classes' F1 scores.
    pub macro_f1: f64,
    /// Mean of the classes' F1 scores, weighted by their size.
    pub weighted_f1: f64,
    /// Mean of the classes' precisions.
    pub macro_precision: f64,
    /// Mean of the classes' recalls.
    pub macro_recall: f64,
    /// Agreement beyond chance (Cohen, 1960).
    pub cohen_kappa: f64,
    /// Matthews correlation for several classes (Gorodkin, 2004).
    pub matthews_correlation: f64,
    /// True class × predicted class.
    pub confusion: Vec<Vec<u64>>,
}

impl Scores {
    /// Scores predictions; `None` where there are none, or the lengths differ, or a class is not
    /// below `classes`.
    pub fn of(truth: &[usize], predicted: &[usize], classes: usize) -> Option<Self> {
        let bad = |c: &usize| *c >= classes;
        if truth.is_empty()
            || truth.len() != predicted.len()
            || truth.iter().chain(predicted).any(bad)
        {
            return None;
        }
        let mut confusion = vec![vec![0_u64; classes]; classes];
        truth.iter().zip(predicted).for_each(|(t, p)| confusion[*t][*p] += 1);
        let n = truth.len() as f64;
        let rows: Vec<f64> = confusion.iter().map(|r| r.iter().sum::<u64>() as f64).collect();
        let columns: Vec<f64> =
            (0..classes).map(|c| confusion.iter().map(|r| r[c]).sum::<u64>() as f64).collect();
        let right: Vec<f64> = (0..classes).map(|c| confusion[c][c] as f64).collect();
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let used: Vec<usize> = (0..classes).filter(|c| rows[*c] + columns[*c] > 0.0).collect();
        let mean =
            |f: &dyn Fn(usize) -> f64| used.iter().map(|c| f(*c)).sum::<f64>() / used.len() as f64;
        let f1 = |c: usize| ratio(2.0 * right[c], rows[c] + columns[c]);
        let recall = |c: usize| ratio(right[c], rows[c]);
        let truly: Vec<usize> = (0..classes).filter(|c| rows[*c] > 0.0).collect();
        let hits: f64 = right.iter().sum();
        let chance: f64 = rows.iter().zip(&columns).map(|(r, c)| r * c).sum();
        let spread = |v: &[f64]| n * n - v.iter().map(|x| x * x).sum::<f64>();
        Some(Self {
            accuracy: hits / n,
            balanced_accuracy: truly.iter().map(|c| recall(*c)).sum::<f64>() / truly.len() as f64,
            macro_f1: mean(&f1),
            weighted_f1: (0..classes).map(|c| rows[c] * f1(c)).sum::<f64>() / n,
            macro_precision: mean(&|c| ratio(right[c], columns[c])),
            macro_recall: mean(&recall),
            cohen_kappa: ratio(hits / n - chance / (n * n), 1.0 - chance / (n * n)),
            matthews_correlation: ratio(
                hits * n - chance,
                spread(&rows).sqrt() * spread(&columns).sqrt(),
            ),
            confusion,
        })
    }
}

/// Area under the ROC curve: the chance that a positive sample has a higher score than a negative
/// one, ties counting half. `None` where one kind is missing or a score is NaN.
///
/// # Example
/// ```
/// use trace_eval::classify::roc_auc;
/// assert_eq!(roc_auc(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]), Some(0.75));
/// assert_eq!(roc_auc(&[(0.5, true)]), None);
/// ```
pub fn roc_auc(scored: &[(f64, bool)]) -> Option<f64> {
    let positive = scored.iter().filter(|s| s.1).count() as f64;
    let negative = scored.len() as f64 - positive;
    if positive < 0.5 || negative < 0.5 || scored.iter().any(|s| s.0.is_nan()) {
        return None;
    }
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut sum) = (0.0, 0.0);
    for group in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let positives = group.iter().filter(|s| s.1).count() as f64;
        let negatives = group.len() as f64 - positives;
        sum += positives * (below + negatives / 2.0);
        below += negatives;
    }
    Some(sum / (positive * negative))
}
