//! The row autoencoder: every image row is a token of its own.
//!
//! An image whose rows are unrelated records (a packet each) has nothing to gain from square
//! receptive fields: an 8 × 8 patch mixes eight records and cuts their fields. Here one row of
//! pixels becomes one vector, so the latents of an image of `height` rows are a sequence
//! `[latent_channels, height]`.
//!
//! A pixel is one of three pure colours: the *background* channel, or one of the two *foreground*
//! channels. The decoder gives each pixel two numbers, the log-odds of foreground and the
//! log-odds of the second foreground colour, and paints the three probabilities.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::Autoencoder;
use crate::error::{Error, Result};
use crate::model::{Network, OtherFields};
use crate::nn::{Linear, Scope};

/// `config.json` of a row autoencoder. Defaults are those of the embedded base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowAutoencoderConfig {
    /// Pixels in a row.
    pub columns: i64,
    /// Numbers that a row becomes.
    pub latent_channels: i64,
    /// Width of the hidden layers beside the linear maps; 0 for linear maps alone, which carry over
    /// best to rows never seen.
    pub hidden_width: i64,
    /// The colour channel (0 red, 1 green, 2 blue) of pixels that hold nothing.
    pub background_channel: i64,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for RowAutoencoderConfig {
    fn default() -> Self {
        Self {
            columns: 1088,
            latent_channels: 64,
            hidden_width: 0,
            background_channel: 2,
            other: OtherFields::new(),
        }
    }
}

/// Rows to vectors and back: a linear map each way and, where asked for, a small network beside it.
///
/// # Shapes
/// Images `[batch, 3, height, columns]` in [-1, 1]; latents `[batch, latent_channels, height]`
/// with zero mean and unit variance over the training rows.
#[derive(Debug)]
pub struct RowAutoencoder {
    encode_linear: Linear,
    decode_linear: Linear,
    hidden: Option<Hidden>,
    latent_mean: Tensor,
    latent_std: Tensor,
    config: RowAutoencoderConfig,
}

/// The layers beside the linear maps.
#[derive(Debug)]
struct Hidden {
    encode: [Linear; 2],
    decode: [Linear; 3],
}

/// What one training step of the row autoencoder sees.
#[derive(Debug)]
pub struct RowLogits {
    /// Log-odds that a pixel is foreground, `[rows, columns]`.
    pub presence: Tensor,
    /// Log-odds that a foreground pixel has the second foreground colour, `[rows, columns]`.
    pub value: Tensor,
}

/// The pixels of rows as two planes.
///
/// # Shapes
/// Both `[rows, columns]`: `presence` is 1 on foreground pixels and 0 on the background; `sign` is
/// -1 for the first foreground colour, 1 for the second and 0 on the background.
#[derive(Debug)]
pub struct RowPlanes {
    /// Foreground or not.
    pub presence: Tensor,
    /// Which foreground colour.
    pub sign: Tensor,
}

impl Network for RowAutoencoder {
    type Config = RowAutoencoderConfig;
    const CLASS: &'static str = "RowAutoencoder";

    fn build(scope: &Scope<'_>, config: &RowAutoencoderConfig) -> Result<Self> {
        let RowAutoencoderConfig { columns, latent_channels, hidden_width, .. } = *config;
        for (field, value) in [("columns", columns), ("latent_channels", latent_channels)] {
            if value < 1 {
                let (class, value) = (Self::CLASS, value.to_string());
                return Err(Error::Config { class, field, value, expected: "at least 1" });
            }
        }
        if hidden_width < 0 {
            let (class, value) = (Self::CLASS, hidden_width.to_string());
            let field = "hidden_width";
            return Err(Error::Config { class, field, value, expected: "at least 0" });
        }
        if !(0..3).contains(&config.background_channel) {
            return Err(Error::Config {
                class: Self::CLASS,
                field: "background_channel",
                value: config.background_channel.to_string(),
                expected: "0, 1 or 2",
            });
        }
        let (encoder, decoder) = (scope.sub("encoder"), scope.sub("decoder"));
        let statistic = |name| scope.path().zeros_no_train(name, &[latent_channels]);
        Ok(Self {
            encode_linear: Linear::new(&encoder.sub("linear"), 2 * columns, latent_channels),
            decode_linear: Linear::new(&decoder.sub("linear"), latent_channels, 2 * columns),
            hidden: (hidden_width > 0).then(|| Hidden {
                encode: [
                    Linear::new(&encoder.sub("hidden"), 2 * columns, hidden_width),
                    Linear::zeroed(&encoder.sub("out"), hidden_width, latent_channels),
                ],
                decode: [
                    Linear::new(&decoder.sub("hidden.0"), latent_channels, hidden_width),
                    Linear::new(&decoder.sub("hidden.1"), hidden_width, hidden_width),
                    Linear::new(&decoder.sub("out"), hidden_width, 2 * columns),
                ],
            }),
            latent_mean: statistic("latent_mean"),
            latent_std: statistic("latent_std"),
            config: config.clone(),
        })
    }

