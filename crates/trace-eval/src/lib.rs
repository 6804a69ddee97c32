#![doc = include_str!("../README.md")]

pub mod classify;
pub mod distance;
mod error;

pub use error::{Error, Result};
