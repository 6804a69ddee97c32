//! Tables of vectors and the embedding of the time step.

use tch::{Kind, Tensor};

use super::{Fill, Linear, Scope};

/// A table of vectors, looked up by number.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Parameter `weight` `[entries, width]`; starts normal with deviation `std`.
    pub fn new(scope: &Scope<'_>, entries: i64, width: i64, std: f64) -> Self {
        Self { weight: scope.parameter("weight", &[entries, width], Fill::Normal { std }) }
    }

    /// # Shapes
    /// `[...]` i64 → `[..., width]`
    pub fn forward(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.weight, ids, -1, false, false)
    }

    /// The table itself, `[entries, width]`.
    pub fn table(&self) -> &Tensor {
        &self.weight
    }
}

/// Sines and cosines of the time step at geometrically spaced frequencies.
///
/// Source: diffusers `get_timestep_embedding`, maximal period 10,000.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimestepFeatures {
    /// Number of features.
    pub width: i64,
    /// Cosines first, as Stable Diffusion has it.
    pub flip_sin_to_cos: bool,
    /// Taken off the number of frequencies in the exponent's divisor.
    pub freq_shift: f64,
}

impl TimestepFeatures {
    /// Stable Diffusion's setting: cosines first, no shift.
    pub fn new(width: i64) -> Self {
        Self { width, flip_sin_to_cos: true, freq_shift: 0.0 }
    }

    /// # Shapes
    /// `[batch]` of any kind → `[batch, width]` f32
    pub fn forward(&self, timesteps: &Tensor) -> Tensor {
        let half = self.width >> 1;
        let device = timesteps.device();
        let exponent = Tensor::arange(half, (Kind::Float, device)) * -(10_000f64.ln())
            / (half as f64 - self.freq_shift);
        let angles = timesteps.to_kind(Kind::Float).unsqueeze(1) * exponent.exp().unsqueeze(0);
        let (sin, cos) = (angles.sin(), angles.cos());
        let pair = if self.flip_sin_to_cos { [cos, sin] } else { [sin, cos] };
        let features = Tensor::cat(&pair, 1);
        if self.width & 1 == 1 { features.constant_pad_nd([0, 1]) } else { features }
    }
}

/// Two linear layers with a `SiLU` between them: `linear_1`, `linear_2`.
#[derive(Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    /// From `features` inputs to `width` outputs.
    pub fn new(scope: &Scope<'_>, features: i64, width: i64) -> Self {
        Self {
            linear_1: Linear::new(&scope.sub("linear_1"), features, width),
            linear_2: Linear::new(&scope.sub("linear_2"), width, width),
        }
    }

    /// # Shapes
    /// `[batch, features]` → `[batch, width]`
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.linear_2.forward(&self.linear_1.forward(features).silu())
    }
}
