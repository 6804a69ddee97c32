//! The edges of trace images.

use std::path::Path;

use controlnet_canny::{Canny, EdgeMap, PixelView};
use trace_image::FolderImage;

use crate::artefact::write_atomic;
use crate::{Error, Monitor, Result};

/// Writes `<folder>/<stem>.png`, gray, 255 on an edge, for every image.
///
/// # Errors
/// [`Error::Image`], [`Error::Edges`], [`Error::EdgePng`], [`Error::Io`], [`Error::Stopped`].
pub fn write_edges(
    images: &[FolderImage],
    canny: &Canny,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    for (index, entry) in images.iter().enumerate() {
        monitor.step(index, images.len())?;
        let image = entry.read()?;
        let size = image.size();
        let (width, height) = (size.columns, size.rows);
        let view = PixelView { data: image.pixels(), width, height, channels: 3 };
        let path = folder.join(format!("{}.png", entry.stem()));
        write_edge_png(&canny.detect(view)?, &path)?;
    }
    monitor.step(images.len(), images.len())
}

/// Writes edges as an 8-bit gray PNG file, in one step.
///
/// # Errors
/// [`Error::EdgePng`], [`Error::Io`].
pub fn write_edge_png(edges: &EdgeMap, path: &Path) -> Result<()> {
    write_atomic(path, &edge_png(edges)?)
}

/// Edges as an 8-bit gray PNG.
///
/// # Errors
/// [`Error::EdgePng`] for a size that PNG does not know.
pub fn edge_png(edges: &EdgeMap) -> Result<Vec<u8>> {
    let wrong = |source| Error::EdgePng { width: edges.width, height: edges.height, source };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, edges.width as u32, edges.height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(wrong)?;
    writer.write_image_data(&edges.data).map_err(wrong)?;
    writer.finish().map_err(wrong)?;
    Ok(bytes)
}
