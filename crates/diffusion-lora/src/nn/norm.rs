//! Normalisation over channel groups and over the last dimension.

use tch::Tensor;

use super::{Fill, Scope};

/// Normalisation over groups of channels and all positions.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    /// Parameters `weight` and `bias`, both `[channels]`; `groups` divides `channels`.
    pub fn new(scope: &Scope<'_>, groups: i64, channels: i64, eps: f64) -> Self {
        let weight = scope.parameter("weight", &[channels], Fill::Ones);
        let bias = scope.parameter("bias", &[channels], Fill::Zeros);
        Self { weight, bias, groups, eps }
    }

    /// # Shapes
    /// `[batch, channels, ...]` → the same
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        xs.group_norm(self.groups, Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

/// Normalisation over the last dimension.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Parameters `weight` and `bias`, both `[width]`.
    pub fn new(scope: &Scope<'_>, width: i64, eps: f64) -> Self {
        let weight = scope.parameter("weight", &[width], Fill::Ones);
        let bias = scope.parameter("bias", &[width], Fill::Zeros);
        Self { weight, bias, eps }
    }

    /// # Shapes
    /// `[..., width]` → the same
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let shape = self.weight.size();
        xs.layer_norm(shape, Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}
