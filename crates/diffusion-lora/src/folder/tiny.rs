//! A Stable Diffusion small enough for tests and demonstrations.

use serde_json::json;
use tch::{Device, Kind};

use super::{AnyAutoencoder, AnyDenoiser, Pipeline};
use crate::autoencoder::AutoencoderKLConfig;
use crate::denoiser::UNet2DConfig;
use crate::denoiser::unet2d::PerBlock;
use crate::error::Result;
use crate::model::Model;
use crate::nn::Init;
use crate::schedule::{PredictionType, SchedulerClass, SchedulerConfig};
use crate::text::tokenizer::BpeTraining;
use crate::text::{ClipTextConfig, HiddenAct};

/// An untrained model of Stable Diffusion 2's shape with about 0.6 million parameters drawn from
/// `seed`, and a vocabulary learned from `captions`.
///
/// Images are a multiple of 16 pixels on a side: 8 pixels a latent, as in the real one, and two
/// resolutions in the denoiser.
///
/// ```
/// use diffusion_lora::{Autoencoder, Pipeline, folder::tiny_stable_diffusion};
/// let folder = tempfile::tempdir()?;
/// tiny_stable_diffusion(&["pixelated network data, type-0"], 1)?.save(folder.path())?;
/// let pipeline = Pipeline::load(folder.path(), tch::Device::Cpu, tch::Kind::Float)?;
/// assert_eq!(pipeline.autoencoder.as_dyn().latent_shape(32, 64)?, [4, 4, 8]);
/// assert_eq!(pipeline.encode_text(&["type-0"], 0)?.size(), [1, 77, 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`BpeTraining::train`] and [`Model::create`].
pub fn tiny_stable_diffusion<S: AsRef<str>>(captions: &[S], seed: u64) -> Result<Pipeline> {
    let tokenizer = BpeTraining::default().train(captions.iter().map(AsRef::as_ref))?;
    let text = ClipTextConfig {
        vocab_size: tokenizer.vocabulary_size() as i64,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: tokenizer.max_length() as i64,
        hidden_act: HiddenAct::Gelu,
        eos_token_id: i64::from(tokenizer.end_id()),
        other: [
            ("bos_token_id".to_owned(), json!(tokenizer.start_id())),
            ("pad_token_id".to_owned(), json!(tokenizer.pad_id())),
        ]
        .into(),
        ..ClipTextConfig::default()
    };
    let vae = AutoencoderKLConfig {
        block_out_channels: vec![8, 8, 16, 16],
        norm_num_groups: 4,
        other: [
            ("down_block_types".to_owned(), json!(vec!["DownEncoderBlock2D"; 4])),
            ("up_block_types".to_owned(), json!(vec!["UpDecoderBlock2D"; 4])),
        ]
        .into(),
        ..AutoencoderKLConfig::default()
    };
    let unet = UNet2DConfig {
        block_out_channels: vec![32, 48],
        down_block_types: vec!["CrossAttnDownBlock2D".to_owned(), "DownBlock2D".to_owned()],
        up_block_types: vec!["UpBlock2D".to_owned(), "CrossAttnUpBlock2D".to_owned()],
        layers_per_block: PerBlock::All(1),
        attention_head_dim: PerBlock::Each(vec![2, 4]),
        cross_attention_dim: PerBlock::All(text.hidden_size),
        use_linear_projection: true,
        norm_num_groups: 8,
        ..UNet2DConfig::default()
    };
    // One seed, three streams: a parameter's values depend on its name too, and no two parts
    // share one.
    let (init, device) = (Init::Random { seed }, Device::Cpu);
    Ok(Pipeline {
        tokenizer,
        text_encoder: Model::create(&text, init, device, Kind::Float)?,
        autoencoder: AnyAutoencoder::Kl(Model::create(&vae, init, device, Kind::Float)?),
        denoiser: AnyDenoiser::UNet2D(Model::create(&unet, init, device, Kind::Float)?),
        scheduler: SchedulerConfig::stable_diffusion(
            SchedulerClass::Ddim,
            PredictionType::VPrediction,
        ),
    })
}
