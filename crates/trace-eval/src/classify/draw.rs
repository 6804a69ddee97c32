//! Which features a node looks at.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Draws features without replacement, evenly from all of them; those that are known to be constant
/// are counted but never named.
///
/// A node wants the square root of the number of features. How many of these are live has a
/// hypergeometric distribution, which is tabled, so one number says how many live features to draw.
pub(crate) struct Draw {
    rng: ChaCha8Rng,
    live: u32,
    /// How many of the wanted features are live: the least number, and for it and each larger one the
    /// probability of at most so many.
    least: usize,
    at_most: Vec<f64>,
    drawn: Marks,
    count: u32,
    /// What is left to draw from, once half of the live features are drawn.
    rest: Option<Vec<u32>>,
}

impl Draw {
    /// Draws among `features`, of which `live` are live.
    pub(crate) fn new(features: usize, live: usize, rng: ChaCha8Rng) -> Self {
        let features = features.max(live);
        let (least, at_most) = hypergeometric(features, live, features.isqrt().max(1));
        Self {
            rng,
            live: live as u32,
            least,
            at_most,
            drawn: Marks::new(live),
            count: 0,
            rest: None,
        }
    }

    pub(crate) fn begin_node(&mut self) {
        self.drawn.clear();
        self.count = 0;
        self.rest = None;
    }

    /// How many of the wanted features are live, if they are drawn one by one from all features.
    pub(crate) fn live_among_drawn(&mut self) -> usize {
        let at: f64 = self.rng.random();
        let more = self.at_most.partition_point(|p| *p <= at);
        self.least + more.min(self.at_most.len().saturating_sub(1))
    }

    /// A live feature that was not drawn in this node yet, as its place among the live ones.
    pub(crate) fn next_live(&mut self) -> Option<u32> {
        if self.count == self.live {
            return None;
        }
        self.count += 1;
        if 2 * self.count <= self.live {
            loop {
                let one = self.rng.random_range(0..self.live);
                if self.drawn.insert(one) {
                    return Some(one);
                }
            }
        }
        let (live, drawn) = (self.live, &self.drawn);
        let undrawn = || (0..live).filter(|one| !drawn.contains(*one)).collect();
        let rest = self.rest.get_or_insert_with(undrawn);
        Some(rest.swap_remove(self.rng.random_range(0..rest.len())))
    }
}

/// How many of `wanted` things, drawn without replacement from `all`, are among some `live` ones: the
/// least number, and the probability of at most so many for it and each larger number.
fn hypergeometric(all: usize, live: usize, wanted: usize) -> (usize, Vec<f64>) {
    let (least, most) = ((wanted + live).saturating_sub(all), wanted.min(live));
    let mut weights = vec![0.0; most - least + 1];
    // From the likeliest number outwards, where weights can only fall (and, far out, vanish).
    let mode = ((wanted + 1) * (live + 1)).div_euclid(all + 2).clamp(least, most);
    let up = |k: usize| {
        ((live - k) * (wanted - k)) as f64 / ((k + 1) * (all + k + 1 - live - wanted)) as f64
    };
    weights[mode - least] = 1.0;
    for k in mode..most {
        weights[k + 1 - least] = weights[k - least] * up(k);
    }
    for k in (least..mode).rev() {
        weights[k - least] = weights[k + 1 - least] / up(k);
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    for w in &mut weights {
        sum += *w / total;
        *w = sum;
    }
    (least, weights)
}

/// A set of numbers that is emptied in the time that it took to fill.
pub(crate) struct Marks {
    words: Vec<u64>,
    filled: Vec<u32>,
}

impl Marks {
    /// For numbers below `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { words: vec![0; limit.div_ceil(64)], filled: Vec::new() }
    }

    /// Whether the number is new; it is in the set then.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (at, bit) = (number >> 6, 1 << (number & 63));
        let word = &mut self.words[at as usize];
        if *word == 0 {
            self.filled.push(at);
        }
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        (self.words[number as usize >> 6] >> (number & 63)) & 1 == 1
    }

    pub(crate) fn clear(&mut self) {
        for at in self.filled.drain(..) {
            self.words[at as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn constant_features_are_counted_and_live_ones_drawn_evenly() {
        // 400 features, 100 of them live: a node wants 20, of which 5 are live on average.
        let mut draw = Draw::new(400, 100, ChaCha8Rng::seed_from_u64(7));
        let (mut sum, mut squares, mut hits) = (0, 0, [0_u32; 100]);
        for _ in 0..4000 {
            draw.begin_node();
            let live = draw.live_among_drawn();
            sum += live;
            squares += live * live;
            let mut seen = [false; 100];
            for _ in 0..live {
                let column = draw.next_live().expect("more live columns") as usize;
                assert!(!std::mem::replace(&mut seen[column], true));
                hits[column] += 1;
            }
        }
        let mean = f64::from(sum as u32) / 4000.0;
        let variance = f64::from(squares as u32) / 4000.0 - mean * mean;
        // 20 * 1/4 * 3/4 * 380/399
        assert!((mean - 5.0).abs() < 0.15, "{mean}");
        assert!((variance - 3.571).abs() < 0.35, "{variance}");
        assert!(hits.iter().all(|h| (140..265).contains(h)), "{hits:?}");
    }

    #[test]
    fn probabilities_are_those_of_the_urn() {
        // 3 of 7, 4 drawn: C(3,k) C(4,4-k) / C(7,4)
        let (least, at_most) = hypergeometric(7, 3, 4);
        assert_eq!((least, at_most.len()), (0, 4));
        for (found, expected) in at_most.iter().zip([1.0, 13.0, 31.0, 35.0]) {
            assert!((found - expected / 35.0).abs() < 1e-12, "{at_most:?}");
        }
        for (all, live, wanted, only) in [(9, 9, 3, 3), (9, 0, 3, 0), (1, 1, 1, 1), (4, 3, 4, 3)] {
            assert_eq!(hypergeometric(all, live, wanted), (only, vec![1.0]));
        }
        // At full size, where the ends of the distribution are out of reach of a float.
        let (least, at_most) = hypergeometric(1_114_112, 529_102, 1055);
        let below_mean = at_most[501 - least];
        assert!((0.45..0.55).contains(&below_mean), "{below_mean}");
    }

    #[test]
    fn every_live_feature_is_drawn_once_and_in_any_order() {
        let mut draw = Draw::new(12, 9, ChaCha8Rng::seed_from_u64(8));
        let mut places = [[0_u32; 9]; 9];
        for _ in 0..3000 {
            draw.begin_node();
            let mut order: Vec<u32> = std::iter::from_fn(|| draw.next_live()).collect();
            for (place, one) in order.iter().enumerate() {
                places[place][*one as usize] += 1;
            }
            order.sort_unstable();
            assert_eq!(order, (0..9).collect::<Vec<u32>>());
        }
        assert!(places.iter().flatten().all(|n| (250..420).contains(n)), "{places:?}");
    }
}
