//! One file a command.

mod canny;
mod check;
mod dataset;
mod decode;
mod encode;
mod evaluate;
mod inspect;
mod repair;
#[cfg(feature = "diffusion")]
mod tensors;
#[cfg(not(feature = "diffusion"))]
#[path = "without_tensors.rs"]
mod tensors;

use clap::Subcommand;
use torchlight::StopFlag;

use crate::summary::{Common, Summary};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Captures to nPrint CSV, arrays, tables or trace images
    Encode(encode::Encode),
    /// The C++ tool's command line (`torchlight nprint --help`)
    #[command(disable_help_flag = true)]
    Nprint {
        /// That tool's flags
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// CSV, arrays, tables or trace images to captures, bits as they are
    Decode(decode::Decode),
    /// What a capture, matrix, image, adapter or model folder holds
    Inspect(inspect::Inspect),
    /// A folder of captures to an image folder with captions
    Dataset(dataset::Dataset),
    /// Edges of an image, as OpenCV finds them
    Canny(canny::CannyCommand),
    /// Images or CSV to protocol-correct captures
    Repair(repair::Repair),
    /// Audit captures, rule by rule
    Check(check::Check),
    /// Compare synthetic captures with real ones
    Evaluate(evaluate::Evaluate),
    /// What needs libtorch.
    #[command(flatten)]
    Tensors(tensors::Command),
}

impl Command {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        match self {
            Self::Encode(command) => command.run(common, stop),
            Self::Nprint { .. } => anyhow::bail!("nprint must be the first word"),
            Self::Decode(command) => command.run(common, stop),
            Self::Inspect(command) => Ok(command.run(stop)),
            Self::Dataset(command) => command.run(common, stop),
            Self::Canny(command) => command.run(common, stop),
            Self::Repair(command) => command.run(common, stop),
            Self::Check(command) => Ok(command.run(stop)),
            Self::Evaluate(command) => command.run(common, stop),
            Self::Tensors(command) => command.run(common, stop),
        }
    }
}
