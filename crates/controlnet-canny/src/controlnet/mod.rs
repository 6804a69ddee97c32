//! Networks that hold a denoiser to a condition image (feature `controlnet`).
//!
//! Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models".

mod sd;

pub use sd::{ControlNet, ControlNetConfig, Scaling};
