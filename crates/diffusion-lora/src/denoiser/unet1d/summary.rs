//! What all rows of an image have in common.
//!
//! The rows of one image of records share much: of that, the mean of a thousand noisy rows still tells
//! when no single row does. A UNet over rows finds it late, through
//! its coarsest level; here it is told at once, as a small denoiser of the mean beside the one of
//! the rows.

use tch::{Kind, Tensor};

use crate::nn::{Linear, Scope};

/// Keeps the mean's scale finite where all channels are zero.
const SCALE_EPS: f64 = 1e-6;

/// Reads the mean row.
#[derive(Debug)]
pub struct RowSummary {
    first: Linear,
    second: Linear,
    to_time: Linear,
}

/// What [`RowSummary`] says of a batch.
#[derive(Debug)]
pub struct Summary {
    /// Each row beside the mean row, which is scaled to unit mean square, because near pure noise
    /// the mean is small: `[batch, 2 · channels, rows]`.
    pub views: Tensor,
    /// The time embedding with what the mean tells, `[batch, time width]`.
    pub time: Tensor,
    /// The hidden state, `[batch, time width]`.
    pub hidden: Tensor,
}

impl RowSummary {
    /// Makes the layers, for rows of `channels` numbers.
    pub fn new(scope: &Scope<'_>, channels: i64, time_width: i64) -> Self {
        Self {
            first: Linear::new(&scope.sub("linear_1"), channels, time_width),
            second: Linear::new(&scope.sub("linear_2"), time_width, time_width),
            to_time: Linear::new(&scope.sub("to_time"), time_width, time_width),
        }
    }

    /// # Shapes
    /// `latents` `[batch, channels, rows]`, `time` `[batch, time width]`
    pub fn forward(&self, latents: &Tensor, time: &Tensor) -> Summary {
        let mean = latents.mean_dim([2].as_slice(), false, None::<Kind>);
        let scale = mean.square().mean_dim([1].as_slice(), true, None::<Kind>).sqrt() + SCALE_EPS;
        let mean = mean / scale;
        let hidden = (self.first.forward(&mean) + time).silu();
        let hidden = self.second.forward(&hidden).silu();
        let time = time + self.to_time.forward(&hidden);
        let repeated = mean.unsqueeze(-1).expand_as(latents);
        Summary { views: Tensor::cat(&[latents, &repeated], 1), time, hidden }
    }
}

/// Turns a [`Summary`] into a part of the prediction: the same for all rows from its hidden state,
/// and a share of each view, channel by channel, that depends on the time. What is linear in rows
/// and mean is then said, and the UNet corrects it.
#[derive(Debug)]
pub struct SummaryHead {
    output: Linear,
    gains: Linear,
}

impl SummaryHead {
    /// Starts silent.
    pub fn new(scope: &Scope<'_>, channels: i64, time_width: i64) -> Self {
        Self {
            output: Linear::zeroed(&scope.sub("output"), time_width, channels),
            gains: Linear::zeroed(&scope.sub("gains"), time_width, 2 * channels),
        }
    }

    /// # Shapes
    /// → `[batch, channels, rows]`
    pub fn forward(&self, summary: &Summary) -> Tensor {
        let gains = self.gains.forward(&summary.time.silu()).unsqueeze(-1);
        let shares = (&summary.views * gains).chunk(2, 1);
        &shares[0] + &shares[1] + self.output.forward(&summary.hidden).unsqueeze(-1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::LoraSlots;
    use crate::nn::Init;
    use tch::nn::VarStore;
    use tch::{Device, kind::FLOAT_CPU};

    fn scoped<T>(make: impl Fn(&Scope<'_>) -> T) -> (VarStore, T) {
        let (store, slots) = (VarStore::new(Device::Cpu), LoraSlots::new());
        let made = make(&Scope::new(&store, &slots, Init::Random { seed: 1 }));
        (store, made)
    }

    #[test]
    fn the_mean_is_the_same_at_every_noise_scale() {
        let (_store, summary) = scoped(|scope| RowSummary::new(scope, 3, 4));
        let latents = Tensor::arange(30, FLOAT_CPU).sin().reshape([2, 3, 5]);
        let time = Tensor::zeros([2, 4], FLOAT_CPU);
        let (large, small) =
            (summary.forward(&latents, &time), summary.forward(&(&latents * 1e-2), &time));
        assert_eq!(large.views.size(), [2, 6, 5]);
        assert!((&large.hidden - small.hidden).abs().max().double_value(&[]) < 1e-3);
        let mean = large.views.narrow(1, 3, 3).select(2, 0);
        let square = mean.square().mean_dim([1].as_slice(), false, Kind::Float);
        assert!((square - 1.0).abs().max().double_value(&[]) < 1e-4);
    }

    #[test]
    fn the_head_weighs_the_views() {
        let (store, head) = scoped(|scope| SummaryHead::new(scope, 2, 4));
        let summary = Summary {
            views: Tensor::arange(4, FLOAT_CPU).reshape([1, 4, 1]),
            time: Tensor::ones([1, 4], FLOAT_CPU),
            hidden: Tensor::ones([1, 4], FLOAT_CPU),
        };
        assert_eq!(head.forward(&summary), Tensor::zeros([1, 2, 1], FLOAT_CPU));
        tch::no_grad(|| {
            for name in ["gains.bias", "output.bias"] {
                let _ = store.variables()[name].shallow_clone().fill_(1.0);
            }
        });
        let sums = Vec::<f32>::try_from(head.forward(&summary).flatten(0, -1));
        assert_eq!(sums.expect("two numbers"), [0.0 + 2.0 + 1.0, 1.0 + 3.0 + 1.0]);
    }
}
