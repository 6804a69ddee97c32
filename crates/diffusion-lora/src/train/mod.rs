//! Training: one loop for LoRA adapters, control networks and whole models.
//!
//! [`Trainer`] owns the optimiser, the learning-rate schedule, the moving average and the
//! checkpoints; what is learnt is a closure that draws a batch from a generator and returns a
//! loss, e.g. [`Denoising::loss`]. The generator of a step depends on the seed and the step alone, so
//! a run that was stopped and resumed gives the same bytes as one that was not.

mod adamw;
mod base;
mod denoising;
mod row;
mod trainer;

pub use adamw::{AdamW, AdamWConfig};
pub use base::{encode_images, train_denoiser};
pub use denoising::{Denoising, Examples, Material, TextConditioning};
pub use row::{RowTraining, fit_row_autoencoder};
pub use trainer::{LearningRate, Outcome, Progress, TrainConfig, Trainer};
