//! `ControlNet` for the one-dimensional UNet over image rows.

use diffusion_lora::denoiser::{
    Control, Encoded1D, Residuals, UNet1DCondition, UNet1DConfig, UNet1DEncoder,
};
use diffusion_lora::nn::{Conv1d, ConvConfig, Init, Linear, Scope};
use diffusion_lora::{Error, Model, Network, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{EdgeReader, EdgeReaderConfig};

/// `config.json` of a [`RowControlNet`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RowControlNetConfig {
    /// What reads the condition.
    #[serde(flatten)]
    pub reader: EdgeReaderConfig,
    /// The encoder, as the UNet has it.
    #[serde(flatten)]
    pub unet: UNet1DConfig,
}

/// A copy of a one-dimensional UNet's encoder that is told what an edge image shows, and answers
/// with residuals.
///
/// Beside the skip connections and the middle, the residuals go to the prediction itself: the UNet's
/// finest level corrects a linear denoiser, and what the edges say of a row's values is as direct.
#[derive(Debug)]
pub struct RowControlNet {
    encoder: UNet1DEncoder,
    reader: EdgeReader,
    hint: Conv1d,
    down: Vec<Conv1d>,
    mid: Conv1d,
    output: Conv1d,
    output_gain: Linear,
    config: RowControlNetConfig,
}

impl Network for RowControlNet {
    type Config = RowControlNetConfig;
    const CLASS: &'static str = "RowControlNetModel";

    fn build(scope: &Scope<'_>, config: &RowControlNetConfig) -> Result<Self> {
        let RowControlNetConfig { reader, unet } = config;
        unet.check()?;
        reader.check(Self::CLASS)?;
        if reader.latent_channels != unet.in_channels {
            return Err(Error::Config {
                class: Self::CLASS,
                field: "latent_channels",
                value: reader.latent_channels.to_string(),
                expected: "as many as in_channels",
            });
        }
        let widths = &unet.block_out_channels;
        let one_by_one = ConvConfig::same(1);
        let zero = |scope: &Scope<'_>, inputs, outputs| {
            Conv1d::new(scope, inputs, outputs, one_by_one.zeroed())
        };
        let (down, output) = (scope.sub("controlnet_down_blocks"), scope.sub("controlnet_output"));
        let skips = unet.skip_channels().into_iter().enumerate();
        Ok(Self {
            encoder: UNet1DEncoder::new(scope, unet),
            reader: EdgeReader::build(&scope.sub("controlnet_cond_embedding"), reader)?,
            hint: Conv1d::new(
                &scope.sub("controlnet_hint"),
                unet.in_channels,
                widths[0],
                one_by_one,
            ),
            down: skips.map(|(index, width)| zero(&down.sub(index), width, width)).collect(),
            mid: {
                let width = widths[widths.len() - 1];
                zero(&scope.sub("controlnet_mid_block"), width, width)
            },
            output: zero(&output.sub("conv"), widths[0], unet.out_channels),
            output_gain: Linear::zeroed(
                &output.sub("gain"),
                unet.time_embed_dim,
                unet.out_channels,
            ),
            config: config.clone(),
        })
    }

    fn config(&self) -> &RowControlNetConfig {
        &self.config
    }
}

impl RowControlNet {
    /// A network to train for `unet`: a trainable copy of its encoder, a reader of edges with first
    /// values from `seed`, and zero convolutions, so that at first it changes nothing.
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration is not supported.
    pub fn from_unet(
        unet: &Model<UNet1DCondition>,
        conditioning_columns: i64,
        seed: u64,
    ) -> Result<Model<Self>> {
        let reader = EdgeReaderConfig {
            conditioning_columns,
            latent_channels: unet.config().in_channels,
            ..EdgeReaderConfig::default()
        };
        let device = unet.store().device();
        let reader = Model::create(&reader, Init::Random { seed }, device, Kind::Float)?;
        Self::with_reader(unet, &reader, seed)
    }

