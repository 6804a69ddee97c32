//! Shape of a UNet over rows.

use serde::{Deserialize, Serialize};

use super::UNet1DCondition;
use crate::error::{Error, Result};
use crate::model::{Network, OtherFields};
use crate::nn::AttentionConfig;

/// `config.json` of a [`UNet1DCondition`]. Defaults are those of the embedded base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UNet1DConfig {
    /// Channels of the latents that go in.
    pub in_channels: i64,
    /// Channels of the prediction: as many.
    pub out_channels: i64,
    /// Channels of each level, finest first.
    pub block_out_channels: Vec<i64>,
    /// Kernel of the residual blocks of each level.
    pub kernel_sizes: Vec<i64>,
    /// Whether each level has attention after every residual block.
    pub attention: Vec<bool>,
    /// Rows of one level that become one row of the next.
    pub stride: i64,
    /// Residual blocks a level; the decoder has one more.
    pub layers_per_block: i64,
    /// Heads of every attention.
    pub attention_heads: i64,
    /// Width of the text tokens.
    pub cross_attention_dim: i64,
    /// Width of the time embedding.
    pub time_embed_dim: i64,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for UNet1DConfig {
    fn default() -> Self {
        Self {
            in_channels: 64,
            out_channels: 64,
            block_out_channels: vec![80, 128, 192],
            kernel_sizes: vec![3, 5, 3],
            attention: vec![false, true, true],
            stride: 4,
            layers_per_block: 1,
            attention_heads: 4,
            cross_attention_dim: 64,
            time_embed_dim: 256,
            norm_num_groups: 8,
            other: OtherFields::new(),
        }
    }
}

impl UNet1DConfig {
    /// Checks that the lists agree and the widths divide.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        let class = UNet1DCondition::CLASS;
        let refuse =
            |field, value: String, expected| Err(Error::Config { class, field, value, expected });
        let levels = self.block_out_channels.len();
        if levels == 0 {
            return refuse("block_out_channels", "[]".into(), "at least one level");
        }
        if self.kernel_sizes.len() != levels || self.kernel_sizes.iter().any(|k| k & 1 == 0) {
            let value = format!("{:?}", self.kernel_sizes);
            return refuse("kernel_sizes", value, "one odd number a level");
        }
        if self.attention.len() != levels {
            return refuse("attention", format!("{:?}", self.attention), "one a level");
        }
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("stride", self.stride),
            ("layers_per_block", self.layers_per_block),
            ("attention_heads", self.attention_heads),
            ("cross_attention_dim", self.cross_attention_dim),
            ("time_embed_dim", self.time_embed_dim),
            ("norm_num_groups", self.norm_num_groups),
        ] {
            if value < 1 {
                return refuse(field, value.to_string(), "at least 1");
            }
        }
        if self.out_channels != self.in_channels {
            return refuse("out_channels", self.out_channels.to_string(), "as many as in_channels");
        }
        for width in &self.block_out_channels {
            if *width < 1
                || width.rem_euclid(self.norm_num_groups) != 0
                || width.rem_euclid(self.attention_heads) != 0
            {
                let expected = "multiples of norm_num_groups and attention_heads";
                return refuse("block_out_channels", width.to_string(), expected);
            }
        }
        Ok(())
    }

    /// Rows must come in multiples of this.
    pub fn row_multiple(&self) -> i64 {
        (1..self.block_out_channels.len()).fold(1, |product, _| product * self.stride)
    }

    /// Channels of each skip connection, in the order the encoder makes them.
    pub fn skip_channels(&self) -> Vec<i64> {
        let mut channels = vec![self.block_out_channels[0]];
        for (level, width) in self.block_out_channels.iter().enumerate() {
            channels.extend((0..self.layers_per_block).map(|_| *width));
            if level + 1 < self.block_out_channels.len() {
                channels.push(*width);
            }
        }
        channels
    }

    pub(super) fn transformer(&self, level: usize) -> AttentionConfig {
        AttentionConfig::self_attention(self.block_out_channels[level], self.attention_heads)
            .cross(self.cross_attention_dim)
    }
}
