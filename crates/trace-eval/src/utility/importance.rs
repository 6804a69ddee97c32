//! Do classifiers look at the same places of synthetic captures as of real ones?

use super::sets::Sets;
use crate::classify::{FeatureMatrix, Forest, ForestConfig, stratified_folds};
use crate::config::EvalConfig;
use crate::sample::{Category, Pool};
use crate::{Error, Result};
use nprint_codec::Layout;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The place of a feature of the bit views.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FeatureName {
    /// Packet, from 0.
    pub packet: usize,
    /// nPrint's name of the field.
    pub field: String,
    /// Bit of the field, most significant first.
    pub bit: usize,
}

impl FeatureName {
    /// The place of feature `number` (`packet * columns + column`) in a layout; `None` for a layout
    /// without columns.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{Layout, ipv4};
    /// use trace_eval::utility::FeatureName;
    /// let layout = Layout::reference();
    /// let ttl = layout.column_of(ipv4::TTL).expect("a reference column") as u32;
    /// let name = FeatureName::of(&layout, 3 * 1088 + ttl + 7).expect("a feature");
    /// assert_eq!((name.packet, name.field.as_str(), name.bit), (3, "ipv4_ttl", 7));
    /// ```
    pub fn of(layout: &Layout, number: u32) -> Option<Self> {
        let columns = layout.columns();
        let packet = (number as usize).checked_div(columns)?;
        let (field, bit) = layout.field_at(number as usize - packet * columns)?;
        Some(Self { packet, field: field.name.to_owned(), bit })
    }
}

/// How alike two importance lists are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Share of the ten most important of one that are among those of the other.
    pub top_overlap: f64,
    /// Spearman's rank correlation over everything that is important in either; `None` where one of
    /// them has no ranks to speak of.
    pub rank_correlation: Option<f64>,
}

/// Entries that [`Agreement::top_overlap`] looks at.
const TOP: usize = 10;

impl Agreement {
    /// Compares importances by key; a key that is missing has importance 0. Equal importances are
    /// ordered by key for the overlap and share their mean rank for the correlation.
    ///
    /// # Example
    /// ```
    /// use std::collections::BTreeMap;
    /// use trace_eval::utility::Agreement;
    /// let real = BTreeMap::from([("ttl", 0.6), ("length", 0.3), ("flags", 0.1)]);
    /// let same = Agreement::of(&real, &real);
    /// assert_eq!((same.top_overlap, same.rank_correlation), (1.0, Some(1.0)));
    /// let other = BTreeMap::from([("window", 1.0)]);
    /// assert_eq!(Agreement::of(&real, &other).top_overlap, 0.0);
    /// ```
    pub fn of<K: Ord>(a: &BTreeMap<K, f64>, b: &BTreeMap<K, f64>) -> Self {
        let (top_a, top_b) = (top(a, TOP), top(b, TOP));
        let size = top_a.len().max(top_b.len());
        let shared = top_a.iter().filter(|k| top_b.contains(k)).count();
        let keys: std::collections::BTreeSet<&K> =
            a.iter().chain(b).filter(|(_, v)| **v > 0.0).map(|(k, _)| k).collect();
        let of = |m: &BTreeMap<K, f64>| -> Vec<f64> {
            keys.iter().map(|k| m.get(*k).copied().unwrap_or(0.0)).collect()
        };
        Self {
            top_overlap: if size == 0 { 0.0 } else { shared as f64 / size as f64 },
            rank_correlation: pearson(&ranks(&of(a)), &ranks(&of(b))),
        }
    }
}

/// The `most` keys with the highest importance, none of importance 0.
fn top<K: Ord>(of: &BTreeMap<K, f64>, most: usize) -> Vec<&K> {
    let mut order: Vec<(&K, f64)> =
        of.iter().filter(|(_, v)| **v > 0.0).map(|(k, v)| (k, *v)).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.into_iter().take(most).map(|(k, _)| k).collect()
}

/// Ranks from 1; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut out = vec![0.0; values.len()];
    let mut below = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let mean = f64::midpoint((below + 1) as f64, (below + group.len()) as f64);
        for i in group {
            out[*i] = mean;
        }
        below += group.len();
    }
    out
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    let scale = (product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b)).sqrt();
    (a.len() >= 2 && scale > 0.0).then(|| product(a, mean_a, b, mean_b) / scale)
}

/// One of the most important features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportantFeature {
    /// Where it is.
    pub name: FeatureName,
    /// Its share of what forests learn from real captures.
    pub real: f64,
    /// Its share of what they learn from synthetic ones.
    pub synthetic: f64,
}

/// Importances of one category, learned from bits without leak-prone fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportanceComparison {
    /// Label category.
    pub category: String,
    /// Real and synthetic, bit by bit of each packet.
    pub features: Agreement,
    /// One half of the real captures against the other, bit by bit: the noise floor.
    pub features_noise_floor: Agreement,
    /// Real and synthetic, summed by field over all packets.
    pub fields: Agreement,
    /// One half of the real captures against the other, by field.
    pub fields_noise_floor: Agreement,
    /// The ten features that matter most in real captures, then those that matter most in synthetic
    /// ones and are not among them.
    pub top: Vec<ImportantFeature>,
}

