//! What can go wrong, with the place it went wrong at.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A tensor whose stored shape is not the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// Full dotted name of the parameter.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<i64>,
    /// The file's shape.
    pub actual: Vec<i64>,
}

/// Every failure of this crate.
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
    /// A file that the folder must have is not there.
    #[error("{}: not found; it holds {purpose}", path.display())]
    MissingFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What the file is for.
        purpose: &'static str,
    },
    /// A safetensors file is damaged.
    #[error("{}: not a valid safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: safetensors::SafeTensorError,
    },
    /// A safetensors file holds an element type that libtorch does not have.
    #[error("{}: tensor {name} has element type {dtype}, which is not supported", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The stored type.
        dtype: String,
    },
    /// A JSON file is damaged or has a field of the wrong type.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A configuration asks for something this crate does not build.
    #[error("{class}: {field} = {value}, expected {expected}")]
    Config {
        /// The configured class, e.g. `UNet2DConditionModel`.
        class: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is supported.
        expected: &'static str,
    },
    /// A weight file does not fit the network.
    #[error(
        "{}: weights do not fit: {} missing {missing:?}, {} unexpected {unexpected:?}, {} of another shape {mismatched:?}",
        path.display(), missing.len(), unexpected.len(), mismatched.len()
    )]
    WeightNames {
        /// The file (or a description of where the weights came from).
        path: PathBuf,
        /// Parameters of the network that the file lacks.
        missing: Vec<String>,
        /// Tensors of the file that the network has no place for.
        unexpected: Vec<String>,
        /// Tensors whose shape is another.
        mismatched: Vec<ShapeMismatch>,
    },
    /// A tensor handed to a public entry has a shape it cannot take.
    #[error("{what} has shape {actual:?}, expected {expected}")]
    Shape {
        /// The argument.
        what: &'static str,
        /// The shape, symbolically.
        expected: String,
        /// The shape found.
        actual: Vec<i64>,
    },
    /// A LoRA adapter does not fit the network.
    #[error("adapter {adapter}: {} modules have no place in this network: {modules:?}", modules.len())]
    AdapterModules {
        /// The adapter.
        adapter: String,
        /// Dotted module names.
        modules: Vec<String>,
    },
    /// A LoRA adapter file is incomplete or inconsistent at one module.
    #[error("adapter {adapter}: module {module}: {reason}")]
    AdapterModule {
        /// The adapter or its file.
        adapter: String,
        /// Dotted module name.
        module: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An adapter of this name is not attached.
    #[error("no adapter named {adapter}; attached: {attached:?}")]
    UnknownAdapter {
        /// The name asked for.
        adapter: String,
        /// The names there are.
        attached: Vec<String>,
    },
    /// A sampler cannot take this number of steps.
    #[error("{steps} inference steps, expected 1 to {maximum}")]
    SchedulerSteps {
        /// The number asked for.
        steps: usize,
        /// The largest number that this schedule can take.
        maximum: usize,
    },
    /// A timestep lies outside the training schedule.
    #[error("timestep {timestep} is not in 0..{timesteps}")]
    TimestepOutOfRange {
        /// The timestep.
        timestep: i64,
        /// Number of training timesteps.
        timesteps: usize,
    },
    /// A sampler's steps were not taken one after the other.
    #[error("step {index} of {steps}, expected step {expected} or a new run from step 0")]
    StepOutOfOrder {
        /// The step asked for.
        index: usize,
        /// The step whose turn it is.
        expected: usize,
        /// Number of steps of the run.
        steps: usize,
    },
    /// A stochastic step was taken without noise.
    #[error("step {index} adds noise, but none was given")]
    VarianceNoiseMissing {
        /// The step.
        index: usize,
    },
    /// A tensor lies on another device than those it is combined with.
    #[error("{what} is on {actual:?}, expected {expected:?}")]
    Device {
        /// The argument.
        what: &'static str,
        /// The device of the other tensors.
        expected: tch::Device,
        /// The tensor's device.
        actual: tch::Device,
    },
    /// A tokenizer's vocabulary lacks a token that it needs.
    #[error("the vocabulary has no token {token:?}")]
    Vocabulary {
        /// The token's text.
        token: String,
    },
    /// A line of a tokenizer's merge list is not two pieces with a space between them.
    #[error("{}:{line}: expected two pieces with one space between them, found {text:?}", path.display())]
    Merges {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1 (the entry, in `tokenizer.json`).
        line: usize,
        /// What it says, cut to 80 characters.
        text: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl Error {
    /// Wraps an I/O failure with its file; used with `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Wraps a JSON failure with its file; used with `map_err`.
    pub fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + '_ {
        move |source| Self::Json { path: path.to_owned(), source }
    }
}
