//! An image folder as a denoiser learns from it.

use diffusion_lora::Pipeline;
use diffusion_lora::data::{read_png, to_signed};
use diffusion_lora::train::{Examples, TextConditioning};
use tch::{Kind, Tensor, no_grad};
use trace_image::FolderImage;

use crate::Result;

/// Latents of the images and states of their captions, all at once: they do not change.
///
/// # Errors
/// [`crate::Error::Diffusion`] where an image cannot be read or does not fit the model.
pub(super) fn examples(
    pipeline: &Pipeline,
    images: &[FolderImage],
    clip_skip: usize,
) -> Result<(Examples, TextConditioning<'static>)> {
    let mut captions: Vec<&str> = images.iter().map(|image| image.caption.as_str()).collect();
    captions.sort_unstable();
    captions.dedup();
    let row = |image: &FolderImage| {
        captions.binary_search(&image.caption.as_str()).map_or(0, |row| row as i64)
    };
    let rows = images.iter().map(row).collect();
    // The empty caption stands last.
    let all: Vec<&str> = captions.iter().copied().chain([""]).collect();
    let autoencoder = pipeline.autoencoder.as_dyn();
    let latents = |image: &FolderImage| {
        let pixels = to_signed(&read_png(&image.path)?).unsqueeze(0).to_device(pipeline.device());
        Ok(autoencoder.encode(&pixels, None)?.to_kind(Kind::Float))
    };
    no_grad(|| {
        let text = pipeline.encode_text(&all, clip_skip)?;
        let latents = images.iter().map(latents).collect::<Result<Vec<_>>>()?;
        let latents = Tensor::f_cat(&latents, 0).map_err(diffusion_lora::Error::from)?;
        let weights = vec![1.0; images.len()];
        let examples = Examples { latents, captions: rows, conditions: None, weights };
        Ok((examples, TextConditioning::Frozen(text)))
    })
}
