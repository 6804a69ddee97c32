//! Noise schedules for training and samplers for inference, on tensors of any rank.
//!
//! [`SchedulerConfig`] reads diffusers' `scheduler_config.json` and builds a [`Scheduler`];
//! [`NoiseSchedule`] is the part that training needs. Step mathematics runs in `f32` (in `f64` for
//! `f64` samples) with `f64` coefficients whatever the kind of the tensors, and results are returned
//! in the sample's kind: keep latents in `f32` between steps even where the model runs in `bf16`.
//! No sampler draws random numbers: where a step needs noise, the caller gives it.

mod config;
mod ddim;
mod ddpm;
mod dpm_solver;
mod euler;
mod levels;
mod noise;
mod pndm;
mod predict;
mod unipc;

use std::fmt::Debug;

use tch::Tensor;

pub use config::{
    BetaSchedule, FinalSigmas, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing,
};
pub use ddim::Ddim;
pub use ddpm::Ddpm;
pub use dpm_solver::DpmSolverMultistep;
pub use euler::EulerDiscrete;
pub use noise::NoiseSchedule;
pub use pndm::Pndm;
pub use unipc::UniPc;

use crate::{Error, Result};
use levels::Levels;

/// One sampling run's course from noise to sample.
///
/// ```
/// use diffusion_lora::schedule::{PredictionType, SchedulerClass, SchedulerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let config = SchedulerConfig::stable_diffusion(SchedulerClass::UniPc, PredictionType::Epsilon);
/// let mut scheduler = config.scheduler(10, 0.0)?;
/// let noise = Tensor::ones([1, 4, 8, 8], (Kind::Float, Device::Cpu));
/// let mut latents = noise * scheduler.init_noise_sigma();
/// for index in 0..scheduler.timesteps().len() {
///     let input = scheduler.scale_model_input(&latents, index)?;
///     let output = &input * 0.9; // the denoiser at scheduler.timesteps()[index]
///     latents = scheduler.step(&output, index, &latents, None)?;
/// }
/// assert_eq!(latents.size(), [1, 4, 8, 8]);
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
pub trait Scheduler: Debug + Send {
    /// The sampler's class.
    fn class(&self) -> SchedulerClass;

    /// Timesteps in the order they are visited; their number is the number of model calls.
    fn timesteps(&self) -> &[i64];

    /// The same timesteps before they are made whole; only Euler's may have a fraction, and a
    /// denoiser that can take fractions should be given these.
    fn exact_timesteps(&self) -> &[f64];

    /// Noise level of every step and after the last, for samplers that work on noise levels.
    fn sigmas(&self) -> Option<&[f64]> {
        None
    }

    /// Factor on unit-variance noise for the first sample.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// What the model is given in place of the sample.
    ///
    /// # Shapes
    /// Any; result as `sample`.
    ///
    /// # Errors
    /// [`Error::StepOutOfOrder`] for an index past the last step.
    fn scale_model_input(&self, sample: &Tensor, index: usize) -> Result<Tensor> {
        check_index(index, self.timesteps().len())?;
        Ok(sample.shallow_clone())
    }

    /// Whether step `index` needs `variance_noise`.
    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    /// Takes step `index`: from the sample at `timesteps()[index]` and the model's output for it to
    /// the sample at the next noise level.
    ///
    /// Samplers with memory want their steps one after the other; index 0 forgets an earlier run, and
    /// a first step elsewhere starts in the middle (as image-to-image does).
    ///
    /// # Shapes
    /// `model_output`, `sample` and `variance_noise` alike, `[batch, ...]`; result as `sample`.
    ///
    /// # Errors
    /// [`Error::StepOutOfOrder`], [`Error::Shape`], [`Error::Device`], and
    /// [`Error::VarianceNoiseMissing`] where [`needs_noise`](Self::needs_noise) says so.
    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        variance_noise: Option<&Tensor>,
    ) -> Result<Tensor>;

    /// A clean sample mixed with unit-variance noise to the level of step `index`, to start there.
    ///
    /// # Shapes
    /// `x0` and `noise` alike; result as `x0`.
    ///
    /// # Errors
    /// [`Error::StepOutOfOrder`] for an index past the last step, [`Error::Shape`].
    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor>;
}

fn check_index(index: usize, steps: usize) -> Result<()> {
    if index < steps {
        return Ok(());
    }
    Err(Error::StepOutOfOrder { index, expected: 0, steps })
}

/// Pure noise at the last timestep leaves nothing for a noise prediction to say.
fn check_terminal_snr(config: &SchedulerConfig) -> Result<()> {
    if config.rescale_betas_zero_snr && config.prediction_type == PredictionType::Epsilon {
        return Err(config.unsupported(
            "rescale_betas_zero_snr",
            "true with prediction_type epsilon",
            "prediction_type v_prediction or sample",
        ));
    }
    Ok(())
}

/// [`Scheduler::add_noise`] for samplers on alphas.
fn add_noise_at(
    schedule: &NoiseSchedule,
    levels: &Levels,
    x0: &Tensor,
    noise: &Tensor,
    index: usize,
) -> Result<Tensor> {
    check_index(index, levels.timesteps.len())?;
    let a = schedule.alpha(levels.timesteps[index])?;
    mix(x0, noise, (a.sqrt(), (1.0 - a).sqrt()))
}

/// [`Scheduler::add_noise`] for variance-preserving samplers on sigmas.
fn add_noise_at_sigma(
    levels: &Levels,
    x0: &Tensor,
    noise: &Tensor,
    index: usize,
) -> Result<Tensor> {
    check_index(index, levels.timesteps.len())?;
    mix(x0, noise, levels::amplitudes(levels.sigmas[index]))
}

fn mix(x0: &Tensor, noise: &Tensor, (alpha, sigma): (f64, f64)) -> Result<Tensor> {
    noise::same_shape("noise", x0, noise)?;
    let (x, eps) = (noise::upcast(x0), noise::upcast(noise));
    Ok(predict::combine(&[(alpha, &x), (sigma, &eps)]).to_kind(x0.kind()))
}
