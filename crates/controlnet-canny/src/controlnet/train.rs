//! Training a control network on a frozen denoiser, and before that, its reader of edges.

use std::ops::ControlFlow;
use std::path::PathBuf;

use diffusion_lora::denoiser::{Control, Denoiser};
use diffusion_lora::train::{
    Denoising, Material, Outcome, Progress, TextConditioning, TrainConfig, Trainer,
};
use diffusion_lora::{Error, Model, Network, Result};
use rand::Rng;
use tch::{Kind, Tensor, no_grad};

use super::EdgeReader;
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

/// What an [`EdgeReader`] learns from.
///
/// # Shapes
/// `latents` `[examples, latent channels, rows]`, clean; `conditions` `[examples, 1, rows, columns]`
/// of `u8`, 0 or 255.
#[derive(Debug, Clone, Copy)]
pub struct EdgeReading<'a> {
    /// What the pictures are encoded as.
    pub latents: &'a Tensor,
    /// Their edges.
    pub conditions: &'a Tensor,
    /// Rows of one example that a batch takes, side by side, from a random place.
    pub window: i64,
}

/// Fits `reader` to guess clean latents from edges by least squares, which is far quicker than to
/// find the same through a denoiser's noise; the moving average is in its place afterwards. Returns the
/// losses too.
///
/// # Errors
/// [`Error::Examples`] where latents and conditions do not fit together or are shorter than the
/// window; otherwise as [`Trainer::run`].
pub fn fit_edge_reader(
    reader: &mut Model<EdgeReader>,
    material: EdgeReading<'_>,
    config: &TrainConfig,
    checkpoint: Option<PathBuf>,
    observe: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Outcome, Vec<f32>)> {
    let EdgeReading { latents, conditions, window } = material;
    let (shape, edges) = (latents.size(), conditions.size());
    if shape.len() != 3 || edges.len() != 4 || [shape[0], shape[2]] != [edges[0], edges[2]] {
        let reason = "there must be one condition an example, with as many rows as its latents";
        return Err(Error::Examples { reason });
    }
    let (count, rows) = (shape[0], shape[2]);
    if count < 1 || !(1..=rows).contains(&window) {
        let reason = "there must be examples of at least as many rows as the window";
        return Err(Error::Examples { reason });
    }
    let mut trainer = Trainer::new(config.clone(), reader.trainable(), checkpoint);
    trainer.resume()?;
    let (network, device) = (reader.network(), reader.store().device());
    let outcome = trainer.run(
        |rng| {
            let (mut seen, mut wanted) = (Vec::new(), Vec::new());
            for _ in 0..config.batch_size {
                let (example, start) =
                    (rng.random_range(0..count), rng.random_range(0..=rows - window));
                seen.push(conditions.get(example).narrow(1, start, window));
                wanted.push(latents.get(example).narrow(1, start, window));
            }
            let seen = no_grad(|| Tensor::stack(&seen, 0).to_kind(Kind::Float) / 255.0);
            let wanted = Tensor::stack(&wanted, 0).to_device(device);
            let error = network.read(&seen.to_device(device))? - wanted;
            Ok(error.square().mean(Kind::Float))
        },
        observe,
    )?;
    trainer.use_average();
    Ok((outcome, trainer.losses().to_vec()))
}
