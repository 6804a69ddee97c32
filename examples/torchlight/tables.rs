//! Parquet tables. Feature `polars`.

use std::sync::Arc;

use torchlight::nprint_codec::{
    CsvOptions, CsvTable, Layout, Trace, read_parquet_from, write_parquet,
};

/// Whether this build has tables.
pub fn check() -> anyhow::Result<()> {
    Ok(())
}

/// The rows of a capture as a Parquet file, and their number.
pub fn encode(
    trace: &Trace,
    layout: &Arc<Layout>,
    options: &CsvOptions,
) -> anyhow::Result<(Vec<u8>, usize)> {
    let table = CsvTable::of_trace(trace, layout, options);
    let mut bytes = Vec::new();
    write_parquet(&mut bytes, &table)?;
    Ok((bytes, table.matrix.rows()))
}

/// The rows of a Parquet file; `name` stands for it in errors.
pub fn decode(bytes: Vec<u8>, name: &str) -> anyhow::Result<CsvTable> {
    Ok(read_parquet_from(bytes, name)?)
}
