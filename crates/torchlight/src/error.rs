//! What can go wrong in a stage, with the place where it did.

use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A model, a training run or a sampling run.
    #[cfg(feature = "diffusion")]
    #[error(transparent)]
    Diffusion(#[from] diffusion_lora::Error),
    /// Edge detection.
    #[error(transparent)]
    Edges(#[from] controlnet_canny::Error),
}

impl Error {
    /// Adds the path to an I/O error.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
