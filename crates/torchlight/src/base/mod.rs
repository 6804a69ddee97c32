//! Training of the embedded base: tokenizer, row autoencoder, reader of edges, denoiser with its text
//! encoder, and control network, from image folders to a model folder.
//!
//! Each part is written when it is finished and skipped when it is there, and the part in hand
//! has a checkpoint: the same call goes on where it was stopped.

mod weights;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use controlnet_canny::Canny;
use controlnet_canny::controlnet::{
    EdgeReader, EdgeReaderConfig, EdgeReading, RowControlNet, edge_condition, fit_edge_reader,
    train_control,
};
use diffusion_lora::autoencoder::{RowAutoencoder, RowAutoencoderConfig};
use diffusion_lora::data::{read_image_folder, read_png};
use diffusion_lora::denoiser::{UNet1DCondition, UNet1DConfig};
use diffusion_lora::nn::Init;
use diffusion_lora::schedule::{NoiseSchedule, SchedulerClass, SchedulerConfig};
use diffusion_lora::text::tokenizer::BpeTraining;
use diffusion_lora::text::{ClipText, ClipTextConfig, ClipTokenizer, HiddenAct};
use diffusion_lora::train::{
    Examples, LearningRate, Material, Outcome, Progress, RowTraining, TextConditioning,
    TrainConfig, encode_images, fit_row_autoencoder, train_denoiser,
};
use diffusion_lora::{Model, Network};
use nprint_codec::Layout;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

pub use weights::{column_weights, flip_chances, scramble_chances};

use crate::{Error, Result};

/// Tokens of a caption, with start and end.
const CAPTION_TOKENS: usize = 32;

/// How much more noise the base's schedule has than the plain cosine: the thousand rows of a picture share
/// so much that its mean row shows through noise that hides every single one.
const NOISE_SHIFT: f64 = 5.0;

/// Rows of a picture that the reader of edges sees at once while it is fitted.
const READER_ROWS: i64 = 256;

/// One image folder and how often its pictures are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageGroup {
    /// A folder with pictures and `metadata.jsonl`.
    pub folder: PathBuf,
    /// Weight of each of its pictures when the denoiser is trained.
    pub weight: f64,
}

/// Settings of a base's training. Defaults are those of the embedded base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaseTraining {
    /// What is learnt from.
    pub groups: Vec<ImageGroup>,
    /// The model folder; checkpoints and losses go to its `training/`.
    pub output: PathBuf,
    /// The row autoencoder.
    pub autoencoder: RowAutoencoderConfig,
    /// The denoiser; its channels follow the autoencoder's.
    pub unet: UNet1DConfig,
    /// How the autoencoder is trained.
    pub autoencoder_training: TrainConfig,
    /// Deviation of the noise on latents while the autoencoder is trained.
    pub latent_noise: f64,
    /// How denoiser and text encoder are trained.
    pub denoiser_training: TrainConfig,
    /// How the control network's reader of edges is fitted, before the control network is trained.
    pub reader_training: TrainConfig,
    /// How the control network is trained.
    pub control_training: TrainConfig,
    /// The edges that the control network learns from.
    pub canny: Canny,
}

impl Default for BaseTraining {
    fn default() -> Self {
        let common = TrainConfig {
            gradient_accumulation: 1,
            learning_rate: 1e-3,
            schedule: LearningRate::Cosine,
            warmup_steps: 100,
            checkpoint_every: 250,
            ..TrainConfig::default()
        };
        Self {
            groups: Vec::new(),
            output: PathBuf::from("torchlight-base"),
            autoencoder: RowAutoencoderConfig::default(),
            unet: UNet1DConfig::default(),
            autoencoder_training: TrainConfig {
                steps: 4000,
                batch_size: 768,
                learning_rate: 2e-3,
                checkpoint_every: 1000,
                ..common.clone()
            },
            latent_noise: 0.03,
            denoiser_training: TrainConfig {
                steps: 2600,
                batch_size: 8,
                ema_decay: Some(0.998),
                caption_dropout: 0.1,
                ..common.clone()
            },
            reader_training: TrainConfig {
                steps: 2000,
                batch_size: 8,
                learning_rate: 2e-3,
                ema_decay: Some(0.998),
                ..common.clone()
            },
            control_training: TrainConfig {
                steps: 320,
                batch_size: 8,
                warmup_steps: 40,
                ema_decay: Some(0.98),
                caption_dropout: 0.1,
                ..common
            },
            canny: Canny::default(),
        }
    }
}

/// Which part is being trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseStage {
    /// The row autoencoder.
    Autoencoder,
    /// The control network's reader of edges.
    EdgeReader,
    /// Denoiser and text encoder.
    Denoiser,
    /// The control network.
    Control,
}

