#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod classify;
pub mod compliance;
mod config;
pub mod distance;
mod error;
mod evaluate;
pub mod features;
mod fidelity;
mod packet;
pub mod privacy;
pub mod report;
mod sample;
mod summary;
pub mod utility;

pub use config::{Classifier, EvalConfig, View};
pub use error::{Error, Result};
pub use evaluate::evaluate;
pub use report::Report;
pub use sample::Sample;
