//! `ControlNet` for Stable Diffusion's UNet (`ControlNetModel`).

use diffusion_lora::denoiser::unet2d::{Encoded, UNet2DConfig, UNet2DEncoder};
use diffusion_lora::denoiser::{Control, Residuals, UNet2DCondition};
use diffusion_lora::nn::{Conv2d, ConvConfig, Init, Scope};
use diffusion_lora::{Error, Model, Network, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// `config.json` of a `ControlNetModel`. Defaults are diffusers' (Stable Diffusion 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlNetConfig {
    /// Channels of the condition image.
    pub conditioning_channels: i64,
    /// Channels at each resolution on the condition's way down to the latents.
    pub conditioning_embedding_out_channels: Vec<i64>,
    /// `rgb`, or `bgr` where the network was trained on reversed channels.
    pub controlnet_conditioning_channel_order: String,
    /// The encoder, as the UNet has it; what concerns the decoder is not read or written.
    #[serde(flatten)]
    pub unet: UNet2DConfig,
}

impl Default for ControlNetConfig {
    fn default() -> Self {
        Self {
            conditioning_channels: 3,
            conditioning_embedding_out_channels: vec![16, 32, 96, 256],
            controlnet_conditioning_channel_order: "rgb".to_owned(),
            unet: UNet2DConfig::default(),
        }
    }
}

impl ControlNetConfig {
    fn check(&self) -> Result<()> {
        let refuse = |field, value: String, expected| {
            Err(Error::Config { class: ControlNet::CLASS, field, value, expected })
        };
        if self.conditioning_channels < 1 {
            let value = self.conditioning_channels.to_string();
            return refuse("conditioning_channels", value, "at least 1");
        }
        let channels = &self.conditioning_embedding_out_channels;
        if channels.is_empty() || channels.iter().any(|&count| count < 1) {
            let value = format!("{channels:?}");
            return refuse("conditioning_embedding_out_channels", value, "positive numbers");
        }
        let order = &self.controlnet_conditioning_channel_order;
        if order != "rgb" && order != "bgr" {
            let field = "controlnet_conditioning_channel_order";
            return refuse(field, order.clone(), "rgb or bgr");
        }
        self.unet.check_encoder()
    }

    /// How many pixels of the condition a latent stands for in each direction.
    pub fn reduction(&self) -> i64 {
        1 << (self.conditioning_embedding_out_channels.len().max(1) - 1)
    }
}

/// A small convolutional network from the condition image to the latents' resolution.
#[derive(Debug)]
struct ConditionEmbedding {
    conv_in: Conv2d,
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl ConditionEmbedding {
    fn new(scope: &Scope<'_>, config: &ControlNetConfig) -> Self {
        let channels = &config.conditioning_embedding_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let same = ConvConfig::same(3);
        let list = scope.sub("blocks");
        let mut blocks = Vec::new();
        for pair in channels.windows(2) {
            blocks.push(Conv2d::new(&list.sub(blocks.len()), pair[0], pair[0], same));
            blocks.push(Conv2d::new(&list.sub(blocks.len()), pair[0], pair[1], same.stride(2)));
        }
        let (conv_in, conv_out) = (scope.sub("conv_in"), scope.sub("conv_out"));
        Self {
            conv_in: Conv2d::new(&conv_in, config.conditioning_channels, first, same),
            blocks,
            conv_out: Conv2d::new(
                &conv_out,
                last,
                config.unet.block_out_channels[0],
                same.zeroed(),
            ),
        }
    }

    fn forward(&self, condition: &Tensor) -> Tensor {
        let xs = self.conv_in.forward(condition).silu();
        let xs = self.blocks.iter().fold(xs, |xs, conv| conv.forward(&xs).silu());
        self.conv_out.forward(&xs)
    }
}

/// How the scale is spread over the residuals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// The same for every residual.
    #[default]
    Uniform,
    /// From a tenth at full resolution, geometrically, to the whole in the middle: diffusers'
    /// "guess mode", for generation without a prompt.
    Guess,
}

/// A copy of a UNet's encoder that reads a condition image and answers with residuals.
#[derive(Debug)]
pub struct ControlNet {
    encoder: UNet2DEncoder,
    embedding: ConditionEmbedding,
    down: Vec<Conv2d>,
    mid: Conv2d,
    config: ControlNetConfig,
}

