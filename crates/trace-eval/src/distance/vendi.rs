//! How many different points a set really holds.

use super::DistanceMatrix;

/// Sweeps of the Jacobi method; it converges quadratically, so a handful are ever needed.
const SWEEPS: usize = 30;

/// Vendi score of the points `of` under the kernel `exp(-d² / 2 width²)`: the effective number of
/// different points, between 1 (all the same) and their number (nothing in common). `None` for no
/// points or a width that is not positive and finite.
///
/// # Example
/// ```
/// use trace_eval::distance::{DistanceMatrix, vendi_score};
/// let d = DistanceMatrix::of(&[vec![0.0], vec![0.0], vec![1e6], vec![1e6]]);
/// let score = vendi_score(&d, &[0, 1, 2, 3], 1.0).expect("points");
/// assert!((score - 2.0).abs() < 1e-9);
/// ```
///
/// # Source
/// Friedman, Dieng, "The Vendi score: a diversity evaluation metric for machine learning", 2023,
/// definition 3.1: the exponential of the entropy of the eigenvalues of the kernel matrix over its size.
pub fn vendi_score(distances: &DistanceMatrix, of: &[usize], width: f64) -> Option<f64> {
    if of.is_empty() || !width.is_finite() || width <= 0.0 {
        return None;
    }
    let n = of.len();
    let scale = -0.5 / (width * width);
    let mut kernel = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            let d = distances.between(of[i], of[j]);
            kernel[i * n + j] = if i == j { 1.0 } else { (scale * d * d).exp() } / n as f64;
        }
    }
    let entropy: f64 =
        eigenvalues(kernel, n).into_iter().filter(|l| *l > 0.0).map(|l| -l * l.ln()).sum();
    Some(entropy.exp())
}

/// Eigenvalues of a symmetric matrix, in no particular order.
///
/// # Source
/// The cyclic Jacobi method, Golub, Van Loan, "Matrix Computations", section 8.5.
fn eigenvalues(mut m: Vec<f64>, n: usize) -> Vec<f64> {
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| i * n + j)).map(|at| m[at].powi(2)).sum();
        if off < 1e-24 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if m[p * n + q].abs() < 1e-300 {
                    continue;
                }
                let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * m[p * n + q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..n {
                    let (a, b) = (m[k * n + p], m[k * n + q]);
                    m[k * n + p] = c * a - s * b;
                    m[k * n + q] = s * a + c * b;
                }
                for k in 0..n {
                    let (a, b) = (m[p * n + k], m[q * n + k]);
                    m[p * n + k] = c * a - s * b;
                    m[q * n + k] = s * a + c * b;
                }
            }
        }
    }
    (0..n).map(|i| m[i * n + i]).collect()
}
