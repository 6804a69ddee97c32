//! The reference points of a score.

use crate::config::EvalConfig;
use crate::report::Points;
use crate::sample::{Category, Pool};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A measure between two lists of samples, the reference first.
pub(crate) type Between<'a> = dyn Fn(&[usize], &[usize]) -> Option<f64> + 'a;

/// Which samples are compared for each reference point.
pub(crate) struct References {
    /// Real and held-out samples.
    pub(crate) real: Vec<usize>,
    /// Synthetic samples.
    pub(crate) synthetic: Vec<usize>,
    /// Two halves of the real samples and as many synthetic ones, drawn several times.
    pub(crate) splits: Vec<Split>,
    /// Real samples of one class and those of all others, for each class.
    pub(crate) classes: Vec<(Vec<usize>, Vec<usize>)>,
    /// Class of each sample of the pool in the category that `classes` was made from.
    pub(crate) class_of: Vec<Option<usize>>,
    /// Name of that category.
    pub(crate) category: Option<String>,
}

/// One draw; all three have the same size where there are samples enough.
pub(crate) struct Split {
    pub(crate) a: Vec<usize>,
    pub(crate) b: Vec<usize>,
    pub(crate) synthetic: Vec<usize>,
}

/// The outcomes of every comparison that a value and its reference points are means of.
pub(crate) struct Comparisons<T> {
    pub(crate) synthetic: Vec<T>,
    pub(crate) noise_floor: Vec<T>,
    pub(crate) wrong_class: Vec<T>,
    pub(crate) random: Vec<T>,
}

impl<T> Comparisons<T> {
    /// One number of the outcomes, averaged.
    pub(crate) fn points(&self, value: impl Fn(&T) -> Option<f64>) -> Points {
        let of = |list: &[T]| mean(list.iter().map(&value));
        Points {
            synthetic: of(&self.synthetic),
            noise_floor: of(&self.noise_floor),
            wrong_class: of(&self.wrong_class),
            random: of(&self.random),
        }
    }
}

impl References {
    pub(crate) fn new(
        pool: &Pool<'_>,
        categories: &[Category],
        config: &EvalConfig,
        notes: &mut Vec<String>,
    ) -> Self {
        let real: Vec<usize> = (0..pool.held_out.end).collect();
        let synthetic: Vec<usize> = pool.synthetic.clone().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x0073_706c_6974_7321);
        let half = real.len() >> 1;
        if half == 0 {
            notes.push("One real capture has no other half: there is no noise floor.".to_owned());
        }
        let size = if half == 0 { real.len() } else { half }.min(synthetic.len());
        let splits = (0..config.floor_splits)
            .map(|_| {
                let (mut r, mut s) = (real.clone(), synthetic.clone());
                r.shuffle(&mut rng);
                s.shuffle(&mut rng);
                s.truncate(size);
                let b = if half == 0 { Vec::new() } else { r[half..half + size].to_vec() };
                Split { a: r[..size].to_vec(), b, synthetic: s }
            })
            .collect();
        let of = |c: &Category, class: usize| -> (Vec<usize>, Vec<usize>) {
            let labelled = real.iter().filter(|s| c.classes[**s].is_some());
            labelled.partition(|s| c.classes[**s] == Some(class))
        };
        let splittable = |c: &&Category| {
            let sizes = (0..c.values.len()).map(|v| of(c, v).0.len());
            sizes.filter(|n| *n >= 2).count() >= 2
        };
        let category = categories.iter().find(splittable);
        if category.is_none() {
            notes.push(
                "No label category has two classes of two real captures: there is no wrong-class \
                 reference."
                    .to_owned(),
            );
        }
        let classes = category.map_or_else(Vec::new, |c| {
            let both = (0..c.values.len()).map(|v| of(c, v));
            both.filter(|(a, b)| !a.is_empty() && !b.is_empty()).collect()
        });
        let class_of =
            category.map_or_else(|| vec![None; pool.samples.len()], |c| c.classes.clone());
        Self {
            real,
            synthetic,
            splits,
            classes,
            class_of,
            category: category.map(|c| c.name.clone()),
        }
    }

    /// Measures set against set, the reference first; `random` are the indices of random captures.
    pub(crate) fn compare<T>(
        &self,
        random: &[usize],
        measure: impl Fn(&[usize], &[usize]) -> T,
    ) -> Comparisons<T> {
        let split = |other: fn(&Split) -> &[usize]| {
            let full = self.splits.iter().filter(|s| !other(s).is_empty());
            full.map(|s| measure(&s.a, other(s))).collect()
        };
        Comparisons {
            synthetic: split(|s| &s.synthetic),
            noise_floor: split(|s| &s.b),
            wrong_class: self.classes.iter().map(|(class, rest)| measure(rest, class)).collect(),
            random: self.splits.iter().map(|s| measure(&s.a, random)).collect(),
        }
    }

    /// Scores set against set: `measure(reference, other)` on lists of samples, `random` likewise
    /// against random data.
    pub(crate) fn points(
        &self,
        measure: &Between<'_>,
        random: &dyn Fn(&[usize]) -> Option<f64>,
    ) -> Points {
        Points {
            synthetic: mean(self.splits.iter().map(|s| measure(&s.a, &s.synthetic))),
            noise_floor: mean(self.splits.iter().map(|s| measure(&s.a, &s.b))),
            wrong_class: mean(self.classes.iter().map(|(class, others)| measure(others, class))),
            random: mean(self.splits.iter().map(|s| random(&s.a))),
        }
    }
}

/// Mean of the values that are defined; `None` where none is.
pub(crate) fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.flatten().fold((0.0, 0_usize), |(s, n), v| (s + v, n + 1));
    (count > 0).then(|| sum / count as f64)
}
