//! A Stable Diffusion small enough for tests and demonstrations.

use serde_json::json;
use tch::kind::FLOAT_CPU;
use tch::{Device, Kind, Tensor};

use super::{AnyAutoencoder, AnyDenoiser, Pipeline};
use crate::autoencoder::{AutoencoderKLConfig, RowAutoencoder, RowAutoencoderConfig};
use crate::denoiser::unet2d::PerBlock;
use crate::denoiser::{UNet1DConfig, UNet2DConfig};
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

/// An untrained row-wise model with about 0.3 million parameters drawn from `seed`, for images
/// `columns` wide whose height is a multiple of 4.
///
/// # Errors
/// As [`tiny_stable_diffusion`].
pub fn tiny_row_model<S: AsRef<str>>(captions: &[S], columns: i64, seed: u64) -> Result<Pipeline> {
    let tokenizer = BpeTraining { max_length: 24, ..BpeTraining::default() }
        .train(captions.iter().map(AsRef::as_ref))?;
    let text = ClipTextConfig {
        vocab_size: tokenizer.vocabulary_size() as i64,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: tokenizer.max_length() as i64,
        hidden_act: HiddenAct::Gelu,
        eos_token_id: i64::from(tokenizer.end_id()),
        ..ClipTextConfig::default()
    };
    let autoencoder = RowAutoencoderConfig {
        columns,
        latent_channels: 8,
        hidden_width: 16,
        ..RowAutoencoderConfig::default()
    };
    let unet = UNet1DConfig {
        in_channels: 8,
        out_channels: 8,
        block_out_channels: vec![16, 32],
        kernel_sizes: vec![3, 3],
        attention: vec![false, true],
        attention_heads: 2,
        cross_attention_dim: 16,
        time_embed_dim: 32,
        ..UNet1DConfig::default()
    };
    let (init, device) = (Init::Random { seed }, Device::Cpu);
    let mut autoencoder = Model::<RowAutoencoder>::create(&autoencoder, init, device, Kind::Float)?;
    let (mean, std) = (Tensor::zeros([8], FLOAT_CPU), Tensor::ones([8], FLOAT_CPU));
    autoencoder.network_mut().set_statistics(&mean, &std);
    Ok(Pipeline {
        tokenizer,
        text_encoder: Model::create(&text, init, device, Kind::Float)?,
        autoencoder: AnyAutoencoder::Row(autoencoder),
        denoiser: AnyDenoiser::UNet1D(Model::create(&unet, init, device, Kind::Float)?),
        scheduler: SchedulerConfig::cosine(SchedulerClass::Ddim),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_model_is_written_and_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = tiny_row_model(&["pixelated network data: web"], 64, 3).expect("a valid model");
        made.save(folder.path()).expect("a writable folder");
        let read = Pipeline::load(folder.path(), Device::Cpu, Kind::Float).expect("what was saved");
        let images = Tensor::ones([2, 3, 16, 64], FLOAT_CPU);
        let latents = read.autoencoder.as_dyn().encode(&images, None).expect("images that fit");
        assert_eq!(latents.size(), [2, 8, 16]);
        assert_eq!(latents, made.autoencoder.as_dyn().encode(&images, None).expect("the same"));
        let decoded = read.autoencoder.as_dyn().decode(&latents).expect("latents that fit");
        assert_eq!(decoded.size(), images.size());
        let text = read.encode_text(&["web", ""], 0).expect("short captions");
        let times = Tensor::from_slice(&[3_i64, 900]);
        let out = read.denoiser.as_dyn().predict(&latents, &times, &text, None);
        assert_eq!(out.expect("shapes that fit").size(), [2, 8, 16]);
        assert!(
            read.denoiser.as_dyn().predict(&latents.narrow(2, 0, 15), &times, &text, None).is_err()
        );
    }
}
