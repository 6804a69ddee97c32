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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::LoraSlots;
    use crate::nn::Init;
    use tch::nn::VarStore;
    use tch::{Device, kind::FLOAT_CPU};

    fn made(channels: i64) -> (VarStore, RowLikeness) {
        let (store, slots) = (VarStore::new(Device::Cpu), LoraSlots::new());
        let scope = Scope::new(&store, &slots, Init::Random { seed: 1 });
        let likeness = RowLikeness::new(&scope, channels, 4);
        (store, likeness)
    }

    #[test]
    fn views_are_the_row_the_mean_and_the_softmax_mean() {
        let (channels, rows) = (3_i64, 5_i64);
        let (_store, likeness) = made(channels);
        let latents = Tensor::arange(15, FLOAT_CPU).reshape([1, channels, rows]).sin();
        let views = likeness.forward(&latents, &Tensor::zeros([1, 4], FLOAT_CPU));
        let at = |view: i64, channel: i64, row: i64| {
            views.double_value(&[0, view * channels + channel, row])
        };
        let x = |channel: i64, row: i64| latents.double_value(&[0, channel, row]);
        for row in 0..rows {
            let likeness_of = |other: i64| {
                let dot: f64 = (0..channels).map(|c| x(c, row) * x(c, other)).sum();
                (dot * FIRST_SCALE * FIRST_SCALE / (channels as f64).sqrt()).exp()
            };
            let total: f64 = (0..rows).map(likeness_of).sum();
            for channel in 0..channels {
                let alike: f64 =
                    (0..rows).map(|o| likeness_of(o) * x(channel, o)).sum::<f64>() / total;
                let mean: f64 = (0..rows).map(|o| x(channel, o)).sum::<f64>() / rows as f64;
                assert!((at(0, channel, row) - x(channel, row)).abs() < 1e-6);
                assert!((at(1, channel, row) - mean).abs() < 1e-6);
                assert!((at(2, channel, row) - alike).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn noise_on_repeated_rows_is_averaged_away() {
        let (_store, likeness) = made(16);
        tch::manual_seed(3);
        let kinds = Tensor::randn([16, 2], FLOAT_CPU).sign();
        let clean = kinds.repeat([1, 64]).unsqueeze(0);
        let noisy = &clean + Tensor::randn([1, 16, 128], FLOAT_CPU) * 0.5;
        let views = likeness.forward(&noisy, &Tensor::zeros([1, 4], FLOAT_CPU));
        let error = |view: &Tensor| (view - &clean).square().mean(Kind::Float).double_value(&[]);
        let (row, alike) = (error(&noisy), error(&views.narrow(1, 32, 16)));
        assert!(alike < 0.3 * row, "{alike} against {row}");
    }

    #[test]
    fn gains_weigh_the_views() {
        let (store, slots) = (VarStore::new(Device::Cpu), LoraSlots::new());
        let gains = ViewGains::new(&Scope::new(&store, &slots, Init::Random { seed: 1 }), 2, 4);
        let views = Tensor::arange(6, FLOAT_CPU).reshape([1, 6, 1]);
        let time = Tensor::ones([1, 4], FLOAT_CPU);
        assert_eq!(gains.forward(&views, &time).abs().max().double_value(&[]), 0.0);
        tch::no_grad(|| {
            let _ = store.variables()["bias"].shallow_clone().fill_(1.0);
        });
        let sums = Vec::<f32>::try_from(gains.forward(&views, &time).flatten(0, -1));
        assert_eq!(sums.expect("two numbers"), [0.0 + 2.0 + 4.0, 1.0 + 3.0 + 5.0]);
    }
}
