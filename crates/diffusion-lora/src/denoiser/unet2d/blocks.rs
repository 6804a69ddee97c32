//! Encoder, middle and decoder blocks.

use tch::Tensor;

use super::config::UNet2DConfig;
use crate::nn::{
    AttentionConfig, BasicTransformerBlock, Conv2d, ConvConfig, Downsample2D, GroupNorm, Linear,
    ResnetBlock2D, ResnetConfig, Scope, Upsample2D,
};

/// The map into or out of an attention's tokens: SD 2 has a linear layer, SD 1 a convolution.
#[derive(Debug)]
enum Projection {
    Linear(Linear),
    Conv(Conv2d),
}

impl Projection {
    fn new(scope: &Scope<'_>, channels: i64, linear: bool) -> Self {
        if linear {
            Self::Linear(Linear::new(scope, channels, channels))
        } else {
            Self::Conv(Conv2d::new(scope, channels, channels, ConvConfig::same(1)))
        }
    }

    /// `[batch, channels, height, width]` → `[batch, height · width, channels]`
    fn tokens(&self, xs: &Tensor) -> Tensor {
        match self {
            Self::Linear(layer) => layer.forward(&xs.flatten(2, 3).transpose(1, 2)),
            Self::Conv(layer) => layer.forward(xs).flatten(2, 3).transpose(1, 2),
        }
    }

    /// `[batch, height · width, channels]` → `shape`, `[batch, channels, height, width]`
    fn image(&self, tokens: &Tensor, shape: &[i64]) -> Tensor {
        let lay = |xs: &Tensor| xs.transpose(1, 2).reshape(shape);
        match self {
            Self::Linear(layer) => lay(&layer.forward(tokens)),
            Self::Conv(layer) => layer.forward(&lay(tokens)),
        }
    }
}

/// A stack of transformer blocks over all positions: `norm`, `proj_in`, `transformer_blocks`,
/// `proj_out`, around a shortcut.
#[derive(Debug)]
pub(super) struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Projection,
    blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

impl SpatialTransformer {
    /// The attention of `block`, counted from full resolution.
    fn new(scope: &Scope<'_>, config: &UNet2DConfig, block: usize) -> Self {
        let channels = config.block_out_channels[block];
        let attention =
            AttentionConfig::self_attention(channels, config.attention_head_dim.at(block))
                .cross(config.cross_attention_dim.at(block));
        let project =
            |name| Projection::new(&scope.sub(name), channels, config.use_linear_projection);
        let blocks = scope.sub("transformer_blocks");
        Self {
            norm: GroupNorm::new(&scope.sub("norm"), config.norm_num_groups, channels, 1e-6),
            proj_in: project("proj_in"),
            blocks: (0..config.transformer_layers_per_block.at(block))
                .map(|index| BasicTransformerBlock::new(&blocks.sub(index), attention))
                .collect(),
            proj_out: project("proj_out"),
        }
    }

    fn forward(&self, xs: &Tensor, text: &Tensor) -> Tensor {
        let tokens = self.proj_in.tokens(&self.norm.forward(xs));
        let tokens = self.blocks.iter().fold(tokens, |xs, block| block.forward(&xs, Some(text)));
        xs + self.proj_out.image(&tokens, &xs.size())
    }
}

fn resnet(config: &UNet2DConfig, inputs: i64, outputs: i64) -> ResnetConfig {
    ResnetConfig {
        inputs,
        outputs,
        time_width: Some(config.time_width()),
        groups: config.norm_num_groups,
        eps: config.norm_eps,
        output_scale: 1.0,
    }
}

/// `DownBlock2D` or `CrossAttnDownBlock2D`.
#[derive(Debug)]
pub(super) struct DownBlock {
    layers: Vec<(ResnetBlock2D, Option<SpatialTransformer>)>,
    downsampler: Option<Downsample2D>,
}

impl DownBlock {
    pub(super) fn new(scope: &Scope<'_>, config: &UNet2DConfig, block: usize) -> Self {
        let outputs = config.block_out_channels[block];
        let attends = config.down_block_types[block].starts_with("CrossAttn");
        let mut inputs = config.block_out_channels[block.saturating_sub(1)];
        let mut layers = Vec::new();
        for index in 0..config.layers_per_block.at(block) {
            let scope_of = |list: &str| scope.sub(list).sub(index);
            let block_config = resnet(config, inputs, outputs);
            layers.push((
                ResnetBlock2D::new(&scope_of("resnets"), block_config),
                attends.then(|| SpatialTransformer::new(&scope_of("attentions"), config, block)),
            ));
            inputs = outputs;
        }
        let downsampler = (block + 1 < config.blocks())
            .then(|| Downsample2D::new(&scope.sub("downsamplers.0"), outputs, 1));
        Self { layers, downsampler }
    }

