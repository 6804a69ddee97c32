//! Implicit sampling: the same marginals as DDPM, with as much fresh noise as wanted.

use tch::Tensor;

use super::levels::{Grid, Levels, spaced_timesteps};
use super::predict::{self, Limit, checked, clean_sample, combine, required_noise};
use super::{
    NoiseSchedule, Scheduler, SchedulerClass, SchedulerConfig, TimestepSpacing, check_index,
};
use crate::Result;

/// Denoising diffusion implicit sampling; deterministic with `eta` 0.
///
/// # Source
/// Song, Meng & Ermon 2020, "Denoising Diffusion Implicit Models", equations 12 and 16.
#[derive(Clone, Debug)]
pub struct Ddim {
    noise: NoiseSchedule,
    levels: Levels,
    limit: Limit,
    eta: f64,
    /// Distance to the previous timestep.
    stride: i64,
    /// Cumulative alpha after the last step.
    final_alpha: f64,
}

impl Ddim {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`].
    pub fn new(config: &SchedulerConfig, steps: usize, eta: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&eta) {
            return Err(config.unsupported("eta", eta, "0 to 1"));
        }
        let total = config.num_train_timesteps;
        let timesteps =
            spaced_timesteps(config, TimestepSpacing::Leading, Grid::Whole, steps, total)?;
        super::check_terminal_snr(config)?;
        let noise = NoiseSchedule::new(config)?;
        let final_alpha = final_alpha(config, &noise, true);
        Ok(Self {
            levels: Levels::whole(timesteps),
            limit: Limit::new(config, true)?,
            eta,
            stride: total.div_euclid(steps) as i64,
            final_alpha,
            noise,
        })
    }
}

/// The cumulative alpha after the last step.
pub(super) fn final_alpha(config: &SchedulerConfig, noise: &NoiseSchedule, default: bool) -> f64 {
    if config.set_alpha_to_one.unwrap_or(default) { 1.0 } else { noise.alphas_cumprod()[0] }
}

impl Scheduler for Ddim {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::Ddim
    }

    fn timesteps(&self) -> &[i64] {
        &self.levels.timesteps
    }

    fn exact_timesteps(&self) -> &[f64] {
        &self.levels.exact
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.eta > 0.0 && index < self.levels.timesteps.len()
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
        let t = self.levels.timesteps[index];
        let a = self.noise.alpha(t)?;
        // The next level is `stride` below, which with `linspace` is not the next timestep.
        let previous = t - self.stride;
        let a_previous = if previous >= 0 { self.noise.alpha(previous)? } else { self.final_alpha };
        let amplitudes = (a.sqrt(), (1.0 - a).sqrt());
        let prediction = self.noise.prediction_type();
        let x0 = self.limit.apply(clean_sample(prediction, &output, &x, amplitudes));
        let epsilon = predict::noise(prediction, &output, &x, amplitudes);
        let variance = (1.0 - a_previous) / (1.0 - a) * (1.0 - a / a_previous);
        let deviation = self.eta * variance.max(0.0).sqrt();
        let direction = (1.0 - a_previous - deviation * deviation).max(0.0).sqrt();
        let mut next = combine(&[(a_previous.sqrt(), &x0), (direction, &epsilon)]);
        if self.needs_noise(index) {
            let noise = required_noise(variance_noise, &x, index)?;
            next = combine(&[(1.0, &next), (deviation, &noise)]);
        }
        Ok(next.to_kind(sample.kind()))
    }

    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        super::add_noise_at(&self.noise, &self.levels, x0, noise, index)
    }
}
