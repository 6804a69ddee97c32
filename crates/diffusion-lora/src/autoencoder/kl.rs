//! The variational autoencoder of Stable Diffusion (`AutoencoderKL`).
//!
//! Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models",
//! section 3.1; parameter names and configuration are diffusers'.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::Autoencoder;
use crate::error::{Error, Result};
use crate::model::{Network, OtherFields, only_supported};
use crate::nn::{
    Attention, AttentionConfig, Conv2d, ConvConfig, Downsample2D, GroupNorm, ResnetBlock2D,
    ResnetConfig, Scope, Upsample2D,
};

const CLASS: &str = "AutoencoderKL";
const EPS: f64 = 1e-6;

/// `config.json` of an `AutoencoderKL`. Defaults are diffusers'; Stable Diffusion has
/// (128, 256, 512, 512) channels and 2 layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderKLConfig {
    /// Channels of the images.
    pub in_channels: i64,
    /// Channels of the decoded images.
    pub out_channels: i64,
    /// Channels of the latents.
    pub latent_channels: i64,
    /// Channels of each block, the one at full resolution first.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks in each encoder block (the decoder has one more).
    pub layers_per_block: i64,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Latents are multiplied by this to have about unit variance.
    pub scaling_factor: f64,
    /// Taken off the latents before scaling.
    pub shift_factor: Option<f64>,
    /// Whether the middle blocks have an attention.
    pub mid_block_add_attention: bool,
    /// Whether a 1 × 1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1 × 1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            mid_block_add_attention: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            other: OtherFields::new(),
        }
    }
}

impl AutoencoderKLConfig {
    fn check(&self) -> Result<()> {
        let refuse = |field, value: String, expected| {
            Err(Error::Config { class: CLASS, field, value, expected })
        };
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
            ("layers_per_block", self.layers_per_block),
            ("norm_num_groups", self.norm_num_groups),
        ] {
            if value < 1 {
                return refuse(field, value.to_string(), "at least 1");
            }
        }
        let fits = |&channels: &i64| channels > 0 && channels.rem_euclid(self.norm_num_groups) == 0;
        if self.block_out_channels.is_empty() || !self.block_out_channels.iter().all(fits) {
            let value = format!("{:?}", self.block_out_channels);
            return refuse("block_out_channels", value, "positive multiples of norm_num_groups");
        }
        for (field, wanted) in
            [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")]
        {
            let list = vec![wanted; self.block_out_channels.len()];
            if self.other.get(field).is_some_and(|found| *found != json!(list)) {
                let value = self.other[field].to_string();
                return refuse(field, value, "DownEncoderBlock2D and UpDecoderBlock2D throughout");
            }
        }
        let supported = [
            ("act_fn", json!("silu")),
            ("latents_mean", Value::Null),
            ("latents_std", Value::Null),
        ];
        only_supported(CLASS, &self.other, &supported)
    }

    /// How many pixels a latent stands for in each direction.
    pub fn reduction(&self) -> i64 {
        1 << (self.block_out_channels.len() - 1)
    }

    fn resnet(&self, inputs: i64, outputs: i64) -> ResnetConfig {
        let groups = self.norm_num_groups;
        ResnetConfig { inputs, outputs, time_width: None, groups, eps: EPS, output_scale: 1.0 }
    }
}

/// Two residual blocks around a one-headed attention over all positions.
#[derive(Debug)]
struct MidBlock {
    first: ResnetBlock2D,
    attention: Option<(GroupNorm, Attention)>,
    second: ResnetBlock2D,
}

impl MidBlock {
    fn new(scope: &Scope<'_>, config: &AutoencoderKLConfig, channels: i64) -> Self {
        let resnet = |name| ResnetBlock2D::new(&scope.sub(name), config.resnet(channels, channels));
        let attention = || {
            let scope = scope.sub("attentions.0");
            let norm =
                GroupNorm::new(&scope.sub("group_norm"), config.norm_num_groups, channels, EPS);
            let one_head = AttentionConfig::self_attention(channels, 1);
            (norm, Attention::new(&scope, AttentionConfig { qkv_bias: true, ..one_head }))
        };
        Self {
            first: resnet("resnets.0"),
            attention: config.mid_block_add_attention.then(attention),
            second: resnet("resnets.1"),
        }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        let mut xs = self.first.forward(xs, None);
        if let Some((norm, attention)) = &self.attention {
            let tokens = norm.forward(&xs).flatten(2, 3).transpose(1, 2);
            let answer = attention.forward(&tokens, None);
            xs = &xs + answer.transpose(1, 2).reshape(xs.size());
        }
        self.second.forward(&xs, None)
    }
}

