//! Networks that hold a denoiser to a condition image (feature `controlnet`).
//!
//! Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models".

mod any;
mod row;
mod sd;
mod train;

pub use any::AnyControlNet;
pub use row::{RowControlNet, RowControlNetConfig};
pub use sd::{ControlNet, ControlNetConfig, Scaling};
pub use train::{edge_condition, train_control};
