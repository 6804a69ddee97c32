//! Denoising networks and what steers them.

pub mod unet2d;

use tch::Tensor;

use crate::error::Result;
use crate::lora::LoraSlots;

pub use unet2d::{UNet2DCondition, UNet2DConfig};

/// A network that predicts noise or velocity from noisy latents.
pub trait Denoiser {
    /// Predicts the schedule's target for a batch.
    ///
    /// # Shapes
    /// `latents` `[batch, channels, ...]`, `timesteps` `[batch]` i64, `text` `[batch, tokens, width]`;
    /// the answer is shaped as `latents`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where an argument does not fit the network.
    fn predict(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        residuals: Option<&Residuals>,
    ) -> Result<Tensor>;

    /// The places where LoRA adapters attach.
    fn lora_slots(&self) -> &LoraSlots;
}

/// What a control network adds to a denoiser: one tensor per skip connection, in the order the
/// encoder makes them, and one for the middle.
#[derive(Debug)]
pub struct Residuals {
    /// Added to the skip connections.
    pub down: Vec<Tensor>,
    /// Added to the middle block's output.
    pub mid: Tensor,
}

/// A network that turns a condition image into [`Residuals`].
pub trait Control {
    /// Residuals for a batch of noisy latents under `condition`, multiplied by `scale`.
    ///
    /// # Shapes
    /// `condition` `[batch, channels, height, width]` in `[0, 1]`, at pixel resolution; the others as
    /// in [`Denoiser::predict`].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where an argument does not fit the network.
    fn residuals(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        condition: &Tensor,
        scale: f64,
    ) -> Result<Residuals>;
}
