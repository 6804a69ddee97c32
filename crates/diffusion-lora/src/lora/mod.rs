//! Low-rank adapters (LoRA): a frozen layer `W x` becomes `W x + w · alpha / rank · B (A x)`.
//!
//! An [`Adapter`] is what a file holds; attached to a network's [`LoraSlots`] under a name it
//! takes part in every forward pass, with a weight of its own beside other adapters.
//! [`LoraParameters`] are an adapter being trained.
//!
//! Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.

mod adapter;
mod config;
mod file;
mod slot;
mod training;

pub use adapter::{Adapter, AdapterLayer};
pub use config::{LoraConfig, LoraInit};
pub use file::{AdapterFile, Format};
pub use slot::{Branch, LoraSlot, LoraSlots, SlotKind};
pub use training::LoraParameters;
