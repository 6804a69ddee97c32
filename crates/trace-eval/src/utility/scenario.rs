//! Train on one set, test on another.

use crate::classify::{
    DecisionTree, FeatureMatrix, Forest, ForestConfig, Gram, LinearSvm, Scores, SvmConfig,
    TreeConfig, stratified_folds, stratified_share,
};
use crate::config::{Classifier, EvalConfig, View};
use crate::report::{Confusion, Interval, Scenario, UtilityRow};
use crate::sample::{Category, Pool};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Share of a set that one run trains on where test and training set are apart anyway (4 : 1).
const TRAINING_SHARE: f64 = 0.8;

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
        let runs: Vec<Run> = (0..config.runs)
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
            let scored: Vec<Scores> = runs
                .par_iter()
                .map(|run| learner.score(run, &sets.classes, category.values.len()))
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect();
            let of =
                |f: fn(&Scores) -> f64| Interval::of(&scored.iter().map(f).collect::<Vec<_>>());
            let (Some(accuracy), Some(macro_f1)) = (of(|s| s.accuracy), of(|s| s.macro_f1)) else {
                continue;
            };
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

/// Labelled samples of each set.
struct Sets {
    real: Vec<usize>,
    held_out: Vec<usize>,
    synthetic: Vec<usize>,
    parents: Vec<Option<usize>>,
    /// Class of each sample of the pool; 0 where there is none (such samples are in no list).
    classes: Vec<usize>,
}

/// One run: training and test sets whose predictions are scored together.
#[derive(Default)]
struct Run {
    parts: Vec<Part>,
    seed: u64,
    impossible: Option<String>,
}

struct Part {
    train: Vec<usize>,
    test: Vec<usize>,
    /// Labels to train with instead of the true ones.
    shuffled: Option<Vec<usize>>,
}

impl Sets {
    fn new(pool: &Pool<'_>, category: &Category) -> Self {
        let labelled = |range: std::ops::Range<usize>| -> Vec<usize> {
            range.filter(|s| category.classes[*s].is_some()).collect()
        };
        Self {
            real: labelled(pool.real.clone()),
            held_out: labelled(pool.held_out.clone()),
            synthetic: labelled(pool.synthetic.clone()),
            parents: pool.parents.clone(),
            classes: category.classes.iter().map(|c| c.unwrap_or(0)).collect(),
        }
    }

    fn run(&self, scenario: Scenario, config: &EvalConfig, run: u64) -> Result<Run> {
        let seed = config.seed.wrapping_mul(1_000_003).wrapping_add(run);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let parts = match scenario {
            Scenario::RealReal => self.real_real(config, rng)?,
            Scenario::SyntheticReal => self.synthetic_real(config, rng)?,
            Scenario::RealSynthetic => self.real_synthetic(config, rng)?,
            Scenario::ShuffledLabels => {
                let mut parts = self.real_real(config, rng)?;
                for part in &mut parts {
                    let mut labels: Vec<usize> =
                        part.train.iter().map(|s| self.classes[*s]).collect();
                    labels.shuffle(rng);
                    let mut all = self.classes.clone();
                    part.train.iter().zip(labels).for_each(|(s, l)| all[*s] = l);
                    part.shuffled = Some(all);
                }
                parts
            }
        };
        let parts: Vec<Part> = parts.into_iter().filter(|p| !p.test.is_empty()).collect();
        let impossible = self.why_impossible(&parts);
        Ok(Run { parts, seed, impossible })
    }

    fn why_impossible(&self, parts: &[Part]) -> Option<String> {
        if parts.is_empty() {
            return Some("no labelled capture to test on".to_owned());
        }
        parts.iter().find_map(|p| {
            let mut classes: Vec<usize> = p.train.iter().map(|s| self.classes[*s]).collect();
            classes.sort_unstable();
            classes.dedup();
            (classes.len() < 2).then(|| {
                format!(
                    "a training set of {} capture(s) has {} class(es), and two are needed",
                    p.train.len(),
                    classes.len()
                )
            })
        })
    }

