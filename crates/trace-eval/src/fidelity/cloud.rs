//! Captures as points: one distance between any two of them.

use super::References;
use crate::config::EvalConfig;
use crate::distance::{DistanceMatrix, Manifold, manifold, mmd, vendi_score};
use crate::features::sequence_features;
use crate::report::{Better, Score};
use crate::sample::Pool;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Most captures that become points: the distances of more would not fit into 150 MB.
const MOST: usize = 4096;
/// Neighbours that a ball reaches to, fewer in smaller sets (Naeem et al., 2020, section 5).
const NEIGHBOURS: usize = 5;
/// Farthest from the mean that a coordinate goes. Units: standard deviations.
const FARTHEST: f64 = 10.0;

/// One of the four measures.
type Value = fn(&Manifold) -> f64;

/// Captures as points in the space of sequence features, each scaled to the real captures' mean 0 and
/// deviation 1.
pub(crate) struct Cloud {
    distances: DistanceMatrix,
    /// Point of each sample of the pool, then of each random one; `None` where there are too many.
    point_of: Vec<Option<usize>>,
    /// Sample of each point that is no random one.
    pub(crate) sample_of: Vec<usize>,
    /// Samples with uniformly random features, numbered on from those of the pool.
    pub(crate) random: Vec<usize>,
    /// Median distance of real captures.
    width: f64,
}

impl Cloud {
    pub(crate) fn new(pool: &Pool<'_>, config: &EvalConfig, notes: &mut Vec<String>) -> Self {
        let every = pool.samples.len().div_ceil(MOST).max(1);
        if every > 1 {
            notes.push(format!(
                "Distances between whole captures look at every {every}th capture only: there are {}.",
                pool.samples.len()
            ));
        }
        let sample_of: Vec<usize> = (0..pool.samples.len()).step_by(every).collect();
        let mut point_of = vec![None; pool.samples.len()];
        sample_of.iter().enumerate().for_each(|(point, sample)| point_of[*sample] = Some(point));
        let features: Vec<Vec<f64>> = sample_of
            .par_iter()
            .map(|s| sequence_features(&pool.samples[*s].trace, config.packets).values)
            .collect();
        let real = sample_of.iter().filter(|s| **s < pool.held_out.end).count();
        let mut points = scaled(&features, real);
        let first = points.len();
        // As many as half of the real captures, which they are compared with: diversity and coverage
        // depend on the number.
        points.extend(uniform_like(&points[..real], real.div_ceil(2), config.seed));
        let random = (point_of.len()..).take(points.len() - first).collect();
        point_of.extend((first..points.len()).map(Some));
        let distances = DistanceMatrix::of(&points);
        let width = median_distance(&distances, real);
        Self { distances, point_of, sample_of, random, width }
    }

    /// The points of some samples.
    pub(crate) fn points(&self, samples: &[usize]) -> Vec<usize> {
        samples.iter().filter_map(|s| *self.point_of.get(*s)?).collect()
    }

    pub(crate) fn distances(&self) -> &DistanceMatrix {
        &self.distances
    }

    /// The Vendi score of some points, over their number.
    pub(crate) fn diversity(&self, points: &[usize]) -> Option<f64> {
        Some(vendi_score(&self.distances, points, self.width)? / points.len() as f64)
    }
}

/// Every feature less its mean over the first `real` rows, over their deviation (over that of all rows
/// where real captures do not differ); features that are the same everywhere are dropped.
fn scaled(features: &[Vec<f64>], real: usize) -> Vec<Vec<f64>> {
    let columns = features.first().map_or(0, Vec::len);
    let moments = |rows: &[Vec<f64>], c: usize| {
        let n = rows.len().max(1) as f64;
        let mean = rows.iter().map(|r| r[c]).sum::<f64>() / n;
        (mean, (rows.iter().map(|r| (r[c] - mean).powi(2)).sum::<f64>() / n).sqrt())
    };
    let scales: Vec<(usize, f64, f64)> = (0..columns)
        .filter_map(|c| {
            let (mean, deviation) = moments(&features[..real], c);
            let deviation = if deviation > 1e-9 { deviation } else { moments(features, c).1 };
            (deviation > 1e-9).then_some((c, mean, deviation))
        })
        .collect();
    let scale = |row: &Vec<f64>| {
        let value = |(c, mean, deviation): &(usize, f64, f64)| {
            ((row[*c] - mean) / deviation).clamp(-FARTHEST, FARTHEST)
        };
        scales.iter().map(value).collect()
    };
    features.iter().map(scale).collect()
}

