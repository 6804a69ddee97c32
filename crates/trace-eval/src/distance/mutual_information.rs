//! How much two fields say about each other.

/// Mutual information of two variables from their joint counts, in bits; `None` without any count
/// or where the counts do not fill whole rows.
///
/// # Layout
/// `joint[a * columns + b]` is how often the first variable is `a` and the second `b`.
///
/// # Example
/// ```
/// use trace_eval::distance::mutual_information;
/// assert_eq!(mutual_information(&[5, 0, 0, 5], 2), Some(1.0));
/// assert_eq!(mutual_information(&[5, 5, 5, 5], 2), Some(0.0));
/// assert_eq!(mutual_information(&[0, 0], 2), None);
/// ```
///
/// # Source
/// Shannon, 1948. Comparing real and synthetic data by it, pair by pair: Ping, Stoyanovich, Howe,
/// "DataSynthesizer", 2017, section 4. Equal to scikit-learn's `mutual_info_score` over ln 2.
pub fn mutual_information(joint: &[u64], columns: usize) -> Option<f64> {
    let total: u64 = joint.iter().sum();
    if columns == 0 || total == 0 || !joint.len().is_multiple_of(columns) {
        return None;
    }
    let rows: Vec<u64> = joint.chunks_exact(columns).map(|row| row.iter().sum()).collect();
    let mut sums = vec![0_u64; columns];
    for row in joint.chunks_exact(columns) {
        sums.iter_mut().zip(row).for_each(|(s, c)| *s += c);
    }
    let n = total as f64;
    let mut bits = 0.0;
    for (row, of_row) in joint.chunks_exact(columns).zip(&rows) {
        for (count, of_column) in row.iter().zip(&sums).filter(|(c, _)| **c > 0) {
            let ratio = *count as f64 * n / (*of_row as f64 * *of_column as f64);
            bits += *count as f64 / n * ratio.log2();
        }
    }
    Some(bits.max(0.0))
}
