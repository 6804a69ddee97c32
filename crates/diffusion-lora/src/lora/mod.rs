//! Low-rank adapters (LoRA): a frozen layer `W x` becomes `W x + scale · B (A x)`.
//!
//! Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.

mod slot;

pub use slot::{Branch, LoraSlot, LoraSlots, SlotKind};
