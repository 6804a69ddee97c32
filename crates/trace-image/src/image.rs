//! An RGB image that may know what it shows.

use crate::{Canvas, Description, Error, Result};

/// An RGB image of a trace.
///
/// # Layout
/// 8 bits a channel, `pixels[(row * columns + column) * 3 + channel]`, channels red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceImage {
    size: Canvas,
    pixels: Vec<u8>,
    description: Option<Description>,
}

impl TraceImage {
    /// An image of any RGB pixels, say generated ones.
    ///
    /// # Errors
    /// [`Error::CanvasSize`]; [`Error::PixelBytes`] unless there are three bytes a pixel.
    pub fn from_rgb(size: Canvas, pixels: Vec<u8>) -> Result<Self> {
        let expected = size.pixels()? * 3;
        if pixels.len() == expected {
            Ok(Self { size, pixels, description: None })
        } else {
            Err(Error::PixelBytes { canvas: size, expected, found: pixels.len() })
        }
    }

    /// The same pixels, described.
    ///
    /// # Errors
    /// Those of [`Description::validate`]; [`Error::Resized`] where the image has not the size
    /// of the described canvas.
    pub fn with_description(self, description: Description) -> Result<Self> {
        description.validate()?;
        if self.size != description.canvas {
            return Err(Error::Resized { found: self.size, canvas: description.canvas });
        }
        Ok(Self { description: Some(description), ..self })
    }

    /// Rows and columns of pixels.
    pub fn size(&self) -> Canvas {
        self.size
    }

    /// The pixels, as the type's layout says.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, owned.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// What the image says about itself.
    ///
    /// # Errors
    /// [`Error::Undescribed`] where it says nothing, as generated images and those of other
    /// programs do.
    pub fn description(&self) -> Result<&Description> {
        self.description.as_ref().ok_or(Error::Undescribed)
    }
}