    /// The block's output; every layer's output is pushed onto `skips`.
    pub(super) fn forward(
        &self,
        xs: &Tensor,
        time: &Tensor,
        text: &Tensor,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        let mut xs = xs.shallow_clone();
        for (resnet, attention) in &self.layers {
            xs = resnet.forward(&xs, Some(time));
            if let Some(attention) = attention {
                xs = attention.forward(&xs, text);
            }
            skips.push(xs.shallow_clone());
        }
        if let Some(downsampler) = &self.downsampler {
            xs = downsampler.forward(&xs);
            skips.push(xs.shallow_clone());
        }
        xs
    }
}

/// `UNetMidBlock2DCrossAttn`.
#[derive(Debug)]
pub(super) struct MidBlock {
    first: ResnetBlock2D,
    layers: Vec<(SpatialTransformer, ResnetBlock2D)>,
}

impl MidBlock {
    pub(super) fn new(scope: &Scope<'_>, config: &UNet2DConfig) -> Self {
        let block = config.blocks() - 1;
        let channels = config.block_out_channels[block];
        let output_scale = config.mid_block_scale_factor;
        let block_config = ResnetConfig { output_scale, ..resnet(config, channels, channels) };
        let resnets = scope.sub("resnets");
        let attention = SpatialTransformer::new(&scope.sub("attentions.0"), config, block);
        Self {
            first: ResnetBlock2D::new(&resnets.sub(0), block_config),
            layers: vec![(attention, ResnetBlock2D::new(&resnets.sub(1), block_config))],
        }
    }

    pub(super) fn forward(&self, xs: &Tensor, time: &Tensor, text: &Tensor) -> Tensor {
        let xs = self.first.forward(xs, Some(time));
        self.layers.iter().fold(xs, |xs, (attention, resnet)| {
            resnet.forward(&attention.forward(&xs, text), Some(time))
        })
    }
}

/// `UpBlock2D` or `CrossAttnUpBlock2D`.
#[derive(Debug)]
pub(super) struct UpBlock {
    layers: Vec<(ResnetBlock2D, Option<SpatialTransformer>)>,
    upsampler: Option<Upsample2D>,
}

impl UpBlock {
    /// The decoder's `index`-th block, lowest resolution first; takes its layers' skip channels
    /// from the end of `skips`.
    pub(super) fn new(
        scope: &Scope<'_>,
        config: &UNet2DConfig,
        index: usize,
        skips: &mut Vec<i64>,
    ) -> Self {
        let block = config.blocks() - 1 - index;
        let outputs = config.block_out_channels[block];
        let attends = config.up_block_types[index].starts_with("CrossAttn");
        let mut inputs = config.block_out_channels[(block + 1).min(config.blocks() - 1)];
        let mut layers = Vec::new();
        for layer in 0..=config.layers_per_block.at(block) {
            let scope_of = |list: &str| scope.sub(list).sub(layer);
            let block_config = resnet(config, inputs + skips.pop().unwrap_or(0), outputs);
            layers.push((
                ResnetBlock2D::new(&scope_of("resnets"), block_config),
                attends.then(|| SpatialTransformer::new(&scope_of("attentions"), config, block)),
            ));
            inputs = outputs;
        }
        let upsampler = (block > 0).then(|| Upsample2D::new(&scope.sub("upsamplers.0"), outputs));
        Self { layers, upsampler }
    }

    /// Takes one skip connection from the end of `skips` for each layer; the upsampler meets the
    /// size of the one that is then last.
    pub(super) fn forward(
        &self,
        xs: &Tensor,
        time: &Tensor,
        text: &Tensor,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        let mut xs = xs.shallow_clone();
        for (resnet, attention) in &self.layers {
            if let Some(skip) = skips.pop() {
                xs = Tensor::cat(&[xs, skip], 1);
            }
            xs = resnet.forward(&xs, Some(time));
            if let Some(attention) = attention {
                xs = attention.forward(&xs, text);
            }
        }
        let Some(upsampler) = &self.upsampler else { return xs };
        let size = skips.last().map(|skip| (skip.size()[2], skip.size()[3]));
        upsampler.forward(&xs, size)
    }
}
