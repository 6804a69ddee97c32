//! The half of a UNet that ControlNet copies: time embedding, encoder and middle block.

use tch::{Kind, Tensor};

use super::blocks::{DownBlock, MidBlock};
use super::config::UNet2DConfig;
use crate::error::{Error, Result};
use crate::nn::{Conv2d, ConvConfig, Scope, TimestepEmbedding, TimestepFeatures};

/// `time_embedding`, `conv_in`, `down_blocks` and `mid_block` of a UNet.
#[derive(Debug)]
pub struct UNet2DEncoder {
    features: TimestepFeatures,
    time_embedding: TimestepEmbedding,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    kind: Kind,
    in_channels: i64,
    text_width: i64,
}

/// What the encoder hands to the decoder.
#[derive(Debug)]
pub struct Encoded {
    /// The middle block's output.
    pub mid: Tensor,
    /// The skip connections: `conv_in`'s output, then every layer's and downsampler's.
    pub skips: Vec<Tensor>,
    /// The time embedding, `[batch, time width]`.
    pub time: Tensor,
}

/// Called with a debugging name and an intermediate result.
pub type Probe<'a> = &'a mut dyn FnMut(&str, &Tensor);

impl UNet2DEncoder {
    /// Makes the layers; the configuration has been checked.
    pub fn new(scope: &Scope<'_>, config: &UNet2DConfig) -> Self {
        let first = config.block_out_channels[0];
        let time_embedding = scope.sub("time_embedding");
        let down_blocks = scope.sub("down_blocks");
        Self {
            features: TimestepFeatures {
                width: first,
                flip_sin_to_cos: config.flip_sin_to_cos,
                freq_shift: config.freq_shift,
            },
            time_embedding: TimestepEmbedding::new(&time_embedding, first, config.time_width()),
            conv_in: Conv2d::new(
                &scope.sub("conv_in"),
                config.in_channels,
                first,
                ConvConfig::same(3),
            ),
            down_blocks: (0..config.blocks())
                .map(|block| DownBlock::new(&down_blocks.sub(block), config, block))
                .collect(),
            mid_block: MidBlock::new(&scope.sub("mid_block"), config),
            kind: scope.path().kind(),
            in_channels: config.in_channels,
            text_width: config.cross_attention_dim.at(0),
        }
    }

    /// The element type of the parameters.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Checks a batch's shapes.
    ///
    /// # Errors
    /// [`Error::Shape`] with the argument that does not fit.
    pub fn check(&self, latents: &Tensor, timesteps: &Tensor, text: &Tensor) -> Result<()> {
        let wrong = |what, expected: String, tensor: &Tensor| {
            Err(Error::Shape { what, expected, actual: tensor.size() })
        };
        let shape = latents.size();
        if shape.len() != 4 || shape[1] != self.in_channels || shape[2] < 1 || shape[3] < 1 {
            let expected = format!("[batch, {}, height, width]", self.in_channels);
            return wrong("latents", expected, latents);
        }
        let batch = shape[0];
        if timesteps.size() != [batch] {
            return wrong("timesteps", format!("[{batch}]"), timesteps);
        }
        let tokens = text.size();
        if tokens.len() != 3 || tokens[0] != batch || tokens[2] != self.text_width {
            let expected = format!("[{batch}, tokens, {}]", self.text_width);
            return wrong("text", expected, text);
        }
        Ok(())
    }

    /// Runs the encoder and the middle block. `hint` is added to `conv_in`'s output
    /// (ControlNet's condition).
    ///
    /// # Shapes
    /// `latents` `[batch, channels, height, width]`, `timesteps` `[batch]`, `text` [batch, tokens,
    /// width], all of which [`UNet2DEncoder::check`] accepts; `hint` [batch, first channels,
    /// height, width].
    pub fn forward(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        text: &Tensor,
        hint: Option<&Tensor>,
        probe: Probe<'_>,
    ) -> Encoded {
        let text = text.to_kind(self.kind);
        let time =
            self.time_embedding.forward(&self.features.forward(timesteps).to_kind(self.kind));
        probe("time_emb", &time);
        let mut xs = self.conv_in.forward(&latents.to_kind(self.kind));
        probe("conv_in", &xs);
        if let Some(hint) = hint {
            xs += hint;
        }
        let mut skips = vec![xs.shallow_clone()];
        for (index, block) in self.down_blocks.iter().enumerate() {
            xs = block.forward(&xs, &time, &text, &mut skips);
            probe(&format!("down_{index}"), &xs);
        }
        let mid = self.mid_block.forward(&xs, &time, &text);
        probe("mid_block", &mid);
        Encoded { mid, skips, time }
    }
}
