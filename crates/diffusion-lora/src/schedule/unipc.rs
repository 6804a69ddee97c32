//! Unified predictor-corrector sampling.

use tch::Tensor;

use super::levels::{Cursor, Grid, Levels, Timing, amplitudes, log_snr, spaced_timesteps};
use super::predict::{self, Limit, checked, clean_sample, combine};
use super::{
    NoiseSchedule, PredictionType, Scheduler, SchedulerClass, SchedulerConfig, TimestepSpacing,
    add_noise_at_sigma,
};
use crate::Result;

/// The function B(h) of the method; both are equal to first order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = exp(h) - 1`.
    Bh2,
}

/// `UniPC`: a multistep predictor whose every model call also corrects the step before it.
///
/// A step to noise level 0 lands exactly on the predicted clean sample, which is the limit of the
/// method's formulas. diffusers evaluates the formulas themselves there, and gets NaN for `bh1`, for
/// `predict_x0 = false`, and for an order above 1 (`lower_order_final = false`).
///
/// # Source
/// Zhao et al. 2023, "`UniPC`: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion
/// Models", algorithms 1 and 2.
#[derive(Debug)]
pub struct UniPc {
    levels: Levels,
    prediction: PredictionType,
    limit: Limit,
    variant: Variant,
    order: usize,
    predict_x0: bool,
    lower_order_final: bool,
    disable_corrector: Vec<usize>,
    cursor: Cursor,
    /// Converted model outputs of the last steps, newest last; at most `order`.
    outputs: Vec<Tensor>,
    /// The (corrected) sample that the last prediction started from, and that prediction's order.
    last: Option<(Tensor, usize)>,
}

