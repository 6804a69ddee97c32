//! OpenCV-exact Canny edges and, over libtorch, the ControlNet that holds generation to them.
//!
//! The edge detector needs no libtorch: build with `--no-default-features` to have it alone.
//!
//! ```
//! use controlnet_canny::{Canny, PixelView};
//!
//! // A white square in the middle of a black 8 x 8 image of one channel.
//! let mut data = [0_u8; 64];
//! for row in 3..6 {
//!     data[row * 8 + 3..row * 8 + 6].fill(255);
//! }
//! let image = PixelView { data: &data, width: 8, height: 8, channels: 1 };
//! let edges = Canny::default().detect(image)?;
//! assert!(edges.is_edge(3, 3) && !edges.is_edge(0, 0));
//! assert_eq!(edges.data.len(), 64);
//! # Ok::<(), controlnet_canny::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod canny;
#[cfg(feature = "controlnet")]
pub mod controlnet;
mod error;

pub use canny::{Canny, ColourMode, EdgeMap, Norm, PixelView, to_gray};
pub use error::{Error, Result};

/// The example in the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
