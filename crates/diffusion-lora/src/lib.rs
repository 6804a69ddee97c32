#![doc = include_str!("../README.md")]
//! # Where things are
//!
//! Networks are built in a [`nn::Scope`], which names every parameter exactly as Python diffusers
//! names it and gives every linear and convolution layer a [`lora::LoraSlot`]; files go in and out
//! through [`Weights`]; the rest of a pipeline sees a model only through the traits
//! [`Autoencoder`], [`Denoiser`] and [`Control`].

pub mod autoencoder;
pub mod cuda;
pub mod data;
pub mod denoiser;
pub mod error;
pub mod folder;
pub mod lora;
pub mod model;
pub mod nn;
pub mod random;
pub mod sample;
pub mod schedule;
pub mod text;
pub mod train;
pub mod weights;

pub use autoencoder::Autoencoder;
pub use denoiser::{Control, Denoiser, Residuals};
pub use error::{Error, Result};
pub use folder::Pipeline;
pub use model::{Model, Network};
pub use weights::Weights;
