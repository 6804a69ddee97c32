//! `config.json` of a `UNet2DConditionModel`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::{OtherFields, only_supported};

const CLASS: &str = "UNet2DConditionModel";

/// One value for every block, or one for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same for every block.
    All(i64),
    /// One for each block, the one at full resolution first.
    Each(Vec<i64>),
}

impl PerBlock {
    /// The value of a block; 0 beyond the list, which [`UNet2DConfig::check`] rejects.
    pub fn at(&self, block: usize) -> i64 {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values.get(block).copied().unwrap_or(0),
        }
    }

    fn fits(&self, blocks: usize) -> bool {
        match self {
            Self::All(value) => *value > 0,
            Self::Each(values) => values.len() == blocks && values.iter().all(|&value| value > 0),
        }
    }
}

/// The shape of a denoising UNet; also read by ControlNet, which shares the fields.
///
/// Defaults are diffusers' (Stable Diffusion 1). Fields this crate does not read are kept and
/// written back; those that would change the network are rejected by [`UNet2DConfig::check`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UNet2DConfig {
    /// Channels of the latents.
    pub in_channels: i64,
    /// Channels of the prediction.
    pub out_channels: i64,
    /// Channels of each block, the one at full resolution first.
    pub block_out_channels: Vec<i64>,
    /// `CrossAttnDownBlock2D` or `DownBlock2D` for each block.
    pub down_block_types: Vec<String>,
    /// `CrossAttnUpBlock2D` or `UpBlock2D` for each block, the one at lowest resolution first.
    pub up_block_types: Vec<String>,
    /// Residual blocks in each encoder block (the decoder has one more).
    pub layers_per_block: PerBlock,
    /// Transformer blocks in each attention.
    pub transformer_layers_per_block: PerBlock,
    /// The number of attention heads of each block: a diffusers misnomer.
    pub attention_head_dim: PerBlock,
    /// Width of the text's tokens.
    pub cross_attention_dim: PerBlock,
    /// Linear layers (SD 2) rather than 1 × 1 convolutions (SD 1) around each attention.
    pub use_linear_projection: bool,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// Cosines before sines in the time embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the time embedding's frequencies.
    pub freq_shift: f64,
    /// Output divisor of the middle block's residual blocks.
    pub mid_block_scale_factor: f64,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for UNet2DConfig {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(str::to_owned).to_vec();
        let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
        Self {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            down_block_types: names([down, down, down, "DownBlock2D"]),
            up_block_types: names(["UpBlock2D", up, up, up]),
            layers_per_block: PerBlock::All(2),
            transformer_layers_per_block: PerBlock::All(1),
            attention_head_dim: PerBlock::All(8),
            cross_attention_dim: PerBlock::All(1280),
            use_linear_projection: false,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            mid_block_scale_factor: 1.0,
            other: OtherFields::new(),
        }
    }
}

impl UNet2DConfig {
    /// Checks that the encoder and the middle block can be built; a `ControlNet` has no more.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that cannot.
    pub fn check_encoder(&self) -> Result<()> {
        let refuse = |field, value: String, expected| {
            Err(Error::Config { class: CLASS, field, value, expected })
        };
        let blocks = self.block_out_channels.len();
        if blocks == 0 {
            return refuse("block_out_channels", "[]".to_owned(), "at least one block");
        }
        if self.norm_num_groups < 1 {
            let value = self.norm_num_groups.to_string();
            return refuse("norm_num_groups", value, "at least 1");
        }
        for (field, list) in [
            ("layers_per_block", &self.layers_per_block),
            ("transformer_layers_per_block", &self.transformer_layers_per_block),
            ("attention_head_dim", &self.attention_head_dim),
            ("cross_attention_dim", &self.cross_attention_dim),
        ] {
            if !list.fits(blocks) {
                return refuse(field, format!("{list:?}"), "a positive number, or one per block");
            }
        }
        for (field, value) in
            [("in_channels", self.in_channels), ("out_channels", self.out_channels)]
        {
            if value < 1 {
                return refuse(field, value.to_string(), "at least 1");
            }
        }
        for (block, &channels) in self.block_out_channels.iter().enumerate() {
            if channels < 1 || channels.rem_euclid(self.norm_num_groups) != 0 {
                let expected = "positive multiples of norm_num_groups";
                return refuse("block_out_channels", channels.to_string(), expected);
            }
            let heads = self.attention_head_dim.at(block);
            if channels.rem_euclid(heads) != 0 {
                let expected = "numbers of heads that divide block_out_channels";
                return refuse("attention_head_dim", heads.to_string(), expected);
            }
        }
        let types = &self.down_block_types;
        let known = |name: &String| name == "CrossAttnDownBlock2D" || name == "DownBlock2D";
        if types.len() != blocks || !types.iter().all(known) {
            let expected = "CrossAttnDownBlock2D or DownBlock2D for each block";
            return refuse("down_block_types", format!("{types:?}"), expected);
        }
        only_supported(CLASS, &self.other, &supported())
    }

    /// Checks that the whole network can be built.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that cannot.
    pub fn check(&self) -> Result<()> {
        self.check_encoder()?;
        let types = &self.up_block_types;
        let known = |name: &String| name == "CrossAttnUpBlock2D" || name == "UpBlock2D";
        if types.len() != self.blocks() || !types.iter().all(known) {
            return Err(Error::Config {
                class: CLASS,
                field: "up_block_types",
                value: format!("{types:?}"),
                expected: "CrossAttnUpBlock2D or UpBlock2D for each block",
            });
        }
        Ok(())
    }

    /// Number of resolutions.
    pub fn blocks(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Width of the time embedding: four times the first block's channels.
    pub fn time_width(&self) -> i64 {
        4 * self.block_out_channels.first().copied().unwrap_or(0)
    }

    /// Channels of the skip connections, in the order the encoder makes them.
    pub fn skip_channels(&self) -> Vec<i64> {
        let mut channels = vec![self.block_out_channels.first().copied().unwrap_or(0)];
        for (block, &out) in self.block_out_channels.iter().enumerate() {
            let last = block + 1 == self.blocks();
            let count = self.layers_per_block.at(block) + i64::from(!last);
            channels.extend((0..count).map(|_| out));
        }
        channels
    }
}

/// Fields that change the network, with the value it is built for.
fn supported() -> Vec<(&'static str, Value)> {
    let mut fields: Vec<(&'static str, Value)> = [
        "addition_embed_type",
        "class_embed_type",
        "cross_attention_norm",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "num_attention_heads",
        "num_class_embeds",
        "reverse_transformer_layers_per_block",
        "time_cond_proj_dim",
        "time_embedding_act_fn",
        "time_embedding_dim",
        "timestep_post_act",
    ]
    .map(|field| (field, Value::Null))
    .to_vec();
    fields.extend([
        ("act_fn", json!("silu")),
        ("attention_type", json!("default")),
        ("center_input_sample", json!(false)),
        ("conv_in_kernel", json!(3)),
        ("conv_out_kernel", json!(3)),
        ("downsample_padding", json!(1)),
        ("dual_cross_attention", json!(false)),
        ("global_pool_conditions", json!(false)),
        ("mid_block_only_cross_attention", json!(false)),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("only_cross_attention", json!(false)),
        ("resnet_out_scale_factor", json!(1)),
        ("resnet_skip_time_act", json!(false)),
        ("resnet_time_scale_shift", json!("default")),
        ("time_embedding_type", json!("positional")),
    ]);
    fields
}