/// Importances of a category, real beside synthetic; `None` where a set cannot be learned.
pub(super) fn importances(
    pool: &Pool<'_>,
    category: &Category,
    x: &FeatureMatrix,
    runs: usize,
    config: &EvalConfig,
) -> Result<Option<ImportanceComparison>> {
    let sets = Sets::new(pool, category);
    let real: Vec<usize> = sets.real.iter().chain(&sets.held_out).copied().collect();
    let learned = |members: &[usize]| mean_importances(x, &sets.classes, members, runs, config);
    let (Some([real_a, real_b]), Some([synthetic_a, synthetic_b])) =
        (learned(&real)?, learned(&sets.synthetic)?)
    else {
        return Ok(None);
    };
    let layout = pool.samples[0].matrix.layout();
    let (real, synthetic) = (sum(&real_a, &real_b), sum(&synthetic_a, &synthetic_b));
    let by_field = |of: &BTreeMap<u32, f64>| {
        let mut out: BTreeMap<String, f64> = BTreeMap::new();
        for (number, share) in of {
            if let Some(name) = FeatureName::of(layout, *number) {
                *out.entry(name.field).or_default() += share;
            }
        }
        out
    };
    let mut numbers = top(&real, TOP);
    let others: Vec<&u32> =
        top(&synthetic, TOP).into_iter().filter(|n| !numbers.contains(n)).collect();
    numbers.extend(others);
    let share = |of: &BTreeMap<u32, f64>, n: u32| of.get(&n).copied().unwrap_or(0.0);
    let top = numbers.iter().filter_map(|n| {
        let name = FeatureName::of(layout, **n)?;
        Some(ImportantFeature { name, real: share(&real, **n), synthetic: share(&synthetic, **n) })
    });
    Ok(Some(ImportanceComparison {
        category: category.name.clone(),
        top: top.collect(),
        features: Agreement::of(&real, &synthetic),
        features_noise_floor: Agreement::of(&real_a, &real_b),
        fields: Agreement::of(&by_field(&real), &by_field(&synthetic)),
        fields_noise_floor: Agreement::of(&by_field(&real_a), &by_field(&real_b)),
    }))
}

/// Mean importances over `runs` forests on each half of `members`; each run halves them anew, so the
/// two lists come from different captures in each run. `None` where a half has one class only.
fn mean_importances(
    x: &FeatureMatrix,
    classes: &[usize],
    members: &[usize],
    runs: usize,
    config: &EvalConfig,
) -> Result<Option<[BTreeMap<u32, f64>; 2]>> {
    let labels: Vec<usize> = members.iter().map(|s| classes[*s]).collect();
    let one = |run: u64| -> Result<Option<[BTreeMap<u32, f64>; 2]>> {
        let seed = config.seed.wrapping_mul(1_000_003).wrapping_add(run);
        let fold_of = stratified_folds(&labels, 2, Some(&mut ChaCha8Rng::seed_from_u64(seed)))?;
        let learn = |fold: usize| {
            let half = members.iter().zip(&fold_of).filter(|(_, f)| **f == fold);
            let train: Vec<usize> = half.map(|(s, _)| *s).collect();
            let forest = ForestConfig { trees: config.trees, seed, ..ForestConfig::default() };
            match Forest::fit(x, classes, &train, &forest) {
                Ok(forest) => Ok(Some(forest.importances())),
                Err(Error::TooFewClasses { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        };
        Ok(learn(0)?.zip(learn(1)?).map(|(a, b)| [a, b]))
    };
    let all: Vec<_> = (0..runs as u64).into_par_iter().map(one).collect::<Result<_>>()?;
    let mut out: Option<[BTreeMap<u32, f64>; 2]> = None;
    for pair in all {
        let Some([a, b]) = pair else { return Ok(None) };
        out = Some(match out {
            None => [a, b],
            Some([x, y]) => [sum(&x, &a), sum(&y, &b)],
        });
    }
    for (_, share) in out.iter_mut().flatten().flat_map(|half| half.iter_mut()) {
        *share /= runs as f64;
    }
    Ok(out)
}

fn sum(a: &BTreeMap<u32, f64>, b: &BTreeMap<u32, f64>) -> BTreeMap<u32, f64> {
    let mut out = a.clone();
    for (k, v) in b {
        *out.entry(*k).or_insert(0.0) += v;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(ranks(&[0.5, 0.0, 0.5, 0.1]), vec![3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn reversed_lists_are_opposite() {
        let a: BTreeMap<u32, f64> = (0..20).map(|i| (i, f64::from(i + 1))).collect();
        let b: BTreeMap<u32, f64> = (0..20).map(|i| (i, f64::from(20 - i))).collect();
        let found = Agreement::of(&a, &b);
        assert!((found.rank_correlation.expect("ranks") + 1.0).abs() < 1e-12);
        assert!(found.top_overlap < 1e-12);
        let flat: BTreeMap<u32, f64> = (0..20).map(|i| (i, 1.0)).collect();
        assert_eq!(Agreement::of(&a, &flat).rank_correlation, None);
        let none = BTreeMap::<u32, f64>::new();
        assert_eq!(
            Agreement::of(&none, &none),
            Agreement { top_overlap: 0.0, rank_correlation: None }
        );
    }
}
