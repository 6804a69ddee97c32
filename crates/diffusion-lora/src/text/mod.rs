//! From captions to what the denoiser is conditioned on.

mod clip;
pub mod tokenizer;

pub use clip::{ClipText, ClipTextConfig, HiddenAct, TextStates};
pub use tokenizer::ClipTokenizer;
