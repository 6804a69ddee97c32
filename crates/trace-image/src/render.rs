//! Bit planes to pixels.
//!
//! Representation: four cells at a time. A nibble of the *present* plane and one of the *value*
//! plane choose one of 256 groups of four ready-made pixels, 12 bytes each: the table takes 3 KiB
//! and stays in the first-level cache (one for whole bytes would take 1.5 MiB). Bench:
//! `render/1024x1088`.

use nprint_codec::TernaryMatrix;

use crate::{Canvas, Description, Palette, Result, TraceImage};

/// Draws a matrix, one pixel a cell.
///
/// Rows and columns of the canvas past the matrix are vacant. A matrix with more rows than the
/// canvas is **cut**: the image's [`packet_rows`](Description::packet_rows) says how many rows it
/// shows, so compare it with [`TernaryMatrix::rows`] where that matters.
///
/// # Errors
/// [`Error::CanvasSize`](crate::Error::CanvasSize);
/// [`Error::CanvasTooNarrow`](crate::Error::CanvasTooNarrow) where columns would be lost.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, TernaryMatrix, ipv4};
/// use trace_image::{Canvas, Palette, render};
///
/// let mut matrix = TernaryMatrix::new(Layout::reference());
/// matrix.push_vacant().set(ipv4::VERSION, 4); // 0100
/// let image = render(&matrix, &Palette::TORCHLIGHT, &Canvas { rows: 2, columns: 1088 })?;
/// assert_eq!(image.pixels()[..6], [255, 0, 0, 0, 255, 0]); // 0 is red, 1 is green
/// assert_eq!(image.pixels()[1088 * 3..][..3], [0, 0, 255]); // padding is blue
/// assert_eq!(image.description()?.packet_rows, Some(1));
/// # Ok::<(), trace_image::Error>(())
/// ```
pub fn render(matrix: &TernaryMatrix, palette: &Palette, canvas: &Canvas) -> Result<TraceImage> {
    let description = Description {
        palette: *palette,
        canvas: *canvas,
        layout: matrix.layout().clone(),
        packet_rows: Some(matrix.rows().min(canvas.rows)),
    };
    description.validate()?;
    TraceImage::from_rgb(*canvas, expand(matrix, palette, canvas))?.with_description(description)
}

/// Four pixels.
type Quad = [u8; 12];

/// `table[present nibble << 4 | value nibble]`, the most significant bit first.
fn quads(palette: &Palette) -> [Quad; 256] {
    std::array::from_fn(|index| {
        let mut quad = [0; 12];
        for (cell, pixel) in quad.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let bit = 3 - cell;
            *pixel = match ((index >> (4 + bit)) & 1, (index >> bit) & 1) {
                (0, _) => palette.vacant(),
                (_, 0) => palette.zero(),
                _ => palette.one(),
            };
        }
        quad
    })
}

/// The pixels of a canvas on which the matrix's columns fit; rows past the canvas are left out.
fn expand(matrix: &TernaryMatrix, palette: &Palette, canvas: &Canvas) -> Vec<u8> {
    let table = quads(palette);
    let padding = palette.vacant().repeat(canvas.columns);
    let covered = matrix.columns() * 3;
    let mut pixels = Vec::with_capacity(padding.len() * canvas.rows);
    for row in matrix.iter().take(canvas.rows) {
        let words = row.present_words().iter().zip(row.value_words());
        let start = pixels.len();
        for (present, value) in words {
            for shift in (0..64).step_by(4).rev() {
                let index = ((present >> shift) & 15) << 4 | ((value >> shift) & 15);
                pixels.extend_from_slice(&table[index as usize]);
            }
        }
        // The last word may reach past the layout; the canvas may reach past that.
        pixels.truncate(start + covered);
        pixels.extend_from_slice(&padding[covered..]);
    }
    while pixels.len() < padding.len() * canvas.rows {
        pixels.extend_from_slice(&padding);
    }
    pixels
}
