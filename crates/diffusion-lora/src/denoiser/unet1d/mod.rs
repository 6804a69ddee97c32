//! A conditional UNet over sequences: the denoiser of row-wise latents.
//!
//! The structure and the parameter names follow Stable Diffusion's UNet, with convolutions along
//! the one axis, larger strides, and attention on the coarser levels. Three things differ: where a
//! row stands is told to the network by features of its index (rows of a record sequence are not
//! translation invariant: the first ones are special); the mean of the text tokens is added to the
//! time embedding, so that a caption also acts where there is no cross-attention; and what all rows
//! have in common is read from their mean ([`RowSummary`]).

mod blocks;
mod config;
mod encoder;
mod summary;

use tch::Tensor;

use self::blocks::{Block, Layer, NORM_EPS};
pub use self::config::UNet1DConfig;
pub use self::encoder::{Encoded1D, UNet1DEncoder};
use self::summary::SummaryHead;
pub use self::summary::{RowSummary, Summary};
use super::{Denoiser, Residuals};
use crate::error::Result;
use crate::lora::LoraSlots;
use crate::model::Network;
use crate::nn::{Conv1d, ConvConfig, GroupNorm, Scope};

/// A UNet over latents `[batch, channels, rows]`, conditioned on time and text.
#[derive(Debug)]
pub struct UNet1DCondition {
    encoder: UNet1DEncoder,
    up_blocks: Vec<Block>,
    conv_norm_out: GroupNorm,
    conv_out: Conv1d,
    head: SummaryHead,
    slots: LoraSlots,
}

impl Network for UNet1DCondition {
    type Config = UNet1DConfig;
    const CLASS: &'static str = "UNet1DConditionModel";

    fn build(scope: &Scope<'_>, config: &UNet1DConfig) -> Result<Self> {
        config.check()?;
        let widths = &config.block_out_channels;
        let mut skips = config.skip_channels();
        let mut channels = widths[widths.len() - 1];
        let up_blocks = (0..widths.len())
            .rev()
            .enumerate()
            .map(|(index, level)| {
                let scope = scope.sub("up_blocks").sub(index);
                let layers = (0..=config.layers_per_block)
                    .map(|layer| {
                        let inputs = channels + skips.pop().unwrap_or(0);
                        channels = widths[level];
                        Layer::new(&scope, config, inputs, level, layer)
                    })
                    .collect();
                let resample = (level > 0).then(|| {
                    let conv = scope.sub("upsamplers.0.conv");
                    Conv1d::new(&conv, channels, channels, ConvConfig::same(3))
                });
                Block { layers, resample }
            })
            .collect();
        let groups = config.norm_num_groups;
        Ok(Self {
            encoder: UNet1DEncoder::new(scope, config),
            up_blocks,
            conv_norm_out: GroupNorm::new(&scope.sub("conv_norm_out"), groups, widths[0], NORM_EPS),
            conv_out: Conv1d::new(
                &scope.sub("conv_out"),
                widths[0],
                config.out_channels,
                ConvConfig::same(3).zeroed(),
            ),
            head: SummaryHead::new(
                &scope.sub("summary"),
                config.in_channels,
                config.time_embed_dim,
            ),
            slots: scope.slots().clone(),
        })
    }

    fn config(&self) -> &UNet1DConfig {
        self.encoder.config()
    }
}

impl Denoiser for UNet1DCondition {
    fn predict(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        residuals: Option<&Residuals>,
    ) -> Result<Tensor> {
        self.encoder.check(latents, timesteps, text)?;
        let Encoded1D { mut mid, mut skips, summary } =
            self.encoder.forward(latents, timesteps, text, None);
        if let Some(residuals) = residuals {
            residuals.add_to(&mut skips, &mut mid)?;
        }
        let text = text.to_kind(self.encoder.kind());
        let mut xs = mid;
        for block in &self.up_blocks {
            for layer in &block.layers {
                let skip = skips.pop();
                let joined =
                    skip.map_or_else(|| xs.shallow_clone(), |s| Tensor::cat(&[&xs, &s], 1));
                xs = layer.forward(&joined, &summary.time, &text);
            }
            if let Some(conv) = &block.resample {
                let rows = xs.size()[2] * self.config().stride;
                xs = conv.forward(&xs.upsample_nearest1d([rows], None::<f64>));
            }
        }
        let xs = self.conv_out.forward(&self.conv_norm_out.forward(&xs).silu())
            + self.head.forward(&summary);
        let xs = Residuals::add_to_prediction(residuals, xs)?;
        Ok(xs.to_kind(latents.kind()))
    }

    fn lora_slots(&self) -> &LoraSlots {
        &self.slots
    }
}
