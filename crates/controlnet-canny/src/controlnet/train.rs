//! Training a control network on a frozen denoiser.

use std::ops::ControlFlow;
use std::path::PathBuf;

use diffusion_lora::denoiser::{Control, Denoiser};
use diffusion_lora::train::{
    Denoising, Material, Outcome, Progress, TextConditioning, TrainConfig, Trainer,
};
use diffusion_lora::{Model, Network, Result};
use tch::Tensor;

use crate::{Canny, PixelView};

/// The edges of a picture `[3, height, width]` of `u8` as a condition `[1, height, width]` of `u8`,
/// 0 or 255.
///
/// # Errors
/// [`crate::Error`] for a picture that [`Canny::detect`] refuses.
pub fn edge_condition(canny: &Canny, picture: &Tensor) -> Result<Tensor, crate::Error> {
    let size = picture.size();
    let interleaved = picture.permute([1, 2, 0]).contiguous().flatten(0, -1);
    let mut data = vec![0_u8; interleaved.numel()];
    let count = data.len();
    interleaved.copy_data(&mut data, count);
    let [channels, height, width] = [size[0] as usize, size[1] as usize, size[2] as usize];
    let edges = canny.detect(PixelView { data: &data, width, height, channels })?;
    Ok(Tensor::from_slice(&edges.data).reshape([1, size[1], size[2]]))
}

/// Trains `control` to help the frozen `denoiser` restore the examples from their conditions; the
/// moving average is in its place afterwards. Returns the losses too.
///
/// # Errors
/// As [`Denoising::new`] and [`Trainer::run`].
pub fn train_control<C: Network + Control>(
    control: &mut Model<C>,
    denoiser: &dyn Denoiser,
    text: &TextConditioning<'_>,
    material: Material<'_>,
    config: &TrainConfig,
    checkpoint: Option<PathBuf>,
    observe: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Outcome, Vec<f32>)> {
    let mut trainer = Trainer::new(config.clone(), control.trainable(), checkpoint);
    trainer.resume()?;
    let objective = Denoising::new(
        denoiser,
        Some(control.network()),
        material,
        text,
        config.batch_size,
        config.caption_dropout,
    )?;
    let outcome = trainer.run(|rng| objective.loss(rng), observe)?;
    trainer.use_average();
    Ok((outcome, trainer.losses().to_vec()))
}
