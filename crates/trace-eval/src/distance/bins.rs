//! Measures between two histograms over the ordered values -1, 0, 1.
//!
//! # Source
//! Lin, "Divergence measures based on the Shannon entropy", 1991 (Jensen-Shannon, here to base 2,
//! so between 0 and 1); Levin, Peres, Wilmer, "Markov Chains and Mixing Times", chapter 4 (total
//! variation); Hellinger, 1909; Villani, "Optimal Transport", 2009 (Wasserstein-1).

/// Counts of -1 (vacant), 0 and 1.
pub type Bins = [u64; 3];

/// Jensen-Shannon divergence, base 2; `None` where a histogram is empty.
///
/// # Example
/// ```
/// use trace_eval::distance::js_divergence;
/// assert_eq!(js_divergence(&[4, 0, 0], &[0, 1, 1]), Some(1.0));
/// assert_eq!(js_divergence(&[1, 2, 3], &[2, 4, 6]), Some(0.0));
/// assert_eq!(js_divergence(&[0, 0, 0], &[0, 1, 1]), None);
/// ```
pub fn js_divergence(a: &Bins, b: &Bins) -> Option<f64> {
    let (p, q) = shares(a, b)?;
    let mut sum = 0.0;
    for (p, q) in p.into_iter().zip(q) {
        let middle = f64::midpoint(p, q);
        sum += relative_entropy(p, middle) + relative_entropy(q, middle);
    }
    Some((sum / (2.0 * std::f64::consts::LN_2)).clamp(0.0, 1.0))
}

/// Jensen-Shannon distance, the square root of the divergence; `None` where a histogram is empty.
pub fn js_distance(a: &Bins, b: &Bins) -> Option<f64> {
    js_divergence(a, b).map(f64::sqrt)
}

/// Total variation distance, half the L1 distance; `None` where a histogram is empty.
pub fn total_variation(a: &Bins, b: &Bins) -> Option<f64> {
    let (p, q) = shares(a, b)?;
    Some(p.into_iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0)
}

/// Hellinger distance; `None` where a histogram is empty.
pub fn hellinger(a: &Bins, b: &Bins) -> Option<f64> {
    let (p, q) = shares(a, b)?;
    let sum: f64 = p.into_iter().zip(q).map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
    Some((sum / 2.0).sqrt())
}

/// Wasserstein-1 distance on the support -1, 0, 1: the area between the cumulative shares;
/// `None` where a histogram is empty.
pub fn wasserstein(a: &Bins, b: &Bins) -> Option<f64> {
    let (p, q) = shares(a, b)?;
    Some((p[0] - q[0]).abs() + ((p[0] - q[0]) + (p[1] - q[1])).abs())
}

fn shares(a: &Bins, b: &Bins) -> Option<([f64; 3], [f64; 3])> {
    let (m, n): (u64, u64) = (a.iter().sum(), b.iter().sum());
    if m == 0 || n == 0 {
        return None;
    }
    let p = a.map(|c| c as f64 / m as f64);
    let mut q = b.map(|c| c as f64 / n as f64);
    // Equal shares of different totals must be equal numbers: the square root of a distance
    // would turn a rounding error of 1e-17 into 3e-9.
    for i in 0..3 {
        if u128::from(a[i]) * u128::from(n) == u128::from(b[i]) * u128::from(m) {
            q[i] = p[i];
        }
    }
    Some((p, q))
}

fn relative_entropy(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins() -> impl Strategy<Value = Bins> {
        prop::array::uniform3(0_u64..2000).prop_filter("not empty", |b| b.iter().sum::<u64>() > 0)
    }

    proptest! {
        #[test]
        fn are_distances(a in bins(), b in bins(), c in bins()) {
            for f in [js_distance, total_variation, hellinger, wasserstein] {
                let (ab, ba) = (f(&a, &b).expect("full"), f(&b, &a).expect("full"));
                prop_assert!((ab - ba).abs() < 1e-12);
                prop_assert!((0.0..=2.0).contains(&ab));
                prop_assert_eq!(f(&a, &a), Some(0.0));
                let (ac, cb) = (f(&a, &c).expect("full"), f(&c, &b).expect("full"));
                prop_assert!(ab <= ac + cb + 1e-9);
            }
        }

        #[test]
        fn scale_does_not_matter(a in bins(), factor in 1_u64..50) {
            prop_assert_eq!(js_distance(&a, &a.map(|c| c * factor)), Some(0.0));
        }
    }
}
