//! `train base`: a row autoencoder, a denoiser, a control network.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use torchlight::base::{BaseStage, BaseTraining, ImageGroup, train_base};
use torchlight::diffusion_lora::train::Outcome;
use torchlight::{DeviceChoice, Monitor, Precision, Stage, StopFlag};

use super::generate::place;
use crate::bars::Bars;
use crate::summary::{Common, Summary};

/// `torchlight train base`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight train base --data video:1 --data services:2 -o torchlight-base\n\
Parts that are finished are not done again; the same command goes on after a stop."
)]
pub struct Base {
    /// Settings in TOML; `--data` and `-o` come on top
    #[arg(long)]
    config: Option<PathBuf>,
    /// Image folder, with the weight of each of its images after a colon
    #[arg(long, value_name = "DIR[:WEIGHT]")]
    data: Vec<String>,
    /// Model folder to make
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Steps of the denoiser's training
    #[arg(long)]
    steps: Option<usize>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl Base {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        let mut training = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| path.display().to_string())?;
                toml::from_str(&text).with_context(|| path.display().to_string())?
            }
            None => BaseTraining::default(),
        };
        for text in &self.data {
            training.groups.push(group(text)?);
        }
        if training.groups.is_empty() {
            bail!("nothing to train on: --data DIR");
        }
        training.output = self.output.unwrap_or(training.output);
        training.denoiser_training.steps = self.steps.unwrap_or(training.denoiser_training.steps);
        if let Some(seed) = common.seed {
            training.autoencoder_training.seed = seed;
            training.denoiser_training.seed = seed;
            training.control_training.seed = seed;
        }
        let place = place(self.device, Precision::Fp32)?;
        let mut bars = Bars::new(common);
        let stage = |part| match part {
            BaseStage::Autoencoder => Stage::TrainAutoencoder,
            BaseStage::EdgeReader => Stage::TrainEdgeReader,
            BaseStage::Denoiser => Stage::TrainDenoiser,
            BaseStage::Control => Stage::TrainControl,
        };
        let mut at = None;
        let mut monitor = Monitor::new(Stage::TrainAutoencoder, &mut bars, stop);
        let outcome = train_base(&training, place.device, |part, progress| {
            if at != Some(part) {
                at = Some(part);
                monitor.enter(stage(part));
            }
            match monitor.advance_with(progress.step, progress.steps, Some(progress.loss)) {
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(()) => ControlFlow::Break(()),
            }
        })?;
        if outcome != Outcome::Finished {
            return Err(monitor.stopped().into());
        }
        Ok(Summary::of(training.groups.len()).fact("base", training.output.display().to_string()))
    }
}

fn group(text: &str) -> anyhow::Result<ImageGroup> {
    let (folder, weight) = match text.rsplit_once(':') {
        Some((folder, weight)) if !Path::new(text).is_dir() => {
            (folder, weight.parse().with_context(|| format!("--data {text}: weight {weight}"))?)
        }
        _ => (text, 1.0),
    };
    Ok(ImageGroup { folder: folder.into(), weight })
}
