//! From captions to what the denoiser is conditioned on.

pub mod tokenizer;

pub use tokenizer::ClipTokenizer;
