//! The training loop.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::{AdamW, AdamWConfig};
use crate::error::{Error, Result};
use crate::weights::{self, Weights};

/// How the learning rate goes over a run, after a linear warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRate {
    /// Half a cosine from the full rate to 0.
    #[default]
    Cosine,
    /// The full rate to the end.
    Constant,
}

/// Settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps.
    pub steps: usize,
    /// Examples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged for one step.
    pub gradient_accumulation: usize,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// Its course.
    pub schedule: LearningRate,
    /// Steps over which it rises from 0.
    pub warmup_steps: usize,
    /// Largest joint norm of all gradients.
    pub max_grad_norm: f64,
    /// The optimiser.
    pub optimizer: AdamWConfig,
    /// Decay of the moving average of parameters, if there is one.
    pub ema_decay: Option<f64>,
    /// Share of captions that are replaced by the empty one, for classifier-free guidance.
    pub caption_dropout: f64,
    /// The seed of everything random in the run.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
}

impl Default for TrainConfig {
    /// The fine-tuning command of the reference work (diffusers' text-to-image LoRA script):
    /// batch 1 accumulated 4 times, 12,000 steps at 1e-4, cosine, norm 1, seed 1337.
    fn default() -> Self {
        Self {
            steps: 12_000,
            batch_size: 1,
            gradient_accumulation: 4,
            learning_rate: 1e-4,
            schedule: LearningRate::Cosine,
            warmup_steps: 0,
            max_grad_norm: 1.0,
            optimizer: AdamWConfig::default(),
            ema_decay: None,
            caption_dropout: 0.0,
            seed: 1337,
            checkpoint_every: 1500,
        }
    }
}

impl TrainConfig {
    /// The learning rate of a step, counted from 0.
    pub fn learning_rate_at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        match self.schedule {
            LearningRate::Constant => self.learning_rate,
            LearningRate::Cosine => {
                let run = self.steps.saturating_sub(self.warmup_steps).max(1);
                let part = (step - self.warmup_steps) as f64 / run as f64;
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * part.min(1.0)).cos())
            }
        }
    }
}

/// Where a run stands, given to its observer after every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Loss of the last step, averaged over its batches.
    pub loss: f64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The observer stopped it; the checkpoint holds the state.
    Stopped {
        /// Steps done.
        step: usize,
    },
}

/// A training run over named parameters.
///
/// # Example
/// ```
/// use diffusion_lora::train::{TrainConfig, Trainer};
/// use std::ops::ControlFlow;
/// let weight = tch::Tensor::from_slice(&[4.0_f32]).set_requires_grad(true);
/// let config = TrainConfig { steps: 200, learning_rate: 0.1, ..TrainConfig::default() };
/// let mut trainer = Trainer::new(config, vec![("w".into(), weight.shallow_clone())], None);
/// trainer.run(|_| Ok(weight.square().sum(tch::Kind::Float)), |_| ControlFlow::Continue(()))?;
/// assert!(weight.double_value(&[0]).abs() < 0.1);
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    optimizer: AdamW,
    average: Option<Vec<(String, Tensor)>>,
    losses: Vec<f32>,
    checkpoint: Option<PathBuf>,
}

impl Trainer {
    /// A run from the parameters' present values. With `checkpoint`, the state is written to that
    /// file as the run goes.
    pub fn new(
        config: TrainConfig,
        parameters: Vec<(String, Tensor)>,
        checkpoint: Option<PathBuf>,
    ) -> Self {
        let average = config.ema_decay.map(|_| {
            parameters.iter().map(|(n, t)| (n.clone(), no_grad(|| t.detach().copy()))).collect()
        });
        let optimizer = AdamW::new(config.optimizer, parameters);
        Self { config, optimizer, average, losses: Vec::new(), checkpoint }
    }

    /// Continues from the checkpoint file where it exists; says whether it did.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the file belongs to other parameters, and the errors of
    /// [`Weights::read`].
    pub fn resume(&mut self) -> Result<bool> {
        let Some(path) = self.checkpoint.clone().filter(|p| p.is_file()) else { return Ok(false) };
        let stored = Weights::read(&path)?;
        let lacking =
            |tensor: &str| Error::Checkpoint { path: path.clone(), tensor: tensor.into() };
        let losses = stored.float("losses").ok_or_else(|| lacking("losses"))?;
        let losses = Vec::<f32>::try_from(losses)?;
        self.optimizer.restore(&stored, losses.len() as i64)?;
        for (name, tensor) in self.average.iter_mut().flatten() {
            let key = format!("average.{name}");
            let found = stored.get(&key).filter(|t| t.size() == tensor.size());
            let found = found.ok_or_else(|| lacking(&key))?;
            no_grad(|| tensor.f_copy_(found))?;
        }
        self.losses = losses;
        Ok(true)
    }

    /// Runs the remaining steps: [`run_until`](Self::run_until) the last.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    pub fn run(
        &mut self,
        loss: impl FnMut(&mut ChaCha8Rng) -> Result<Tensor>,
        observe: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome> {
        self.run_until(self.config.steps, loss, observe)
    }