/// The pictures of all groups in memory.
struct Pictures {
    groups: Vec<Vec<Tensor>>,
    captions: Vec<String>,
    weights: Vec<f64>,
}

/// Trains a base, or what is missing of it. `observe` is told of every step and may stop the run;
/// the outcome says whether it did.
///
/// # Errors
/// [`Error::Diffusion`] and [`Error::Edges`] from the parts, with files and places.
pub fn train_base(
    training: &BaseTraining,
    device: Device,
    mut observe: impl FnMut(BaseStage, Progress) -> ControlFlow<()>,
) -> Result<Outcome> {
    let output = &training.output;
    let checkpoints = output.join("training");
    std::fs::create_dir_all(&checkpoints).map_err(Error::io(&checkpoints))?;
    let pictures = read_pictures(&training.groups)?;
    let seed = training.denoiser_training.seed;

    let tokenizer_folder = output.join("tokenizer");
    if !tokenizer_folder.join("vocab.json").is_file() {
        let training = BpeTraining { max_length: CAPTION_TOKENS, ..BpeTraining::default() };
        training.train(&pictures.captions)?.save(&tokenizer_folder)?;
    }
    let tokenizer = ClipTokenizer::from_folder(&tokenizer_folder)?;

    let vae_folder = output.join("vae");
    if !vae_folder.join(RowAutoencoder::WEIGHT_FILE).is_file() {
        let mut model = Model::<RowAutoencoder>::create(
            &training.autoencoder,
            Init::Random { seed: training.autoencoder_training.seed },
            device,
            Kind::Float,
        )?;
        let layout = Layout::reference();
        let rows = RowTraining {
            groups: pictures.groups.iter().map(|g| shallow(g)).collect(),
            weights: column_weights(&layout),
            flips: flip_chances(&layout),
            scrambles: scramble_chances(&layout),
            augmented_share: 0.4,
            latent_noise: training.latent_noise,
        };
        let (outcome, losses) = fit_row_autoencoder(
            &mut model,
            &rows,
            &training.autoencoder_training,
            Some(checkpoints.join("autoencoder.safetensors")),
            |p| observe(BaseStage::Autoencoder, p),
        )?;
        if outcome != Outcome::Finished {
            return Ok(outcome);
        }
        write_losses(&checkpoints.join("autoencoder.csv"), &losses)?;
        model.save_f16(&vae_folder)?;
    }
    // From here on the stored weights count, rounded as they are.
    let autoencoder = Model::<RowAutoencoder>::load(&vae_folder, device, Kind::Float)?;
    let all: Vec<Tensor> = pictures.groups.iter().flat_map(|g| shallow(g)).collect();
    let latents = encode_images(autoencoder.network(), &all)?;

    let reader_folder = checkpoints.join("edge-reader");
    let edges = || -> Result<Tensor> {
        let one = |picture| edge_condition(&training.canny, picture);
        Ok(Tensor::stack(&all.iter().map(one).collect::<Result<Vec<_>, _>>()?, 0))
    };
    if !reader_folder.join(EdgeReader::WEIGHT_FILE).is_file() {
        let config = EdgeReaderConfig {
            conditioning_columns: training.autoencoder.columns,
            latent_channels: training.autoencoder.latent_channels,
            ..EdgeReaderConfig::default()
        };
        let init = Init::Random { seed: training.reader_training.seed };
        let mut reader = Model::<EdgeReader>::create(&config, init, device, Kind::Float)?;
        let conditions = edges()?;
        let window = READER_ROWS.min(latents.size()[2]);
        let (outcome, losses) = fit_edge_reader(
            &mut reader,
            EdgeReading { latents: &latents, conditions: &conditions, window },
            &training.reader_training,
            Some(checkpoints.join("edge-reader.safetensors")),
            |p| observe(BaseStage::EdgeReader, p),
        )?;
        if outcome != Outcome::Finished {
            return Ok(outcome);
        }
        write_losses(&checkpoints.join("edge-reader.csv"), &losses)?;
        reader.save(&reader_folder)?;
    }

    let scheduler = SchedulerConfig::cosine(SchedulerClass::Ddim).shifted(NOISE_SHIFT)?;
    let schedule = NoiseSchedule::new(&scheduler)?;
    let mut captions = pictures.captions.clone();
    captions.sort();
    captions.dedup();
    let rows = pictures.captions.iter().map(|c| captions.binary_search(c).map_or(0, |i| i as i64));
    let mut examples = Examples {
        latents,
        captions: rows.collect(),
        conditions: None,
        weights: pictures.weights.clone(),
    };
    captions.push(String::new());
    let ids = tokenizer.batch(&captions).to_device(device);

    let (unet_folder, text_folder) = (output.join("unet"), output.join("text_encoder"));
    if !unet_folder.join(UNet1DCondition::WEIGHT_FILE).is_file() {
        let channels = training.autoencoder.latent_channels;
        let unet =
            UNet1DConfig { in_channels: channels, out_channels: channels, ..training.unet.clone() };
        let init = Init::Random { seed };
        let mut denoiser = Model::<UNet1DCondition>::create(&unet, init, device, Kind::Float)?;
        let mut text = Model::<ClipText>::create(
            &text_config(&tokenizer, training.unet.cross_attention_dim),
            init,
            device,
            Kind::Float,
        )?;
        let (outcome, losses) = train_denoiser(
            &mut denoiser,
            &mut text,
            ids.shallow_clone(),
            Material { examples: &examples, schedule: &schedule },
            &training.denoiser_training,
            Some(checkpoints.join("denoiser.safetensors")),
            |p| observe(BaseStage::Denoiser, p),
        )?;
        if outcome != Outcome::Finished {
            return Ok(outcome);
        }
        write_losses(&checkpoints.join("denoiser.csv"), &losses)?;
        write_text(&output.join("scheduler"), "scheduler_config.json", &scheduler.to_json()?)?;
        write_text(output, "model_index.json", MODEL_INDEX)?;
        text.save_f16(&text_folder)?;
        denoiser.save_f16(&unet_folder)?;
    }
    let denoiser = Model::<UNet1DCondition>::load(&unet_folder, device, Kind::Float)?;
    let text = Model::<ClipText>::load(&text_folder, device, Kind::Float)?;

    let control_folder = output.join("controlnet");
    if !control_folder.join(RowControlNet::WEIGHT_FILE).is_file() {
        examples.conditions = Some(edges()?);
        let reader = Model::<EdgeReader>::load(&reader_folder, device, Kind::Float)?;
        let mut control = RowControlNet::with_reader(&denoiser, &reader, seed)?;
        let table = no_grad(|| text.encode(&ids, 0))?;
        let (outcome, losses) = train_control(
            &mut control,
            denoiser.network(),
            &TextConditioning::Frozen(table),
            Material { examples: &examples, schedule: &schedule },
            &training.control_training,
            Some(checkpoints.join("control.safetensors")),
            |p| observe(BaseStage::Control, p),
        )?;
        if outcome != Outcome::Finished {
            return Ok(outcome);
        }
        write_losses(&checkpoints.join("control.csv"), &losses)?;
        control.save_f16(&control_folder)?;
    }
    Ok(Outcome::Finished)
}

