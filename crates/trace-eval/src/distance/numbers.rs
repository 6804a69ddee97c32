//! Measures between two samples of numbers: packet sizes, gaps, durations.

/// Both distances between two samples of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberDistances {
    /// Wasserstein-1 distance, in the samples' unit.
    pub wasserstein: f64,
    /// Kolmogorov-Smirnov statistic.
    pub kolmogorov_smirnov: f64,
}

/// Both distances between two samples; `None` where one is empty or holds a value that is not finite.
///
/// # Example
/// ```
/// use trace_eval::distance::number_distances;
/// let d = number_distances(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0]).expect("two samples");
/// assert_eq!((d.wasserstein, d.kolmogorov_smirnov), (5.0, 1.0));
/// assert_eq!(number_distances(&[], &[1.0]), None);
/// assert_eq!(number_distances(&[f64::NAN], &[1.0]), None);
/// ```
///
/// # Source
/// The area between, and the largest gap between, the two empirical distribution functions
/// (Vallender, 1974; Kolmogorov, 1933). Equal to SciPy's `wasserstein_distance` and `ks_2samp`.
pub fn number_distances(a: &[f64], b: &[f64]) -> Option<NumberDistances> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|v| !v.is_finite()) {
        return None;
    }
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    // Joined captures are often sorted runs already: a stable sort only merges those.
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j) = (0, 0);
    let (mut area, mut most) = (0.0, 0.0_f64);
    let mut here = a[0].min(b[0]);
    loop {
        while i < a.len() && a[i] <= here {
            i += 1;
        }
        while j < b.len() && b[j] <= here {
            j += 1;
        }
        let next = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => break,
        };
        let gap = (i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs();
        area += gap * (next - here);
        most = most.max(gap);
        here = next;
    }
    Some(NumberDistances { wasserstein: area, kolmogorov_smirnov: most })
}

/// Wasserstein-1 distance between two samples, in the samples' unit, see [`number_distances`].
///
/// # Example
/// ```
/// use trace_eval::distance::wasserstein_1d;
/// assert_eq!(wasserstein_1d(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0]), Some(5.0));
/// ```
pub fn wasserstein_1d(a: &[f64], b: &[f64]) -> Option<f64> {
    number_distances(a, b).map(|d| d.wasserstein)
}

/// Kolmogorov-Smirnov statistic of two samples, see [`number_distances`].
///
/// # Example
/// ```
/// use trace_eval::distance::kolmogorov_smirnov;
/// assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[1.0, 2.0]), Some(0.0));
/// assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0]), Some(1.0));
/// ```
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Option<f64> {
    number_distances(a, b).map(|d| d.kolmogorov_smirnov)
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
        assert_eq!(kolmogorov_smirnov(&[1.0], &[f64::INFINITY]), None);
    }
}
