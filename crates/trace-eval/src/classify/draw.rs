//! Which features a node looks at.

use super::FeatureMatrix;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

/// Draws features without replacement, the constant ones counted but never touched.
pub(crate) struct Draw {
    rng: ChaCha8Rng,
    features: u64,
    wanted: usize,
    /// Live columns in any order; the last `drawn` are drawn in this node.
    columns: Vec<u32>,
    drawn: usize,
    /// Node in which each cut was tried last.
    tried: Vec<u32>,
    node: u32,
}

impl Draw {
    pub(crate) fn new(x: &FeatureMatrix, rng: ChaCha8Rng) -> Self {
        let features = x.features().max(x.live_columns());
        Self {
            rng,
            features: features as u64,
            wanted: features.isqrt().max(1),
            columns: (0..x.live_columns() as u32).collect(),
            drawn: 0,
            tried: vec![0; x.cut_count()],
            node: 0,
        }
    }

    pub(crate) fn begin_node(&mut self) {
        self.drawn = 0;
        self.node += 1;
    }

    /// How many of the wanted features are live, if they are drawn one by one from all features.
    pub(crate) fn live_among_drawn(&mut self) -> usize {
        let (mut live, mut all) = (self.columns.len() as u64, self.features);
        for _ in 0..self.wanted {
            live -= u64::from((u64::from(self.rng.next_u32()) * all) >> 32 < live);
            all -= 1;
        }
        self.columns.len() - live as usize
    }

    pub(crate) fn next_column(&mut self) -> Option<usize> {
        let last = (self.columns.len() - self.drawn).checked_sub(1)?;
        let at = self.rng.random_range(0..=last as u32) as usize;
        self.columns.swap(at, last);
        self.drawn += 1;
        Some(self.columns[last] as usize)
    }

    /// The next `count` columns, or all that are left.
    pub(crate) fn next_columns(&mut self, count: usize) -> Vec<u32> {
        let columns = (0..count).map_while(|_| self.next_column());
        columns.map(|c| c as u32).collect()
    }

    /// Whether a cut was not tried in this node yet; marks it.
    pub(crate) fn is_new(&mut self, cut: u32) -> bool {
        std::mem::replace(&mut self.tried[cut as usize], self.node) != self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use rand::SeedableRng;

    #[test]
    fn constant_features_are_counted_and_live_ones_drawn_evenly() {
        // 400 features, 100 of them live: a node wants 20, of which 5 are live on average.
        let cells: Vec<i8> = (0..800).map(|i| i8::from(i < 100)).collect();
        let x = FeatureMatrix::from_planes(&Planes::from_cells(400, &cells).expect("ternary"));
        let mut draw = Draw::new(&x, ChaCha8Rng::seed_from_u64(7));
        let (mut sum, mut hits) = (0, [0_u32; 100]);
        for _ in 0..4000 {
            draw.begin_node();
            let live = draw.live_among_drawn();
            sum += live;
            let mut seen = [false; 100];
            for _ in 0..live {
                let column = draw.next_column().expect("more live columns");
                assert!(!std::mem::replace(&mut seen[column], true));
                hits[column] += 1;
            }
        }
        let mean = f64::from(sum as u32) / 4000.0;
        assert!((mean - 5.0).abs() < 0.2, "{mean}");
        assert!(hits.iter().all(|h| (120..290).contains(h)), "{hits:?}");
    }
}
