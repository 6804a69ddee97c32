//! How much a series repeats itself.

use super::sequence::mean_deviation;

/// Correlation of a series with itself 1, 2, … `lags` places later; 0 at every lag where the series does
/// not vary, is too short, or holds a value that is not finite.
///
/// # Example
/// ```
/// use trace_eval::features::autocorrelation;
/// let wave: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
/// let found = autocorrelation(&wave, 2);
/// assert!(found[0] < -0.9 && found[1] > 0.9);
/// assert_eq!(autocorrelation(&[5.0; 9], 2), [0.0, 0.0]);
/// ```
///
/// # Source
/// The biased estimate of Box, Jenkins, "Time series analysis", section 2.1.5: sums over the pairs that
/// there are, divided by the variance over the whole series.
pub fn autocorrelation(values: &[f64], lags: usize) -> Vec<f64> {
    let (mean, deviation) = mean_deviation(values);
    let flat = deviation.is_nan() || deviation < 1e-12;
    let at = |lag: usize| {
        if flat || values.len() <= lag {
            return 0.0;
        }
        let pairs = values.iter().zip(&values[lag..]);
        let sum: f64 = pairs.map(|(a, b)| (a - mean) * (b - mean)).sum();
        let found = sum / (values.len() as f64 * deviation * deviation);
        if found.is_finite() { found } else { 0.0 }
    };
    (1..=lags).map(at).collect()
}
