//! The stages, each by itself: from files to files.
//!
//! [`Torchlight::run`](crate::Torchlight::run) calls them one after the other with the record of
//! [`artefact`](crate::artefact) around each.

mod children;
#[cfg(feature = "diffusion")]
mod control;
mod dataset;
mod edges;
mod evaluate;
#[cfg(feature = "diffusion")]
mod generate;
#[cfg(feature = "diffusion")]
mod lora;
#[cfg(feature = "diffusion")]
mod material;
mod repair;
mod report_extras;

pub use children::{CHILD_COPY, CHILD_OF, CHILD_SEED, Child};
#[cfg(feature = "diffusion")]
pub use control::{ControlJob, train_controlnet};
pub use dataset::write_dataset;
pub use edges::{edge_png, write_edge_png, write_edges};
pub use evaluate::{ReportSources, read_samples, write_report};
#[cfg(feature = "diffusion")]
pub use generate::{GenerateJob, Parent, generate};
#[cfg(feature = "diffusion")]
pub use lora::{ADAPTER_FILE, CHECKPOINT_FILE, EVALUATION_FILE, LOSS_FILE, LoraJob, train_lora};
pub use repair::{
    CAPTURES_FOLDER, ChildReport, REPORTS_FOLDER, RepairInput, RepairJob, learn_timing,
    repair_images,
};
