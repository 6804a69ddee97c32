//! RGB to gray with OpenCV's integer weights.

use super::PixelView;
use crate::error::{Error, Result};

/// One gray byte a pixel: `(9798 R + 19235 G + 3735 B + 16384) >> 15`.
///
/// The weights are 0.299, 0.587 and 0.114 in units of 2^-15, rounded. Alpha is dropped; an image
/// of one channel comes back as it is. Source: OpenCV `imgproc/src/color_rgb` (`RGB2GRAY`).
///
/// # Errors
/// Those of [`PixelView::validate`], and [`Error::NoGrayConversion`] for other than 1, 3 or 4
/// channels.
pub fn to_gray(image: PixelView<'_>) -> Result<Vec<u8>> {
    image.validate()?;
    match image.channels {
        1 => Ok(image.data.to_vec()),
        3 => Ok(image.data.as_chunks::<3>().0.iter().map(|&rgb| luma(rgb)).collect()),
        4 => {
            Ok(image.data.as_chunks::<4>().0.iter().map(|&[r, g, b, _]| luma([r, g, b])).collect())
        }
        channels => Err(Error::NoGrayConversion { channels }),
    }
}

/// The weighted mean of one pixel; the weights sum to 2^15, so it fits a byte.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 9798 * u32::from(red) + 19_235 * u32::from(green) + 3735 * u32::from(blue);
    ((sum + (1 << 14)) >> 15) as u8
}
