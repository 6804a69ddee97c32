//! How large an image is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Rows and columns of an image; each row a packet, each column a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canvas {
    /// Rows. Default 1024. Source: Torchlight and NetDiffusion, 1024 packets a trace.
    pub rows: usize,
    /// Columns. Default 1088, the reference layout: 17 × 64.
    pub columns: usize,
}

impl Canvas {
    /// The most pixels that this crate reads or writes; a PNG header can claim any size.
    pub const MAX_PIXELS: usize = 1 << 26;

    /// Number of pixels, checked.
    ///
    /// # Errors
    /// [`Error::CanvasSize`] for none or more than [`MAX_PIXELS`](Self::MAX_PIXELS).
    pub fn pixels(&self) -> Result<usize> {
        match self.rows.checked_mul(self.columns) {
            Some(pixels @ 1..=Self::MAX_PIXELS) => Ok(pixels),
            _ => Err(Error::CanvasSize { canvas: *self }),
        }
    }
}

impl Default for Canvas {
    fn default() -> Self {
        Self { rows: 1024, columns: 1088 }
    }
}

impl fmt::Display for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows x {} columns", self.rows, self.columns)
    }
}
