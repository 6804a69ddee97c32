//! In which order the packets of a trace come, and what they speak: what tells which stretches are like it.

use super::step::{CONTEXTS, Packet, Service};
use std::collections::BTreeMap;

const PAIRS: usize = CONTEXTS * CONTEXTS;

/// All pairs of neighbours.
const WHOLE: usize = 1 << 15;

/// Packets that a trace begins with: how it starts tells what it is, and is soon lost in what all do.
const BEGINNING: usize = 9;
/// Services of fewer packets are left out: one in 64.
const FEWEST: usize = WHOLE >> 6;

/// How often each context follows each, and how often packets are of a service.
///
/// # Units
/// Shares of [`WHOLE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Habits {
    /// Contexts that follow each other.
    pairs: [u16; PAIRS],
    /// The same of the beginning.
    beginning: [u16; PAIRS],
    services: Vec<(Service, u16)>,
}

impl Habits {
    /// Of packets that follow each other.
    pub(super) fn of(packets: &[Packet]) -> Self {
        Self::new(packets.iter().map(|packet| packet.context), services(packets))
    }

    /// Of contexts that follow each other, and [`services`].
    pub(super) fn new(
        contexts: impl Iterator<Item = u8> + Clone,
        services: Vec<(Service, u16)>,
    ) -> Self {
        Self {
            pairs: pairs(contexts.clone()),
            beginning: pairs(contexts.take(BEGINNING)),
            services,
        }
    }

    pub(super) fn services(&self) -> &[(Service, u16)] {
        &self.services
    }

    /// Sum of the differences of the shares, half of it for the beginning: 0 for the same, `5 * WHOLE` for
    /// nothing in common.
    pub(super) fn apart(&self, other: &Self) -> u32 {
        let pairs = differences(&self.pairs, &other.pairs);
        let beginning = differences(&self.beginning, &other.beginning) >> 1;
        let shared = self.services.iter().map(|(service, own)| {
            let same = other.services.iter().find(|(others, _)| others == service);
            u32::from(same.map_or(0, |(_, share)| *own.min(share)))
        });
        pairs + beginning + 2 * (WHOLE as u32 - shared.sum::<u32>())
    }
}

/// Services and their shares.
fn services(packets: &[Packet]) -> Vec<(Service, u16)> {
    let mut counts: BTreeMap<Service, usize> = BTreeMap::new();
    for packet in packets {
        *counts.entry(packet.service).or_default() += 1;
    }
    let shares = counts.into_iter().map(|(s, n)| (s, (WHOLE * n).div_euclid(packets.len())));
    shares.filter(|(_, share)| *share >= FEWEST).map(|(s, share)| (s, share as u16)).collect()
}

fn differences(one: &[u16; PAIRS], other: &[u16; PAIRS]) -> u32 {
    one.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

fn pairs(mut contexts: impl Iterator<Item = u8>) -> [u16; PAIRS] {
    let mut counts = [0_usize; PAIRS];
    let mut before = contexts.next().unwrap_or_default();
    for context in contexts {
        counts[usize::from(before) * CONTEXTS + usize::from(context)] += 1;
        before = context;
    }
    let pairs = counts.iter().sum::<usize>().max(1);
    counts.map(|count| (WHOLE * count).div_euclid(pairs) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(contexts: &[u8], port: u16) -> Habits {
        let packet = |context: &u8| Packet { context: *context, service: (6, port) };
        Habits::of(&contexts.iter().map(packet).collect::<Vec<_>>())
    }

    #[test]
    fn order_tells_what_shares_do_not() {
        let (alternating, blocks) =
            (of(&[1, 3].repeat(100), 80), of(&[[1; 100], [3; 100]].concat(), 80));
        assert_eq!(alternating.apart(&alternating), 0);
        assert!(alternating.apart(&blocks) > 90_000);
        assert!(alternating.apart(&of(&[1, 3, 1, 3, 3].repeat(40), 80)) < 33_000);
    }

    #[test]
    fn the_beginning_counts_for_more() {
        let begun = |by: &[u8]| of(&[by, &[1; 1000]].concat(), 80);
        let (one, other) = (begun(&[2; 5]), begun(&[3; 5]));
        assert!(one.apart(&other) > WHOLE as u32 >> 1);
        assert!(one.apart(&begun(&[2, 2, 2, 2])) < WHOLE as u32 >> 2);
    }

    #[test]
    fn services_tell_what_order_does_not() {
        let of = |port| of(&[1, 3, 2].repeat(50), port);
        assert_eq!(of(80).apart(&of(80)), 0);
        assert_eq!(of(80).apart(&of(443)), 2 * WHOLE as u32);
        let none = Habits::of(&[]);
        assert_eq!(none.services().len(), 0);
        assert!(none.apart(&of(80)) > 0);
    }
}