    /// The same with a reader that has been fitted already ([`fit_edge_reader`](super::fit_edge_reader)).
    ///
    /// # Errors
    /// [`Error::Config`] where the two do not fit together.
    pub fn with_reader(
        unet: &Model<UNet1DCondition>,
        reader: &Model<EdgeReader>,
        seed: u64,
    ) -> Result<Model<Self>> {
        let config =
            RowControlNetConfig { reader: reader.config().clone(), unet: unet.config().clone() };
        let device = unet.store().device();
        let control = Model::<Self>::create(&config, Init::Random { seed }, device, Kind::Float)?;
        control.copy_matching(unet.store(), "")?;
        control.copy_matching(reader.store(), "controlnet_cond_embedding")?;
        Ok(control)
    }
}

impl Control for RowControlNet {
    fn residuals(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        condition: &Tensor,
        scale: f64,
    ) -> Result<Residuals> {
        self.encoder.check(latents, timesteps, text)?;
        let seen = self.reader.read(&condition.to_kind(self.encoder.kind()))?;
        let (wanted, found) = ([latents.size()[0], latents.size()[2]], seen.size());
        if [found[0], found[2]] != wanted {
            let expected = format!("[{}, channels, {}, columns]", wanted[0], wanted[1]);
            return Err(Error::Shape { what: "condition", expected, actual: condition.size() });
        }
        let hint = self.hint.forward(&seen);
        let Encoded1D { mid, skips, summary } =
            self.encoder.forward(latents, timesteps, text, Some(&hint));
        let gain = self.output_gain.forward(&summary.time.silu()).unsqueeze(-1);
        // The second skip connection is the finest level's own output.
        let output = self.output.forward(&skips[1]) + seen * gain;
        Ok(Residuals {
            down: self.down.iter().zip(&skips).map(|(c, skip)| c.forward(skip) * scale).collect(),
            mid: self.mid.forward(&mid) * scale,
            output: Some(output * scale),
        })
    }
}

#[cfg(test)]
mod tests {
    use diffusion_lora::denoiser::Denoiser;
    use tch::{Device, kind::FLOAT_CPU};

    use super::*;

    fn unet() -> Model<UNet1DCondition> {
        let config = UNet1DConfig {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![8, 16],
            kernel_sizes: vec![3, 3],
            attention: vec![false, true],
            stride: 2,
            cross_attention_dim: 8,
            time_embed_dim: 16,
            norm_num_groups: 4,
            ..UNet1DConfig::default()
        };
        Model::create(&config, Init::Random { seed: 2 }, Device::Cpu, Kind::Float)
            .expect("a supported configuration")
    }

    #[test]
    fn at_first_it_changes_nothing_and_then_every_residual_counts() {
        let unet = unet();
        let control = RowControlNet::from_unet(&unet, 6, 3).expect("a control network");
        let latents = Tensor::arange(32, FLOAT_CPU).sin().reshape([1, 4, 8]);
        let times = Tensor::from_slice(&[500_i64]);
        let text = Tensor::ones([1, 2, 8], FLOAT_CPU);
        let edges = Tensor::arange(48, FLOAT_CPU).cos().reshape([1, 1, 8, 6]);
        let predict = |residuals: Option<&Residuals>| {
            unet.predict(&latents, &times, &text, residuals).expect("shapes that fit")
        };
        let residuals =
            || control.residuals(&latents, &times, &text, &edges, 1.0).expect("shapes that fit");
        assert_eq!(predict(Some(&residuals())), predict(None));
        let gain = &control.store().variables()["controlnet_output.gain.bias"];
        tch::no_grad(|| {
            let _ = gain.shallow_clone().fill_(0.5);
        });
        let change = predict(Some(&residuals())) - predict(None);
        let seen = control.reader.read(&edges).expect("edges that fit");
        assert!((change - seen * 0.5).abs().max().double_value(&[]) < 1e-5);
    }
}
