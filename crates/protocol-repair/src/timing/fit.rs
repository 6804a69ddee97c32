//! Which stretches of real captures are kept.

use super::sessions::GapModel;
use super::step::Step;

/// Gaps of a stretch. Shorter ones lose the autocorrelation over 20 gaps; longer ones gain little.
const STRETCH: usize = 512;
/// Most gaps that a model keeps.
const MOST: usize = 16_384;

/// Keeps stretches of captures, at most [`MOST`] gaps in all: as many captures as there is room for,
/// equally far apart in the order in which they are given, each from another place.
pub(super) fn fit(captures: &[&[Step]]) -> GapModel {
    let captures: Vec<&[Step]> = captures.iter().copied().filter(|c| !c.is_empty()).collect();
    let room = MOST.div_euclid(STRETCH);
    let kept = captures.len().min(room);
    let sessions = (0..kept).map(|index| {
        let capture = captures[(index * captures.len()).div_euclid(kept)];
        let length = capture.len().min(MOST.div_euclid(kept));
        let first = ((capture.len() - length) * index).div_euclid(kept);
        capture[first..first + length].to_vec()
    });
    GapModel { sessions: sessions.collect() }
}
