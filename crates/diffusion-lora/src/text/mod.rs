//! Text into the tokens that condition a denoiser.

mod clip;

pub use clip::{ClipText, ClipTextConfig, HiddenAct, TextStates};
