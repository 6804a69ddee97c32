//! Captions into tokens, and tokens into the states that condition a denoiser.

mod clip;
pub mod tokenizer;

pub use clip::{ClipText, ClipTextConfig, HiddenAct, TextStates};
pub use tokenizer::ClipTokenizer;