    /// Runs the steps that remain until `end` are done, [`Outcome::Finished`] then.
    ///
    /// `loss` draws one batch from the generator and returns its scalar loss; `observe` is told of
    /// every step and may stop the run.
    ///
    /// # Errors
    /// What `loss` returns; [`Error::LossNotFinite`] where training diverged; [`Error::Io`] for
    /// the checkpoint.
    pub fn run_until(
        &mut self,
        end: usize,
        mut loss: impl FnMut(&mut ChaCha8Rng) -> Result<Tensor>,
        mut observe: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome> {
        let TrainConfig { steps, gradient_accumulation, .. } = self.config;
        while self.losses.len() < end.min(steps) {
            let step = self.losses.len();
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
            rng.set_stream(step as u64 + 1);
            self.optimizer.zero_grad();
            let batches = gradient_accumulation.max(1) as f64;
            let mut sum = 0.0;
            for _ in 0..gradient_accumulation.max(1) {
                let scalar = loss(&mut rng)?;
                (&scalar / batches).backward();
                sum += scalar.double_value(&[]);
            }
            let mean = sum / batches;
            if !mean.is_finite() {
                return Err(Error::LossNotFinite { step });
            }
            self.optimizer.clip_grad_norm(self.config.max_grad_norm);
            self.optimizer.step(self.config.learning_rate_at(step));
            self.update_average(step);
            self.losses.push(mean as f32);
            let done = self.losses.len();
            let stop = observe(Progress { step: done, steps, loss: mean }).is_break();
            let due = done == steps || done.is_multiple_of(self.config.checkpoint_every.max(1));
            if due || stop {
                self.save_checkpoint()?;
            }
            if stop && done < steps {
                return Ok(Outcome::Stopped { step: done });
            }
        }
        Ok(Outcome::Finished)
    }

    /// Loss of every step so far.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Puts the moving average in the parameters' place, where there is one.
    pub fn use_average(&mut self) {
        let Some(average) = &self.average else { return };
        no_grad(|| {
            for ((_, parameter), (_, mean)) in self.optimizer.parameters().zip(average) {
                parameter.shallow_clone().copy_(mean);
            }
        });
    }

    /// Writes the losses as `step,loss` lines.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn write_losses(&self, path: &Path) -> Result<()> {
        weights::write_atomically(path, |out| {
            writeln!(out, "step,loss")?;
            let mut lines = self.losses.iter().enumerate();
            lines.try_for_each(|(step, loss)| writeln!(out, "{},{loss}", step + 1))
        })
    }

    fn update_average(&mut self, step: usize) {
        let (Some(decay), Some(average)) = (self.config.ema_decay, &mut self.average) else {
            return;
        };
        // Young averages follow quickly: (1 + step) / (10 + step), as in the original DDPM code.
        let decay = decay.min((1 + step) as f64 / (10 + step) as f64);
        no_grad(|| {
            for ((_, parameter), (_, mean)) in self.optimizer.parameters().zip(average) {
                let _ = mean.lerp_(parameter, 1.0 - decay);
            }
        });
    }

    fn save_checkpoint(&self) -> Result<()> {
        let Some(path) = &self.checkpoint else { return Ok(()) };
        let mut stored = Weights::new();
        self.optimizer.store(&mut stored);
        for (name, tensor) in self.average.iter().flatten() {
            stored.insert(format!("average.{name}"), tensor.shallow_clone());
        }
        stored.insert("losses", Tensor::from_slice(&self.losses));
        stored.save(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn config() -> TrainConfig {
        TrainConfig {
            steps: 12,
            learning_rate: 0.05,
            ema_decay: Some(0.9),
            checkpoint_every: 4,
            ..TrainConfig::default()
        }
    }

    fn run(stop_at: Option<usize>, path: &Path) -> (Vec<f32>, f64) {
        let weight = Tensor::from_slice(&[4.0_f32, -2.0]).set_requires_grad(true);
        let parameters = vec![("w".to_owned(), weight.shallow_clone())];
        let mut trainer = Trainer::new(config(), parameters, Some(path.to_owned()));
        trainer.resume().expect("a checkpoint of the same run or none");
        let outcome = trainer
            .run(
                |rng| Ok((&weight * rng.random::<f64>()).square().sum(tch::Kind::Float)),
                |p| {
                    if Some(p.step) == stop_at {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                },
            )
            .expect("a finite loss");
        assert_eq!(outcome == Outcome::Finished, stop_at.is_none());
        trainer.use_average();
        (trainer.losses().to_vec(), weight.double_value(&[0]))
    }

    #[test]
    fn a_resumed_run_equals_an_unbroken_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let unbroken = run(None, &folder.path().join("a.safetensors"));
        let path = folder.path().join("b.safetensors");
        run(Some(7), &path);
        assert_eq!(run(None, &path), unbroken);
    }

    #[test]
    fn cosine_goes_from_full_to_nothing() {
        let config = TrainConfig { steps: 100, warmup_steps: 10, ..TrainConfig::default() };
        assert!(config.learning_rate_at(0) < 2e-5);
        assert!((config.learning_rate_at(10) - 1e-4).abs() < 1e-12);
        assert!(config.learning_rate_at(99) < 1e-7);
    }
}