/// A resolution's residual blocks and its change of resolution.
#[derive(Debug)]
struct Stage<R> {
    resnets: Vec<ResnetBlock2D>,
    resample: Option<R>,
}

impl<R> Stage<R> {
    fn new(
        scope: &Scope<'_>,
        config: &AutoencoderKLConfig,
        (mut inputs, outputs): (i64, i64),
        layers: i64,
        resample: Option<R>,
    ) -> Self {
        let list = scope.sub("resnets");
        let mut resnets = Vec::new();
        for index in 0..layers {
            resnets.push(ResnetBlock2D::new(&list.sub(index), config.resnet(inputs, outputs)));
            inputs = outputs;
        }
        Self { resnets, resample }
    }

    fn forward(&self, xs: &Tensor, resample: impl Fn(&R, &Tensor) -> Tensor) -> Tensor {
        let xs =
            self.resnets.iter().fold(xs.shallow_clone(), |xs, resnet| resnet.forward(&xs, None));
        match &self.resample {
            Some(layer) => resample(layer, &xs),
            None => xs,
        }
    }
}

#[derive(Debug)]
struct Ends {
    conv_in: Conv2d,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Ends {
    /// `first` and `last` are the channels after `conv_in` and before `conv_out`.
    fn new(
        scope: &Scope<'_>,
        config: &AutoencoderKLConfig,
        (inputs, first): (i64, i64),
        (last, outputs): (i64, i64),
        mid: i64,
    ) -> Self {
        let conv = |name, from, to| Conv2d::new(&scope.sub(name), from, to, ConvConfig::same(3));
        let groups = config.norm_num_groups;
        Self {
            conv_in: conv("conv_in", inputs, first),
            mid_block: MidBlock::new(&scope.sub("mid_block"), config, mid),
            conv_norm_out: GroupNorm::new(&scope.sub("conv_norm_out"), groups, last, EPS),
            conv_out: conv("conv_out", last, outputs),
        }
    }

    fn out(&self, xs: &Tensor) -> Tensor {
        self.conv_out.forward(&self.conv_norm_out.forward(xs).silu())
    }
}

/// Stable Diffusion's autoencoder: each latent stands for a square of pixels.
#[derive(Debug)]
pub struct AutoencoderKL {
    encoder: Ends,
    down_blocks: Vec<Stage<Downsample2D>>,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Ends,
    up_blocks: Vec<Stage<Upsample2D>>,
    config: AutoencoderKLConfig,
    kind: Kind,
}

impl Network for AutoencoderKL {
    type Config = AutoencoderKLConfig;
    const CLASS: &'static str = CLASS;

    fn build(scope: &Scope<'_>, config: &AutoencoderKLConfig) -> Result<Self> {
        config.check()?;
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let latent = config.latent_channels;
        let (encoder, decoder) = (scope.sub("encoder"), scope.sub("decoder"));
        let down = |(index, &outputs): (usize, &i64)| {
            let scope = encoder.sub("down_blocks").sub(index);
            let resample = (index + 1 < channels.len())
                .then(|| Downsample2D::new(&scope.sub("downsamplers.0"), outputs, 0));
            let ends = (channels[index.saturating_sub(1)], outputs);
            Stage::new(&scope, config, ends, config.layers_per_block, resample)
        };
        let up = |(index, &outputs): (usize, &i64)| {
            let scope = decoder.sub("up_blocks").sub(index);
            let resample = (index + 1 < channels.len())
                .then(|| Upsample2D::new(&scope.sub("upsamplers.0"), outputs));
            let inputs = channels[(channels.len() - index).min(channels.len() - 1)];
            Stage::new(&scope, config, (inputs, outputs), config.layers_per_block + 1, resample)
        };
        let quant = |name, wanted: bool, width| {
            wanted.then(|| Conv2d::new(&scope.sub(name), width, width, ConvConfig::same(1)))
        };
        Ok(Self {
            down_blocks: channels.iter().enumerate().map(down).collect(),
            up_blocks: channels.iter().rev().enumerate().map(up).collect(),
            encoder: Ends::new(
                &encoder,
                config,
                (config.in_channels, first),
                (last, 2 * latent),
                last,
            ),
            decoder: Ends::new(
                &decoder,
                config,
                (latent, last),
                (first, config.out_channels),
                last,
            ),
            quant_conv: quant("quant_conv", config.use_quant_conv, 2 * latent),
            post_quant_conv: quant("post_quant_conv", config.use_post_quant_conv, latent),
            config: config.clone(),
            kind: scope.path().kind(),
        })
    }

