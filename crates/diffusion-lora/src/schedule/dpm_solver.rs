//! DPM-Solver and DPM-Solver++, multistep, as ordinary or stochastic differential equations.

use tch::Tensor;

use super::levels::training_sigmas;
use super::levels::{Cursor, Grid, Levels, Timing, amplitudes, log_snr, spaced_timesteps};
use super::predict::{self, Limit, checked, clean_sample, combine, required_noise};
use super::{
    FinalSigmas, NoiseSchedule, PredictionType, Scheduler, SchedulerClass, SchedulerConfig,
    TimestepSpacing, add_noise_at_sigma,
};
use crate::Result;

/// Shape of the second-order update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Midpoint,
    Heun,
}

/// DPM-Solver of order 1 to 3; order 2 of `dpmsolver++` is the sampler known as "DPM++ 2M".
///
/// # Source
/// Lu et al. 2022, "DPM-Solver" and "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
/// Probabilistic Models", algorithm 2 and appendix; the stochastic forms from its section 6.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the method
pub struct DpmSolverMultistep {
    levels: Levels,
    prediction: PredictionType,
    limit: Limit,
    variant: Variant,
    /// Integrates the clean sample ("++") rather than the noise.
    predict_x0: bool,
    /// Adds fresh noise at each step ("sde").
    stochastic: bool,
    order: usize,
    /// Whether the last step is of first order, and the one before it of second.
    last_first_order: bool,
    second_last_second_order: bool,
    cursor: Cursor,
    /// Converted model outputs of the last steps, newest last; at most `order`.
    outputs: Vec<Tensor>,
}

