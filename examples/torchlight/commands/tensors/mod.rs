//! The commands that need libtorch, and what else does. Feature `diffusion`.

mod generate;
mod run;
mod train;
mod train_base;

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};
use torchlight::StopFlag;
use torchlight::diffusion_lora::lora::{AdapterFile, AdapterLayer};

use crate::summary::{Common, Summary};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fine-tune an adapter, train a control network or a base
    #[command(subcommand)]
    Train(train::Train),
    /// Draw images
    Generate(generate::Generate),
    /// All of it, resumable
    Run(run::Run),
}

impl Command {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        match self {
            Self::Train(command) => command.run(common, stop),
            Self::Generate(command) => command.run(common, stop),
            Self::Run(command) => command.run(common, stop),
        }
    }
}

/// What a weight file holds as an adapter, if it is one.
pub fn adapter(path: &Path) -> Option<Value> {
    let adapter = AdapterFile::read(path).ok()?;
    let ranks = adapter.unet.layers.values().map(AdapterLayer::rank);
    Some(json!({
        "kind": "LoRA adapter",
        "modules": adapter.unet.layers.len(),
        "text_encoder_modules": adapter.text_encoder.layers.len(),
        "rank": ranks.max(),
        "alpha": adapter.unet.layers.values().next().map(AdapterLayer::alpha),
        "targets": adapter.unet.target_modules,
    }))
}
