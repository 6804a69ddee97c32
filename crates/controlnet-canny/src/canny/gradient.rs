//! Sobel 3x3 derivatives of a row and the channel whose gradient is longest.
//!
//! Representation: an interleaved row is split once into planes of bytes, each with its first and
//! last sample repeated (OpenCV's replicated border), so that the derivative loop has no edge case
//! and reads nine streams of consecutive bytes; the compiler turns it into 16-bit vector code on
//! plain `x86-64`. Working on interleaved samples and choosing the channel afterwards was slower:
//! the choice with stride 3 stays scalar. Bench: `canny/1024x1088`.

use std::marker::PhantomData;

/// A way to measure a gradient's length in integers.
pub(super) trait Measure {
    /// Lengths and thresholds, both in the same unit.
    type Value: Copy + Ord;
    /// The length of no gradient; also that of pixels outside the image.
    const ZERO: Self::Value;
    /// Shorter than any gradient.
    const LESS_THAN_ANY: Self::Value;
    /// The length of `(dx, dy)`, each of at most 1020 in size.
    fn length(dx: i16, dy: i16) -> Self::Value;
    /// The largest integer length not above a threshold given in gray levels.
    fn threshold(level: f64) -> Self::Value;
}

/// `|dx| + |dy|`: at most 2040.
pub(super) struct L1;

impl Measure for L1 {
    type Value = i16;
    const ZERO: i16 = 0;
    const LESS_THAN_ANY: i16 = -1;

    #[inline]
    fn length(dx: i16, dy: i16) -> i16 {
        dx.abs() + dy.abs()
    }

    /// Saturating keeps every comparison: lengths use a fifteenth of the range.
    fn threshold(level: f64) -> i16 {
        level.floor() as i16
    }
}

/// `dx^2 + dy^2`: at most 2 080 800; thresholds are squared.
pub(super) struct L2;

impl Measure for L2 {
    type Value = i32;
    const ZERO: i32 = 0;
    const LESS_THAN_ANY: i32 = -1;

    #[inline]
    fn length(dx: i16, dy: i16) -> i32 {
        i32::from(dx) * i32::from(dx) + i32::from(dy) * i32::from(dy)
    }

    /// OpenCV caps at 32767 and squares only what is positive.
    fn threshold(level: f64) -> i32 {
        let level = level.min(32_767.0);
        (if level > 0.0 { level * level } else { level }).floor() as i32
    }
}

/// One input row as planes, each sample row framed by copies of its ends.
pub(super) struct PlaneRow {
    planes: Vec<Vec<u8>>,
}

impl PlaneRow {
    pub(super) fn new(width: usize, channels: usize) -> Self {
        Self { planes: vec![vec![0; width + 2]; channels] }
    }

    /// Splits an interleaved row of `width * channels` samples.
    pub(super) fn load(&mut self, samples: &[u8]) {
        match self.planes.as_mut_slice() {
            [gray] => {
                let end = gray.len() - 1;
                gray[1..end].copy_from_slice(samples);
            }
            [red, green, blue] => {
                let outputs = red[1..].iter_mut().zip(&mut green[1..]).zip(&mut blue[1..]);
                for (&[r, g, b], ((red, green), blue)) in
                    samples.as_chunks::<3>().0.iter().zip(outputs)
                {
                    (*red, *green, *blue) = (r, g, b);
                }
            }
            planes => {
                let channels = planes.len();
                for (channel, plane) in planes.iter_mut().enumerate() {
                    let inputs = samples[channel..].iter().step_by(channels);
                    plane[1..].iter_mut().zip(inputs).for_each(|(to, &from)| *to = from);
                }
            }
        }
        for plane in &mut self.planes {
            let last = plane.len() - 1;
            plane[0] = plane[1];
            plane[last] = plane[last - 1];
        }
    }
}

/// The gradients of one row.
pub(super) struct GradientRow<M: Measure> {
    /// Derivative along the columns, `width` of them.
    pub(super) dx: Vec<i16>,
    /// Derivative along the rows, `width` of them.
    pub(super) dy: Vec<i16>,
    /// Lengths, `width + 2` of them: the first and the last stand outside the image and are 0.
    pub(super) length: Vec<M::Value>,
    measure: PhantomData<M>,
}

impl<M: Measure> GradientRow<M> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            dx: vec![0; width],
            dy: vec![0; width],
            length: vec![M::ZERO; width + 2],
            measure: PhantomData,
        }
    }

    /// Makes it a row outside the image.
    pub(super) fn clear(&mut self) {
        self.length.fill(M::ZERO);
    }

    /// Takes from the input rows above, at and below the gradient of the channel where it is
    /// longest; the first such channel wins a tie.
    pub(super) fn fill(&mut self, [above, at, below]: &[PlaneRow; 3]) {
        let width = self.dx.len();
        self.length[1..=width].fill(M::LESS_THAN_ANY);
        let Self { dx, dy, length, .. } = self;
        for ((above, at), below) in above.planes.iter().zip(&at.planes).zip(&below.planes) {
            merge::<M>(above, at, below, dx, dy, &mut length[1..=width]);
        }
    }
}

/// Puts one channel's gradient wherever it is longer than what is there.
///
/// A function of its own because mutable *arguments* are known not to overlap anything: with
/// eleven slices the compiler gives up on checking that at run time. The choice is made with masks
/// because `if` becomes a branch around three stores. Either way scalar code came out, which was
/// several times slower.
#[inline(never)]
fn merge<M: Measure>(
    above: &[u8],
    at: &[u8],
    below: &[u8],
    best_dx: &mut [i16],
    best_dy: &mut [i16],
    best_length: &mut [M::Value],
) {
    let width = best_dx.len();
    let (above0, above1, above2) = (&above[..width], &above[1..][..width], &above[2..][..width]);
    let (at0, at2) = (&at[..width], &at[2..][..width]);
    let (below0, below1, below2) = (&below[..width], &below[1..][..width], &below[2..][..width]);
    let (best_dy, best_length) = (&mut best_dy[..width], &mut best_length[..width]);
    for i in 0..width {
        let [a0, a1, a2] = [above0[i], above1[i], above2[i]].map(i16::from);
        let [b0, b2] = [at0[i], at2[i]].map(i16::from);
        let [c0, c1, c2] = [below0[i], below1[i], below2[i]].map(i16::from);
        let dx = (a2 - a0) + 2 * (b2 - b0) + (c2 - c0);
        let dy = (c0 - a0) + 2 * (c1 - a1) + (c2 - a2);
        let length = M::length(dx, dy);
        let take = -i16::from(length > best_length[i]); // all ones or all zeros
        best_dx[i] = (dx & take) | (best_dx[i] & !take);
        best_dy[i] = (dy & take) | (best_dy[i] & !take);
        best_length[i] = length.max(best_length[i]);
    }
}
