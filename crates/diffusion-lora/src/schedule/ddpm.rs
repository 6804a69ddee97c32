//! Ancestral sampling: every step removes predicted noise and adds fresh noise.

use tch::Tensor;

use super::levels::{Grid, Levels, spaced_timesteps};
use super::predict::{Limit, checked, clean_sample, combine, required_noise};
use super::{
    NoiseSchedule, Scheduler, SchedulerClass, SchedulerConfig, TimestepSpacing, check_index,
};
use crate::Result;

/// The variance of the noise that a step adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variance {
    /// The posterior's, which is the lower bound.
    FixedSmall,
    /// The forward process's, which is the upper bound.
    FixedLarge,
}

/// Denoising diffusion probabilistic sampling.
///
/// # Source
/// Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models", equations 6, 7 and 15.
#[derive(Clone, Debug)]
pub struct Ddpm {
    noise: NoiseSchedule,
    levels: Levels,
    limit: Limit,
    variance: Variance,
}

impl Ddpm {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`].
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let variance = match config.variance_type.as_deref().unwrap_or("fixed_small") {
            // The two differ only in a detour over the logarithm.
            "fixed_small" | "fixed_small_log" => Variance::FixedSmall,
            "fixed_large" => Variance::FixedLarge,
            other => {
                return Err(config.unsupported(
                    "variance_type",
                    other,
                    "fixed_small, fixed_small_log, fixed_large",
                ));
            }
        };
        let timesteps = spaced_timesteps(
            config,
            TimestepSpacing::Leading,
            Grid::Whole,
            steps,
            config.num_train_timesteps,
        )?;
        super::check_terminal_snr(config)?;
        Ok(Self {
            noise: NoiseSchedule::new(config)?,
            levels: Levels::whole(timesteps),
            limit: Limit::new(config, true)?,
            variance,
        })
    }
}

impl Scheduler for Ddpm {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::Ddpm
    }

    fn timesteps(&self) -> &[i64] {
        &self.levels.timesteps
    }

    fn exact_timesteps(&self) -> &[f64] {
        &self.levels.exact
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.levels.timesteps.get(index).is_some_and(|&t| t > 0)
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        variance_noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        check_index(index, self.levels.timesteps.len())?;
        let (output, x) = checked(model_output, sample)?;
        let a = self.noise.alpha(self.levels.timesteps[index])?;
        let a_previous = match self.levels.timesteps.get(index + 1) {
            Some(&t) => self.noise.alpha(t)?,
            None => 1.0,
        };
        let beta = 1.0 - a / a_previous;
        let prediction = self.noise.prediction_type();
        let x0 = clean_sample(prediction, &output, &x, (a.sqrt(), (1.0 - a).sqrt()));
        let x0 = self.limit.apply(x0);
        let weight_x0 = a_previous.sqrt() * beta / (1.0 - a);
        let weight_x = (1.0 - beta).sqrt() * (1.0 - a_previous) / (1.0 - a);
        let mut mean = combine(&[(weight_x0, &x0), (weight_x, &x)]);
        if self.needs_noise(index) {
            let noise = required_noise(variance_noise, &x, index)?;
            let variance = match self.variance {
                Variance::FixedSmall => ((1.0 - a_previous) / (1.0 - a) * beta).max(1e-20),
                Variance::FixedLarge => beta,
            };
            mean = combine(&[(1.0, &mean), (variance.sqrt(), &noise)]);
        }
        Ok(mean.to_kind(sample.kind()))
    }

    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        super::add_noise_at(&self.noise, &self.levels, x0, noise, index)
    }
}
