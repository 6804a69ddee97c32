//! Views of a capture in numbers: header bits, the sequence of lengths and times, flows, field values.

mod autocorrelation;
mod bits;
mod cicflow;
mod field_values;
mod flow;
mod netflow;
mod ngrams;
mod sequence;
mod summary;

pub use autocorrelation::autocorrelation;
pub use bits::{BitView, is_leak_prone};
pub use cicflow::{CICFLOW_NAMES, cicflow_features};
pub use field_values::{ABSENT, FieldColumns, field_columns};
pub use flow::{Flow, FlowPacket, flows};
pub use netflow::{NETFLOW_NAMES, netflow_features};
pub use ngrams::{packet_tokens, token_ngrams};
pub use sequence::{SequenceFeatures, sequence_features};
pub use summary::{Series, series};
