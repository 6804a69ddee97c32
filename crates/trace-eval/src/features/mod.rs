//! Two views of a capture for classifiers: header bits, and the sequence of lengths and times.

mod bits;
mod sequence;
mod summary;

pub use bits::{BitView, is_leak_prone};
pub use sequence::{SequenceFeatures, sequence_features};
pub use summary::{Series, series};
