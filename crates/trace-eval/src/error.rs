//! What can go wrong, with the place where it did.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A set that must have samples has none.
    #[error("the {set} set is empty; evaluation needs at least {needed} capture(s) in it")]
    EmptySet {
        /// Which set: `real` or `synthetic`.
        set: &'static str,
        /// Least number of samples.
        needed: usize,
    },
    /// A sample without a single packet row.
    #[error("sample {name} of the {set} set has no packet; leave it out or give it packets")]
    EmptySample {
        /// Which set.
        set: &'static str,
        /// Name of the sample.
        name: String,
    },
    /// Two matrices that are compared have different columns.
    #[error(
        "sample {name} has {found} columns where the first sample has {expected}, or other fields; encode all with one layout"
    )]
    LayoutMismatch {
        /// Name of the sample.
        name: String,
        /// Columns of the first sample.
        expected: usize,
        /// Columns of this one.
        found: usize,
    },
    /// A synthetic sample names a parent that is in neither real set.
    #[error(
        "sample {name} names the parent {parent}, which is neither in the real nor in the held-out set"
    )]
    UnknownParent {
        /// Name of the sample.
        name: String,
        /// Name of the parent.
        parent: String,
    },
    /// A name comes twice among the real and held-out samples, so that a parent is ambiguous.
    #[error("the name {name} comes twice among the real captures; parents are found by name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A cell is none of -1, 0, 1.
    #[error("cell {column} of row {row} is {value}; ternary cells are -1, 0 or 1")]
    NotTernary {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// What was found.
        value: i8,
    },
    /// A number of cells is no multiple of the number of columns.
    #[error("{cells} cells do not fill rows of {columns} columns")]
    RaggedCells {
        /// Number of cells.
        cells: usize,
        /// Number of columns.
        columns: usize,
    },
    /// Two matrices have a different number of columns.
    #[error("a matrix of {left} columns cannot be compared with one of {right}")]
    ColumnCount {
        /// Columns of the first.
        left: usize,
        /// Columns of the second.
        right: usize,
    },
    /// A numeric feature is NaN or infinite.
    #[error("feature {feature} of sample {sample} is {value}; features must be finite")]
    NotFinite {
        /// Index of the sample.
        sample: usize,
        /// Name of the feature.
        feature: String,
        /// What was found.
        value: f64,
    },
    /// Samples disagree in the number of features.
    #[error("sample {sample} has {found} features where {expected} were expected")]
    FeatureCount {
        /// Index of the sample.
        sample: usize,
        /// Number expected.
        expected: usize,
        /// Number found.
        found: usize,
    },
    /// A classifier was given nothing to learn from.
    #[error(
        "a classifier needs at least two classes with samples to learn from; found {classes} in {samples} sample(s)"
    )]
    TooFewClasses {
        /// Number of training samples.
        samples: usize,
        /// Number of classes among them.
        classes: usize,
    },
    /// A sample index or label is out of range.
    #[error("{what} {index} is out of range: there are {count}")]
    OutOfRange {
        /// What was indexed.
        what: &'static str,
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A setting makes no sense.
    #[error("setting {setting} is {value}; it must be {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A picture could not be made.
    #[error("cannot make the picture {}", path.display())]
    Png {
        /// The file.
        path: PathBuf,
        /// Why.
        source: png::EncodingError,
    },
    /// A table could not be written as CSV.
    #[error("cannot write table {}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A table could not be written as Parquet.
    #[cfg(feature = "polars")]
    #[error("cannot write table {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: polars::error::PolarsError,
    },
    /// The report could not be written as JSON.
    #[error("cannot write report {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