impl DpmSolverMultistep {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`]; also for noise prediction inside the solver with a final
    /// noise level of 0, which its formulas do not reach.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let (predict_x0, stochastic) =
            match config.algorithm_type.as_deref().unwrap_or("dpmsolver++") {
                "dpmsolver++" | "deis" => (true, false),
                "dpmsolver" => (false, false),
                "sde-dpmsolver++" => (true, true),
                "sde-dpmsolver" => (false, true),
                other => {
                    return Err(config.unsupported(
                        "algorithm_type",
                        other,
                        "dpmsolver++, dpmsolver, sde-dpmsolver++, sde-dpmsolver",
                    ));
                }
            };
        if !predict_x0 && config.final_sigmas_type == FinalSigmas::Zero {
            return Err(config.unsupported(
                "final_sigmas_type",
                "zero without dpmsolver++",
                "sigma_min",
            ));
        }
        let variant = match config.solver_type.as_deref().unwrap_or("midpoint") {
            // Names of other methods' solvers mean midpoint, as in diffusers.
            "midpoint" | "logrho" | "bh1" | "bh2" => Variant::Midpoint,
            "heun" => Variant::Heun,
            other => return Err(config.unsupported("solver_type", other, "midpoint, heun")),
        };
        let order = config.solver_order.unwrap_or(2);
        if !(1..=3).contains(&order) || (order == 3 && stochastic && !predict_x0) {
            return Err(config.unsupported(
                "solver_order",
                order,
                "1 to 3; 1 or 2 for sde-dpmsolver",
            ));
        }
        if let Some(kind) = config.variance_type.as_deref()
            && kind.starts_with("learned")
        {
            return Err(config.unsupported("variance_type", kind, "none"));
        }
        let noise = NoiseSchedule::new(config)?;
        // Timesteps whose log signal-to-noise ratio is above the bound.
        let lambda_min = config.lambda_min_clipped.unwrap_or(f64::NEG_INFINITY);
        let last = training_sigmas(config, &noise)
            .iter()
            .filter(|&&sigma| log_snr(sigma) >= lambda_min)
            .count();
        if last == 0 {
            return Err(config.unsupported("lambda_min_clipped", lambda_min, "a smaller bound"));
        }
        let timesteps =
            spaced_timesteps(config, TimestepSpacing::Linspace, Grid::Multistep, steps, last)?;
        let levels = Levels::with_sigmas(config, &noise, timesteps, Timing::DpmSolver)?;
        let few = config.lower_order_final.unwrap_or(true) && levels.timesteps.len() < 15;
        Ok(Self {
            prediction: config.prediction_type,
            limit: Limit::new(config, false)?,
            variant,
            predict_x0,
            stochastic,
            order,
            last_first_order: config.euler_at_final
                || few
                || config.final_sigmas_type == FinalSigmas::Zero,
            second_last_second_order: few,
            cursor: Cursor::default(),
            outputs: Vec::new(),
            levels,
        })
    }

    /// The model's output as the quantity that the solver integrates.
    fn convert(&self, output: &Tensor, sample: &Tensor, index: usize) -> Tensor {
        let amplitudes = amplitudes(self.levels.sigmas[index]);
        if self.predict_x0 {
            return self.limit.apply(clean_sample(self.prediction, output, sample, amplitudes));
        }
        let epsilon = predict::noise(self.prediction, output, sample, amplitudes);
        if matches!(self.limit, Limit::None) {
            return epsilon;
        }
        let x0 = clean_sample(PredictionType::Epsilon, &epsilon, sample, amplitudes);
        predict::noise(PredictionType::Sample, &self.limit.apply(x0), sample, amplitudes)
    }

    /// Factors of sample, of the output and its first and second difference, and of noise.
    fn factors(&self, sigma_from: f64, sigma_to: f64, order: usize) -> Factors {
        let (alpha_s, noise_s) = amplitudes(sigma_from);
        let (alpha_t, noise_t) = amplitudes(sigma_to);
        // Infinite where the target has no noise; only first-order steps of "++" go there.
        let h = log_snr(sigma_to) - log_snr(sigma_from);
        let midpoint = order == 2 && self.variant == Variant::Midpoint;
        match (self.predict_x0, self.stochastic) {
            (true, false) => {
                let e = (-h).exp_m1();
                Factors {
                    sample: noise_t / noise_s,
                    output: -alpha_t * e,
                    first: if midpoint { -0.5 * alpha_t * e } else { alpha_t * (e / h + 1.0) },
                    second: -alpha_t * ((e + h) / (h * h) - 0.5),
                    noise: 0.0,
                }
            }
            (false, false) => {
                let e = h.exp_m1();
                Factors {
                    sample: alpha_t / alpha_s,
                    output: -noise_t * e,
                    first: if midpoint { -0.5 * noise_t * e } else { -noise_t * (e / h - 1.0) },
                    second: -noise_t * ((e - h) / (h * h) - 0.5),
                    noise: 0.0,
                }
            }
            (true, true) => {
                let g = -(-2.0 * h).exp_m1();
                Factors {
                    sample: noise_t / noise_s * (-h).exp(),
                    output: alpha_t * g,
                    first: if midpoint {
                        0.5 * alpha_t * g
                    } else {
                        alpha_t * (g / (-2.0 * h) + 1.0)
                    },
                    second: alpha_t * ((g - 2.0 * h) / (4.0 * h * h) - 0.5),
                    noise: noise_t * g.sqrt(),
                }
            }
            (false, true) => {
                let e = h.exp_m1();
                Factors {
                    sample: alpha_t / alpha_s,
                    output: -2.0 * noise_t * e,
                    first: if midpoint { -noise_t * e } else { -2.0 * noise_t * (e / h - 1.0) },
                    second: 0.0,
                    noise: noise_t * (2.0 * h).exp_m1().sqrt(),
                }
            }
        }
    }
}

/// See [`DpmSolverMultistep::factors`].
struct Factors {
    sample: f64,
    output: f64,
    first: f64,
    second: f64,
    noise: f64,
}

impl Scheduler for DpmSolverMultistep {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::DpmSolverMultistep
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

    fn needs_noise(&self, index: usize) -> bool {
        // A step to noise level 0 adds none.
        self.stochastic
            && index < self.levels.timesteps.len()
            && self.levels.sigmas[index + 1] > 0.0
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        variance_noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (output, x) = checked(model_output, sample)?;
        let steps = self.levels.timesteps.len();
        let noise = if self.needs_noise(index) {
            Some(required_noise(variance_noise, &x, index)?)
        } else {
            None
        };
        if self.cursor.advance(index, steps)? {
            self.outputs.clear();
        }
        let converted = self.convert(&output, &x, index);
        if self.outputs.len() == self.order {
            drop(self.outputs.remove(0));
        }
        self.outputs.push(converted);

        let mut order = self.outputs.len();
        if index + 1 == steps && self.last_first_order {
            order = 1;
        } else if index + 2 == steps && self.second_last_second_order {
            order = order.min(2);
        }
        let sigmas = &self.levels.sigmas;
        let (from, to) = (sigmas[index], sigmas[index + 1]);
        let h = log_snr(to) - log_snr(from);
        if h == 0.0 {
            return Ok(sample.shallow_clone());
        }
        let factors = self.factors(from, to, order);
        // The differences are sums over outputs, so the step is one weighted sum.
        let outputs: Vec<&Tensor> = self.outputs.iter().rev().collect();
        let mut weights = [factors.output, 0.0, 0.0];
        if order >= 2 {
            // A difference over a distance of r (in units of h) is divided by r.
            let r0 = (log_snr(from) - log_snr(sigmas[index - 1])) / h;
            if order == 2 {
                weights[0] += factors.first / r0;
                weights[1] -= factors.first / r0;
            } else {
                let r1 = (log_snr(sigmas[index - 1]) - log_snr(sigmas[index - 2])) / h;
                let near = factors.first * (1.0 + r0 / (r0 + r1)) + factors.second / (r0 + r1);
                let far = -factors.first * r0 / (r0 + r1) - factors.second / (r0 + r1);
                weights[0] += near / r0;
                weights[1] += far / r1 - near / r0;
                weights[2] -= far / r1;
            }
        }
        let mut terms = vec![(factors.sample, &x)];
        terms.extend(weights.into_iter().zip(outputs));
        let mut next = combine(&terms);
        if let Some(noise) = noise {
            next = combine(&[(1.0, &next), (factors.noise, &noise)]);
        }
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

    /// A model that always sees the same clean sample: these forms must end on it. (The stochastic
    /// form over the noise does so only in the limit of many steps.)
    #[test]
    fn every_form_ends_on_the_clean_sample() {
        let x0 = Tensor::arange(12, (Kind::Double, Device::Cpu)).reshape([2, 6]) / 12 - 0.5;
        let noise = (Tensor::arange(12, (Kind::Double, Device::Cpu)) * 1.7).sin().reshape([2, 6]);
        for algorithm in ["dpmsolver++", "dpmsolver", "sde-dpmsolver++"] {
            for (solver, order) in [("midpoint", 1), ("midpoint", 2), ("heun", 2), ("heun", 3)] {
                let mut config = SchedulerConfig::stable_diffusion(
                    SchedulerClass::DpmSolverMultistep,
                    PredictionType::Sample,
                );
                config.algorithm_type = Some(algorithm.to_owned());
                config.solver_type = Some(solver.to_owned());
                config.solver_order = Some(order);
                if !algorithm.ends_with("++") {
                    config.final_sigmas_type = FinalSigmas::SigmaMin;
                }
                let mut dpm = DpmSolverMultistep::new(&config, 20).expect("supported");
                let mut x = dpm.add_noise(&x0, &noise, 0).expect("shapes fit");
                for index in 0..20 {
                    x = dpm.step(&x0, index, &x, Some(&noise)).expect("in order");
                }
                let left = *dpm.sigmas().and_then(<[f64]>::last).expect("on sigmas");
                let gap = (&x - &x0).abs().max().double_value(&[]);
                assert!(gap <= 2.0 * left + 1e-9, "{algorithm} {solver} {order}: {gap}");
            }
        }
    }

    #[test]
    fn noise_prediction_cannot_end_at_zero() {
        let mut config = SchedulerConfig::stable_diffusion(
            SchedulerClass::DpmSolverMultistep,
            PredictionType::Epsilon,
        );
        config.algorithm_type = Some("dpmsolver".to_owned());
        assert!(DpmSolverMultistep::new(&config, 10).is_err());
        config.final_sigmas_type = FinalSigmas::SigmaMin;
        assert!(DpmSolverMultistep::new(&config, 10).is_ok());
        config.algorithm_type = Some("sde-dpmsolver".to_owned());
        config.solver_order = Some(3);
        assert!(DpmSolverMultistep::new(&config, 10).is_err());
    }
}
