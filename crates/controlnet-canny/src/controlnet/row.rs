//! `ControlNet` for the one-dimensional UNet over image rows.

use diffusion_lora::denoiser::{
    Control, Encoded1D, Residuals, UNet1DCondition, UNet1DConfig, UNet1DEncoder,
};
use diffusion_lora::nn::{Conv1d, ConvConfig, Init, Scope};
use diffusion_lora::{Error, Model, Network, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

/// `config.json` of a [`RowControlNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowControlNetConfig {
    /// Pixels in a row of the condition image.
    pub conditioning_columns: i64,
    /// Channels between the condition's rows and the UNet.
    pub conditioning_width: i64,
    /// The encoder, as the UNet has it.
    #[serde(flatten)]
    pub unet: UNet1DConfig,
}

impl Default for RowControlNetConfig {
    fn default() -> Self {
        Self { conditioning_columns: 1088, conditioning_width: 64, unet: UNet1DConfig::default() }
    }
}

/// A copy of a one-dimensional UNet's encoder that reads an edge image, row by row, and answers
/// with residuals.
///
/// A row of the condition is a vector of pixels, as a row of the picture is; edges are horizontal
/// as well as vertical, so the embedding also sees the neighbouring rows.
#[derive(Debug)]
pub struct RowControlNet {
    encoder: UNet1DEncoder,
    embedding: [Conv1d; 3],
    down: Vec<Conv1d>,
    mid: Conv1d,
    config: RowControlNetConfig,
}

impl Network for RowControlNet {
    type Config = RowControlNetConfig;
    const CLASS: &'static str = "RowControlNetModel";

    fn build(scope: &Scope<'_>, config: &RowControlNetConfig) -> Result<Self> {
        config.unet.check()?;
        let (columns, width) = (config.conditioning_columns, config.conditioning_width);
        for (field, value) in [("conditioning_columns", columns), ("conditioning_width", width)] {
            if value < 1 {
                let (class, value) = (Self::CLASS, value.to_string());
                return Err(Error::Config { class, field, value, expected: "at least 1" });
            }
        }
        let widths = &config.unet.block_out_channels;
        let zero = |scope: &Scope<'_>, channels| {
            Conv1d::new(scope, channels, channels, ConvConfig::same(1).zeroed())
        };
        let embedding = scope.sub("controlnet_cond_embedding");
        let down = scope.sub("controlnet_down_blocks");
        Ok(Self {
            encoder: UNet1DEncoder::new(scope, &config.unet),
            embedding: [
                Conv1d::new(&embedding.sub("conv_in"), columns, width, ConvConfig::same(1)),
                Conv1d::new(&embedding.sub("blocks.0"), width, width, ConvConfig::same(5)),
                Conv1d::new(&embedding.sub("conv_out"), width, widths[0], ConvConfig::same(3)),
            ],
            down: config
                .unet
                .skip_channels()
                .into_iter()
                .enumerate()
                .map(|(index, channels)| zero(&down.sub(index), channels))
                .collect(),
            mid: zero(&scope.sub("controlnet_mid_block"), widths[widths.len() - 1]),
            config: config.clone(),
        })
    }

    fn config(&self) -> &RowControlNetConfig {
        &self.config
    }
}

impl RowControlNet {
    /// A network to train for `unet`: a trainable copy of its encoder, an embedding with first
    /// values from `seed`, and zero convolutions, so that at first it changes nothing.
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration is not supported.
    pub fn from_unet(
        unet: &Model<UNet1DCondition>,
        conditioning_columns: i64,
        seed: u64,
    ) -> Result<Model<Self>> {
        let config = RowControlNetConfig {
            conditioning_columns,
            unet: unet.config().clone(),
            ..RowControlNetConfig::default()
        };
        let store = unet.store();
        let control =
            Model::<Self>::create(&config, Init::Random { seed }, store.device(), Kind::Float)?;
        let source = store.variables();
        no_grad(|| {
            for (name, mut parameter) in control.store().variables() {
                if let Some(value) = source.get(&name) {
                    parameter.f_copy_(value)?;
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(control)
    }

    /// The condition as it is added after `conv_in`.
    ///
    /// # Shapes
    /// `[batch, channels, rows, columns]`, of which the first channel is read →
    /// `[batch, first channels, rows]`
    ///
    /// # Errors
    /// [`Error::Shape`] where the condition does not fit.
    pub fn embed(&self, condition: &Tensor) -> Result<Tensor> {
        let (shape, columns) = (condition.size(), self.config.conditioning_columns);
        if shape.len() != 4 || shape[1] < 1 || shape[3] != columns {
            let expected = format!("[batch, channels, rows, {columns}]");
            return Err(Error::Shape { what: "condition", expected, actual: shape });
        }
        let rows = condition.select(1, 0).transpose(1, 2).to_kind(self.encoder.kind());
        let [conv_in, block, conv_out] = &self.embedding;
        let hidden = block.forward(&conv_in.forward(&rows.contiguous()).silu()).silu();
        Ok(conv_out.forward(&hidden))
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
        let hint = self.embed(condition)?;
        let (wanted, found) = ([latents.size()[0], latents.size()[2]], hint.size());
        if [found[0], found[2]] != wanted {
            let expected = format!("[{}, channels, {}, columns]", wanted[0], wanted[1]);
            return Err(Error::Shape { what: "condition", expected, actual: condition.size() });
        }
        let Encoded1D { mid, skips, .. } =
            self.encoder.forward(latents, timesteps, text, Some(&hint));
        Ok(Residuals {
            down: self.down.iter().zip(&skips).map(|(c, skip)| c.forward(skip) * scale).collect(),
            mid: self.mid.forward(&mid) * scale,
        })
    }
}