impl Network for ControlNet {
    type Config = ControlNetConfig;
    const CLASS: &'static str = "ControlNetModel";
    const OMITTED_FIELDS: &'static [&'static str] =
        &["out_channels", "up_block_types", "sample_size"];

    fn build(scope: &Scope<'_>, config: &ControlNetConfig) -> Result<Self> {
        config.check()?;
        let unet = &config.unet;
        let zero = |scope: &Scope<'_>, channels| {
            Conv2d::new(scope, channels, channels, ConvConfig::same(1).zeroed())
        };
        let down = scope.sub("controlnet_down_blocks");
        let last = unet.block_out_channels[unet.blocks() - 1];
        Ok(Self {
            encoder: UNet2DEncoder::new(scope, unet),
            embedding: ConditionEmbedding::new(&scope.sub("controlnet_cond_embedding"), config),
            down: unet
                .skip_channels()
                .into_iter()
                .enumerate()
                .map(|(index, channels)| zero(&down.sub(index), channels))
                .collect(),
            mid: zero(&scope.sub("controlnet_mid_block"), last),
            config: config.clone(),
        })
    }

    fn config(&self) -> &ControlNetConfig {
        &self.config
    }
}

impl ControlNet {
    /// A network to train for `unet`: a trainable copy of its encoder, an embedding with
    /// first values from `seed`, and zero convolutions, so that at first it changes nothing.
    ///
    /// `conditioning_embedding_out_channels` must be as many as the autoencoder has
    /// resolutions (4 for Stable Diffusion, whose latents stand for 8 × 8 pixels).
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration is not supported.
    pub fn from_unet(
        unet: &Model<UNet2DCondition>,
        conditioning_embedding_out_channels: Vec<i64>,
        seed: u64,
    ) -> Result<Model<Self>> {
        let mut encoder = unet.config().clone();
        // The other fields have their defaults, or the UNet could not have been built.
        encoder.other.retain(|field, _| field == "upcast_attention");
        let config = ControlNetConfig {
            conditioning_embedding_out_channels,
            unet: encoder,
            ..ControlNetConfig::default()
        };
        let (init, device) = (Init::Random { seed }, unet.store().device());
        let control = Model::<Self>::create(&config, init, device, Kind::Float)?;
        control.copy_matching(unet.store(), "")?;
        Ok(control)
    }

    /// The condition image at the latents' resolution, as it is added after `conv_in`.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` → [batch, first channels, height / reduction,
    /// width / reduction]
    ///
    /// # Errors
    /// [`Error::Shape`] where the condition does not fit.
    pub fn embed(&self, condition: &Tensor) -> Result<Tensor> {
        let (shape, step) = (condition.size(), self.config.reduction());
        let fits = |side: i64| side > 0 && side.rem_euclid(step) == 0;
        let channels = self.config.conditioning_channels;
        if shape.len() != 4 || shape[1] != channels || !fits(shape[2]) || !fits(shape[3]) {
            let expected = format!("[batch, {channels}, {step} · rows, {step} · columns]");
            return Err(Error::Shape { what: "condition", expected, actual: shape });
        }
        let condition = condition.to_kind(self.encoder.kind());
        let reversed = self.config.controlnet_conditioning_channel_order == "bgr";
        Ok(self.embedding.forward(&if reversed { condition.flip([1]) } else { condition }))
    }

    /// [`Control::residuals`] with a choice of [`Scaling`].
    ///
    /// # Errors
    /// [`Error::Shape`] where an argument does not fit the network.
    pub fn scaled_residuals(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        condition: &Tensor,
        scale: f64,
        scaling: Scaling,
    ) -> Result<Residuals> {
        self.encoder.check(latents, timesteps, text)?;
        let step = self.config.reduction();
        let (shape, found) = (latents.size(), condition.size());
        let wanted =
            [shape[0], self.config.conditioning_channels, step * shape[2], step * shape[3]];
        if found != wanted {
            let expected = format!("{wanted:?}");
            return Err(Error::Shape { what: "condition", expected, actual: found });
        }
        let hint = self.embed(condition)?;
        let Encoded { mid, skips, .. } =
            self.encoder.forward(latents, timesteps, text, Some(&hint), &mut |_, _| ());
        let count = skips.len() as f64;
        let scale_of = |index: usize| match scaling {
            Scaling::Uniform => scale,
            Scaling::Guess => scale * 10f64.powf(index as f64 / count - 1.0),
        };
        let layers = self.down.iter().zip(&skips).enumerate();
        Ok(Residuals {
            down: layers.map(|(i, (conv, skip))| conv.forward(skip) * scale_of(i)).collect(),
            mid: self.mid.forward(&mid) * scale_of(skips.len()),
            output: None,
        })
    }
}

impl Control for ControlNet {
    fn residuals(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        condition: &Tensor,
        scale: f64,
    ) -> Result<Residuals> {
        self.scaled_residuals(latents, timesteps, text, condition, scale, Scaling::Uniform)
    }
}
