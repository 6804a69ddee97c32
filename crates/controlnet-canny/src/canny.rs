//! Canny edges, pixel for pixel what OpenCV's `Canny` with aperture 3 gives.
//!
//! ```text
//! rows ─split→ planes ─Sobel 3x3→ dx, dy, norm of the strongest channel   (gradient)
//!                                   └─along the gradient→ none/weak/strong (suppress)
//!                                                           └─grow→ edges  (hysteresis)
//! ```
//!
//! There is no blur. The first two stages run row by row over a window of three rows, so that
//! everything but the class map stays in the first-level cache.

mod gradient;
mod gray;
mod hysteresis;
mod suppress;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use gradient::{GradientRow, L1, L2, Measure, PlaneRow};
pub use gray::to_gray;
use hysteresis::ClassMap;

/// A borrowed 8-bit image.
///
/// Layout: row by row, the channels of a pixel side by side: `data[(row * width + column) *
/// channels + channel]`.
#[derive(Debug, Clone, Copy)]
pub struct PixelView<'a> {
    /// The samples.
    pub data: &'a [u8],
    /// Columns, in pixels.
    pub width: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// Samples a pixel; any number from 1 up.
    pub channels: usize,
}

impl PixelView<'_> {
    /// Checks that the image has pixels and that `data` fills it exactly.
    ///
    /// # Errors
    /// [`Error::EmptyImage`], [`Error::ImageTooLarge`], [`Error::WrongLength`].
    pub fn validate(&self) -> Result<()> {
        let Self { data, width, height, channels } = *self;
        if width == 0 || height == 0 || channels == 0 {
            return Err(Error::EmptyImage { width, height, channels });
        }
        let expected = width
            .checked_mul(height)
            .and_then(|pixels| pixels.checked_mul(channels))
            .ok_or(Error::ImageTooLarge { width, height, channels })?;
        if data.len() == expected {
            Ok(())
        } else {
            Err(Error::WrongLength { width, height, channels, expected, actual: data.len() })
        }
    }
}

/// Edges of an image.
///
/// Layout: one byte a pixel, row by row, 255 on an edge and 0 elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeMap {
    /// Columns, in pixels.
    pub width: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// `width * height` bytes, 0 or 255.
    pub data: Vec<u8>,
}

impl EdgeMap {
    /// Whether the pixel is an edge; pixels outside the image are none.
    pub fn is_edge(&self, row: usize, column: usize) -> bool {
        row < self.height && column < self.width && self.data[row * self.width + column] != 0
    }

    /// How many pixels are edges.
    pub fn edge_pixels(&self) -> usize {
        self.data.iter().filter(|&&byte| byte != 0).count()
    }
}

/// How long a gradient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// `|dx| + |dy|`, OpenCV's default.
    #[default]
    #[serde(alias = "L1")]
    L1,
    /// `sqrt(dx^2 + dy^2)`, OpenCV's `L2gradient = true` (compared squared).
    #[serde(alias = "L2")]
    L2,
}

/// What the gradient of a colour image is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourMode {
    /// Every channel as it lies in the image; the strongest gradient counts.
    #[default]
    #[serde(alias = "color")]
    Colour,
    /// One gray channel, by [`to_gray`].
    #[serde(alias = "grey")]
    Gray,
}

/// Settings of the edge detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canny {
    /// A weak edge is stronger than this and counts if it touches a counted edge.
    ///
    /// Default 100. Source: the Canny example of diffusers' ControlNet guide.
    pub low: f64,
    /// A strong edge is stronger than this; `low` and `high` may come in either order.
    ///
    /// Default 200. Source: as `low`.
    pub high: f64,
    /// Default [`Norm::L1`]. Source: OpenCV's `L2gradient = false`.
    pub norm: Norm,
    /// Default [`ColourMode::Colour`]. Source: Torchlight hands the RGB array to OpenCV as it
    /// is (NetDiffusion converts to gray first).
    pub mode: ColourMode,
}

impl Default for Canny {
    fn default() -> Self {
        Self { low: 100.0, high: 200.0, norm: Norm::L1, mode: ColourMode::Colour }
    }
}

impl Canny {
    /// Finds the edges of `image`.
    ///
    /// Source: J. Canny, *A Computational Approach to Edge Detection*, 1986, with the integer
    /// arithmetic, border and tie rules of OpenCV 4 and 5 (`imgproc/src/canny.cpp`).
    /// Thresholds beyond the 32-bit range saturate.
    ///
    /// # Errors
    /// Those of [`PixelView::validate`]; [`Error::Threshold`] for a threshold that is not
    /// finite; [`Error::NoGrayConversion`] in gray mode for other than 1, 3 or 4 channels.
    pub fn detect(&self, image: PixelView<'_>) -> Result<EdgeMap> {
        image.validate()?;
        for (name, value) in [("low", self.low), ("high", self.high)] {
            if !value.is_finite() {
                return Err(Error::Threshold { name, value });
            }
        }
        if self.mode == ColourMode::Gray && image.channels != 1 {
            let data = to_gray(image)?;
            return Ok(self.edges(PixelView { data: &data, channels: 1, ..image }));
        }
        Ok(self.edges(image))
    }

    /// The edges of an image that has been checked.
    fn edges(&self, image: PixelView<'_>) -> EdgeMap {
        let (low, high) =
            if self.low > self.high { (self.high, self.low) } else { (self.low, self.high) };
        let classes = match self.norm {
            Norm::L1 => classify::<L1>(image, low, high),
            Norm::L2 => classify::<L2>(image, low, high),
        };
        EdgeMap { width: image.width, height: image.height, data: classes.grow() }
    }
}

/// Gradient and suppression over the whole image, three rows at a time.
///
/// `planes` holds the input rows above, at and below `row` and `gradients` the gradients above,
/// at and below `row - 1`, the row that is suppressed in the same turn.
fn classify<M: Measure>(image: PixelView<'_>, low: f64, high: f64) -> ClassMap {
    let PixelView { data, width, height, channels } = image;
    let input = |row: usize| &data[row * width * channels..(row + 1) * width * channels];
    let (low, high) = (M::threshold(low), M::threshold(high));

    let mut planes: [PlaneRow; 3] = std::array::from_fn(|_| PlaneRow::new(width, channels));
    planes[1].load(input(0));
    planes[2].load(input(0));
    let mut gradients: [GradientRow<M>; 3] = std::array::from_fn(|_| GradientRow::new(width));
    let mut classes = ClassMap::new(width, height);
    for row in 0..=height {
        gradients.rotate_left(1);
        if row < height {
            planes.rotate_left(1);
            planes[2].load(input((row + 1).min(height - 1)));
            gradients[2].fill(&planes);
        } else {
            gradients[2].clear();
        }
        if row > 0 {
            let [above, at, below] = &gradients;
            suppress::suppress_row(above, at, below, low, high, classes.row_mut(row - 1));
            classes.collect_strong(row - 1);
        }
    }
    classes
}
