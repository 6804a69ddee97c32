//! The denoising UNet of Stable Diffusion 1 and 2 (`UNet2DConditionModel`).
//!
//! Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models";
//! parameter names and configuration are diffusers'.

mod blocks;
mod config;
mod encoder;

use tch::Tensor;

use self::blocks::UpBlock;
pub use self::config::{PerBlock, UNet2DConfig};
pub use self::encoder::{Encoded, Probe, UNet2DEncoder};
use super::{Denoiser, Residuals};
use crate::error::Result;
use crate::lora::LoraSlots;
use crate::model::Network;
use crate::nn::{Conv2d, ConvConfig, GroupNorm, Scope};

/// A UNet over latents `[batch, channels, height, width]`, conditioned on time and text.
#[derive(Debug)]
pub struct UNet2DCondition {
    encoder: UNet2DEncoder,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    config: UNet2DConfig,
    slots: LoraSlots,
}

impl Network for UNet2DCondition {
    type Config = UNet2DConfig;
    const CLASS: &'static str = "UNet2DConditionModel";

    fn build(scope: &Scope<'_>, config: &UNet2DConfig) -> Result<Self> {
        config.check()?;
        let mut skips = config.skip_channels();
        let first = config.block_out_channels[0];
        let up_blocks = scope.sub("up_blocks");
        let groups = config.norm_num_groups;
        Ok(Self {
            encoder: UNet2DEncoder::new(scope, config),
            up_blocks: (0..config.blocks())
                .map(|index| UpBlock::new(&up_blocks.sub(index), config, index, &mut skips))
                .collect(),
            conv_norm_out: GroupNorm::new(
                &scope.sub("conv_norm_out"),
                groups,
                first,
                config.norm_eps,
            ),
            conv_out: Conv2d::new(
                &scope.sub("conv_out"),
                first,
                config.out_channels,
                ConvConfig::same(3),
            ),
            config: config.clone(),
            slots: scope.slots().clone(),
        })
    }

    fn config(&self) -> &UNet2DConfig {
        &self.config
    }
}

impl UNet2DCondition {
    /// [`Denoiser::predict`] that shows its intermediate results: `time_emb`, `conv_in`,
    /// `down_N`, `mid_block`, `up_N`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where an argument does not fit the network.
    pub fn predict_probed(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        residuals: Option<&Residuals>,
        probe: Probe<'_>,
    ) -> Result<Tensor> {
        self.encoder.check(latents, timesteps, text)?;
        let Encoded { mut mid, mut skips, time } =
            self.encoder.forward(latents, timesteps, text, None, probe);
        if let Some(residuals) = residuals {
            residuals.add_to(&mut skips, &mut mid)?;
        }
        let text = text.to_kind(self.encoder.kind());
        let mut xs = mid;
        for (index, block) in self.up_blocks.iter().enumerate() {
            xs = block.forward(&xs, &time, &text, &mut skips);
            probe(&format!("up_{index}"), &xs);
        }
        let xs = self.conv_out.forward(&self.conv_norm_out.forward(&xs).silu());
        let xs = Residuals::add_to_prediction(residuals, xs)?;
        Ok(xs.to_kind(latents.kind()))
    }
}

impl Denoiser for UNet2DCondition {
    fn predict(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        residuals: Option<&Residuals>,
    ) -> Result<Tensor> {
        self.predict_probed(latents, timesteps, text, residuals, &mut |_, _| ())
    }

    fn lora_slots(&self) -> &LoraSlots {
        &self.slots
    }
}
