//! Train on one set, test on another.

use super::learner::{Learner, Scored};
use super::sets::{Run, Sets};
use crate::Result;
use crate::classify::{FeatureMatrix, Scores};
use crate::config::{Classifier, EvalConfig, View};
use crate::report::{Confusion, Scenario, UtilityRow};
use crate::sample::{Category, Pool};

/// Every test of one category in one view.
pub(crate) fn utility(
    pool: &Pool<'_>,
    category: &Category,
    view: View,
    x: &FeatureMatrix,
    config: &EvalConfig,
    notes: &mut Vec<String>,
) -> Result<(Vec<UtilityRow>, Vec<Confusion>)> {
    let sets = Sets::new(pool, category);
    let ternary_gram = view.bit_view().map(|_| x.gram(&[]));
    let (mut rows, mut confusions) = (Vec::new(), Vec::new());
    for scenario in [
        Scenario::RealReal,
        Scenario::SyntheticReal,
        Scenario::RealSynthetic,
        Scenario::ShuffledLabels,
    ] {
        let runs: Vec<Run> = (0..sets.runs(scenario, config))
            .map(|run| sets.run(scenario, config, run as u64))
            .collect::<Result<_>>()?;
        if let Some(reason) = runs.iter().find_map(|r| r.impossible.as_ref()) {
            if view == config.views[0] {
                notes.push(format!("{}: {} left out: {reason}.", category.name, scenario.name()));
            }
            continue;
        }
        for classifier in &config.classifiers {
            let learner =
                Learner { x, gram: ternary_gram.as_ref(), classifier: *classifier, config };
            let scored = learner.score_all(&runs, &sets.classes, category.values.len())?;
            let Some(Scored { scores: scored, accuracy, macro_f1 }) = scored else { continue };
            let confusion = sum_confusions(&scored);
            let sizes: Vec<u64> = confusion.iter().map(|r| r.iter().sum()).collect();
            let tested: u64 = sizes.iter().sum();
            rows.push(UtilityRow {
                category: category.name.clone(),
                view,
                classifier: *classifier,
                scenario,
                accuracy,
                macro_f1,
                chance: sizes.iter().max().copied().unwrap_or(0) as f64 / tested.max(1) as f64,
                classes: sizes.iter().filter(|s| **s > 0).count(),
                tested: (tested as usize).div_euclid(scored.len().max(1)),
                runs: scored.len(),
            });
            let shown = view == View::Bits && *classifier == Classifier::Forest;
            if shown && scenario != Scenario::ShuffledLabels {
                confusions.push(Confusion {
                    category: category.name.clone(),
                    scenario,
                    classes: category.values.clone(),
                    counts: confusion,
                });
            }
        }
    }
    Ok((rows, confusions))
}

fn sum_confusions(scored: &[Scores]) -> Vec<Vec<u64>> {
    let mut sum = scored.first().map(|s| s.confusion.clone()).unwrap_or_default();
    for s in scored.iter().skip(1) {
        for (a, b) in sum.iter_mut().zip(&s.confusion) {
            a.iter_mut().zip(b).for_each(|(x, y)| *x += y);
        }
    }
    sum
}
