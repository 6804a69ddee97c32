//! What the levels of a UNet over rows are made of.

use tch::Tensor;

use super::UNet1DConfig;
use crate::nn::{BasicTransformerBlock, Conv1d, ConvConfig, GroupNorm, Linear, Scope};

/// For all norms of the network.
pub(super) const NORM_EPS: f64 = 1e-5;

/// Norm, `SiLU`, convolution, time embedding, and again, around a shortcut.
#[derive(Debug)]
pub(super) struct ResnetBlock1D {
    norm1: GroupNorm,
    conv1: Conv1d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv1d,
    conv_shortcut: Option<Conv1d>,
}

impl ResnetBlock1D {
    pub(super) fn new(scope: &Scope<'_>, config: &UNet1DConfig, inputs: i64, level: usize) -> Self {
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

    pub(super) fn forward(&self, xs: &Tensor, time: &Tensor) -> Tensor {
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
pub(super) struct Transformer1D(BasicTransformerBlock);

impl Transformer1D {
    pub(super) fn new(scope: &Scope<'_>, config: &UNet1DConfig, level: usize) -> Self {
        let scope = scope.sub("transformer_blocks.0");
        Self(BasicTransformerBlock::new(&scope, config.transformer(level)))
    }

    pub(super) fn forward(&self, xs: &Tensor, text: &Tensor) -> Tensor {
        self.0.forward(&xs.transpose(1, 2).contiguous(), Some(text)).transpose(1, 2).contiguous()
    }
}

/// One layer of a level: a residual block and, on some levels, attention.
#[derive(Debug)]
pub(super) struct Layer {
    resnet: ResnetBlock1D,
    attention: Option<Transformer1D>,
}

impl Layer {
    pub(super) fn new(
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

    pub(super) fn forward(&self, xs: &Tensor, time: &Tensor, text: &Tensor) -> Tensor {
        let xs = self.resnet.forward(xs, time);
        match &self.attention {
            Some(attention) => attention.forward(&xs, text),
            None => xs,
        }
    }
}

/// One level of the encoder or decoder.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) layers: Vec<Layer>,
    pub(super) resample: Option<Conv1d>,
}
