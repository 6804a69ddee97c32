//! A conditional UNet over sequences: the denoiser of row-wise latents.
//!
//! The structure and the parameter names follow Stable Diffusion's UNet, with convolutions along
//! the one axis, larger strides, and attention on the coarser levels. Three things differ: where a
//! row stands is told to the network by features of its index (rows of a record sequence are not
//! translation invariant: the first ones are special); the mean of the text tokens is added to the
//! time embedding, so that a caption also acts where there is no cross-attention; and what all rows
//! have in common is read from their mean ([`RowSummary`]).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::summary::{RowSummary, Summary, SummaryHead};
use super::{Denoiser, Residuals};
use crate::error::{Error, Result};
use crate::lora::LoraSlots;
use crate::model::{Network, OtherFields};
use crate::nn::{
    AttentionConfig, BasicTransformerBlock, Conv1d, ConvConfig, GroupNorm, Linear, Scope,
    TimestepEmbedding, TimestepFeatures,
};

/// Width of the features of a row's index.
const POSITION_FEATURES: i64 = 64;
const NORM_EPS: f64 = 1e-5;

/// `config.json` of a [`UNet1DCondition`]. Defaults are those of the embedded base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UNet1DConfig {
    /// Channels of the latents that go in.
    pub in_channels: i64,
    /// Channels of the prediction: as many.
    pub out_channels: i64,
    /// Channels of each level, finest first.
    pub block_out_channels: Vec<i64>,
    /// Kernel of the residual blocks of each level.
    pub kernel_sizes: Vec<i64>,
    /// Whether each level has attention after every residual block.
    pub attention: Vec<bool>,
    /// Rows of one level that become one row of the next.
    pub stride: i64,
    /// Residual blocks a level; the decoder has one more.
    pub layers_per_block: i64,
    /// Heads of every attention.
    pub attention_heads: i64,
    /// Width of the text tokens.
    pub cross_attention_dim: i64,
    /// Width of the time embedding.
    pub time_embed_dim: i64,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for UNet1DConfig {
    fn default() -> Self {
        Self {
            in_channels: 64,
            out_channels: 64,
            block_out_channels: vec![80, 128, 192],
            kernel_sizes: vec![3, 5, 3],
            attention: vec![false, true, true],
            stride: 4,
            layers_per_block: 1,
            attention_heads: 4,
            cross_attention_dim: 64,
            time_embed_dim: 256,
            norm_num_groups: 8,
            other: OtherFields::new(),
        }
    }
}

impl UNet1DConfig {
    /// Checks that the lists agree and the widths divide.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        let class = UNet1DCondition::CLASS;
        let refuse =
            |field, value: String, expected| Err(Error::Config { class, field, value, expected });
        let levels = self.block_out_channels.len();
        if levels == 0 {
            return refuse("block_out_channels", "[]".into(), "at least one level");
        }
        if self.kernel_sizes.len() != levels || self.kernel_sizes.iter().any(|k| k & 1 == 0) {
            let value = format!("{:?}", self.kernel_sizes);
            return refuse("kernel_sizes", value, "one odd number a level");
        }
        if self.attention.len() != levels {
            return refuse("attention", format!("{:?}", self.attention), "one a level");
        }
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("stride", self.stride),
            ("layers_per_block", self.layers_per_block),
            ("attention_heads", self.attention_heads),
            ("cross_attention_dim", self.cross_attention_dim),
            ("time_embed_dim", self.time_embed_dim),
            ("norm_num_groups", self.norm_num_groups),
        ] {
            if value < 1 {
                return refuse(field, value.to_string(), "at least 1");
            }
        }
        if self.out_channels != self.in_channels {
            return refuse("out_channels", self.out_channels.to_string(), "as many as in_channels");
        }
        for width in &self.block_out_channels {
            if *width < 1
                || width.rem_euclid(self.norm_num_groups) != 0
                || width.rem_euclid(self.attention_heads) != 0
            {
                let expected = "multiples of norm_num_groups and attention_heads";
                return refuse("block_out_channels", width.to_string(), expected);
            }
        }
        Ok(())
    }

    /// Rows must come in multiples of this.
    pub fn row_multiple(&self) -> i64 {
        (1..self.block_out_channels.len()).fold(1, |product, _| product * self.stride)
    }

    /// Channels of each skip connection, in the order the encoder makes them.
    pub fn skip_channels(&self) -> Vec<i64> {
        let mut channels = vec![self.block_out_channels[0]];
        for (level, width) in self.block_out_channels.iter().enumerate() {
            channels.extend((0..self.layers_per_block).map(|_| *width));
            if level + 1 < self.block_out_channels.len() {
                channels.push(*width);
            }
        }
        channels
    }

    fn transformer(&self, level: usize) -> AttentionConfig {
        AttentionConfig::self_attention(self.block_out_channels[level], self.attention_heads)
            .cross(self.cross_attention_dim)
    }
}

