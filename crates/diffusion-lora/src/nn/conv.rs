//! Convolutions in one and two dimensions.

use tch::Tensor;

use super::{Fill, Scope};
use crate::lora::{LoraSlot, SlotKind};

/// Geometry of a convolution, the same in every direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvConfig {
    /// Side of the kernel.
    pub kernel: i64,
    /// Step.
    pub stride: i64,
    /// Zeros added on every side.
    pub padding: i64,
    /// Whether weight and bias start as zero (ControlNet's "zero convolutions").
    pub zeroed: bool,
}

impl ConvConfig {
    /// Stride 1 and the padding that keeps the size (for odd kernels).
    pub fn same(kernel: i64) -> Self {
        Self { kernel, stride: 1, padding: kernel >> 1, zeroed: false }
    }

    /// With another stride.
    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// With another padding.
    pub fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    /// Starting as zero.
    pub fn zeroed(self) -> Self {
        Self { zeroed: true, ..self }
    }

    fn parameters(self, scope: &Scope<'_>, shape: &[i64]) -> (Tensor, Tensor) {
        let fan_in: i64 = shape[1..].iter().product();
        let fill = if self.zeroed { Fill::Zeros } else { Fill::fan_in(fan_in) };
        (scope.parameter("weight", shape, fill), scope.parameter("bias", &shape[..1], fill))
    }
}

/// One-dimensional convolution with bias.
#[derive(Debug)]
pub struct Conv1d {
    weight: Tensor,
    bias: Tensor,
    config: ConvConfig,
}

impl Conv1d {
    /// Parameters `weight` `[outputs, inputs, kernel]` and `bias` `[outputs]`.
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64, config: ConvConfig) -> Self {
        let (weight, bias) = config.parameters(scope, &[outputs, inputs, config.kernel]);
        Self { weight, bias, config }
    }

    /// # Shapes
    /// `[batch, inputs, length]` → `[batch, outputs, length']`
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let ConvConfig { stride, padding, .. } = self.config;
        xs.conv1d(&self.weight, Some(&self.bias), [stride], [padding], [1], 1)
    }
}

/// Two-dimensional convolution with bias, plus the LoRA branches attached to it.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    config: ConvConfig,
    slot: LoraSlot,
}

impl Conv2d {
    /// Parameters `weight` `[outputs, inputs, kernel, kernel]` and `bias` `[outputs]`.
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64, config: ConvConfig) -> Self {
        let shape = [outputs, inputs, config.kernel, config.kernel];
        let (weight, bias) = config.parameters(scope, &shape);
        let ConvConfig { stride, padding, .. } = config;
        let slot = scope.slot(SlotKind::Conv2d { stride, padding }, &weight);
        Self { weight, bias, config, slot }
    }

    /// # Shapes
    /// `[batch, inputs, height, width]` → `[batch, outputs, height', width']`
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let ConvConfig { stride, padding, .. } = self.config;
        let (weight, bias) = (&self.weight, Some(&self.bias));
        let ys = xs.conv2d(weight, bias, [stride; 2], [padding; 2], [1; 2], 1);
        self.slot.add_branches(xs, ys)
    }
}
