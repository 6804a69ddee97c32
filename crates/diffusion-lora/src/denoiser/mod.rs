//! Denoising networks and what steers them.

mod unet1d;
pub mod unet2d;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::lora::LoraSlots;

pub use unet1d::{Encoded1D, RowSummary, Summary, UNet1DCondition, UNet1DConfig, UNet1DEncoder};
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
/// encoder makes them, one for the middle, and for some networks one for the prediction.
#[derive(Debug)]
pub struct Residuals {
    /// Added to the skip connections.
    pub down: Vec<Tensor>,
    /// Added to the middle block's output.
    pub mid: Tensor,
    /// Added to the prediction, where the network has such an output.
    pub output: Option<Tensor>,
}

impl Residuals {
    /// Adds the residuals to the skip connections and the middle block's output.
    ///
    /// # Errors
    /// [`Error::Shape`] where their number or a shape differs.
    pub fn add_to(&self, skips: &mut [Tensor], mid: &mut Tensor) -> Result<()> {
        if self.down.len() != skips.len() {
            let expected = format!("{} of them", skips.len());
            let actual = vec![self.down.len() as i64];
            return Err(Error::Shape { what: "the list of residuals", expected, actual });
        }
        for (skip, residual) in skips.iter_mut().zip(&self.down) {
            *skip = added("residual of a skip connection", skip, residual)?;
        }
        *mid = added("residual of the middle block", mid, &self.mid)?;
        Ok(())
    }

    /// The prediction with what goes to it, if anything does.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes differ.
    pub fn add_to_prediction(residuals: Option<&Self>, prediction: Tensor) -> Result<Tensor> {
        match residuals.and_then(|residuals| residuals.output.as_ref()) {
            Some(residual) => added("residual of the prediction", &prediction, residual),
            None => Ok(prediction),
        }
    }
}

fn added(what: &'static str, xs: &Tensor, residual: &Tensor) -> Result<Tensor> {
    if xs.size() != residual.size() {
        let expected = format!("{:?}", xs.size());
        return Err(Error::Shape { what, expected, actual: residual.size() });
    }
    Ok(xs + residual.to_kind(xs.kind()))
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
