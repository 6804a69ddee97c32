//! Heat maps as pixels.

use super::heat_map::level;
use crate::report::{HeaderStrip, style};
use crate::{Error, Result};
use std::path::Path;

/// Pixels of a bit across, and of a row down.
const ACROSS: usize = 4;
const DOWN: usize = 24;

/// A PNG file of a heat map without words: synthetic against real above real against real, 4 × 24 pixels
/// a bit. `path` stands for the file in errors.
pub(in crate::report) fn heat_map_png(h: &HeaderStrip, path: &Path) -> Result<Vec<u8>> {
    let row = |of: fn(&crate::report::FieldStrip) -> &[f64]| -> Vec<u8> {
        let bits = h.fields.iter().flat_map(|f| {
            // Where there is no floor its place stays blank.
            (0..f.synthetic.len()).map(move |i| of(f).get(i).copied().unwrap_or(0.0))
        });
        bits.flat_map(|v| [level(v) as u8; ACROSS]).collect()
    };
    let rows = [row(|f| &f.synthetic), row(|f| &f.noise_floor)];
    let pixels: Vec<u8> = rows.iter().flat_map(|row| row.repeat(DOWN)).collect();
    let error = |source: png::EncodingError| Error::Png { path: path.to_owned(), source };
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, rows[0].len() as u32, (rows.len() * DOWN) as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(style::shades());
    let mut writer = encoder.write_header().map_err(error)?;
    writer.write_image_data(&pixels).map_err(error)?;
    writer.finish().map_err(error)?;
    Ok(out)
}
