//! Networks that hold a denoiser to a condition image (feature `controlnet`).
//!
//! Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models".

mod any;
mod reader;
mod row;
mod sd;
mod train;

pub use any::AnyControlNet;
pub use reader::{EdgeReader, EdgeReaderConfig};
pub use row::{RowControlNet, RowControlNetConfig};
pub use sd::{ControlNet, ControlNetConfig, Scaling};
pub use train::{EdgeReading, edge_condition, fit_edge_reader, train_control};
