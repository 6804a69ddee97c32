//! Layers whose parameters bear diffusers' names and whose weights can take LoRA branches.
//!
//! Forward passes of layers do not check shapes: networks check theirs once, at the public entry
//! ([`crate::Denoiser::predict`], [`crate::Autoencoder::encode`]). A wrong shape given to a bare
//! layer panics in libtorch.

mod attention;
mod conv;
mod embedding;
mod linear;
mod norm;
mod resnet;
mod scope;
mod transformer;

pub use attention::{Attention, AttentionConfig, attend};
pub use conv::{Conv1d, Conv2d, ConvConfig};
pub use embedding::{Embedding, TimestepEmbedding, TimestepFeatures};
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm};
pub use resnet::{Downsample2D, ResnetBlock2D, ResnetConfig, Upsample2D};
pub use scope::{Fill, Init, Scope};
pub use transformer::{BasicTransformerBlock, FeedForward};