    fn config(&self) -> &AutoencoderKLConfig {
        &self.config
    }

    /// Published files call an attention's layers `query`, `key`, `value`, `proj_attn`.
    fn parameter_name(stored: &str) -> Option<String> {
        let Some((module, layer)) = stored.split_once(".attentions.0.") else {
            return Some(stored.to_owned());
        };
        let (layer, parameter) = layer.split_once('.').unwrap_or((layer, ""));
        let layer = match layer {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            "proj_attn" => "to_out.0",
            other => other,
        };
        Some(format!("{module}.attentions.0.{layer}.{parameter}"))
    }
}

impl AutoencoderKL {
    /// Mean and clamped logarithm of the variance of the latents' distribution, unscaled.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` → two of [batch, latent channels, height / reduction,
    /// width / reduction]
    ///
    /// # Errors
    /// [`Error::Shape`] where the images do not fit.
    pub fn distribution(&self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        let (shape, step) = (images.size(), self.config.reduction());
        let fits = |side: i64| side > 0 && side.rem_euclid(step) == 0;
        let channels = self.config.in_channels;
        if shape.len() != 4 || shape[1] != channels || !fits(shape[2]) || !fits(shape[3]) {
            let expected = format!("[batch, {channels}, {step} · rows, {step} · columns]");
            return Err(Error::Shape { what: "images", expected, actual: shape });
        }
        let mut xs = self.encoder.conv_in.forward(&images.to_kind(self.kind));
        for block in &self.down_blocks {
            xs = block.forward(&xs, Downsample2D::forward);
        }
        xs = self.encoder.out(&self.encoder.mid_block.forward(&xs));
        if let Some(conv) = &self.quant_conv {
            xs = conv.forward(&xs);
        }
        let halves = xs.to_kind(images.kind()).chunk(2, 1);
        Ok((halves[0].shallow_clone(), halves[1].clamp(-30.0, 20.0)))
    }

    /// Decodes latents that are not scaled.
    ///
    /// # Shapes
    /// `[batch, latent channels, rows, columns]` → [batch, channels, rows · reduction,
    /// columns · reduction]
    ///
    /// # Errors
    /// [`Error::Shape`] where the latents do not fit.
    pub fn decode_unscaled(&self, latents: &Tensor) -> Result<Tensor> {
        let (shape, channels) = (latents.size(), self.config.latent_channels);
        if shape.len() != 4 || shape[1] != channels || shape[2] < 1 || shape[3] < 1 {
            let expected = format!("[batch, {channels}, rows, columns]");
            return Err(Error::Shape { what: "latents", expected, actual: shape });
        }
        let mut xs = latents.to_kind(self.kind);
        if let Some(conv) = &self.post_quant_conv {
            xs = conv.forward(&xs);
        }
        xs = self.decoder.mid_block.forward(&self.decoder.conv_in.forward(&xs));
        for block in &self.up_blocks {
            xs = block.forward(&xs, |upsample, xs| upsample.forward(xs, None));
        }
        Ok(self.decoder.out(&xs).to_kind(latents.kind()))
    }
}

impl Autoencoder for AutoencoderKL {
    fn latent_shape(&self, height: i64, width: i64) -> Result<Vec<i64>> {
        let step = self.config.reduction();
        let fits = |side: i64| side > 0 && side.rem_euclid(step) == 0;
        if !(fits(height) && fits(width)) {
            let expected = format!("[{step} · rows, {step} · columns]");
            return Err(Error::Shape { what: "image", expected, actual: vec![height, width] });
        }
        let (rows, columns) = (height.div_euclid(step), width.div_euclid(step));
        Ok(vec![self.config.latent_channels, rows, columns])
    }

    fn encode(&self, images: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
        let (mean, log_variance) = self.distribution(images)?;
        let latents = match noise {
            None => mean,
            Some(noise) if noise.size() != mean.size() => {
                let expected = format!("{:?}", mean.size());
                return Err(Error::Shape { what: "noise", expected, actual: noise.size() });
            }
            Some(noise) => mean + (log_variance * 0.5).exp() * noise,
        };
        Ok((latents - self.config.shift_factor.unwrap_or(0.0)) * self.config.scaling_factor)
    }

    fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let shift = self.config.shift_factor.unwrap_or(0.0);
        self.decode_unscaled(&(latents / self.config.scaling_factor + shift))
    }
}
