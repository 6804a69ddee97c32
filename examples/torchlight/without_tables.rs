//! What stands in for `tables.rs` in a build without feature `polars`: one answer.

use std::sync::Arc;

use anyhow::{Error, anyhow};
use torchlight::nprint_codec::{CsvOptions, CsvTable, Layout, Trace};

fn missing() -> Error {
    anyhow!("Parquet needs a build with feature polars; CSV, NPY and PNG do not")
}

/// Whether this build has tables.
pub fn check() -> anyhow::Result<()> {
    Err(missing())
}

/// The rows of a capture as a Parquet file, and their number.
pub fn encode(_: &Trace, _: &Arc<Layout>, _: &CsvOptions) -> anyhow::Result<(Vec<u8>, usize)> {
    Err(missing())
}

/// The rows of a Parquet file.
pub fn decode(_: Vec<u8>, _: &str) -> anyhow::Result<CsvTable> {
    Err(missing())
}