    fn config(&self) -> &RowAutoencoderConfig {
        &self.config
    }
}

impl RowAutoencoder {
    /// The two planes of a batch of images, rows of all images one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `images` is `[batch, 3, height, columns]`.
    pub fn planes(&self, images: &Tensor) -> Result<RowPlanes> {
        let (size, columns) = (images.size(), self.config.columns);
        if size.len() != 4 || size[1] != 3 || size[3] != columns {
            let expected = format!("[batch, 3, height, {columns}]");
            return Err(Error::Shape { what: "images", expected, actual: size });
        }
        let plane = |channel| {
            let pixels = images.select(1, channel).reshape([-1, columns]).to_kind(self.kind());
            (pixels + 1.0) * 0.5
        };
        let [first, second] = self.foreground();
        Ok(RowPlanes {
            presence: 1.0 - plane(self.config.background_channel),
            sign: plane(second) - plane(first),
        })
    }

    /// The encoder before normalisation: `[rows, latent_channels]`.
    pub fn encode_rows(&self, planes: &RowPlanes) -> Tensor {
        let rows = Tensor::cat(&[&planes.presence, &planes.sign], 1);
        let linear = self.encode_linear.forward(&rows);
        match &self.hidden {
            Some(Hidden { encode: [inner, out], .. }) => {
                linear + out.forward(&inner.forward(&rows).silu())
            }
            None => linear,
        }
    }

    /// The decoder, from normalised latents `[rows, latent_channels]`.
    pub fn decode_rows(&self, latents: &Tensor) -> RowLogits {
        let mut logits = self.decode_linear.forward(latents);
        if let Some(Hidden { decode: [first, second, out], .. }) = &self.hidden {
            let inner = second.forward(&first.forward(latents).silu()).silu();
            logits += out.forward(&inner);
        }
        let halves = logits.chunk(2, 1);
        RowLogits { presence: halves[0].shallow_clone(), value: halves[1].shallow_clone() }
    }

    /// Sets the statistics that normalise latents: per-channel mean and standard deviation of
    /// [`encode_rows`](Self::encode_rows) over the training rows.
    pub fn set_statistics(&mut self, mean: &Tensor, std: &Tensor) {
        tch::no_grad(|| {
            self.latent_mean.copy_(mean);
            self.latent_std.copy_(std);
        });
    }

    /// Makes the decoder say nothing of the value of some columns (log-odds 0), instead of what its
    /// untrained weights happen to say.
    ///
    /// # Shapes
    /// `columns` `[columns]`, true where nothing is to be said.
    pub fn silence_values(&mut self, columns: &Tensor) {
        let heard = Tensor::cat(&[&columns.zeros_like(), columns], 0).logical_not();
        let last = match &self.hidden {
            Some(Hidden { decode: [.., out], .. }) => vec![&self.decode_linear, out],
            None => vec![&self.decode_linear],
        };
        for layer in last {
            layer.mask_outputs(&heard);
        }
    }

    /// The two foreground channels in ascending order.
    fn foreground(&self) -> [i64; 2] {
        match self.config.background_channel {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        }
    }

    /// Where the parameters are.
    pub fn device(&self) -> Device {
        self.latent_mean.device()
    }

    fn kind(&self) -> Kind {
        self.latent_mean.kind()
    }
}

impl Autoencoder for RowAutoencoder {
    fn latent_shape(&self, height: i64, width: i64) -> Result<Vec<i64>> {
        if height < 1 || width != self.config.columns {
            let expected = format!("[height, {}]", self.config.columns);
            return Err(Error::Shape { what: "image size", expected, actual: vec![height, width] });
        }
        Ok(vec![self.config.latent_channels, height])
    }

