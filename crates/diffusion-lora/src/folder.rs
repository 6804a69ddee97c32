//! A whole text-to-image model as one folder in diffusers' layout.
//!
//! ```text
//! model_index.json     which class each part has
//! tokenizer/           vocab.json, merges.txt, tokenizer_config.json
//! text_encoder/        config.json, model.safetensors
//! vae/                 config.json, diffusion_pytorch_model.safetensors
//! unet/                config.json, diffusion_pytorch_model.safetensors
//! scheduler/           scheduler_config.json
//! ```
//!
//! Which autoencoder and which denoiser a folder has follows from `_class_name` in the part's
//! `config.json`.

mod tiny;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

pub use self::tiny::{tiny_row_model, tiny_stable_diffusion};
use crate::autoencoder::{Autoencoder, AutoencoderKL, RowAutoencoder};
use crate::denoiser::{Denoiser, UNet1DCondition, UNet2DCondition};
use crate::error::{Error, Result};
use crate::lora::LoraSlots;
use crate::model::{Model, Network, read_config};
use crate::schedule::SchedulerConfig;
use crate::text::{ClipText, ClipTokenizer};
use crate::weights::write_atomically;

const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// An autoencoder of any class.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // a program has one of these, not a list
pub enum AnyAutoencoder {
    /// `AutoencoderKL`: Stable Diffusion.
    Kl(Model<AutoencoderKL>),
    /// `RowAutoencoder`: every image row is a token.
    Row(Model<RowAutoencoder>),
}

/// A denoiser of any class.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // a program has one of these, not a list
pub enum AnyDenoiser {
    /// `UNet2DConditionModel`: Stable Diffusion 1 and 2.
    UNet2D(Model<UNet2DCondition>),
    /// `UNet1DConditionModel`: over rows.
    UNet1D(Model<UNet1DCondition>),
}

/// Calls the same method of whichever model there is: the one place to add a class to, beside
/// the enum and `load`.
macro_rules! each {
    (autoencoder $any:expr, $model:ident => $call:expr) => {
        match $any {
            AnyAutoencoder::Kl($model) => $call,
            AnyAutoencoder::Row($model) => $call,
        }
    };
    (denoiser $any:expr, $model:ident => $call:expr) => {
        match $any {
            AnyDenoiser::UNet2D($model) => $call,
            AnyDenoiser::UNet1D($model) => $call,
        }
    };
}

impl AnyAutoencoder {
    /// Reads the folder of an autoencoder.
    ///
    /// # Errors
    /// [`Error::Config`] for a class that is not supported, and as [`Model::load`].
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        match class_name(folder)?.as_str() {
            AutoencoderKL::CLASS => Model::load(folder, device, kind).map(Self::Kl),
            RowAutoencoder::CLASS => Model::load(folder, device, kind).map(Self::Row),
            other => Err(unknown_class("vae", other, "AutoencoderKL or RowAutoencoder")),
        }
    }

    /// Writes the folder.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        each!(autoencoder self, model => model.save(folder))
    }

    /// The class in `config.json`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Kl(_) => AutoencoderKL::CLASS,
            Self::Row(_) => RowAutoencoder::CLASS,
        }
    }

    /// The parameters.
    pub fn store(&self) -> &VarStore {
        each!(autoencoder self, model => model.store())
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> i64 {
        each!(autoencoder self, model => model.config().latent_channels)
    }

    /// The autoencoder, whatever its class.
    pub fn as_dyn(&self) -> &dyn Autoencoder {
        each!(autoencoder self, model => model.network())
    }
}

