//! The half of a UNet over rows that `ControlNet` copies.

use tch::{Kind, Tensor};

use super::UNet1DConfig;
use super::blocks::{Block, Layer, ResnetBlock1D, Transformer1D};
use super::summary::{RowSummary, Summary};
use crate::error::{Error, Result};
use crate::nn::{Conv1d, ConvConfig, Linear, Scope, TimestepEmbedding, TimestepFeatures};

/// Width of the features of a row's index.
const POSITION_FEATURES: i64 = 64;

/// `time_embedding`, `conv_in`, `down_blocks` and `mid_block`: the half that ControlNet copies.
#[derive(Debug)]
pub struct UNet1DEncoder {
    time_features: TimestepFeatures,
    time_embedding: TimestepEmbedding,
    text_embedding: Linear,
    position_embedding: Linear,
    summary: RowSummary,
    conv_in: Conv1d,
    down_blocks: Vec<Block>,
    mid_first: ResnetBlock1D,
    mid_attention: Transformer1D,
    mid_second: ResnetBlock1D,
    config: UNet1DConfig,
    kind: Kind,
}

/// What the encoder hands to the decoder.
#[derive(Debug)]
pub struct Encoded1D {
    /// The middle block's output, `[batch, channels, rows / row multiple]`.
    pub mid: Tensor,
    /// The skip connections: `conv_in`'s output, then every layer's and downsampler's.
    pub skips: Vec<Tensor>,
    /// What the rows have in common; its `time` is the embedding that all blocks are told.
    pub summary: Summary,
}

impl UNet1DEncoder {
    /// Makes the layers; the configuration has been checked.
    pub fn new(scope: &Scope<'_>, config: &UNet1DConfig) -> Self {
        let widths = &config.block_out_channels;
        let last = widths.len() - 1;
        let time_width = config.time_embed_dim;
        let mut channels = widths[0];
        let down_blocks = (0..widths.len())
            .map(|level| {
                let scope = scope.sub("down_blocks").sub(level);
                let layers = (0..config.layers_per_block)
                    .map(|layer| {
                        let made = Layer::new(&scope, config, channels, level, layer);
                        channels = widths[level];
                        made
                    })
                    .collect();
                let resample = (level < last).then(|| {
                    let geometry = ConvConfig { kernel: config.stride, ..ConvConfig::same(1) }
                        .stride(config.stride)
                        .padding(0);
                    Conv1d::new(&scope.sub("downsamplers.0.conv"), channels, channels, geometry)
                });
                Block { layers, resample }
            })
            .collect();
        let mid = scope.sub("mid_block");
        let resnet =
            |layer: i64| ResnetBlock1D::new(&mid.sub("resnets").sub(layer), config, channels, last);
        Self {
            time_features: TimestepFeatures::new(widths[0]),
            time_embedding: TimestepEmbedding::new(
                &scope.sub("time_embedding"),
                widths[0],
                time_width,
            ),
            text_embedding: Linear::new(
                &scope.sub("text_embedding"),
                config.cross_attention_dim,
                time_width,
            ),
            position_embedding: Linear::new(
                &scope.sub("position_embedding"),
                POSITION_FEATURES,
                widths[0],
            ),
            summary: RowSummary::new(&scope.sub("summary"), config.in_channels, time_width),
            conv_in: Conv1d::new(
                &scope.sub("conv_in"),
                2 * config.in_channels,
                widths[0],
                ConvConfig::same(3),
            ),
            down_blocks,
            mid_first: resnet(0),
            mid_attention: Transformer1D::new(&mid.sub("attentions.0"), config, last),
            mid_second: resnet(1),
            config: config.clone(),
            kind: scope.path().kind(),
        }
    }

    /// Checks a batch's shapes.
    ///
    /// # Errors
    /// [`Error::Shape`] with the argument that does not fit.
    pub fn check(&self, latents: &Tensor, timesteps: &Tensor, text: &Tensor) -> Result<()> {
        let wrong = |what, expected: String, tensor: &Tensor| {
            Err(Error::Shape { what, expected, actual: tensor.size() })
        };
        let (shape, multiple) = (latents.size(), self.config.row_multiple());
        let channels = self.config.in_channels;
        if shape.len() != 3
            || shape[1] != channels
            || shape[2] < 1
            || shape[2].rem_euclid(multiple) != 0
        {
            let expected = format!("[batch, {channels}, rows], rows a multiple of {multiple}");
            return wrong("latents", expected, latents);
        }
        if timesteps.size() != [shape[0]] {
            return wrong("timesteps", format!("[{}]", shape[0]), timesteps);
        }
        let (tokens, width) = (text.size(), self.config.cross_attention_dim);
        if tokens.len() != 3 || tokens[0] != shape[0] || tokens[2] != width {
            return wrong("text", format!("[{}, tokens, {width}]", shape[0]), text);
        }
        Ok(())
    }

    /// Runs the encoder and the middle block. `hint` is added to `conv_in`'s output
    /// (ControlNet's condition).
    ///
    /// # Shapes
    /// `latents` `[batch, channels, rows]`, `timesteps` `[batch]`, `text` `[batch, tokens, width]`,
    /// all of which [`check`](Self::check) accepts; `hint` `[batch, first channels, rows]`.
    pub fn forward(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        hint: Option<&Tensor>,
    ) -> Encoded1D {
        let text = text.to_kind(self.kind);
        let steps = self.time_features.forward(timesteps).to_kind(self.kind);
        let mean_token = text.mean_dim([1].as_slice(), false, None::<Kind>);
        let time = self.time_embedding.forward(&steps) + self.text_embedding.forward(&mean_token);
        let rows = Tensor::arange(latents.size()[2], (Kind::Float, latents.device()));
        let rows = TimestepFeatures::new(POSITION_FEATURES).forward(&rows).to_kind(self.kind);
        let position = self.position_embedding.forward(&rows).transpose(0, 1).unsqueeze(0);
        let summary = self.summary.forward(&latents.to_kind(self.kind), &time);
        let time = &summary.time;
        let mut xs = self.conv_in.forward(&summary.views) + position;
        if let Some(hint) = hint {
            xs += hint;
        }
        let mut skips = vec![xs.shallow_clone()];
        for block in &self.down_blocks {
            for layer in &block.layers {
                xs = layer.forward(&xs, time, &text);
                skips.push(xs.shallow_clone());
            }
            if let Some(conv) = &block.resample {
                xs = conv.forward(&xs);
                skips.push(xs.shallow_clone());
            }
        }
        let mid = self.mid_first.forward(&xs, time);
        let mid = self.mid_second.forward(&self.mid_attention.forward(&mid, &text), time);
        Encoded1D { mid, skips, summary }
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &UNet1DConfig {
        &self.config
    }

    /// The element type of the parameters.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