    /// The map is deterministic: `noise` is not read.
    fn encode(&self, images: &Tensor, _noise: Option<&Tensor>) -> Result<Tensor> {
        let rows = self.encode_rows(&self.planes(images)?);
        let latents = (rows - &self.latent_mean) / &self.latent_std;
        let size = images.size();
        let shape = [size[0], size[2], self.config.latent_channels];
        Ok(latents.reshape(shape).transpose(1, 2).contiguous().to_kind(images.kind()))
    }

    fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let (size, channels) = (latents.size(), self.config.latent_channels);
        if size.len() != 3 || size[1] != channels {
            let expected = format!("[batch, {channels}, height]");
            return Err(Error::Shape { what: "latents", expected, actual: size });
        }
        let rows = latents.transpose(1, 2).reshape([-1, channels]).to_kind(self.kind());
        let logits = self.decode_rows(&rows);
        let (presence, value) = (logits.presence.sigmoid(), logits.value.sigmoid());
        let second = &presence * &value;
        let colours = [&presence - &second, second, 1.0 - presence];
        let [first_channel, second_channel] = self.foreground();
        let mut channels = [&colours[0], &colours[0], &colours[0]];
        channels[first_channel as usize] = &colours[0];
        channels[second_channel as usize] = &colours[1];
        channels[self.config.background_channel as usize] = &colours[2];
        let image = Tensor::stack(&channels, 1) * 2.0 - 1.0; // [rows, 3, columns]
        let shape = [size[0], size[2], 3, self.config.columns];
        Ok(image.reshape(shape).transpose(1, 2).contiguous().to_kind(latents.kind()))
    }
}

/// How much each pixel of a row counts in training.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnWeights {
    /// Weight of telling foreground from background, one a column.
    pub presence: Vec<f32>,
    /// Weight of telling the two foreground colours apart, one a column; 0 for columns that
    /// hold what can be computed from others.
    pub value: Vec<f32>,
}

/// Weighted cross-entropy of a batch of rows, summed over columns and averaged over rows.
///
/// # Shapes
/// `weights` `[2, columns]`: presence, value; `asked` `[rows, columns]`: 1 where the value counts,
/// 0 where it does not. The result is a scalar.
pub fn row_loss(
    planes: &RowPlanes,
    logits: &RowLogits,
    weights: &Tensor,
    asked: &Tensor,
) -> Tensor {
    // Log-odds x against a target sign s: -log p = softplus(-s x).
    let presence_sign = &planes.presence * 2.0 - 1.0;
    let presence = (-presence_sign * &logits.presence).softplus() * weights.select(0, 0);
    let value = (-&planes.sign * &logits.value).softplus() * &planes.presence;
    let value = value * asked * weights.select(0, 1);
    (presence + value).sum_dim_intlist([1].as_slice(), false, None::<Kind>).mean(None::<Kind>)
}

/// Standardises a batch of encoder outputs by its own mean and deviation, as training does.
pub fn standardise(rows: &Tensor) -> Tensor {
    let mean = rows.mean_dim([0].as_slice(), true, None::<Kind>);
    let std = rows.std_dim([0].as_slice(), false, true).clamp_min(1e-5);
    (rows - mean) / std
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::nn::Init;
    use tch::kind::FLOAT_CPU;

    #[test]
    fn silenced_columns_keep_their_presence_and_lose_their_value() {
        for hidden_width in [0, 4] {
            let config = RowAutoencoderConfig {
                columns: 3,
                latent_channels: 2,
                hidden_width,
                ..RowAutoencoderConfig::default()
            };
            let init = Init::Random { seed: 1 };
            let mut model =
                Model::<RowAutoencoder>::create(&config, init, Device::Cpu, Kind::Float)
                    .expect("a supported configuration");
            let latents = Tensor::ones([1, 2], FLOAT_CPU);
            let before = model.decode_rows(&latents);
            model.network_mut().silence_values(&Tensor::from_slice(&[false, true, false]));
            let after = model.decode_rows(&latents);
            assert_eq!(after.presence, before.presence);
            let heard = Tensor::from_slice(&[1.0_f32, 0.0, 1.0]);
            assert_eq!(after.value, before.value * heard);
        }
    }
}
