//! Non-maximum suppression: what is not the ridge of a gradient is no edge.
//!
//! Every comparison of a pixel is made and the wanted one selected: without branches the loop
//! becomes vector code, and on trace images, where neighbouring pixels differ without a pattern,
//! branches would be mispredicted. Bench: `canny/1024x1088`.

use super::gradient::{GradientRow, Measure};
use super::hysteresis::{NONE, STRONG, WEAK};

/// tan(22.5 degrees) in units of 2^-15, rounded; tan(67.5 degrees) is this plus 2.
const TAN_22_5: i32 = 13_573;

/// Classifies the pixels of the row `at`.
#[allow(clippy::needless_bitwise_bool)] // `&&` would be a branch, see above.
pub(super) fn suppress_row<M: Measure>(
    above: &GradientRow<M>,
    at: &GradientRow<M>,
    below: &GradientRow<M>,
    low: M::Value,
    high: M::Value,
    classes: &mut [u8],
) {
    let width = classes.len();
    let (dx, dy) = (&at.dx[..width], &at.dy[..width]);
    let [above_left, above_mid, above_right] = neighbours(&above.length, width);
    let [left, mid, right] = neighbours(&at.length, width);
    let [below_left, below_mid, below_right] = neighbours(&below.length, width);
    for i in 0..width {
        let length = mid[i];
        let x = i32::from(dx[i].abs());
        let y = i32::from(dy[i].abs()) << 15;
        let tan_22_5 = x * TAN_22_5;
        let tan_67_5 = tan_22_5 + (x << 16);

        let across = (length > left[i]) & (length >= right[i]);
        let upright = (length > above_mid[i]) & (length >= below_mid[i]);
        let rising = (length > above_right[i]) & (length > below_left[i]);
        let falling = (length > above_left[i]) & (length > below_right[i]);
        let horizontal = y < tan_22_5;
        let vertical = y > tan_67_5;
        let opposite = (dx[i] ^ dy[i]) < 0;
        let ridge = (horizontal & across)
            | (vertical & upright)
            | (!horizontal & !vertical & ((opposite & rising) | (!opposite & falling)));

        let class = if length > high { STRONG } else { WEAK };
        classes[i] = if ridge & (length > low) { class } else { NONE };
    }
}

/// The lengths left of, at and right of every pixel of a framed row.
fn neighbours<V>(framed: &[V], width: usize) -> [&[V]; 3] {
    [&framed[..width], &framed[1..][..width], &framed[2..][..width]]
}
