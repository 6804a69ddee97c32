//! From noise to latents: the sampling loop with guidance and control.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use crate::denoiser::{Control, Denoiser};
use crate::error::{Error, Result};
use crate::random;
use crate::schedule::{Scheduler, SchedulerConfig};

/// Settings of a sampling run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Denoising steps.
    pub steps: usize,
    /// Weight of the difference that the caption makes; 1 and less leave the negative prompt out.
    pub guidance_scale: f64,
    /// DDIM's noise: 0 none, 1 as much as DDPM.
    pub eta: f64,
}

impl Default for SampleConfig {
    /// The reference work's generation script: 20 steps, diffusers' default guidance 7.5.
    fn default() -> Self {
        Self { steps: 20, guidance_scale: 7.5, eta: 0.0 }
    }
}

/// A control network with its condition.
#[derive(Clone, Copy)]
pub struct ControlInput<'a> {
    /// The network.
    pub control: &'a dyn Control,
    /// `[batch, channels, height, width]` in [0, 1].
    pub condition: &'a Tensor,
    /// Factor on the residuals; 0 leaves the control out.
    pub scale: f64,
}

/// What a batch of samples is made from.
pub struct SampleRequest<'a> {
    /// Tokens of the prompts, `[batch, tokens, width]`.
    pub text: &'a Tensor,
    /// Tokens of the negative prompts, of the same shape.
    pub negative: &'a Tensor,
    /// Shape of one sample's latents, without the batch.
    pub latent_shape: &'a [i64],
    /// One seed a sample: a sample's noise depends on its own seed alone.
    pub seeds: &'a [u64],
    /// The control network, if any.
    pub control: Option<ControlInput<'a>>,
}

/// Unit-variance starting noise, each sample from its own seed, on the CPU.
pub fn initial_noise(latent_shape: &[i64], seeds: &[u64]) -> Tensor {
    let one = |seed: &u64| random::gaussian(&mut ChaCha8Rng::seed_from_u64(*seed), latent_shape);
    Tensor::stack(&seeds.iter().map(one).collect::<Vec<_>>(), 0)
}

/// Samples latents `[batch, ...latent_shape]` in f32, or `None` where `observe` (called with the
/// steps done and the steps in all) stopped the run.
///
/// # Errors
/// [`Error::Shape`] where the batch sizes differ, and what the networks and the schedule return.
pub fn sample(
    denoiser: &dyn Denoiser,
    schedule: &SchedulerConfig,
    config: &SampleConfig,
    request: &SampleRequest<'_>,
    observe: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Tensor>> {
    let noise = initial_noise(request.latent_shape, request.seeds);
    sample_from(denoiser, schedule, config, request, &noise, observe)
}

/// [`sample`] from given unit-variance noise `[batch, ...latent_shape]`.
///
/// # Errors
/// As [`sample`].
pub fn sample_from(
    denoiser: &dyn Denoiser,
    schedule: &SchedulerConfig,
    config: &SampleConfig,
    request: &SampleRequest<'_>,
    noise: &Tensor,
    mut observe: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Tensor>> {
    let SampleRequest { text, negative, seeds, control, .. } = *request;
    let batch = seeds.len() as i64;
    for (what, tensor) in
        [("prompt tokens", text), ("negative prompt tokens", negative), ("noise", noise)]
    {
        if batch < 1 || tensor.size().first() != Some(&batch) {
            let expected = format!("[{batch}, ...] for {batch} seeds");
            return Err(Error::Shape { what, expected, actual: tensor.size() });
        }
    }
    let device = text.device();
    let mut scheduler: Box<dyn Scheduler> = schedule.scheduler(config.steps, config.eta)?;
    let guided = config.guidance_scale > 1.0;
    let copies = if guided { 2 } else { 1 };
    let text = if guided { Tensor::cat(&[negative, text], 0) } else { text.shallow_clone() };
    let condition = control.map(|c| c.condition.to_device(device).repeat_batch(copies));
    let mut streams: Vec<ChaCha8Rng> = seeds
        .iter()
        .map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(*seed);
            rng.set_stream(1);
            rng
        })
        .collect();
    no_grad(|| {
        let mut latents =
            noise.to_device(device).to_kind(Kind::Float) * scheduler.init_noise_sigma();
        let steps = scheduler.timesteps().len();
        for index in 0..steps {
            let time = scheduler.timesteps()[index];
            let input = scheduler.scale_model_input(&latents, index)?.repeat_batch(copies);
            let times = Tensor::full(batch * copies, time, (Kind::Int64, device));
            let residuals = match (control, &condition) {
                (Some(c), Some(condition)) if c.scale != 0.0 => {
                    Some(c.control.residuals(&input, &times, &text, condition, c.scale)?)
                }
                _ => None,
            };
            let mut output = denoiser.predict(&input, &times, &text, residuals.as_ref())?;
            if guided {
                let halves = output.chunk(2, 0);
                output = &halves[0] + (&halves[1] - &halves[0]) * config.guidance_scale;
            }
            let variance_noise = scheduler.needs_noise(index).then(|| {
                let draws: Vec<Tensor> = streams
                    .iter_mut()
                    .map(|rng| random::gaussian(rng, request.latent_shape))
                    .collect();
                Tensor::stack(&draws, 0).to_device(device)
            });
            latents = scheduler.step(&output, index, &latents, variance_noise.as_ref())?;
            if observe(index + 1, steps).is_break() && index + 1 < steps {
                return Ok(None);
            }
        }
        Ok(Some(latents))
    })
}

/// Repeating a batch for guidance.
trait RepeatBatch {
    fn repeat_batch(&self, copies: i64) -> Tensor;
}

impl RepeatBatch for Tensor {
    fn repeat_batch(&self, copies: i64) -> Tensor {
        if copies == 1 {
            return self.shallow_clone();
        }
        let mut repeats = vec![1; self.dim()];
        repeats[0] = copies;
        self.repeat(repeats)
    }
}
