//! What stands in for `tensors/` in a build without feature `diffusion`: the commands' names, each
//! with the one answer where they are to be had.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value;
use torchlight::StopFlag;

use crate::summary::{Common, Summary};

/// The commands that are not here.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// In builds with feature `diffusion`
    #[command(hide = true, disable_help_flag = true)]
    Train(Words),
    /// In builds with feature `diffusion`
    #[command(hide = true, disable_help_flag = true)]
    Generate(Words),
    /// In builds with feature `diffusion`
    #[command(hide = true, disable_help_flag = true)]
    Run(Words),
}

/// Whatever follows.
#[derive(Debug, Args)]
pub struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Command {
    /// Says which build does it.
    pub fn run(self, _: &Common, _: &StopFlag) -> anyhow::Result<Summary> {
        let (name, Words { words }) = match self {
            Self::Train(words) => ("train", words),
            Self::Generate(words) => ("generate", words),
            Self::Run(words) => ("run", words),
        };
        bail!(
            "`{name}` needs libtorch, and this build has none: \
             cargo run --release --example torchlight -- {name} {}",
            words.join(" ")
        )
    }
}

/// Adapters are told from other weights in builds with feature `diffusion`.
pub fn adapter(_: &Path) -> Option<Value> {
    None
}
