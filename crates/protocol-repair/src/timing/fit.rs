//! Which stretches of real captures are kept.

use super::step::Step;
use super::stretch::Stretch;
use std::collections::BTreeMap;

/// Gaps of a stretch: those of an image of 1024 packets. Within fewer, a capture's slow changes,
/// and with them its autocorrelation, would be lost.
pub(super) const STRETCH: usize = 1023;
/// Most stretches that a model keeps: 330 kB.
const MOST: usize = 160;

/// A capture's gaps and labels.
pub(super) type Observed<'a> = (Vec<Step>, &'a [String]);

/// Keeps at most [`MOST`] stretches, shared out evenly among the captures' kinds (those of the same
/// labels), equally far apart in the order in which the captures are given; each with its labels.
pub(super) fn fit<'a>(captures: &[Observed<'a>]) -> Vec<(Stretch, &'a [String])> {
    let mut kinds: BTreeMap<&[String], Vec<Stretch>> = BTreeMap::new();
    for (steps, labels) in captures {
        let parts = steps.chunks(STRETCH).enumerate();
        // An unfinished last part is not worth its place.
        let whole = parts.filter(|(index, part)| *index == 0 || part.len() == STRETCH);
        let stretches = whole.filter_map(|(_, part)| Stretch::new(part));
        kinds.entry(labels).or_default().extend(stretches);
    }
    let found: Vec<usize> = kinds.values().map(Vec::len).collect();
    let shares = shares(&found);
    let mut out = Vec::new();
    for ((labels, stretches), share) in kinds.into_iter().zip(shares) {
        let kept = (0..share).map(|i| (i * stretches.len()).div_euclid(share));
        out.extend(kept.map(|index| (stretches[index].clone(), labels)));
    }
    out
}

/// How many of each kind are kept: one of each in turn, while there are any and there is room.
fn shares(found: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; found.len()];
    let mut room = MOST;
    while room > 0 && shares != found {
        for (share, found) in shares.iter_mut().zip(found) {
            let more = usize::from(*share < *found && room > 0);
            *share += more;
            room -= more;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_evenly() {
        assert_eq!(shares(&[3, 500, 0, 70]), [3, 87, 0, 70]);
        assert_eq!(shares(&[9, 9]), [9, 9]);
        assert_eq!(shares(&[1; 200]).iter().sum::<usize>(), MOST);
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn parts_of_long_captures_are_kept_from_all_over() {
        let capture: Vec<Step> =
            (0..300 * STRETCH).map(|i| Step { context: 0, level: (i >> 10) as u16 }).collect();
        let kept = fit(&[(capture, &[])]);
        assert_eq!(kept.len(), MOST);
        assert!(kept.iter().all(|(stretch, _)| stretch.steps().len() == STRETCH));
        assert!(kept[MOST - 1].0.steps()[0].level > 295);
    }
}
