//! The real captures that the benchmarks run on.

use std::error::Error;
use std::path::{Path, PathBuf};

use nprint_codec::{Layout, RowPolicy, TernaryMatrix, encode, read_capture};
use trace_image::{Canvas, Palette, TraceImage, render};

/// Rows and columns of a trace image, as benchmark ids carry them.
pub const SIZE: &str = "1024x1088";

/// The sample captures in the order of their names.
///
/// # Errors
/// Where the folder cannot be read.
pub fn captures() -> std::io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-samples/captures");
    let entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    paths.sort();
    Ok(paths)
}

/// The first 1024 packets of the first sample capture in the reference layout.
///
/// # Errors
/// Where there is no capture, or it cannot be read.
pub fn matrix() -> Result<TernaryMatrix, Box<dyn Error>> {
    let paths = captures()?;
    let path = paths.first().ok_or("there is no sample capture")?;
    let mut matrix = encode(&read_capture(path)?, &Layout::reference(), RowPolicy::default());
    matrix.truncate(Canvas::default().rows);
    Ok(matrix)
}

/// [`matrix`] as an image of 1024 × 1088 pixels.
///
/// # Errors
/// Those of [`matrix`].
pub fn image() -> Result<TraceImage, Box<dyn Error>> {
    Ok(render(&matrix()?, &Palette::TORCHLIGHT, &Canvas::default())?)
}
