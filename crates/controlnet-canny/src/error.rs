//! Everything that can go wrong in this crate, with the numbers that say where.

/// An input this crate cannot work with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image without pixels or without channels.
    #[error(
        "an image of {width}x{height} pixels and {channels} channels is empty: \
         edges need at least one pixel of one channel"
    )]
    EmptyImage {
        /// Columns of the image.
        width: usize,
        /// Rows of the image.
        height: usize,
        /// Samples a pixel.
        channels: usize,
    },
    /// The bytes do not fill the image they are said to be.
    #[error(
        "{width}x{height} pixels of {channels} channels need {expected} bytes, \
         but {actual} were given"
    )]
    WrongLength {
        /// Columns of the image.
        width: usize,
        /// Rows of the image.
        height: usize,
        /// Samples a pixel.
        channels: usize,
        /// `width * height * channels`.
        expected: usize,
        /// Length of the data.
        actual: usize,
    },
    /// The number of samples does not fit the machine's address space.
    #[error(
        "{width}x{height} pixels of {channels} channels are more than this machine can address"
    )]
    ImageTooLarge {
        /// Columns of the image.
        width: usize,
        /// Rows of the image.
        height: usize,
        /// Samples a pixel.
        channels: usize,
    },
    /// Gray conversion is defined for one, three and four channels.
    #[error("cannot make gray of {channels} channels: expected 1 (gray), 3 (RGB) or 4 (RGBA)")]
    NoGrayConversion {
        /// Samples a pixel.
        channels: usize,
    },
    /// A threshold that is not a number or is infinite.
    #[error("the {name} threshold is {value}: expected a finite number")]
    Threshold {
        /// `low` or `high`.
        name: &'static str,
        /// The value given.
        value: f64,
    },
}

/// What this crate's fallible functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
