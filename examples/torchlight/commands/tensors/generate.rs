//! `generate`: images from a model.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use torchlight::controlnet_canny::Canny;
use torchlight::model::{Place, attach_adapter};
use torchlight::nprint_codec::Labels;
use torchlight::stages::{GenerateJob, Parent, generate, write_edges};
use torchlight::trace_image::{Caption, Palette, read_image_folder};
use torchlight::{
    Config, DatasetConfig, DeviceChoice, GenerateConfig, Monitor, Precision, Sampler, Stage,
    StopFlag,
};

use crate::bars::Bars;
use crate::files::new_folder;
use crate::summary::{Common, Summary};

/// `torchlight generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight generate --base data-samples/torchlight-base --lora pytorch_lora_weights.safetensors \\\n\
    --controlnet data-samples/torchlight-base/controlnet --parents images --count 2 -o generated"
)]
pub struct Generate {
    /// Model folder in diffusers' layout
    #[arg(long)]
    base: PathBuf,
    /// Adapter, with its weight after a colon
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora: Vec<String>,
    /// Control network's folder; needs parents
    #[arg(long, requires = "parents")]
    controlnet: Option<PathBuf>,
    /// Image folder of parents: their captions, and edges for control
    #[arg(long)]
    parents: Option<PathBuf>,
    /// What to draw; without it the parents' captions
    #[arg(long, required_unless_present = "parents")]
    prompt: Option<String>,
    /// Images, a parent where there are parents
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Denoising steps
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Weight of the difference that the prompt makes
    #[arg(long, default_value_t = 7.5)]
    guidance: f64,
    /// What guidance leads away from
    #[arg(long, default_value_t = GenerateConfig::default().negative_prompt)]
    negative: String,
    /// Factor on the control network
    #[arg(long, default_value_t = 1.0)]
    control_scale: f64,
    /// Sampler (default: the model's own)
    #[arg(long, value_enum)]
    sampler: Option<SamplerName>,
    /// Rows of the images
    #[arg(long, default_value_t = 1024)]
    rows: usize,
    /// Columns of the images
    #[arg(long, default_value_t = 1088)]
    columns: usize,
    /// Colours: torchlight or netdiffusion
    #[arg(long, default_value = "torchlight")]
    palette: Palette,
    /// Images at once
    #[arg(long, default_value_t = 4)]
    batch_size: usize,
    /// Layers of the text encoder that are left out
    #[arg(long, default_value_t = 0)]
    clip_skip: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// fp32, bf16 or fp16
    #[arg(long, default_value = "fp32", value_parser = precision)]
    precision: Precision,
    /// Image folder to make
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SamplerName {
    Ddpm,
    Ddim,
    Pndm,
    Unipc,
    Dpmpp,
    Euler,
}

/// A precision by name.
pub fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "fp32" => Ok(Precision::Fp32),
        "bf16" => Ok(Precision::Bf16),
        "fp16" => Ok(Precision::Fp16),
        _ => Err("expected fp32, bf16 or fp16".to_owned()),
    }
}

/// Where networks live.
pub fn place(device: DeviceChoice, precision: Precision) -> anyhow::Result<Place> {
    Ok(Place::of(&Config { device, precision, ..Config::default() })?)
}

impl Generate {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        new_folder(&self.output, "metadata.jsonl", common)?;
        let images = self.output.join("images");
        if common.force && images.is_dir() {
            std::fs::remove_dir_all(&images)?;
        }
        let place = place(self.device, self.precision)?;
        let pipeline = place.load(&self.base)?;
        for adapter in &self.lora {
            let (file, weight) = adapter_and_weight(adapter)?;
            attach_adapter(&pipeline, Path::new(file), weight)?;
        }
        let control =
            self.controlnet.as_ref().map(|folder| place.load_control(folder)).transpose()?;
        let mut bars = Bars::new(common);
        let parents = self.parents(&mut bars, stop)?;
        let settings = GenerateConfig {
            parents: None,
            children: self.count,
            steps: self.steps,
            guidance: self.guidance,
            sampler: self.sampler.map(sampler),
            negative_prompt: self.negative.clone(),
            batch_size: self.batch_size,
        };
        let dataset = DatasetConfig {
            rows: self.rows,
            columns: self.columns,
            palette: self.palette,
            ..DatasetConfig::default()
        };
        let job = GenerateJob {
            pipeline: &pipeline,
            control: control.as_ref().map(|control| (control, self.control_scale)),
            parents: &parents,
            settings: &settings,
            dataset: &dataset,
            clip_skip: self.clip_skip,
            seed: common.seed(),
        };
        let mut monitor = Monitor::new(Stage::Generate, &mut bars, stop);
        generate(&job, &self.output, &mut monitor)?;
        let images = parents.len() * self.count;
        Ok(Summary::of(images)
            .fact("images", images)
            .fact("output", self.output.display().to_string()))
    }

    fn parents(&self, bars: &mut Bars, stop: &StopFlag) -> anyhow::Result<Vec<Parent>> {
        let Some(folder) = &self.parents else {
            let caption = Caption::new(self.prompt.clone().unwrap_or_default());
            let (name, labels) = ("prompt".to_owned(), Labels::new());
            return Ok(vec![Parent { name, caption, labels, edges: None }]);
        };
        let images = read_image_folder(folder)?;
        if images.is_empty() {
            bail!("{}: no images", folder.display());
        }
        let edges = self.output.join("edges");
        if self.controlnet.is_some() {
            let mut monitor = Monitor::new(Stage::Edges, bars, stop);
            write_edges(&images, &Canny::default(), &edges, &mut monitor)?;
        }
        let of = |image| {
            let mut parent = Parent::of(image, None);
            if let Some(prompt) = &self.prompt {
                parent.caption = Caption::new(prompt.clone());
            }
            parent.edges =
                self.controlnet.as_ref().map(|_| edges.join(format!("{}.png", parent.name)));
            parent
        };
        Ok(images.iter().map(of).collect())
    }
}

fn adapter_and_weight(text: &str) -> anyhow::Result<(&str, f64)> {
    match text.rsplit_once(':') {
        Some((file, weight)) if !Path::new(text).is_file() => {
            Ok((file, weight.parse().with_context(|| format!("--lora {text}: weight {weight}"))?))
        }
        _ => Ok((text, 1.0)),
    }
}

fn sampler(name: SamplerName) -> Sampler {
    match name {
        SamplerName::Ddpm => Sampler::Ddpm,
        SamplerName::Ddim => Sampler::Ddim,
        SamplerName::Pndm => Sampler::Pndm,
        SamplerName::Unipc => Sampler::Unipc,
        SamplerName::Dpmpp => Sampler::Dpmpp,
        SamplerName::Euler => Sampler::Euler,
    }
}
