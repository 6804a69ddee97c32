//! Linear support vector machine on a Gram matrix.

use super::{FeatureMatrix, Gram, check_training};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of the machine. The default is scikit-learn's `SVC(kernel="linear")`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SvmConfig {
    /// Cost of a violated margin.
    pub c: f64,
    /// Largest violation of the optimality conditions at the end.
    pub tolerance: f64,
    /// Steps after which a pair of classes is given up as it stands.
    pub max_steps: usize,
}

impl Default for SvmConfig {
    fn default() -> Self {
        Self { c: 1.0, tolerance: 1e-3, max_steps: 1_000_000 }
    }
}

/// A fitted one-against-one C-SVM with a linear kernel.
///
/// One binary machine for each pair of classes `(i, j)`, `i < j`, in lexical order; a positive
/// decision value is a vote for `i`. Ties of votes go to the lower class.
///
/// # Source
/// Platt, "Sequential minimal optimization", 1998; Fan, Chen, Lin, "Working set selection using
/// second order information", JMLR 2005 (the selection rule and the stopping condition).
#[derive(Debug, Clone)]
pub struct LinearSvm {
    classes: Vec<usize>,
    machines: Vec<Machine>,
}

#[derive(Debug, Clone)]
struct Machine {
    /// Sample and `alpha * y`, support vectors only.
    coefficients: Vec<(usize, f64)>,
    rho: f64,
    converged: bool,
}

impl LinearSvm {
    /// Fits on the samples `train` of `x`, with numeric features scaled as they are there.
    ///
    /// # Errors
    /// As [`fit_gram`](Self::fit_gram).
    pub fn fit(
        x: &FeatureMatrix,
        labels: &[usize],
        train: &[usize],
        config: &SvmConfig,
    ) -> Result<(Self, Gram)> {
        let gram = x.gram(train);
        Ok((Self::fit_gram(&gram, labels, train, config)?, gram))
    }

    /// Fits on the samples `train`, given the inner products of all samples.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`] unless two classes are among the training samples,
    /// [`Error::OutOfRange`] for bad indices, [`Error::Setting`] for a cost or tolerance that is not
    /// positive.
    pub fn fit_gram(
        gram: &Gram,
        labels: &[usize],
        train: &[usize],
        config: &SvmConfig,
    ) -> Result<Self> {
        check_training(gram.samples(), labels, train)?;
        for (setting, value) in [("svm c", config.c), ("svm tolerance", config.tolerance)] {
            if value.is_nan() || value <= 0.0 {
                return Err(Error::Setting { setting, value, expected: "positive" });
            }
        }
        let mut classes: Vec<usize> = train.iter().map(|s| labels[*s]).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut machines = Vec::new();
        for (at, first) in classes.iter().enumerate() {
            for second in &classes[at + 1..] {
                let of = |c: usize| train.iter().filter(move |s| labels[**s] == c).copied();
                let samples: Vec<(usize, f64)> =
                    of(*first).map(|s| (s, 1.0)).chain(of(*second).map(|s| (s, -1.0))).collect();
                machines.push(solve(gram, &samples, config));
            }
        }
        Ok(Self { classes, machines })
    }

    /// Decision values of a sample, one for each pair of classes.
    pub fn decisions(&self, gram: &Gram, sample: usize) -> Vec<f64> {
        let value = |m: &Machine| {
            m.coefficients.iter().map(|(s, a)| a * gram.at(*s, sample)).sum::<f64>() - m.rho
        };
        self.machines.iter().map(value).collect()
    }

    /// Class of each of `samples`, by votes.
    pub fn predict(&self, gram: &Gram, samples: &[usize]) -> Vec<usize> {
        samples.iter().map(|s| self.vote(&self.decisions(gram, *s))).collect()
    }

    /// Whether every pair of classes was solved within the tolerance.
    pub fn converged(&self) -> bool {
        self.machines.iter().all(|m| m.converged)
    }

    fn vote(&self, decisions: &[f64]) -> usize {
        let mut votes = vec![0_usize; self.classes.len()];
        let mut values = decisions.iter();
        for i in 0..votes.len() {
            for j in i + 1..votes.len() {
                let first = values.next().is_some_and(|d| *d > 0.0);
                votes[if first { i } else { j }] += 1;
            }
        }
        let most = votes.iter().max().copied().unwrap_or(0);
        self.classes[votes.iter().position(|v| *v == most).unwrap_or(0)]
    }
}

