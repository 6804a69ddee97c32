//! What can go wrong in a run, with the place where it did.

use std::io;
use std::path::{Path, PathBuf};

use crate::Stage;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, `list` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A configuration file is no TOML of the expected form.
    #[error("{}: {source}", path.display())]
    ConfigToml {
        /// The file.
        path: PathBuf,
        /// What the parser found, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A setting that the run cannot work with.
    #[error("setting {field} = {value}: expected {expected}")]
    Setting {
        /// The setting's dotted name, as in the TOML file.
        field: &'static str,
        /// What it is.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// No file of a captures folder could be used.
    #[error("{}: none of {files} files is a usable capture; the first: {first}", folder.display())]
    NoUsableCapture {
        /// The folder.
        folder: PathBuf,
        /// How many files were tried.
        files: usize,
        /// The first problem, or that there are no files.
        first: String,
    },
    /// A capture has no packet that the images could show.
    #[error("{}: none of its {packets} packets is IPv4 or IPv6", path.display())]
    NoIpPacket {
        /// The file.
        path: PathBuf,
        /// How many packets it has.
        packets: usize,
    },
    /// A generated image shows no packet.
    #[error("{}: shows no packet", path.display())]
    EmptyChild {
        /// The image.
        path: PathBuf,
    },
    /// A repaired capture breaks a rule, and that was not to be let through.
    #[error("{}: {finding}", path.display())]
    NotCompliant {
        /// What it was made from.
        path: PathBuf,
        /// The first broken rule.
        finding: String,
    },
    /// No generated image could be made a capture of.
    #[error("none of {children} generated images holds a capture; the first: {first}")]
    NoUsableChild {
        /// How many images there were.
        children: usize,
        /// The first problem, or that there are no images.
        first: String,
    },
    /// A folder that a stage wants to write holds something that no stage has written.
    #[error("{}: exists, but is not the folder of an earlier run; move it away or use another output folder", folder.display())]
    FolderTaken {
        /// The folder.
        folder: PathBuf,
    },
    /// A stage's record is no JSON of the expected form.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A picture of edges could not be encoded.
    #[error("edges of {width} x {height} pixels: {source}")]
    EdgePng {
        /// Columns of pixels.
        width: usize,
        /// Rows of pixels.
        height: usize,
        /// What the encoder said.
        source: png::EncodingError,
    },
    /// The parents of generation lack a picture of edges.
    #[error("{}: not found; generation is held to the edges of parent {parent}", path.display())]
    EdgesMissing {
        /// Where it was looked for.
        path: PathBuf,
        /// The parent.
        parent: String,
    },
    /// Something was asked of a folder of images that has none.
    #[error("{}: no images", folder.display())]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// The run was asked to stop; what is done is kept.
    #[error("stopped in stage {stage}; the same command goes on from here")]
    Stopped {
        /// The stage.
        stage: Stage,
    },
    /// The device asked for is not there.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// As it was asked for.
        device: String,
        /// Why not.
        reason: &'static str,
    },
    /// Reading or writing captures and matrices failed.
    #[error(transparent)]
    Codec(#[from] nprint_codec::Error),
    /// Reading or writing trace images failed.
    #[error(transparent)]
    Image(#[from] trace_image::Error),
    /// Edge detection failed.
    #[error(transparent)]
    Edges(#[from] controlnet_canny::Error),
    /// Repair failed.
    #[error(transparent)]
    Repair(#[from] protocol_repair::Error),
    /// Evaluation failed.
    #[error(transparent)]
    Evaluation(#[from] trace_eval::Error),
    /// Training or sampling failed.
    #[cfg(feature = "diffusion")]
    #[error(transparent)]
    Diffusion(#[from] diffusion_lora::Error),
}

impl Error {
    /// Wraps an I/O failure with its file; used with `map_err`.
    #[cfg(feature = "diffusion")]
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::file("make", path)
    }

    /// Wraps an I/O failure with what was done to which file; used with `map_err`.
    pub(crate) fn file<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Wraps a JSON failure with its file; used with `map_err`.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + '_ {
        move |source| Self::Json { path: path.to_owned(), source }
    }
}
