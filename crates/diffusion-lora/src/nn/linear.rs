//! Fully connected layer.

use tch::Tensor;

use super::{Fill, Scope};
use crate::lora::{LoraSlot, SlotKind};

/// `x Wᵀ + b` over the last dimension, plus the LoRA branches attached to it.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    slot: LoraSlot,
}

impl Linear {
    /// A layer with a bias: parameters `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        let fill = Fill::fan_in(inputs);
        Self::build(scope, inputs, outputs, fill, Some(fill))
    }

    /// A layer without a bias.
    pub fn without_bias(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        Self::build(scope, inputs, outputs, Fill::fan_in(inputs), None)
    }

    /// A layer with a bias that starts as zero throughout.
    pub fn zeroed(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        Self::build(scope, inputs, outputs, Fill::Zeros, Some(Fill::Zeros))
    }

    fn build(scope: &Scope<'_>, inputs: i64, outputs: i64, fill: Fill, bias: Option<Fill>) -> Self {
        let weight = scope.parameter("weight", &[outputs, inputs], fill);
        let bias = bias.map(|fill| scope.parameter("bias", &[outputs], fill));
        let slot = scope.slot(SlotKind::Linear, &weight);
        Self { weight, bias, slot }
    }

    /// Sets weights and bias of some outputs to zero for good.
    ///
    /// # Shapes
    /// `kept` `[outputs]`, false where the output becomes zero.
    pub fn mask_outputs(&self, kept: &Tensor) {
        tch::no_grad(|| {
            let kept = kept.to_device(self.weight.device()).to_kind(self.weight.kind());
            let _ = self.weight.shallow_clone().multiply_(&kept.unsqueeze(1));
            if let Some(bias) = &self.bias {
                let _ = bias.shallow_clone().multiply_(&kept);
            }
        });
    }

    /// # Shapes
    /// `[..., inputs]` → `[..., outputs]`
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        self.slot.add_branches(xs, xs.linear(&self.weight, self.bias.as_ref()))
    }
}