impl UniPc {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`].
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let variant = match config.solver_type.as_deref().unwrap_or("bh2") {
            "bh1" => Variant::Bh1,
            // Names of other methods' solvers mean bh2, as in diffusers.
            "bh2" | "midpoint" | "heun" | "logrho" => Variant::Bh2,
            other => return Err(config.unsupported("solver_type", other, "bh1, bh2")),
        };
        let order = config.solver_order.unwrap_or(2);
        if !(1..=8).contains(&order) {
            return Err(config.unsupported("solver_order", order, "1 to 8"));
        }
        let noise = NoiseSchedule::new(config)?;
        let total = config.num_train_timesteps;
        let timesteps =
            spaced_timesteps(config, TimestepSpacing::Linspace, Grid::Multistep, steps, total)?;
        Ok(Self {
            levels: Levels::with_sigmas(config, &noise, timesteps, Timing::UniPc)?,
            prediction: config.prediction_type,
            limit: Limit::new(config, false)?,
            variant,
            order,
            predict_x0: config.predict_x0.unwrap_or(true),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            disable_corrector: config.disable_corrector.clone(),
            cursor: Cursor::default(),
            outputs: Vec::new(),
            last: None,
        })
    }

    /// The model's output as the quantity that the solver integrates.
    fn convert(&self, output: &Tensor, sample: &Tensor, index: usize) -> Tensor {
        let amplitudes = amplitudes(self.levels.sigmas[index]);
        if self.predict_x0 {
            self.limit.apply(clean_sample(self.prediction, output, sample, amplitudes))
        } else {
            predict::noise(self.prediction, output, sample, amplitudes)
        }
    }

    /// Integrates from step `from` to level `from + 1` with what is remembered.
    ///
    /// `newest` is the converted output at the target: with it this is the corrector, without it the
    /// predictor.
    fn integrate(&self, x: &Tensor, from: usize, order: usize, newest: Option<&Tensor>) -> Tensor {
        let sigmas = &self.levels.sigmas;
        let (sigma_from, sigma_to) = (sigmas[from], sigmas[from + 1]);
        let (alpha_s, noise_s) = amplitudes(sigma_from);
        let (alpha_t, noise_t) = amplitudes(sigma_to);
        let m0 = &self.outputs[self.outputs.len() - 1];
        if sigma_to == 0.0 {
            // The limit: the predicted clean sample.
            return if self.predict_x0 {
                m0.shallow_clone()
            } else {
                clean_sample(PredictionType::Epsilon, m0, x, (alpha_s, noise_s))
            };
        }
        let h = log_snr(sigma_to) - log_snr(sigma_from);
        if h == 0.0 {
            return x.shallow_clone();
        }
        // Positions of the points used, in units of h from the start; the target is at 1.
        let mut positions: Vec<f64> =
            (1..order).map(|i| (log_snr(sigmas[from - i]) - log_snr(sigma_from)) / h).collect();
        positions.push(1.0);
        let hh = if self.predict_x0 { -h } else { h };
        let phi_1 = hh.exp_m1();
        let b_h = match self.variant {
            Variant::Bh1 => hh,
            Variant::Bh2 => phi_1,
        };
        let weights = weights(&positions, hh, b_h, newest.is_some());

        let (scale, amplitude) = if self.predict_x0 {
            (noise_t / noise_s, alpha_t)
        } else {
            (alpha_t / alpha_s, noise_t)
        };
        let mut weight_m0 = -amplitude * phi_1;
        let mut terms = vec![(scale, x)];
        for (i, (&rho, &position)) in weights.iter().zip(&positions).enumerate() {
            // The last point is the target itself, the others are earlier steps.
            let point = match newest {
                Some(newest) if i + 1 == positions.len() => newest,
                _ => &self.outputs[self.outputs.len() - 2 - i],
            };
            let weight = -amplitude * b_h * rho / position;
            weight_m0 -= weight;
            terms.push((weight, point));
        }
        terms.push((weight_m0, m0));
        combine(&terms)
    }
}

/// Weights of the difference quotients: of all points for the corrector, of the earlier ones for
/// the predictor.
fn weights(positions: &[f64], hh: f64, b_h: f64, corrector: bool) -> Vec<f64> {
    let order = positions.len();
    match (corrector, order) {
        // The orders for which the paper fixes the weight in advance.
        (true, 1) | (false, 2) => return vec![0.5],
        (false, 1) => return Vec::new(),
        _ => {}
    }
    let count = if corrector { order } else { order - 1 };
    let mut phi = hh.exp_m1() / hh - 1.0;
    let mut factorial = 1.0;
    let mut right = Vec::with_capacity(count);
    let mut matrix = Vec::with_capacity(count);
    for power in 0..count {
        matrix.push(positions[..count].iter().map(|r| r.powi(power as i32)).collect());
        right.push(phi * factorial / b_h);
        factorial *= power as f64 + 2.0;
        phi = phi / hh - 1.0 / factorial;
    }
    solve(matrix, right)
}

/// Solves a small dense system by elimination with row exchange.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
            .unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..n {
            let factor = matrix[row][column] / matrix[column][column];
            let (above, below) = matrix.split_at_mut(row);
            for (entry, pivot) in below[0].iter_mut().zip(&above[column]) {
                *entry -= factor * pivot;
            }
            right[row] -= factor * right[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| matrix[row][k] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

impl Scheduler for UniPc {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::UniPc
    }

    fn timesteps(&self) -> &[i64] {
        &self.levels.timesteps
    }

    fn exact_timesteps(&self) -> &[f64] {
        &self.levels.exact
    }

    fn sigmas(&self) -> Option<&[f64]> {
        Some(&self.levels.sigmas)
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        _variance_noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (output, mut x) = checked(model_output, sample)?;
        let steps = self.levels.timesteps.len();
        if self.cursor.advance(index, steps)? {
            self.outputs.clear();
            self.last = None;
        }
        let converted = self.convert(&output, &x, index);
        if let Some((last_sample, order)) = self.last.take()
            && !self.disable_corrector.contains(&(index - 1))
        {
            super::noise::same_shape("sample", &last_sample, &x)?;
            x = self.integrate(&last_sample, index - 1, order, Some(&converted));
        }
        if self.outputs.len() == self.order {
            drop(self.outputs.remove(0));
        }
        self.outputs.push(converted);
        let wanted =
            if self.lower_order_final { self.order.min(steps - index) } else { self.order };
        let order = wanted.min(self.outputs.len());
        let next = self.integrate(&x, index, order, None);
        self.last = Some((x, order));
        Ok(next.to_kind(sample.kind()))
    }

    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        add_noise_at_sigma(&self.levels, x0, noise, index)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn elimination_solves() {
        let matrix = vec![vec![0.0, 2.0, 1.0], vec![1.0, 1.0, 1.0], vec![4.0, 0.0, -1.0]];
        let solution = solve(matrix, vec![7.0, 6.0, 1.0]);
        for (found, expected) in solution.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    /// With a model that always sees the same clean sample, every variant must return that sample.
    #[test]
    fn every_variant_ends_finite_on_the_clean_sample() {
        let x0 = Tensor::arange(16, (Kind::Double, Device::Cpu)).reshape([1, 16]) / 16 - 0.5;
        let noise = (Tensor::arange(16, (Kind::Double, Device::Cpu)) * 2.7).sin().reshape([1, 16]);
        for (variant, predict_x0, lower) in
            [("bh1", true, true), ("bh2", true, false), ("bh1", false, true), ("bh2", false, false)]
        {
            for order in 1..=3 {
                let mut config = SchedulerConfig::stable_diffusion(
                    SchedulerClass::UniPc,
                    PredictionType::Sample,
                );
                config.solver_type = Some(variant.to_owned());
                config.predict_x0 = Some(predict_x0);
                config.lower_order_final = Some(lower);
                config.solver_order = Some(order);
                let mut unipc = UniPc::new(&config, 8).expect("supported");
                let mut x = unipc.add_noise(&x0, &noise, 0).expect("shapes fit");
                for index in 0..8 {
                    x = unipc.step(&x0, index, &x, None).expect("in order");
                }
                let gap = (&x - &x0).abs().max().double_value(&[]);
                assert!(gap < 1e-9, "{variant} {predict_x0} {lower} order {order}: {gap}");
            }
        }
    }
}
