//! Autoencoders between images and latents.

mod kl;
mod row;

use tch::Tensor;

use crate::error::Result;

pub use kl::{AutoencoderKL, AutoencoderKLConfig};
pub use row::{
    ColumnWeights, RowAutoencoder, RowAutoencoderConfig, RowLogits, RowPlanes, row_loss,
    standardise,
};

/// A pair of maps between images and latents of about unit variance.
pub trait Autoencoder {
    /// Shape of one image's latents, without the batch.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where an image of this size has none.
    fn latent_shape(&self, height: i64, width: i64) -> Result<Vec<i64>>;

    /// Images `[batch, 3, height, width]` in `[-1, 1]` to scaled latents: the distribution's mode
    /// without `noise`, a sample with standard normal `noise` of the latents' shape.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where an argument does not fit.
    fn encode(&self, images: &Tensor, noise: Option<&Tensor>) -> Result<Tensor>;

    /// Scaled latents to images in about `[-1, 1]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the latents do not fit.
    fn decode(&self, latents: &Tensor) -> Result<Tensor>;
}
