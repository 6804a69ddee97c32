//! Rows seen beside the rows that are like them.
//!
//! The rows of one image repeat each other: what one row cannot tell from its noise, the mean of
//! the rows that resemble it can (the idea of non-local means, Buades, Coll and Morel 2005, with
//! the likeness learnt). A convolution sees a few neighbours; this sees all rows at once, at the
//! finest level, for the price of one attention.

use tch::{Kind, Tensor};

use crate::nn::{Linear, Scope};

/// Scale of the identity that queries and keys start from: rows as they are, compared by their dot product.
const FIRST_SCALE: f64 = 1.6;

/// Each row, the mean of all rows, and the mean of the rows that are like it.
#[derive(Debug)]
pub struct RowLikeness {
    to_q: Linear,
    to_k: Linear,
    temperature: Linear,
}

impl RowLikeness {
    /// Views of each row that [`forward`](Self::forward) lays side by side.
    pub const VIEWS: i64 = 3;

    /// Makes the layers, for rows of `channels` numbers.
    pub fn new(scope: &Scope<'_>, channels: i64, time_width: i64) -> Self {
        Self {
            to_q: Linear::identity(&scope.sub("to_q"), channels, FIRST_SCALE),
            to_k: Linear::identity(&scope.sub("to_k"), channels, FIRST_SCALE),
            temperature: Linear::zeroed(&scope.sub("temperature"), time_width, 1),
        }
    }

    /// How sharply likeness counts depends on the time, which says how noisy the rows are.
    ///
    /// # Shapes
    /// `latents` `[batch, channels, rows]`, `time` `[batch, time width]` →
    /// `[batch, VIEWS · channels, rows]`
    pub fn forward(&self, latents: &Tensor, time: &Tensor) -> Tensor {
        let rows = latents.transpose(1, 2).contiguous();
        let sharpness = self.temperature.forward(&time.silu()).exp().unsqueeze(1);
        let one_head = |xs: Tensor| xs.unsqueeze(1);
        let alike = Tensor::scaled_dot_product_attention(
            &one_head(self.to_q.forward(&rows) * sharpness),
            &one_head(self.to_k.forward(&rows)),
            &one_head(rows),
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        );
        let mean = latents.mean_dim([2].as_slice(), true, None::<Kind>).expand_as(latents);
        Tensor::cat(&[latents, &mean, &alike.squeeze_dim(1).transpose(1, 2)], 1)
    }
}

/// Adds to a prediction the views of [`RowLikeness`], each channel with a gain that depends on the
/// time: a linear denoiser of its own, which the network then only has to correct.
#[derive(Debug)]
pub struct ViewGains(Linear);

impl ViewGains {
    /// Gains that start as zero.
    pub fn new(scope: &Scope<'_>, channels: i64, time_width: i64) -> Self {
        Self(Linear::zeroed(scope, time_width, RowLikeness::VIEWS * channels))
    }

    /// # Shapes
    /// `views` `[batch, VIEWS · channels, rows]`, `time` `[batch, time width]` →
    /// `[batch, channels, rows]`
    pub fn forward(&self, views: &Tensor, time: &Tensor) -> Tensor {
        let weighted = views * self.0.forward(&time.silu()).unsqueeze(-1);
        let channels = views.size()[1].div_euclid(RowLikeness::VIEWS);
        weighted.unflatten(1, [RowLikeness::VIEWS, channels]).sum_dim_intlist(
            [1].as_slice(),
            false,
            None::<Kind>,
        )
    }
}
