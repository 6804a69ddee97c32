//! What an adapter is made of.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// First values of the matrices A; the matrices B always start as zero, so that an untrained
/// adapter changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraInit {
    /// Uniform, bound 1/√fan-in: PEFT's and kohya's default.
    #[default]
    KaimingUniform,
    /// Normal with deviation 1/rank: diffusers' training scripts.
    Gaussian,
}

/// The shape of an adapter to be trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank of every pair of matrices. Default 4 (diffusers `train_text_to_image_lora.py`).
    pub rank: i64,
    /// The branch's output is multiplied by `alpha / rank`. Default 4 (the same script).
    pub alpha: f64,
    /// Modules to adapt: those whose dotted name is one of these or ends in `.` and one.
    /// Default: the four projections of every attention (the same script).
    pub target_modules: Vec<String>,
    /// First values.
    pub init: LoraInit,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 4.0,
            target_modules: ["to_q", "to_k", "to_v", "to_out.0"].map(str::to_owned).to_vec(),
            init: LoraInit::default(),
        }
    }
}

impl LoraConfig {
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |field, value: String, expected| {
            Err(Error::Config { class: "LoRA", field, value, expected })
        };
        if self.rank < 1 {
            return refuse("rank", self.rank.to_string(), "at least 1");
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return refuse("alpha", self.alpha.to_string(), "a positive number");
        }
        Ok(())
    }
}
