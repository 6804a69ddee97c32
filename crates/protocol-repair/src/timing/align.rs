//! Which place of a stretch each packet of a trace takes.
//!
//! The trace is read as a course through the stretch: from a packet to the next the place moves on
//! by one. A packet whose context is not its place's costs 1, and so does a jump to another place.
//! The course of the least cost is found among the places within half a [`BAND`] of the packet's
//! own number; the stretch begins again behind its end.
//!
//! # Representation
//! A jump costs 1, so no place is worth following that costs over 1 more than the best: the costs
//! are one word, whose bits are the places that the best courses lead to, and a packet is two
//! operations on it. A table of costs (the tests' twin) gives the same.

use super::step::{CONTEXTS, Packet};
use super::stretch::Stretch;

/// Places that a packet can take; bit `BAND / 2` is the place of the packet's own number.
const BAND: usize = 64;
const MIDDLE: usize = BAND >> 1;

/// Which places of a stretch have a context.
///
/// # Layout
/// For each context a bit a place, the first place the lowest bit of the first word; behind its end the
/// stretch begins again, for 64 places and more.
struct Places([Vec<u64>; CONTEXTS]);

impl Places {
    fn of(stretch: &Stretch) -> Self {
        let steps = stretch.steps();
        let words = steps.len().div_ceil(64) + 1;
        let mut having = [(); CONTEXTS].map(|()| vec![0; words]);
        for (place, step) in steps.iter().cycle().enumerate().take(64 * words) {
            having[usize::from(step.context)][place >> 6] |= 1 << (place & 63);
        }
        Self(having)
    }

    /// Which of the 64 places from `place` on have a context: bit 0 is `place` itself, which is a place
    /// of the stretch.
    #[inline]
    fn having(&self, context: u8, place: usize) -> u64 {
        let words = &self.0[usize::from(context)][place >> 6..][..2];
        // Two shifts: one by 64 is none.
        words[0] >> (place & 63) | (words[1] << 1) << (63 - (place & 63))
    }
}

/// For each packet the places that the courses of least cost to it lead to.
fn courses(stretch: &Stretch, packets: &[Packet]) -> Vec<u64> {
    let length = stretch.steps().len();
    let having = Places::of(stretch);
    let mut first = (length - MIDDLE % length) % length;
    let mut places = u64::MAX;
    let course = |packet: &Packet| {
        let having = having.having(packet.context, first);
        first = if first + 1 == length { 0 } else { first + 1 };
        places = if places & having != 0 { places & having } else { places | having };
        places
    };
    packets.iter().map(course).collect()
}

/// The place of each packet on a course of least cost; where there are several, jumps lead back to
/// the packet's own number.
pub(super) fn align(stretch: &Stretch, packets: &[Packet]) -> Vec<usize> {
    let length = stretch.steps().len();
    let mut bit = BAND;
    let mut out: Vec<usize> = Vec::with_capacity(packets.len());
    for (packet, places) in courses(stretch, packets).iter().enumerate().rev() {
        if bit == BAND || places >> bit & 1 == 0 {
            bit = nearest_to_middle(*places);
        }
        out.push((packet + bit + MIDDLE * (length - 1)) % length);
    }
    out.reverse();
    out
}

/// The bit that is set nearest to the middle, the later of two. At least one is set.
fn nearest_to_middle(places: u64) -> usize {
    let after = (places >> MIDDLE).trailing_zeros() as usize;
    let before = (places << MIDDLE).leading_zeros() as usize + 1;
    if after <= before { MIDDLE + after } else { MIDDLE - before }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(contexts: &[u8]) -> Vec<Packet> {
        contexts.iter().map(|context| Packet { context: *context, service: (6, 80) }).collect()
    }

    fn steps(contexts: &[u8]) -> Stretch {
        let observed = packets(contexts).into_iter().map(|packet| (packet, 1_000));
        Stretch::new(&observed.collect::<Vec<_>>()).expect("at least one")
    }

    /// Least cost by a table: of each place after each packet.
    fn cost_by_table(stretch: &[u8], contexts: &[u8]) -> usize {
        let mut costs = vec![0; BAND];
        for (packet, context) in contexts.iter().enumerate() {
            let jump = costs.iter().min().expect("places") + 1;
            for (bit, cost) in costs.iter_mut().enumerate() {
                let place = (packet + bit + MIDDLE * stretch.len() - MIDDLE) % stretch.len();
                let from = if packet == 0 { 0 } else { jump.min(*cost) };
                *cost = from + usize::from(stretch[place] != *context);
            }
        }
        costs.into_iter().min().expect("places")
    }

    /// Cost of the course through these places.
    fn cost_of(stretch: &[u8], contexts: &[u8], places: &[usize]) -> usize {
        let misfits = places.iter().zip(contexts).filter(|(p, c)| stretch[**p] != **c).count();
        let jumps = places.windows(2).filter(|w| (w[0] + 1) % stretch.len() != w[1]).count();
        misfits + jumps
    }

    proptest! {
        #[test]
        fn a_course_costs_what_the_table_says(
            stretch in prop::collection::vec(0..8_u8, 1..300),
            contexts in prop::collection::vec(0..8_u8, 0..300),
            kinds in 2..9_u8,
        ) {
            let few = |all: Vec<u8>| all.into_iter().map(|c| c % kinds).collect::<Vec<_>>();
            let (stretch, contexts) = (few(stretch), few(contexts));
            let steps = steps(&stretch);
            let least = cost_by_table(&stretch, &contexts);
            let places = align(&steps, &packets(&contexts));
            prop_assert_eq!(places.len(), contexts.len());
            // In a stretch that is shorter than the band, a jump may lead to where it came from.
            let own = cost_of(&stretch, &contexts, &places);
            prop_assert!(own == least || stretch.len() < BAND && own < least);
        }
    }

    #[test]
    fn places_that_have_a_context_go_round() {
        for length in [1_usize, 5, 63, 64, 65, 200] {
            let contexts: Vec<u8> = (0..length).map(|i| (i * i % 7) as u8).collect();
            let places = Places::of(&steps(&contexts));
            for place in 0..length {
                for context in 0..CONTEXTS as u8 {
                    let bit = |i: usize| (i * i % 7) as u8 == context;
                    let naive: u64 =
                        (0..64).map(|i| u64::from(bit((place + i) % length)) << i).sum();
                    assert_eq!(places.having(context, place), naive, "{length} {place} {context}");
                }
            }
        }
    }

    #[test]
    fn a_stretch_is_followed_by_its_own_contexts() {
        let contexts: Vec<u8> = (0..500).map(|i: u32| (i * i % 7 % 6) as u8).collect();
        assert_eq!(align(&steps(&contexts), &packets(&contexts)), (0..500).collect::<Vec<_>>());
        // Ten packets that the stretch does not have: it is followed behind them again.
        let late = [&contexts[..200], &[5; 10], &contexts[200..]].concat();
        let places = align(&steps(&contexts), &packets(&late));
        assert_eq!(places[..190], (0..190).collect::<Vec<_>>());
        assert_eq!(places[300..510], (290..500).collect::<Vec<_>>());
    }
}
