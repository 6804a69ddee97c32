//! Numbers of a stream that were not sent, though some behind them were.

use super::segment::distance;

/// Where a hole begins and ends.
pub(super) type Hole = (u32, u32);

/// A hole's part of the signature: they are added up.
pub(super) fn sign((from, to): Hole) -> u32 {
    from.wrapping_mul(0x9e37_79b1) ^ to.wrapping_mul(0x85eb_ca6b).rotate_left(13)
}

/// What is left of a hole before and behind the numbers from `seq` to `end`; `None` where they do not touch it.
pub(super) fn left((from, to): Hole, seq: u32, end: u32) -> Option<[Option<Hole>; 2]> {
    let touches = distance(seq, to) > 0 && distance(from, end) > 0;
    let before = (distance(from, seq) > 0).then_some((from, seq));
    let behind = (distance(end, to) > 0).then_some((end, to));
    touches.then_some([before, behind])
}

/// What is left of holes after the numbers from `seq` to `end` were sent:
/// those in the middle of a hole leave two.
pub(super) fn fill(holes: &mut Vec<Hole>, seq: u32, end: u32) {
    for at in (0..holes.len()).rev() {
        match left(holes[at], seq, end) {
            None => {}
            Some([None, None]) => drop(holes.remove(at)),
            Some([Some(part), None] | [None, Some(part)]) => holes[at] = part,
            Some([Some(before), Some(behind)]) => {
                holes[at] = behind;
                holes.insert(at + 1, before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_lose_what_was_sent() {
        // Around 2^32, the newest hole first.
        let number = |n: u32| n.wrapping_sub(50);
        let holes = |all: &[(u32, u32)]| -> Vec<(u32, u32)> {
            all.iter().map(|(from, to)| (number(*from), number(*to))).collect()
        };
        for (from, to, left) in [
            (20, 40, vec![(60, 90)]),
            (60, 70, vec![(70, 90), (20, 40)]),
            (80, 99, vec![(60, 80), (20, 40)]),
            (65, 75, vec![(75, 90), (60, 65), (20, 40)]),
            (30, 75, vec![(75, 90), (20, 30)]),
            (40, 60, vec![(60, 90), (20, 40)]),
        ] {
            let mut all = holes(&[(60, 90), (20, 40)]);
            fill(&mut all, number(from), number(to));
            assert_eq!(all, holes(&left), "{from}..{to}");
        }
    }
}