/// Minimises `a'Qa / 2 - sum(a)` under `0 <= a <= C`, `sum(y a) = 0`, with `Q = y y' K`.
fn solve(gram: &Gram, samples: &[(usize, f64)], config: &SvmConfig) -> Machine {
    let n = samples.len();
    let (c, y): (f64, Vec<f64>) = (config.c, samples.iter().map(|s| s.1).collect());
    let kernel = |a: usize, b: usize| gram.at(samples[a].0, samples[b].0);
    let (mut alpha, mut gradient) = (vec![0.0_f64; n], vec![-1.0_f64; n]);
    let rises = |a: f64, y: f64| if y > 0.0 { a < c } else { a > 0.0 };
    let falls = |a: f64, y: f64| if y > 0.0 { a > 0.0 } else { a < c };
    let mut converged = false;
    for _ in 0..config.max_steps {
        // First index: the steepest that may rise. Second: the largest second-order decrease.
        let score = |t: usize| -y[t] * gradient[t];
        let up = (0..n).filter(|t| rises(alpha[*t], y[*t]));
        let Some(i) = up.max_by(|a, b| score(*a).total_cmp(&score(*b)).then(b.cmp(a))) else {
            break;
        };
        let (mut lowest, mut second, mut most) = (f64::INFINITY, None, 0.0);
        for t in (0..n).filter(|t| falls(alpha[*t], y[*t])) {
            lowest = lowest.min(score(t));
            let gap = score(i) - score(t);
            if gap > 0.0 {
                let curvature = curvature(kernel(i, i), kernel(t, t), kernel(i, t));
                let decrease = gap * gap / curvature;
                if second.is_none() || decrease > most {
                    (second, most) = (Some(t), decrease);
                }
            }
        }
        let Some(j) = second.filter(|_| score(i) - lowest >= config.tolerance) else {
            converged = true;
            break;
        };
        // Move along y_i and -y_j as far as the minimum or the box allows.
        let full = (score(i) - score(j)) / curvature(kernel(i, i), kernel(j, j), kernel(i, j));
        let room = |a: f64, rising: bool| if rising { c - a } else { a };
        let step = full.min(room(alpha[i], y[i] > 0.0)).min(room(alpha[j], y[j] < 0.0));
        for (t, sign) in [(i, y[i]), (j, -y[j])] {
            let moved = alpha[t] + sign * step;
            // Snap to the box, so that a bound is a bound.
            alpha[t] = if moved < c * 1e-12 {
                0.0
            } else if moved > c * (1.0 - 1e-12) {
                c
            } else {
                moved
            };
        }
        for (t, g) in gradient.iter_mut().enumerate() {
            *g += y[t] * step * (kernel(t, i) - kernel(t, j));
        }
    }
    Machine {
        rho: threshold(&alpha, &gradient, &y, c),
        coefficients: (0..n)
            .filter(|t| alpha[*t] > 0.0)
            .map(|t| (samples[t].0, alpha[t] * y[t]))
            .collect(),
        converged,
    }
}

fn curvature(ii: f64, jj: f64, ij: f64) -> f64 {
    let a = ii + jj - 2.0 * ij;
    if a > 0.0 { a } else { 1e-12 }
}

/// The offset: the mean over free vectors, or the middle of what the bounded ones allow.
fn threshold(alpha: &[f64], gradient: &[f64], y: &[f64], c: f64) -> f64 {
    let (mut sum, mut free) = (0.0, 0_usize);
    let (mut upper, mut lower) = (f64::INFINITY, f64::NEG_INFINITY);
    for ((a, g), y) in alpha.iter().zip(gradient).zip(y) {
        let value = y * g;
        if *a > 0.0 && *a < c {
            sum += value;
            free += 1;
        } else if (*a > 0.0) == (*y < 0.0) {
            upper = upper.min(value);
        } else {
            lower = lower.max(value);
        }
    }
    if free > 0 { sum / free as f64 } else { f64::midpoint(upper, lower) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_have_the_middle_between_them() {
        let names = ["x".to_owned()];
        let x = FeatureMatrix::from_numbers(&names, &[vec![0.0], vec![4.0], vec![1.0], vec![3.5]])
            .expect("finite");
        let (svm, gram) =
            LinearSvm::fit(&x, &[0, 1, 0, 0], &[0, 1], &SvmConfig::default()).expect("two classes");
        assert!(svm.converged());
        assert!((svm.decisions(&gram, 0)[0] - 1.0).abs() < 1e-9);
        assert!((svm.decisions(&gram, 1)[0] + 1.0).abs() < 1e-9);
        assert_eq!(svm.predict(&gram, &[2, 3]), vec![0, 1]);
    }

    #[test]
    fn equal_samples_of_two_classes_do_not_hang() {
        let names = ["x".to_owned()];
        let rows: Vec<Vec<f64>> = (0..6).map(|i| vec![f64::from(i % 2)]).collect();
        let x = FeatureMatrix::from_numbers(&names, &rows).expect("finite");
        let (svm, _) =
            LinearSvm::fit(&x, &[0, 0, 1, 1, 0, 1], &[0, 1, 2, 3, 4, 5], &SvmConfig::default())
                .expect("two classes");
        assert!(svm.converged());
    }
}
