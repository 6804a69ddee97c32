//! Training a text-conditioned denoiser from nothing.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tch::{Tensor, no_grad};

use super::{Denoising, Material, Outcome, Progress, TextConditioning, TrainConfig, Trainer};
use crate::autoencoder::Autoencoder;
use crate::data::to_signed;
use crate::denoiser::Denoiser;
use crate::error::Result;
use crate::model::{Model, Network};
use crate::text::ClipText;

/// Encodes pictures `[3, height, width]` of `u8` one by one: `[images, ...latent shape]`.
///
/// # Errors
/// What the autoencoder returns for a picture that does not fit.
pub fn encode_images(autoencoder: &dyn Autoencoder, images: &[Tensor]) -> Result<Tensor> {
    no_grad(|| {
        let one = |image: &Tensor| autoencoder.encode(&to_signed(&image.unsqueeze(0)), None);
        let latents: Vec<Tensor> = images.iter().map(one).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&latents, 0)?)
    })
}

/// Trains a denoiser and its text encoder together on encoded images; the moving average is in
/// their place afterwards. Returns the losses too.
///
/// `ids` is `[captions + 1, tokens]`, the last row of the empty caption.
///
/// # Errors
/// As [`Denoising::new`] and [`Trainer::run`].
pub fn train_denoiser<N: Network + Denoiser>(
    denoiser: &mut Model<N>,
    text_encoder: &mut Model<ClipText>,
    ids: Tensor,
    material: Material<'_>,
    config: &TrainConfig,
    checkpoint: Option<PathBuf>,
    observe: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Outcome, Vec<f32>)> {
    let named = |prefix: &str, parameters: Vec<(String, Tensor)>| {
        parameters.into_iter().map(move |(n, t)| (format!("{prefix}.{n}"), t)).collect::<Vec<_>>()
    };
    let mut parameters = named("text_encoder", text_encoder.trainable());
    parameters.extend(named("unet", denoiser.trainable()));
    let mut trainer = Trainer::new(config.clone(), parameters, checkpoint);
    trainer.resume()?;
    let text = TextConditioning::Trained { encoder: text_encoder.network(), ids };
    let objective = Denoising::new(
        denoiser.network(),
        None,
        material,
        &text,
        config.batch_size,
        config.caption_dropout,
    )?;
    let outcome = trainer.run(|rng| objective.loss(rng), observe)?;
    trainer.use_average();
    Ok((outcome, trainer.losses().to_vec()))
}
