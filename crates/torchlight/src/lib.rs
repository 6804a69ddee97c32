//! From labelled packet captures to new, protocol-correct ones: the whole pipeline behind one builder.

#[cfg(feature = "diffusion")]
pub mod base;
mod error;

pub use error::{Error, Result};
