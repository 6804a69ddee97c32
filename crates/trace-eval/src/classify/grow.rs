//! How a tree grows from its root.

use super::search::{Candidates, Found, Test, search_all, search_drawn};
use super::training::Training;
use super::tree::{Node, Split};
use std::collections::BTreeMap;

/// Nodes in pre-order and the impurity decrease of each feature, as a share of the training weight.
///
/// `weights` and `labels` are by sample. With candidates each node looks at the square root of the
/// features, without them at all.
pub(crate) fn grow(
    training: &Training<'_>,
    labels: &[usize],
    weights: &[u32],
    classes: usize,
    max_depth: usize,
    candidates: Option<Candidates<'_>>,
) -> (Vec<Node>, BTreeMap<u32, f64>) {
    let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    let terms = root_terms(training, labels, weights, classes);
    let mut grower = Grower {
        training,
        classes,
        max_depth,
        candidates,
        total: total.max(1) as f64,
        nodes: Vec::new(),
        decreases: BTreeMap::new(),
    };
    grower.grow(&terms, 0);
    (grower.nodes, grower.decreases)
}

/// Places of one node, class and weight within one word: the class histogram of a cut is the sum of
/// `popcount(cut & mask) << power` over terms. Terms of a node are in order of class, power, word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) word: u32,
    pub(super) class: u16,
    pub(super) power: u16,
    pub(super) mask: u64,
}

fn root_terms(
    training: &Training<'_>,
    labels: &[usize],
    weights: &[u32],
    classes: usize,
) -> Vec<Term> {
    let powers = 32 - weights.iter().max().copied().unwrap_or(0).leading_zeros() as usize;
    let words = training.words();
    let mut masks = vec![0_u64; classes * powers * words];
    for (place, sample) in training.samples().iter().map(|s| *s as usize).enumerate() {
        for power in (0..powers).filter(|p| (weights[sample] >> p) & 1 == 1) {
            let at = (labels[sample] * powers + power) * words + (place >> 6);
            masks[at] |= 1 << (63 - (place & 63));
        }
    }
    let mut terms = Vec::new();
    for (at, mask) in masks.into_iter().enumerate().filter(|(_, mask)| *mask != 0) {
        let of_class = powers * words;
        let (class, rest) = (at.div_euclid(of_class) as u16, at % of_class);
        let (power, word) = (rest.div_euclid(words) as u16, (rest % words) as u32);
        terms.push(Term { word, class, power, mask });
    }
    terms
}

struct Grower<'a> {
    training: &'a Training<'a>,
    classes: usize,
    max_depth: usize,
    candidates: Option<Candidates<'a>>,
    total: f64,
    nodes: Vec<Node>,
    decreases: BTreeMap<u32, f64>,
}

impl Grower<'_> {
    fn grow(&mut self, terms: &[Term], depth: usize) -> usize {
        let mut counts = vec![0_u64; self.classes];
        for t in terms {
            counts[usize::from(t.class)] += u64::from(t.mask.count_ones()) << t.power;
        }
        let n: u64 = counts.iter().sum();
        let squares: f64 = counts.iter().map(|c| (c * c) as f64).sum();
        let pure = counts.contains(&n);
        let index = self.nodes.len();
        self.nodes.push(Node {
            counts: counts.clone(),
            impurity: if n == 0 { 0.0 } else { 1.0 - squares / (n * n) as f64 },
            split: None,
        });
        if pure || depth >= self.max_depth {
            return index;
        }
        let found = match &mut self.candidates {
            Some(candidates) => search_drawn(self.training, terms, &counts, candidates),
            None => search_all(self.training, terms, &counts),
        };
        let Some(Found { purity, test }) = found else { return index };
        let (column, threshold) = test.column_and_threshold(self.training, terms);
        let feature = self.training.x().id(column);
        let decrease = (purity - squares / n as f64).max(0.0) / self.total;
        *self.decreases.entry(feature).or_insert(0.0) += decrease;
        let right_side = self.right_side(test);
        let keep = |flip: u64| -> Vec<Term> {
            terms
                .iter()
                .map(|t| Term { mask: t.mask & (right_side[t.word as usize] ^ flip), ..*t })
                .filter(|t| t.mask != 0)
                .collect()
        };
        let (left, right) = (keep(u64::MAX), keep(0));
        let left = self.grow(&left, depth + 1);
        let right = self.grow(&right, depth + 1);
        let column = column as u32;
        self.nodes[index].split = Some(Split { feature, threshold, left, right, column });
        index
    }

    /// The places that go right, one bit each.
    fn right_side(&self, test: Test) -> Vec<u64> {
        match test {
            Test::Cut { cut, .. } => self.training.cut(cut).to_vec(),
            Test::Number { column, threshold } => {
                let numeric = self.training.x().numeric_column(column);
                let mut side = vec![0_u64; self.training.words()];
                for (place, sample) in self.training.samples().iter().enumerate() {
                    if numeric.values[*sample as usize] > threshold {
                        side[place >> 6] |= 1 << (63 - (place & 63));
                    }
                }
                side
            }
        }
    }
}
