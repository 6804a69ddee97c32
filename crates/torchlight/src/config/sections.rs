//! The sections of a configuration.

use std::path::PathBuf;

use controlnet_canny::Canny;
use serde::{Deserialize, Serialize};
use trace_image::{Canvas, DEFAULT_TEMPLATE, LabelPattern, Palette};

/// The real captures: `[captures]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapturesConfig {
    /// The folder that the run starts from and fine-tunes on. Every file is taken for a capture,
    /// hidden ones, tables and `README.md` apart.
    pub dir: PathBuf,
    /// A table of labels: CSV with a column `file`. Default: `labels.csv` in `dir` where it
    /// exists, and no `pattern` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Labels from file names: `searchlight` (the default without a table), `netdiffusion`, or a regular expression
    /// with named groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<LabelPattern>,
    /// The columns of the table that are labels. Default: all.
    pub categories: Vec<String>,
    /// Captures that nothing is trained on: what the report tests on. Labelled as `dir` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<PathBuf>,
}

/// How captures become images: `[dataset]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// Rows of an image: the most packets of a capture that are shown. Default 1024. Source:
    /// Torchlight and NetDiffusion.
    pub rows: usize,
    /// Columns of an image. Default 1088, the reference layout.
    pub columns: usize,
    /// Default `torchlight`.
    pub palette: Palette,
    /// The caption, with `{category}` or `{labels}`. Default: Torchlight's prompts.
    pub caption: String,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        let Canvas { rows, columns } = Canvas::default();
        let caption = DEFAULT_TEMPLATE.to_owned();
        Self { rows, columns, palette: Palette::default(), caption }
    }
}

impl DatasetConfig {
    /// The size of the images.
    pub fn canvas(&self) -> Canvas {
        Canvas { rows: self.rows, columns: self.columns }
    }
}

/// The model that is fine-tuned: `[base]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaseConfig {
    /// A folder in diffusers' layout.
    pub folder: PathBuf,
    /// Layers of the text encoder that are left out at the end. Default 0.
    pub clip_skip: usize,
}

/// How the learning rate goes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoraCourse {
    /// Half a cosine to 0.
    #[default]
    Cosine,
    /// The same to the end.
    Constant,
}

/// The fine-tuning: `[lora]`.
///
/// Defaults are those of the reference work's fine-tuning command (diffusers'
/// `train_text_to_image_lora.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraSettings {
    /// Rank of every pair of matrices. Default 4.
    pub rank: usize,
    /// The adapter's output is multiplied by `alpha / rank`. Default 4.
    pub alpha: f64,
    /// Endings of the names of adapted modules. Default: the four projections of every attention.
    pub targets: Vec<String>,
    /// Optimiser steps. Default 12,000.
    pub steps: usize,
    /// Images in a batch. Default 1.
    pub batch_size: usize,
    /// Batches a step. Default 4.
    pub gradient_accumulation: usize,
    /// Default 1e-4.
    pub learning_rate: f64,
    /// Default `cosine`.
    pub course: LoraCourse,
    /// Steps over which the learning rate rises from 0. Default 0.
    pub warmup_steps: usize,
    /// Largest joint norm of all gradients. Default 1.
    pub max_grad_norm: f64,
    /// `AdamW`'s weight decay. Default 0.01 (the script's).
    pub weight_decay: f64,
    /// Share of captions that are left empty in training. Default 0.
    pub caption_dropout: f64,
    /// Steps between checkpoints. Default 1,500.
    pub checkpoint_every: usize,
}

impl Default for LoraSettings {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 4.0,
            targets: ["to_q", "to_k", "to_v", "to_out.0"].map(str::to_owned).to_vec(),
            steps: 12_000,
            batch_size: 1,
            gradient_accumulation: 4,
            learning_rate: 1e-4,
            course: LoraCourse::default(),
            warmup_steps: 0,
            max_grad_norm: 1.0,
            weight_decay: 0.01,
            caption_dropout: 0.0,
            checkpoint_every: 1500,
        }
    }
}

/// What holds generation to the parents: `[control]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// A control network's folder. Default: `controlnet` in the base's folder where it exists;
    /// without one, generation is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Factor on the network's residuals. Default 1.
    pub scale: f64,
    /// The edge detector.
    pub canny: Canny,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { folder: None, scale: 1.0, canny: Canny::default() }
    }
}

/// A sampler by its usual name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Denoising diffusion probabilistic models.
    Ddpm,
    /// Denoising diffusion implicit models.
    Ddim,
    /// Pseudo numerical methods.
    Pndm,
    /// Unified predictor-corrector.
    Unipc,
    /// DPM-Solver++.
    Dpmpp,
    /// Euler's method.
    Euler,
}

/// The children: `[generate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateConfig {
    /// How many parents have children, spread evenly over the captures. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parents: Option<usize>,
    /// Children of each parent. Default 5. Source: the reference work makes 5 to 10.
    pub children: usize,
    /// Denoising steps. Default 20 (the reference work).
    pub steps: usize,
    /// Weight of the difference that the caption makes. Default 7.5 (diffusers).
    pub guidance: f64,
    /// Default: the base's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// What guidance leads away from. Default: the reference work's.
    pub negative_prompt: String,
    /// Children that are drawn at once. Default 4.
    pub batch_size: usize,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        let negative_prompt = "monochrome, lowres, bad anatomy, worst quality, low quality";
        Self {
            parents: None,
            children: 5,
            steps: 20,
            guidance: 7.5,
            sampler: None,
            negative_prompt: negative_prompt.to_owned(),
            batch_size: 4,
        }
    }
}

/// How children become captures: `[repair]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairSettings {
    /// A timing model's file. Default: the run learns one from its own captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<PathBuf>,
    /// The label category whose values have a timing of their own. Default: the captures' first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing_label: Option<String>,
    /// Subnets of hosts. Default: the documentation ranges (RFC 5737, RFC 3849).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<protocol_repair::Subnets>,
    /// The link layer of the captures. Default Ethernet.
    pub link: protocol_repair::Link,
    /// What fills payload. Default random.
    pub payload: protocol_repair::PayloadPolicy,
}

/// What is measured: `[evaluate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateConfig {
    /// The report's title.
    pub title: String,
    /// Parents whose pictures the report shows. Default 4.
    pub pictures: usize,
    /// Settings of the metrics.
    pub metrics: trace_eval::EvalConfig,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        let title = "Synthetic captures against real ones".to_owned();
        Self { title, pictures: 4, metrics: trace_eval::EvalConfig::default() }
    }
}
