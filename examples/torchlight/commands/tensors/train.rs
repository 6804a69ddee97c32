//! `train`: adapters and control networks; bases are in `train_base.rs`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use torchlight::controlnet_canny::Canny;
use torchlight::diffusion_lora::train::TrainConfig;
use torchlight::stages::{
    ADAPTER_FILE, CHECKPOINT_FILE, ControlJob, LOSS_FILE, LoraJob, train_controlnet, train_lora,
};
use torchlight::trace_image::read_image_folder;
use torchlight::{DeviceChoice, LoraSettings, Monitor, Precision, Stage, StopFlag};

use super::generate::{place, precision};
use super::train_base::Base;
use crate::bars::Bars;
use crate::files::may_write;
use crate::summary::{Common, Summary};

/// `torchlight train`.
#[derive(Debug, Subcommand)]
pub enum Train {
    /// Fine-tune a LoRA adapter
    Lora(Lora),
    /// Train a control network
    Controlnet(Controlnet),
    /// Train a base: row autoencoder, denoiser, control network
    Base(Base),
}

impl Train {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        match self {
            Self::Lora(command) => command.run(common, stop),
            Self::Controlnet(command) => command.run(common, stop),
            Self::Base(command) => command.run(common, stop),
        }
    }
}

/// What adapters and control networks are trained from and to.
#[derive(Debug, Args)]
struct Places {
    /// Image folder with captions
    #[arg(long)]
    data: PathBuf,
    /// Model folder in diffusers' layout
    #[arg(long)]
    base: PathBuf,
    /// Folder for the result
    #[arg(short, long)]
    output: PathBuf,
    /// Go on from the checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 100)]
    checkpoint_every: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// fp32, bf16 or fp16, of what is frozen
    #[arg(long, default_value = "fp32", value_parser = precision)]
    precision: Precision,
}

impl Places {
    /// Nothing finished is overwritten, nothing half done is mixed up.
    fn check(&self, result: &str, common: &Common) -> anyhow::Result<()> {
        may_write(&self.output.join(result), common)?;
        let checkpoint = self.output.join(CHECKPOINT_FILE);
        if checkpoint.is_file() && !self.resume {
            if !common.force {
                bail!("{}: --resume goes on, --force starts anew", checkpoint.display());
            }
            std::fs::remove_file(&checkpoint)?;
        }
        Ok(())
    }
}

/// `torchlight train lora`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight train lora --data images --base data-samples/torchlight-base -o lora --steps 100"
)]
pub struct Lora {
    #[command(flatten)]
    places: Places,
    /// Optimiser steps
    #[arg(long, default_value_t = LoraSettings::default().steps)]
    steps: usize,
    /// Images in a batch
    #[arg(long, default_value_t = LoraSettings::default().batch_size)]
    batch_size: usize,
    /// Batches a step
    #[arg(long, default_value_t = LoraSettings::default().gradient_accumulation)]
    gradient_accumulation: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = LoraSettings::default().learning_rate)]
    learning_rate: f64,
    /// Steps over which the learning rate rises
    #[arg(long, default_value_t = 0)]
    warmup_steps: usize,
    /// Rank of the matrices
    #[arg(long, default_value_t = LoraSettings::default().rank)]
    rank: usize,
    /// The output is multiplied by alpha / rank (default: the rank)
    #[arg(long)]
    alpha: Option<f64>,
    /// Endings of the names of adapted modules
    #[arg(long, value_delimiter = ',', default_values_t = LoraSettings::default().targets)]
    targets: Vec<String>,
    /// Share of captions that are left empty
    #[arg(long, default_value_t = 0.0)]
    caption_dropout: f64,
    /// Layers of the text encoder that are left out
    #[arg(long, default_value_t = 0)]
    clip_skip: usize,
}

impl Lora {
    fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        self.places.check(ADAPTER_FILE, common)?;
        let settings = LoraSettings {
            rank: self.rank,
            alpha: self.alpha.unwrap_or(self.rank as f64),
            targets: self.targets,
            steps: self.steps,
            batch_size: self.batch_size,
            gradient_accumulation: self.gradient_accumulation,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            caption_dropout: self.caption_dropout,
            checkpoint_every: self.places.checkpoint_every,
            ..LoraSettings::default()
        };
        let images = read_image_folder(&self.places.data)?;
        let pipeline = place(self.places.device, self.places.precision)?.load(&self.places.base)?;
        let job = LoraJob {
            pipeline: &pipeline,
            images: &images,
            settings: &settings,
            clip_skip: self.clip_skip,
            seed: common.seed(),
        };
        let mut bars = Bars::new(common);
        let mut monitor = Monitor::new(Stage::TrainLora, &mut bars, stop);
        train_lora(&job, &self.places.output, &mut monitor).map_err(resumable)?;
        finish(&self.places.output, ADAPTER_FILE, images.len())
    }
}

/// `torchlight train controlnet`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight train controlnet --data images --base model -o controlnet --steps 2000"
)]
pub struct Controlnet {
    #[command(flatten)]
    places: Places,
    /// Optimiser steps
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Images in a batch
    #[arg(long, default_value_t = 4)]
    batch_size: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = 1e-4)]
    learning_rate: f64,
    /// Decay of the moving average that is kept
    #[arg(long)]
    ema_decay: Option<f64>,
    /// Share of captions that are left empty
    #[arg(long, default_value_t = 0.1)]
    caption_dropout: f64,
}

impl Controlnet {
    fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        self.places.check("config.json", common)?;
        let training = TrainConfig {
            steps: self.steps,
            batch_size: self.batch_size,
            gradient_accumulation: 1,
            learning_rate: self.learning_rate,
            ema_decay: self.ema_decay,
            caption_dropout: self.caption_dropout,
            checkpoint_every: self.places.checkpoint_every,
            seed: common.seed(),
            ..TrainConfig::default()
        };
        let images = read_image_folder(&self.places.data)?;
        let pipeline = place(self.places.device, self.places.precision)?.load(&self.places.base)?;
        let job = ControlJob {
            pipeline: &pipeline,
            images: &images,
            canny: &Canny::default(),
            training: &training,
        };
        let mut bars = Bars::new(common);
        let mut monitor = Monitor::new(Stage::TrainControl, &mut bars, stop);
        train_controlnet(&job, &self.places.output, &mut monitor).map_err(resumable)?;
        finish(&self.places.output, "config.json", images.len())
    }
}

/// What to do after a stop.
fn resumable(error: torchlight::Error) -> anyhow::Error {
    match error {
        error @ torchlight::Error::Stopped { .. } => {
            anyhow::Error::from(error).context("add --resume to go on")
        }
        error => error.into(),
    }
}

/// The summary of a training; its checkpoint is not needed any more.
fn finish(output: &Path, result: &str, images: usize) -> anyhow::Result<Summary> {
    let checkpoint = output.join(CHECKPOINT_FILE);
    if checkpoint.is_file() {
        std::fs::remove_file(&checkpoint)?;
    }
    Ok(Summary::of(images)
        .fact("images", images)
        .fact("result", output.join(result).display().to_string())
        .fact("losses", output.join(LOSS_FILE).display().to_string()))
}
