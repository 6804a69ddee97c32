//! Fine-tuning an adapter on an image folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diffusion_lora::lora::{AdapterFile, Format, LoraConfig, LoraParameters};
use diffusion_lora::schedule::NoiseSchedule;
use diffusion_lora::train::{
    AdamWConfig, Denoising, LearningRate, Material, Outcome, TrainConfig, Trainer,
};
use diffusion_lora::{Pipeline, lora::Adapter};
use tch::Tensor;
use trace_image::FolderImage;

use super::material::examples;
use crate::{Error, LoraCourse, LoraSettings, Monitor, Result};

/// The adapter, in PEFT's form under diffusers' name.
pub const ADAPTER_FILE: &str = "pytorch_lora_weights.safetensors";
/// The loss of every step, `step,loss` lines.
pub const LOSS_FILE: &str = "loss.csv";
/// The loss on a fixed batch of all images, `step,loss` lines: before training, at every checkpoint,
/// and after.
pub const EVALUATION_FILE: &str = "evaluation.csv";
/// State of an unfinished training.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// What an adapter is trained from.
#[derive(Debug, Clone, Copy)]
pub struct LoraJob<'a> {
    /// The frozen base.
    pub pipeline: &'a Pipeline,
    /// The images with their captions.
    pub images: &'a [FolderImage],
    /// The settings.
    pub settings: &'a LoraSettings,
    /// Layers of the text encoder that are left out.
    pub clip_skip: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Trains an adapter and writes [`ADAPTER_FILE`], [`LOSS_FILE`] and [`EVALUATION_FILE`] into `folder`; goes on from
/// [`CHECKPOINT_FILE`] where there is one.
///
/// # Errors
/// [`Error::NoImages`], [`Error::Diffusion`], and [`Error::Stopped`], after which the checkpoint
/// holds the state.
pub fn train_lora(job: &LoraJob<'_>, folder: &Path, monitor: &mut Monitor<'_>) -> Result<()> {
    let LoraJob { pipeline, images, settings, clip_skip, seed } = *job;
    if images.is_empty() {
        return Err(Error::NoImages { folder: folder.to_owned() });
    }
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let (examples, text) = examples(pipeline, images, clip_skip)?;
    let config = LoraConfig {
        rank: settings.rank as i64,
        alpha: settings.alpha,
        target_modules: settings.targets.clone(),
        ..LoraConfig::default()
    };
    let slots = pipeline.denoiser.lora_slots();
    let lora = LoraParameters::attach(slots, "training", &config, seed, pipeline.device())?;
    let config = train_config(settings, seed);
    // Sorted by name: the order of a store's variables is not the same in every process.
    let parameters: BTreeMap<String, Tensor> = lora.store().variables().into_iter().collect();
    let checkpoint = folder.join(CHECKPOINT_FILE);
    let mut trainer =
        Trainer::new(config.clone(), parameters.into_iter().collect(), Some(checkpoint));
    trainer.resume()?;
    let schedule = NoiseSchedule::new(&pipeline.scheduler)?;
    let denoising = Denoising::new(
        pipeline.denoiser.as_dyn(),
        None,
        Material { examples: &examples, schedule: &schedule },
        &text,
        config.batch_size,
        config.caption_dropout,
    )?;
    let mut evaluations = Evaluations::resume(folder.join(EVALUATION_FILE), trainer.losses().len());
    loop {
        let done = trainer.losses().len();
        if done == config.steps || done.is_multiple_of(config.checkpoint_every.max(1)) {
            evaluations.add(done, denoising.fixed_loss(seed)?)?;
        }
        if done == config.steps {
            break;
        }
        let next = (done + 1).next_multiple_of(config.checkpoint_every.max(1));
        let outcome = trainer.run_until(
            next,
            |rng| denoising.loss(rng),
            |at| monitor.advance_with(at.step, at.steps, Some(at.loss)),
        )?;
        trainer.write_losses(&folder.join(LOSS_FILE))?;
        if outcome != Outcome::Finished {
            return Err(monitor.stopped());
        }
    }
    let file = AdapterFile { unet: lora.adapter().detached(), text_encoder: Adapter::default() };
    file.save(&folder.join(ADAPTER_FILE), Format::Peft)?;
    Ok(slots.detach("training")?)
}

/// The file of evaluations, written anew with each.
struct Evaluations {
    path: PathBuf,
    lines: Vec<(usize, f64)>,
}

impl Evaluations {
    /// What the file holds of the steps before `step`, where training goes on.
    fn resume(path: PathBuf, step: usize) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line = |line: &str| {
            let (step, loss) = line.split_once(',')?;
            Some((step.parse().ok()?, loss.parse().ok()?))
        };
        let lines = text.lines().filter_map(line).filter(|(done, _)| *done < step).collect();
        Self { path, lines }
    }

    fn add(&mut self, step: usize, loss: f64) -> Result<()> {
        self.lines.push((step, loss));
        Ok(diffusion_lora::weights::write_atomically(&self.path, |out| {
            writeln!(out, "step,loss")?;
            self.lines.iter().try_for_each(|(step, loss)| writeln!(out, "{step},{loss}"))
        })?)
    }
}

/// The settings as the training loop takes them.
pub(super) fn train_config(settings: &LoraSettings, seed: u64) -> TrainConfig {
    TrainConfig {
        steps: settings.steps,
        batch_size: settings.batch_size,
        gradient_accumulation: settings.gradient_accumulation,
        learning_rate: settings.learning_rate,
        schedule: match settings.course {
            LoraCourse::Cosine => LearningRate::Cosine,
            LoraCourse::Constant => LearningRate::Constant,
        },
        warmup_steps: settings.warmup_steps,
        max_grad_norm: settings.max_grad_norm,
        optimizer: AdamWConfig { weight_decay: settings.weight_decay, ..AdamWConfig::default() },
        ema_decay: None,
        caption_dropout: settings.caption_dropout,
        seed,
        checkpoint_every: settings.checkpoint_every,
    }
}