    fn real_real(&self, config: &EvalConfig, rng: &mut ChaCha8Rng) -> Result<Vec<Part>> {
        if !self.held_out.is_empty() {
            let train = stratified_share(&self.classes, &self.real, TRAINING_SHARE, rng);
            return Ok(vec![Part::new(train, self.held_out.clone())]);
        }
        let folds = self.folds(&self.real, config, rng)?;
        let part = |fold: &Vec<usize>| Part::new(without(&self.real, fold), fold.clone());
        Ok(folds.iter().map(part).collect())
    }

    fn synthetic_real(&self, config: &EvalConfig, rng: &mut ChaCha8Rng) -> Result<Vec<Part>> {
        let test = if self.held_out.is_empty() { &self.real } else { &self.held_out };
        let known =
            |s: &usize, among: &[usize]| self.parents[*s].is_some_and(|p| among.contains(&p));
        let folds = if self.synthetic.iter().any(|s| known(s, test)) {
            self.folds(test, config, rng)?
        } else {
            vec![test.clone()]
        };
        let part = |fold: &Vec<usize>| {
            let children: Vec<usize> =
                self.synthetic.iter().filter(|s| !known(s, fold)).copied().collect();
            let one = folds.len() == 1;
            // Folds differ from run to run by themselves.
            let rng = &mut rng.clone();
            let share = if one { TRAINING_SHARE } else { 1.0 };
            Part::new(stratified_share(&self.classes, &children, share, rng), fold.clone())
        };
        Ok(folds.iter().map(part).collect())
    }

    fn real_synthetic(&self, config: &EvalConfig, rng: &mut ChaCha8Rng) -> Result<Vec<Part>> {
        let has_parent =
            |s: &usize, among: &[usize]| self.parents[*s].is_some_and(|p| among.contains(&p));
        if !self.synthetic.iter().any(|s| has_parent(s, &self.real)) {
            let train = stratified_share(&self.classes, &self.real, TRAINING_SHARE, rng);
            return Ok(vec![Part::new(train, self.synthetic.clone())]);
        }
        let folds = self.folds(&self.real, config, rng)?;
        let mut others: Vec<usize> =
            self.synthetic.iter().filter(|s| !has_parent(s, &self.real)).copied().collect();
        others.shuffle(rng);
        let part = |(i, fold): (usize, &Vec<usize>)| {
            let mut test: Vec<usize> =
                self.synthetic.iter().filter(|s| has_parent(s, fold)).copied().collect();
            test.extend(others.iter().skip(i).step_by(folds.len()));
            Part::new(without(&self.real, fold), test)
        };
        Ok(folds.iter().enumerate().map(part).collect())
    }

    /// Stratified folds of `members`, as lists of samples.
    fn folds(
        &self,
        members: &[usize],
        config: &EvalConfig,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<usize>>> {
        let labels: Vec<usize> = members.iter().map(|s| self.classes[*s]).collect();
        let folds = config.folds.min(members.len()).max(2);
        let of = stratified_folds(&labels, folds, Some(rng))?;
        Ok((0..folds)
            .map(|f| members.iter().zip(&of).filter(|(_, g)| **g == f).map(|(s, _)| *s).collect())
            .collect())
    }
}

impl Part {
    fn new(train: Vec<usize>, test: Vec<usize>) -> Self {
        Self { train, test, shuffled: None }
    }
}

fn without(all: &[usize], some: &[usize]) -> Vec<usize> {
    all.iter().filter(|s| !some.contains(s)).copied().collect()
}

struct Learner<'a> {
    x: &'a FeatureMatrix,
    /// Inner products, where they do not depend on the training set.
    gram: Option<&'a Gram>,
    classifier: Classifier,
    config: &'a EvalConfig,
}

impl Learner<'_> {
    fn score(&self, run: &Run, classes: &[usize], count: usize) -> Result<Option<Scores>> {
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

    fn predict(&self, part: &Part, labels: &[usize], seed: u64) -> Result<Vec<usize>> {
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
                let svm = SvmConfig::default();
                if let Some(gram) = self.gram {
                    LinearSvm::fit_gram(gram, labels, train, &svm)?.predict(gram, test)
                } else {
                    let (fitted, gram) = LinearSvm::fit(x, labels, train, &svm)?;
                    fitted.predict(&gram, test)
                }
            }
        })
    }
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