/// `model_index.json`: which class each part of the folder is.
const MODEL_INDEX: &str = r#"{
  "_class_name": "StableDiffusionPipeline",
  "scheduler": ["diffusers", "DDIMScheduler"],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "unet": ["torchlight", "UNet1DConditionModel"],
  "vae": ["torchlight", "RowAutoencoder"]
}
"#;

fn text_config(tokenizer: &ClipTokenizer, width: i64) -> ClipTextConfig {
    ClipTextConfig {
        vocab_size: tokenizer.vocabulary_size() as i64,
        hidden_size: width,
        intermediate_size: 4 * width,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: tokenizer.max_length() as i64,
        hidden_act: HiddenAct::Gelu,
        eos_token_id: i64::from(tokenizer.end_id()),
        ..ClipTextConfig::default()
    }
}

fn read_pictures(groups: &[ImageGroup]) -> Result<Pictures> {
    let mut pictures = Pictures { groups: Vec::new(), captions: Vec::new(), weights: Vec::new() };
    for group in groups {
        let mut images = Vec::new();
        for entry in read_image_folder(&group.folder)? {
            images.push(read_png(&entry.path)?);
            pictures.captions.push(entry.text);
            pictures.weights.push(group.weight);
        }
        pictures.groups.push(images);
    }
    Ok(pictures)
}

fn shallow(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(Tensor::shallow_clone).collect()
}

fn write_losses(path: &Path, losses: &[f32]) -> Result<()> {
    Ok(diffusion_lora::weights::write_atomically(path, |out| {
        writeln!(out, "step,loss")?;
        let mut lines = losses.iter().enumerate();
        lines.try_for_each(|(step, loss)| writeln!(out, "{},{loss}", step + 1))
    })?)
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let path = folder.join(name);
    Ok(diffusion_lora::weights::write_atomically(&path, |out| write!(out, "{text}"))?)
}
