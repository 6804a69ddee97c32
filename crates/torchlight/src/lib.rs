#![cfg_attr(feature = "diffusion", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "diffusion"),
    doc = "The stages that need no libtorch: images, edges, repair, evaluation."
)]
#![forbid(unsafe_code)]

pub mod artefact;
#[cfg(feature = "diffusion")]
pub mod base;
mod captures;
mod config;
#[cfg(feature = "diffusion")]
pub mod device;
mod error;
#[cfg(feature = "diffusion")]
pub mod model;
mod progress;
#[cfg(feature = "diffusion")]
mod run;
pub mod stages;

pub use captures::{Capture, LabelSource, capture_files, stem};
pub use config::{
    BaseConfig, CapturesConfig, Config, ControlConfig, DatasetConfig, DeviceChoice, EvaluateConfig,
    GenerateConfig, LoraCourse, LoraSettings, Precision, RepairSettings, Sampler,
};
pub use error::{Error, Result};
pub use progress::{Event, Monitor, Problem, Progress, Quiet, Stage, StopFlag};
#[cfg(feature = "diffusion")]
pub use run::{Builder, Outcome, StageOutcome, Torchlight};

// The crates that the stages are made of.
pub use controlnet_canny;
#[cfg(feature = "diffusion")]
pub use diffusion_lora;
pub use nprint_codec;
pub use protocol_repair;
pub use trace_eval;
pub use trace_image;
