//! Residual convolution blocks and changes of resolution in two dimensions.

use tch::Tensor;

use super::{Conv2d, ConvConfig, GroupNorm, Linear, Scope};

/// Widths of a residual block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResnetConfig {
    /// Channels in.
    pub inputs: i64,
    /// Channels out; a 1 × 1 `conv_shortcut` is made where they differ from `inputs`.
    pub outputs: i64,
    /// Width of the time embedding, where there is one.
    pub time_width: Option<i64>,
    /// Groups of the norms.
    pub groups: i64,
    /// The norms' epsilon.
    pub eps: f64,
    /// The sum of branch and shortcut is divided by this.
    pub output_scale: f64,
}

/// Norm, `SiLU`, 3 × 3 convolution, time embedding, and again, around a shortcut: `norm1`,
/// `conv1`, `time_emb_proj`, `norm2`, `conv2`, `conv_shortcut`.
#[derive(Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    output_scale: f64,
}

impl ResnetBlock2D {
    /// Makes the layers.
    pub fn new(scope: &Scope<'_>, config: ResnetConfig) -> Self {
        let ResnetConfig { inputs, outputs, time_width, groups, eps, output_scale } = config;
        let conv = |name, from, kernel| {
            Conv2d::new(&scope.sub(name), from, outputs, ConvConfig::same(kernel))
        };
        Self {
            norm1: GroupNorm::new(&scope.sub("norm1"), groups, inputs, eps),
            conv1: conv("conv1", inputs, 3),
            time_emb_proj: time_width
                .map(|width| Linear::new(&scope.sub("time_emb_proj"), width, outputs)),
            norm2: GroupNorm::new(&scope.sub("norm2"), groups, outputs, eps),
            conv2: conv("conv2", outputs, 3),
            conv_shortcut: (inputs != outputs).then(|| conv("conv_shortcut", inputs, 1)),
            output_scale,
        }
    }

    /// # Shapes
    /// `xs` `[batch, inputs, height, width]`, `time` `[batch, time width]` →
    /// `[batch, outputs, height, width]`
    pub fn forward(&self, xs: &Tensor, time: Option<&Tensor>) -> Tensor {
        let mut ys = self.conv1.forward(&self.norm1.forward(xs).silu());
        if let (Some(proj), Some(time)) = (&self.time_emb_proj, time) {
            ys += proj.forward(&time.silu()).unsqueeze(-1).unsqueeze(-1);
        }
        let ys = self.conv2.forward(&self.norm2.forward(&ys).silu());
        let sum = match &self.conv_shortcut {
            Some(conv) => conv.forward(xs) + ys,
            None => xs + ys,
        };
        if (self.output_scale - 1.0).abs() < f64::EPSILON { sum } else { sum / self.output_scale }
    }
}

/// Halves the resolution with a 3 × 3 convolution of stride 2.
#[derive(Debug)]
pub struct Downsample2D {
    conv: Conv2d,
    pads_right: bool,
}

impl Downsample2D {
    /// With `padding` zeros on every side; 0 means one row below and one column to the right,
    /// as the autoencoder has it.
    pub fn new(scope: &Scope<'_>, channels: i64, padding: i64) -> Self {
        let config = ConvConfig::same(3).stride(2).padding(padding);
        Self {
            conv: Conv2d::new(&scope.sub("conv"), channels, channels, config),
            pads_right: padding == 0,
        }
    }

    /// # Shapes
    /// `[batch, channels, height, width]` → `[batch, channels, ⌈height / 2⌉, ⌈width / 2⌉]`
    /// (rounded down with `padding` 0)
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        if self.pads_right {
            self.conv.forward(&xs.constant_pad_nd([0, 1, 0, 1]))
        } else {
            self.conv.forward(xs)
        }
    }
}

/// Repeats pixels to a larger size, then a 3 × 3 convolution.
#[derive(Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

impl Upsample2D {
    /// Makes `conv`.
    pub fn new(scope: &Scope<'_>, channels: i64) -> Self {
        let conv = Conv2d::new(&scope.sub("conv"), channels, channels, ConvConfig::same(3));
        Self { conv }
    }

    /// To `size` (height, width), or to twice the size.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` → `[batch, channels, height', width']`
    pub fn forward(&self, xs: &Tensor, size: Option<(i64, i64)>) -> Tensor {
        let shape = xs.size();
        let (height, width) = size.unwrap_or((2 * shape[2], 2 * shape[3]));
        self.conv.forward(&xs.upsample_nearest2d([height, width], None, None))
    }
}