/// `wanted` points, every coordinate uniform over its range.
fn uniform_like(points: &[Vec<f64>], wanted: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0063_6c6f_7564);
    let columns = points.first().map_or(0, Vec::len);
    let range = |c: usize| {
        let values = || points.iter().map(|p| p[c]);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ranges: Vec<(f64, f64)> = (0..columns).map(range).collect();
    let mut point = || -> Vec<f64> {
        let one = |(l, h): &(f64, f64)| if h > l { rng.random_range(*l..=*h) } else { *l };
        ranges.iter().map(one).collect()
    };
    (0..wanted).map(|_| point()).collect()
}

fn median_distance(distances: &DistanceMatrix, real: usize) -> f64 {
    let pairs = (0..real).flat_map(|i| (0..i).map(move |j| (i, j)));
    let mut all: Vec<f64> = pairs.map(|(i, j)| distances.between(i, j)).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() >> 1).copied().unwrap_or(0.0)
}

/// Scores of the synthetic captures as a set of points.
pub(crate) fn cloud_scores(
    cloud: &Cloud,
    references: &References,
    config: &EvalConfig,
) -> Vec<Score> {
    const REFERENCES: &str = "Floor: two halves of the real captures; random: features uniform over \
                              their real range.";
    let points = |list: &[usize]| cloud.points(list);
    let found = references.compare(&cloud.random, |a, b| {
        mmd(cloud.distances(), &points(a), &points(b), config.permutations, config.seed)
    });
    let mut scores = vec![
        Score::new(
            "Captures as points",
            "maximum mean discrepancy, squared",
            &format!(
                "Unbiased estimate under a Gaussian kernel as wide as the median distance, on \
                 standardised sequence features; about 0 for equal distributions. {REFERENCES}"
            ),
            Better::Lower,
            found.points(|m| m.map(|m| m.squared)),
        ),
        Score::new(
            "Captures as points",
            "maximum mean discrepancy, p-value",
            &format!(
                "Share of {} random divisions of both sets that lie as far apart, mean over splits: small \
                 where the sets differ, about 0.5 where they do not. Siblings are no independent captures, \
                 which lowers it. {REFERENCES}",
                config.permutations
            ),
            Better::Higher,
            found.points(|m| m.map(|m| m.p_value)),
        ),
    ];
    let found = references.compare(&cloud.random, |a, b| {
        let (a, b) = (points(a), points(b));
        let k = NEIGHBOURS.min(a.len().min(b.len()).saturating_sub(1));
        manifold(cloud.distances(), &a, &b, k)
    });
    let measures: [(&str, &str, Value); 4] = [
        (
            "precision",
            "Share of captures inside a ball around a real one that reaches to its fifth neighbour.",
            |m| m.precision,
        ),
        ("recall", "Share of real captures inside such a ball around a synthetic one.", |m| {
            m.recall
        }),
        (
            "density",
            "Mean number of balls around real captures that a capture lies in, over five.",
            |m| m.density,
        ),
        ("coverage", "Share of real captures whose ball holds a synthetic one.", |m| m.coverage),
    ];
    for (name, meaning, value) in measures {
        let points = found.points(|m| m.as_ref().map(value));
        let meaning = format!("{meaning} {REFERENCES}");
        scores.push(Score::new("Captures as points", name, &meaning, Better::Higher, points));
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_what_only_synthetic_captures_vary_in() {
        let rows = [vec![1.0, 5.0, 2.0], vec![3.0, 5.0, 2.0], vec![2.0, 9.0, 2.0]];
        let found = scaled(&rows, 2);
        assert_eq!(found[0].len(), 2, "the third feature is the same everywhere");
        assert_eq!((found[0][0], found[1][0], found[2][0]), (-1.0, 1.0, 0.0));
        assert!(found[2][1] > 1.0 && found[0][1] == 0.0);
        assert!(scaled(&[], 0).is_empty());
    }
}
