//! Measures between two samples of numbers: packet sizes, gaps, durations.

/// Wasserstein-1 distance between two samples, in the samples' unit; `None` where one is empty.
///
/// # Example
/// ```
/// use trace_eval::distance::wasserstein_1d;
/// assert_eq!(wasserstein_1d(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0]), Some(5.0));
/// ```
///
/// # Source
/// The area between the two empirical distribution functions (Vallender, 1974).
pub fn wasserstein_1d(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut area = 0.0;
    walk(a, b, |from, to, p, q| area += (p - q).abs() * (to - from))?;
    Some(area)
}

/// Kolmogorov-Smirnov statistic, the largest gap between the two empirical distribution
/// functions; `None` where a sample is empty.
///
/// # Example
/// ```
/// use trace_eval::distance::kolmogorov_smirnov;
/// assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[1.0, 2.0]), Some(0.0));
/// assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0]), Some(1.0));
/// ```
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut most = 0.0_f64;
    walk(a, b, |_, _, p, q| most = most.max((p - q).abs()))?;
    Some(most)
}

/// Calls `visit(from, to, share of a up to from, share of b up to from)` between every two
/// neighbouring values of the joint sample.
fn walk(a: &[f64], b: &[f64], mut visit: impl FnMut(f64, f64, f64, f64)) -> Option<()> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j) = (0, 0);
    let mut next = a[0].min(b[0]);
    loop {
        let here = next;
        while i < a.len() && a[i] <= here {
            i += 1;
        }
        while j < b.len() && b[j] <= here {
            j += 1;
        }
        next = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => return Some(()),
        };
        visit(here, next, i as f64 / a.len() as f64, j as f64 / b.len() as f64);
        if next.is_nan() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Samples of equal size: W1 is the mean gap between the sorted values.
        #[test]
        fn equal_sizes_have_a_closed_form(pairs in prop::collection::vec((-50_i32..50, -50_i32..50), 1..40)) {
            let (mut a, mut b): (Vec<f64>, Vec<f64>) =
                pairs.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).unzip();
            let found = wasserstein_1d(&a, &b).expect("full");
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            let mean = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).sum::<f64>() / a.len() as f64;
            prop_assert!((found - mean).abs() < 1e-9);
            prop_assert!(kolmogorov_smirnov(&a, &b).expect("full") <= 1.0);
        }
    }

    #[test]
    fn empty_and_not_a_number_have_no_distance() {
        assert_eq!(wasserstein_1d(&[], &[1.0]), None);
        assert_eq!(kolmogorov_smirnov(&[1.0], &[]), None);
        assert_eq!(wasserstein_1d(&[f64::NAN, 1.0], &[1.0]), None);
    }
}
