//! Which samples are learned from, and which are tested.

use crate::Result;
use crate::classify::{stratified_folds, stratified_share};
use crate::config::EvalConfig;
use crate::report::Scenario;
use crate::sample::{Category, Pool};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Share of a set that one run trains on where test and training set are apart anyway (4 : 1).
const TRAINING_SHARE: f64 = 0.8;

/// Labelled samples of each set.
pub(super) struct Sets {
    pub(super) real: Vec<usize>,
    pub(super) held_out: Vec<usize>,
    pub(super) synthetic: Vec<usize>,
    parents: Vec<Option<usize>>,
    /// Class of each sample of the pool; 0 where there is none (such samples are in no list).
    pub(super) classes: Vec<usize>,
}

/// One run: training and test sets whose predictions are scored together.
#[derive(Default)]
pub(super) struct Run {
    pub(super) parts: Vec<Part>,
    pub(super) seed: u64,
    /// Why nothing can be learned or tested, if so.
    pub(super) impossible: Option<String>,
}

pub(super) struct Part {
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
    /// Labels to train with instead of the true ones.
    pub(super) shuffled: Option<Vec<usize>>,
}

impl Sets {
    pub(super) fn new(pool: &Pool<'_>, category: &Category) -> Self {
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

    pub(super) fn run(&self, scenario: Scenario, config: &EvalConfig, run: u64) -> Result<Run> {
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
        Ok(self.finished(parts, seed))
    }

    /// Real to real, with `share` of each training set replaced by synthetic captures that are no
    /// children of a tested one: as many as were taken out, or all that there are.
    pub(super) fn mixed_run(&self, share: f64, config: &EvalConfig, run: u64) -> Result<Run> {
        let seed = config.seed.wrapping_mul(1_000_003).wrapping_add(run);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut parts = self.real_real(config, rng)?;
        for part in &mut parts {
            let kept = stratified_share(&self.classes, &part.train, 1.0 - share, rng);
            let children = self.trainable(&part.test);
            let wanted = part.train.len() as f64 * share;
            let of_them = (wanted / children.len().max(1) as f64).min(1.0);
            let added = stratified_share(&self.classes, &children, of_them, rng);
            part.train = [kept, added].concat();
        }
        Ok(self.finished(parts, seed))
    }

    /// Synthetic captures whose parents are not among `test`.
    pub(super) fn trainable(&self, test: &[usize]) -> Vec<usize> {
        let known = |s: &usize| self.parents[*s].is_some_and(|p| test.contains(&p));
        self.synthetic.iter().filter(|s| !known(s)).copied().collect()
    }

    /// How many runs a scenario has: synthetic captures are tested on [`EvalConfig::splits`] splits of
    /// the real ones, and a run holds several where the folds are needed to keep parents apart.
    pub(super) fn runs(&self, scenario: Scenario, config: &EvalConfig) -> usize {
        match scenario {
            Scenario::RealSynthetic if self.has_children_of(&self.real) => {
                config.splits.div_ceil(config.folds.min(self.real.len()).max(2))
            }
            Scenario::RealSynthetic => config.splits,
            _ => config.runs,
        }
    }

    fn has_children_of(&self, real: &[usize]) -> bool {
        self.synthetic.iter().any(|s| self.parents[*s].is_some_and(|p| real.contains(&p)))
    }

    fn finished(&self, parts: Vec<Part>, seed: u64) -> Run {
        let parts: Vec<Part> = parts.into_iter().filter(|p| !p.test.is_empty()).collect();
        let impossible = self.why_impossible(&parts);
        Run { parts, seed, impossible }
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
        let folds = if self.has_children_of(test) {
            self.folds(test, config, rng)?
        } else {
            vec![test.clone()]
        };
        let part = |fold: &Vec<usize>| {
            let children = self.trainable(fold);
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
        if !self.has_children_of(&self.real) {
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