/// Norm, `SiLU`, convolution, time embedding, and again, around a shortcut.
#[derive(Debug)]
struct ResnetBlock1D {
    norm1: GroupNorm,
    conv1: Conv1d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv1d,
    conv_shortcut: Option<Conv1d>,
}

impl ResnetBlock1D {
    fn new(scope: &Scope<'_>, config: &UNet1DConfig, inputs: i64, level: usize) -> Self {
        let outputs = config.block_out_channels[level];
        let same = ConvConfig::same(config.kernel_sizes[level]);
        let groups = config.norm_num_groups;
        Self {
            norm1: GroupNorm::new(&scope.sub("norm1"), groups, inputs, NORM_EPS),
            conv1: Conv1d::new(&scope.sub("conv1"), inputs, outputs, same),
            time_emb_proj: Linear::new(&scope.sub("time_emb_proj"), config.time_embed_dim, outputs),
            norm2: GroupNorm::new(&scope.sub("norm2"), groups, outputs, NORM_EPS),
            conv2: Conv1d::new(&scope.sub("conv2"), outputs, outputs, same.zeroed()),
            conv_shortcut: (inputs != outputs).then(|| {
                Conv1d::new(&scope.sub("conv_shortcut"), inputs, outputs, ConvConfig::same(1))
            }),
        }
    }

    fn forward(&self, xs: &Tensor, time: &Tensor) -> Tensor {
        let ys = self.conv1.forward(&self.norm1.forward(xs).silu())
            + self.time_emb_proj.forward(&time.silu()).unsqueeze(-1);
        let ys = self.conv2.forward(&self.norm2.forward(&ys).silu());
        match &self.conv_shortcut {
            Some(conv) => conv.forward(xs) + ys,
            None => xs + ys,
        }
    }
}

/// A transformer block on the rows of a level.
#[derive(Debug)]
struct Transformer1D(BasicTransformerBlock);

impl Transformer1D {
    fn new(scope: &Scope<'_>, config: &UNet1DConfig, level: usize) -> Self {
        let scope = scope.sub("transformer_blocks.0");
        Self(BasicTransformerBlock::new(&scope, config.transformer(level)))
    }

    fn forward(&self, xs: &Tensor, text: &Tensor) -> Tensor {
        self.0.forward(&xs.transpose(1, 2).contiguous(), Some(text)).transpose(1, 2).contiguous()
    }
}

/// One layer of a level: a residual block and, on some levels, attention.
#[derive(Debug)]
struct Layer {
    resnet: ResnetBlock1D,
    attention: Option<Transformer1D>,
}

impl Layer {
    fn new(
        scope: &Scope<'_>,
        config: &UNet1DConfig,
        inputs: i64,
        level: usize,
        layer: i64,
    ) -> Self {
        let resnet = scope.sub("resnets").sub(layer);
        let attention = scope.sub("attentions").sub(layer);
        Self {
            resnet: ResnetBlock1D::new(&resnet, config, inputs, level),
            attention: config.attention[level]
                .then(|| Transformer1D::new(&attention, config, level)),
        }
    }

    fn forward(&self, xs: &Tensor, time: &Tensor, text: &Tensor) -> Tensor {
        let xs = self.resnet.forward(xs, time);
        match &self.attention {
            Some(attention) => attention.forward(&xs, text),
            None => xs,
        }
    }
}

/// One level of the encoder or decoder.
#[derive(Debug)]
struct Block {
    layers: Vec<Layer>,
    resample: Option<Conv1d>,
}

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
        let xs = match residuals {
            Some(residuals) => residuals.add_to_prediction(xs)?,
            None => xs,
        };
        Ok(xs.to_kind(latents.kind()))
    }

    fn lora_slots(&self) -> &LoraSlots {
        &self.slots
    }
}