impl AnyDenoiser {
    /// Reads the folder of a denoiser.
    ///
    /// # Errors
    /// [`Error::Config`] for a class that is not supported, and as [`Model::load`].
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        match class_name(folder)?.as_str() {
            UNet2DCondition::CLASS => Model::load(folder, device, kind).map(Self::UNet2D),
            UNet1DCondition::CLASS => Model::load(folder, device, kind).map(Self::UNet1D),
            other => {
                let expected = "UNet2DConditionModel or UNet1DConditionModel";
                Err(unknown_class("unet", other, expected))
            }
        }
    }

    /// Writes the folder.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        each!(denoiser self, model => model.save(folder))
    }

    /// The class in `config.json`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UNet2D(_) => UNet2DCondition::CLASS,
            Self::UNet1D(_) => UNet1DCondition::CLASS,
        }
    }

    /// The parameters.
    pub fn store(&self) -> &VarStore {
        each!(denoiser self, model => model.store())
    }

    /// Where adapters attach.
    pub fn lora_slots(&self) -> &LoraSlots {
        each!(denoiser self, model => model.slots())
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> i64 {
        each!(denoiser self, model => model.config().in_channels)
    }

    /// Width of the text tokens.
    pub fn text_width(&self) -> i64 {
        match self {
            Self::UNet2D(model) => model.config().cross_attention_dim.at(0),
            Self::UNet1D(model) => model.config().cross_attention_dim,
        }
    }

    /// The denoiser, whatever its class.
    pub fn as_dyn(&self) -> &dyn Denoiser {
        each!(denoiser self, model => model.network())
    }
}

/// Everything that text-to-image generation or training needs.
#[derive(Debug)]
pub struct Pipeline {
    /// Captions into token ids.
    pub tokenizer: ClipTokenizer,
    /// Token ids into what conditions the denoiser.
    pub text_encoder: Model<ClipText>,
    /// Images into latents and back (folder `vae`).
    pub autoencoder: AnyAutoencoder,
    /// The denoiser (folder `unet`).
    pub denoiser: AnyDenoiser,
    /// The noise schedule it was trained with, and the sampler it is published with.
    pub scheduler: SchedulerConfig,
}

impl Pipeline {
    /// Reads a folder. Parameters are frozen. In f16 the autoencoder stays f32, as its
    /// activations overflow.
    ///
    /// # Errors
    /// [`Error::MissingFile`] with the first file that is not there and what it holds, before
    /// anything is read; [`Error::Config`] where a class is not supported or two parts do not
    /// fit each other; and as the parts' own loading.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        check_files(folder)?;
        let autoencoder_kind = if kind == Kind::Half { Kind::Float } else { kind };
        let pipeline = Self {
            tokenizer: ClipTokenizer::from_folder(&folder.join("tokenizer"))?,
            text_encoder: Model::load(&folder.join("text_encoder"), device, kind)?,
            autoencoder: AnyAutoencoder::load(&folder.join("vae"), device, autoencoder_kind)?,
            denoiser: AnyDenoiser::load(&folder.join("unet"), device, kind)?,
            scheduler: SchedulerConfig::read(&folder.join(SCHEDULER))?,
        };
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Writes a folder, which diffusers loads too where every part's class is one of its own.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Json`] with the file.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let scheduler = folder.join(SCHEDULER);
        let parent = folder.join("scheduler");
        std::fs::create_dir_all(&parent).map_err(Error::io(&parent))?;
        self.tokenizer.save(&folder.join("tokenizer"))?;
        self.text_encoder.save(&folder.join("text_encoder"))?;
        self.autoencoder.save(&folder.join("vae"))?;
        self.denoiser.save(&folder.join("unet"))?;
        let text = self.scheduler.to_json()?;
        write_atomically(&scheduler, |out| writeln!(out, "{text}"))?;
        let index = folder.join(INDEX);
        let text = serde_json::to_string_pretty(&self.index()).map_err(Error::json(&index))?;
        write_atomically(&index, |out| writeln!(out, "{text}"))
    }

    /// What conditions the denoiser for each caption; `clip_skip` as in [`ClipText::encode`].
    ///
    /// # Shapes
    /// `[captions, tokens, width]`
    ///
    /// # Errors
    /// As [`ClipText::encode`].
    pub fn encode_text<S: AsRef<str>>(&self, captions: &[S], clip_skip: usize) -> Result<Tensor> {
        let ids = self.tokenizer.batch(captions).to_device(self.text_encoder.store().device());
        self.text_encoder.encode(&ids, clip_skip)
    }

    /// The device of the denoiser.
    pub fn device(&self) -> Device {
        self.denoiser.store().device()
    }

    fn index(&self) -> Value {
        let stable = matches!(
            (&self.autoencoder, &self.denoiser),
            (AnyAutoencoder::Kl(_), AnyDenoiser::UNet2D(_))
        );
        let class = if stable { "StableDiffusionPipeline" } else { "TorchlightPipeline" };
        let library = if stable { "diffusers" } else { "torchlight" };
        json!({
            "_class_name": class,
            "feature_extractor": [null, null],
            "requires_safety_checker": false,
            "safety_checker": [null, null],
            "scheduler": ["diffusers", self.scheduler.class.name()],
            "text_encoder": ["transformers", ClipText::CLASS],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": [library, self.denoiser.class()],
            "vae": [library, self.autoencoder.class()],
        })
    }

    /// Checks that the parts fit each other.
    fn check(&self) -> Result<()> {
        let text = self.text_encoder.config();
        let refuse = |class, field, value: i64, expected| {
            Err(Error::Config { class, field, value: value.to_string(), expected })
        };
        if self.tokenizer.vocabulary_size() as i64 > text.vocab_size {
            let expected = "at least the tokenizer's vocabulary";
            return refuse(ClipText::CLASS, "vocab_size", text.vocab_size, expected);
        }
        if self.tokenizer.max_length() as i64 > text.max_position_embeddings {
            let expected = "at least the tokenizer's length";
            let positions = text.max_position_embeddings;
            return refuse(ClipText::CLASS, "max_position_embeddings", positions, expected);
        }
        let class = self.denoiser.class();
        let width = self.denoiser.text_width();
        if width != text.hidden_size {
            return refuse(class, "cross_attention_dim", width, "the text encoder's hidden_size");
        }
        let channels = self.denoiser.latent_channels();
        if channels != self.autoencoder.latent_channels() {
            return refuse(class, "in_channels", channels, "the autoencoder's latent_channels");
        }
        let rows = matches!(self.autoencoder, AnyAutoencoder::Row(_));
        if rows != matches!(self.denoiser, AnyDenoiser::UNet1D(_)) {
            let dimensions = if rows { 1 } else { 2 };
            return refuse(class, "dimensions", 3 - dimensions, "those of the latents");
        }
        Ok(())
    }
}

