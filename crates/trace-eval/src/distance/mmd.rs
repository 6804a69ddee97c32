//! Maximum mean discrepancy: one number for "not the same distribution", with a p-value.

use super::DistanceMatrix;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The discrepancy of two sets of points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmd {
    /// Unbiased estimate of the squared discrepancy; about 0 (also below) for equal distributions.
    pub squared: f64,
    /// Share of random splits of the joined sets with at least this discrepancy; small where the
    /// distributions differ, uniform between 0 and 1 where they do not.
    pub p_value: f64,
}

/// Squared maximum mean discrepancy of the points `a` and `b` under a Gaussian kernel whose width is
/// the median distance of the joined points; `None` where a set has fewer than 2 points or all
/// points are one.
///
/// The p-value is `(1 + splits as far apart) / (1 + permutations)`: never 0, the same for the same
/// seed.
///
/// # Example
/// ```
/// use trace_eval::distance::{DistanceMatrix, mmd};
/// let points: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i % 10 + 100 * (i / 10))]).collect();
/// let (a, b): (Vec<usize>, Vec<usize>) = (0..20).partition(|i| *i < 10);
/// let found = mmd(&DistanceMatrix::of(&points), &a, &b, 99, 1).expect("enough points");
/// assert!(found.squared > 0.5 && found.p_value <= 0.02);
/// ```
///
/// # Source
/// Gretton et al., "A kernel two-sample test", 2012, equation 3 (the estimate) and section 8 (the
/// width); permutation p-value: Phipson, Smyth, 2010.
pub fn mmd(
    distances: &DistanceMatrix,
    a: &[usize],
    b: &[usize],
    permutations: usize,
    seed: u64,
) -> Option<Mmd> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let all: Vec<usize> = a.iter().chain(b).copied().collect();
    let kernel = gaussian(distances, &all)?;
    let n = all.len();
    let mut order: Vec<usize> = (0..n).collect();
    let squared = |order: &[usize]| {
        let (x, y) = order.split_at(a.len());
        let mean_within = |set: &[usize]| {
            let mut sum = 0.0;
            for (i, p) in set.iter().enumerate() {
                let row = &kernel[p * n..(p + 1) * n];
                sum += set[..i].iter().map(|q| row[*q]).sum::<f64>();
            }
            2.0 * sum / (set.len() * (set.len() - 1)) as f64
        };
        let between: f64 = x.iter().map(|p| y.iter().map(|q| kernel[p * n + q]).sum::<f64>()).sum();
        mean_within(x) + mean_within(y) - 2.0 * between / (x.len() * y.len()) as f64
    };
    let found = squared(&order);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut as_far = 0_usize;
    for _ in 0..permutations {
        order.shuffle(&mut rng);
        // A split into the same sets in another order must count, whatever the rounding.
        as_far += usize::from(squared(&order) >= found - 1e-12);
    }
    let p_value = (1 + as_far) as f64 / (1 + permutations) as f64;
    Some(Mmd { squared: found, p_value })
}

/// `exp(-d² / 2 w²)` for every pair, `w` being the median distance.
fn gaussian(distances: &DistanceMatrix, points: &[usize]) -> Option<Vec<f64>> {
    let n = points.len();
    let mut pairs: Vec<f64> = (0..n)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| distances.between(points[i], points[j]))
        .collect();
    let middle = pairs.len() >> 1;
    let (below, upper, _) = pairs.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let median = if pairs.len().is_multiple_of(2) { f64::midpoint(lower, upper) } else { upper };
    if !median.is_finite() || median <= 0.0 {
        return None;
    }
    let scale = -0.5 / (median * median);
    let mut kernel = vec![1.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let d = distances.between(points[i], points[j]);
            let k = (scale * d * d).exp();
            kernel[i * n + j] = k;
            kernel[j * n + i] = k;
        }
    }
    Some(kernel)
}
