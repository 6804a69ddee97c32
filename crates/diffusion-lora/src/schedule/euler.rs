//! Euler's method on the probability-flow equation in the sigma parametrisation.

use tch::Tensor;

use super::levels::{Grid, Levels, Timing, spaced_timesteps};
use super::noise::{same_shape, upcast};
use super::predict::{checked, combine};
use super::{
    NoiseSchedule, PredictionType, Scheduler, SchedulerClass, SchedulerConfig, TimestepSpacing,
    check_index,
};
use crate::Result;

/// Euler steps between noise levels, without added noise.
///
/// Samples are in the variance-exploding scale: start from noise times
/// [`init_noise_sigma`](Scheduler::init_noise_sigma), and give the model
/// [`scale_model_input`](Scheduler::scale_model_input) of them. Timesteps may be fractional.
///
/// # Source
/// Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
/// algorithm 2 without churn.
#[derive(Clone, Debug)]
pub struct EulerDiscrete {
    levels: Levels,
    prediction: PredictionType,
    init_noise_sigma: f64,
}

impl EulerDiscrete {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`].
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let noise = NoiseSchedule::new(config)?;
        let spacing = TimestepSpacing::Linspace;
        let timesteps =
            spaced_timesteps(config, spacing, Grid::Fractional, steps, config.num_train_timesteps)?;
        let mut levels = Levels::with_sigmas(config, &noise, timesteps, Timing::Euler)?;
        match config.timestep_type.as_deref().unwrap_or("discrete") {
            "continuous" if config.prediction_type == PredictionType::VPrediction => {
                levels.exact = levels.sigmas[..levels.sigmas.len() - 1]
                    .iter()
                    .map(|sigma| 0.25 * sigma.ln())
                    .collect();
                levels.timesteps = levels.exact.iter().map(|&t| t as i64).collect();
            }
            // Only velocity models were trained on continuous timesteps, in diffusers' reading.
            "discrete" | "continuous" => {}
            other => {
                return Err(config.unsupported("timestep_type", other, "discrete, continuous"));
            }
        }
        let largest = levels.sigmas.iter().copied().fold(0.0, f64::max);
        let init_noise_sigma = match config.timestep_spacing.unwrap_or(spacing) {
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
        };
        Ok(Self { levels, prediction: config.prediction_type, init_noise_sigma })
    }
}

impl Scheduler for EulerDiscrete {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::EulerDiscrete
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

    fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    fn scale_model_input(&self, sample: &Tensor, index: usize) -> Result<Tensor> {
        check_index(index, self.levels.timesteps.len())?;
        let sigma = self.levels.sigmas[index];
        Ok((upcast(sample) / (sigma * sigma + 1.0).sqrt()).to_kind(sample.kind()))
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        _variance_noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        check_index(index, self.levels.timesteps.len())?;
        let (output, x) = checked(model_output, sample)?;
        let (sigma, next) = (self.levels.sigmas[index], self.levels.sigmas[index + 1]);
        let x0 = match self.prediction {
            PredictionType::Sample => output,
            PredictionType::Epsilon => combine(&[(1.0, &x), (-sigma, &output)]),
            PredictionType::VPrediction => {
                let scale = sigma * sigma + 1.0;
                combine(&[(-sigma / scale.sqrt(), &output), (scale.recip(), &x)])
            }
        };
        let share = next / sigma;
        Ok(combine(&[(share, &x), (1.0 - share, &x0)]).to_kind(sample.kind()))
    }

    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        check_index(index, self.levels.timesteps.len())?;
        same_shape("noise", x0, noise)?;
        let sum = upcast(x0) + upcast(noise) * self.levels.sigmas[index];
        Ok(sum.to_kind(x0.kind()))
    }
}