/// Fails with the first file that a folder lacks.
fn check_files(folder: &Path) -> Result<()> {
    let need = |path: PathBuf, purpose| {
        if path.is_file() { Ok(()) } else { Err(Error::MissingFile { path, purpose }) }
    };
    need(folder.join(INDEX), "the list of a pipeline's parts")?;
    let tokenizer = folder.join("tokenizer");
    if !tokenizer.join("tokenizer.json").is_file() {
        need(tokenizer.join("vocab.json"), "the tokenizer's vocabulary")?;
        need(tokenizer.join("merges.txt"), "the tokenizer's merges")?;
    }
    let text = folder.join("text_encoder");
    need(text.join("config.json"), "the text encoder's configuration")?;
    need(Model::<ClipText>::weight_file(&text), "the text encoder's weights")?;
    let vae = folder.join("vae");
    need(vae.join("config.json"), "the autoencoder's configuration")?;
    need(Model::<AutoencoderKL>::weight_file(&vae), "the autoencoder's weights")?;
    let unet = folder.join("unet");
    need(unet.join("config.json"), "the denoiser's configuration")?;
    need(Model::<UNet2DCondition>::weight_file(&unet), "the denoiser's weights")?;
    need(folder.join(SCHEDULER), "the noise schedule")
}

/// `_class_name` in the `config.json` of a part's folder; empty where it has none.
///
/// # Errors
/// As [`read_config`].
pub fn class_name(folder: &Path) -> Result<String> {
    let config: Map<String, Value> = read_config(&folder.join("config.json"))?;
    Ok(config.get("_class_name").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn unknown_class(part: &'static str, found: &str, expected: &'static str) -> Error {
    Error::Config { class: part, field: "_class_name", value: format!("{found:?}"), expected }
}
