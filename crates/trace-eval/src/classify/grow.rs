//! How a tree grows from its root.

use super::FeatureMatrix;
use super::cuts::NONE;
use super::draw::Draw;
use super::sweep::sweep;
use super::tree::{Node, Split};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Nodes in pre-order and the impurity decrease of each feature, as a share of the training weight.
///
/// With a generator each node looks at the square root of the features, without one at all of them.
pub(crate) fn grow(
    x: &FeatureMatrix,
    labels: &[usize],
    weights: &[u32],
    classes: usize,
    max_depth: usize,
    rng: Option<ChaCha8Rng>,
) -> (Vec<Node>, BTreeMap<u32, f64>) {
    let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    let mut grower = Grower {
        x,
        labels,
        weights,
        classes,
        max_depth,
        draw: rng.map(|rng| Draw::new(x, rng)),
        total: total.max(1) as f64,
        nodes: Vec::new(),
        decreases: BTreeMap::new(),
        upper: vec![0; classes],
    };
    grower.grow(&root_terms(labels, weights, classes, x.words()), 0);
    (grower.nodes, grower.decreases)
}

/// Samples of one node, class and weight within one word: the class histogram of a column is the
/// sum of `weight * popcount(column & mask)` over terms.
#[derive(Debug, Clone, Copy)]
struct Term {
    word: u32,
    class: u16,
    weight: u16,
    mask: u64,
}

fn root_terms(labels: &[usize], weights: &[u32], classes: usize, words: usize) -> Vec<Term> {
    let heaviest = weights.iter().max().copied().unwrap_or(0);
    let mut terms = Vec::new();
    for word in 0..words {
        for class in 0..classes {
            for power in 0..(32 - heaviest.leading_zeros()) {
                let mask = (64 * word..labels.len().min(64 * word + 64))
                    .filter(|s| labels[*s] == class && (weights[*s] >> power) & 1 == 1)
                    .fold(0_u64, |m, s| m | 1 << (63 - (s & 63)));
                if mask != 0 {
                    let (word, class) = (word as u32, class as u16);
                    terms.push(Term { word, class, weight: 1 << power, mask });
                }
            }
        }
    }
    terms
}

struct Grower<'a> {
    x: &'a FeatureMatrix,
    labels: &'a [usize],
    weights: &'a [u32],
    classes: usize,
    max_depth: usize,
    draw: Option<Draw>,
    total: f64,
    nodes: Vec<Node>,
    decreases: BTreeMap<u32, f64>,
    /// Class counts above a cut; scratch.
    upper: Vec<u64>,
}

/// What a node is split by.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// Left: below the cut, which is one of that live (ternary) column.
    Cut { cut: u32, column: u32 },
    /// Left: at most the threshold, in that live (numeric) column.
    Number { column: usize, threshold: f64 },
}

/// A possible split: the sum over both sides of squared class counts over size (larger is purer).
#[derive(Debug, Clone, Copy)]
struct Candidate {
    purity: f64,
    test: Test,
}

impl Grower<'_> {
    fn grow(&mut self, terms: &[Term], depth: usize) -> usize {
        let mut counts = vec![0_u64; self.classes];
        for t in terms {
            counts[usize::from(t.class)] += u64::from(t.weight) * u64::from(t.mask.count_ones());
        }
        let n: u64 = counts.iter().sum();
        let squares: f64 = counts.iter().map(|c| (c * c) as f64).sum();
        let pure = counts.contains(&n);
        let node = Node {
            counts: counts.clone(),
            impurity: if n == 0 { 0.0 } else { 1.0 - squares / (n * n) as f64 },
            split: None,
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        if pure || depth >= self.max_depth {
            return index;
        }
        let Some(best) = self.search(terms, &counts) else { return index };
        let (column, threshold) = self.column_and_threshold(best.test, terms);
        let feature = self.x.id(column);
        let decrease = (best.purity - squares / n as f64).max(0.0) / self.total;
        *self.decreases.entry(feature).or_insert(0.0) += decrease;
        let right_side = self.right_mask(best.test);
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

    fn search(&mut self, terms: &[Term], counts: &[u64]) -> Option<Candidate> {
        let Some(mut draw) = self.draw.take() else { return self.search_all(terms, counts) };
        let masks = node_masks(terms);
        let mut best = None;
        draw.begin_node();
        let mut wanted = draw.live_among_drawn();
        // One feature more at a time once the wanted ones cannot split the node.
        while best.is_none() {
            let columns = draw.next_columns(wanted.max(1));
            if columns.is_empty() {
                break;
            }
            self.try_columns(&columns, &mut draw, terms, &masks, counts, &mut best);
            wanted = 1;
        }
        self.draw = Some(draw);
        best
    }

    fn search_all(&mut self, terms: &[Term], counts: &[u64]) -> Option<Candidate> {
        let mut best = None;
        if self.x.cut_count() > 0 {
            let members = members(terms, self.classes);
            let n: u64 = counts.iter().sum();
            // What a purity must exceed; products of whole numbers instead of quotients.
            let mut bar = 0.0;
            sweep(self.x, &members, |cut, upper| {
                let (mut a, mut squares_a, mut squares_b) = (0, 0, 0);
                for (all, one) in counts.iter().zip(upper) {
                    let other = all - one;
                    a += one;
                    squares_a += one * one;
                    squares_b += other * other;
                }
                let b = n - a;
                let scaled = (squares_a * b + squares_b * a) as f64;
                if scaled > bar * (a * b) as f64 {
                    let test = Test::Cut { cut, column: self.x.owner(cut) as u32 };
                    consider(&mut best, test, purity(counts, upper));
                    // A little below the best, so that rounding here hides no candidate.
                    bar = best.map_or(0.0, |b: Candidate| b.purity * (1.0 - 1e-12));
                }
            });
        }
        for column in self.x.ternary_columns()..self.x.live_columns() {
            self.try_numeric(column, terms, counts, &mut best);
        }
        best
    }

    /// In three plain loops, so that the scattered reads of one loop overlap.
    fn try_columns(
        &mut self,
        columns: &[u32],
        draw: &mut Draw,
        terms: &[Term],
        masks: &[(u32, u64)],
        counts: &[u64],
        best: &mut Option<Candidate>,
    ) {
        let ternary = self.x.ternary_columns();
        let mut tests: Vec<(u32, u32)> = Vec::with_capacity(2 * columns.len());
        for column in columns.iter().filter(|c| (**c as usize) < ternary) {
            let [present, value] = self.x.column_cuts(*column as usize);
            // Columns share their present cuts; value cuts are mostly their own.
            if present != NONE && draw.is_new(present) {
                tests.push((present, *column));
            }
            if value != NONE {
                tests.push((value, *column));
            }
        }
        // Most drawn columns are the same all over a small node.
        tests.retain(|(cut, _)| {
            let plane = self.x.cut(*cut);
            let (mut any, mut missing) = (0, 0);
            for (word, mask) in masks {
                any |= plane[*word as usize] & mask;
                missing |= !plane[*word as usize] & mask;
            }
            any != 0 && missing != 0
        });
        for (cut, column) in tests {
            let plane = self.x.cut(cut);
            self.upper.fill(0);
            for t in terms {
                let ones = (plane[t.word as usize] & t.mask).count_ones();
                self.upper[usize::from(t.class)] += u64::from(t.weight) * u64::from(ones);
            }
            consider(best, Test::Cut { cut, column }, purity(counts, &self.upper));
        }
        for column in columns.iter().map(|c| *c as usize).filter(|c| *c >= ternary) {
            self.try_numeric(column, terms, counts, best);
        }
    }

    fn try_numeric(
        &mut self,
        column: usize,
        terms: &[Term],
        counts: &[u64],
        best: &mut Option<Candidate>,
    ) {
        let numeric = self.x.numeric_column(column);
        let mut inside = vec![0_u64; self.x.words()];
        for t in terms {
            inside[t.word as usize] |= t.mask;
        }
        let left = &mut self.upper;
        left.fill(0);
        let mut last: Option<f64> = None;
        for sample in numeric.order.iter().map(|s| *s as usize) {
            if (inside[sample >> 6] >> (63 - (sample & 63))) & 1 == 0 {
                continue;
            }
            let value = numeric.values[sample];
            if let Some(last) = last.filter(|l| value > *l) {
                let middle = f64::midpoint(last, value);
                let threshold = if middle < value { middle } else { last };
                consider(best, Test::Number { column, threshold }, purity(counts, left));
            }
            left[self.labels[sample]] += u64::from(self.weights[sample]);
            last = Some(value);
        }
    }

    /// The live column that a test is about, and the midpoint of the neighbouring values in the node.
    fn column_and_threshold(&self, test: Test, terms: &[Term]) -> (usize, f64) {
        match test {
            Test::Number { column, threshold } => (column, threshold),
            Test::Cut { cut, column } => {
                let column = column as usize;
                let [present, value] = self.x.column_cuts(column);
                if cut != present {
                    return (column, 0.5);
                }
                let plane = self.x.cut(present);
                let ones = |word: usize| if value == NONE { 0 } else { self.x.cut(value)[word] };
                let zero = |t: &Term| t.mask & plane[t.word as usize] & !ones(t.word as usize) != 0;
                (column, if terms.iter().any(zero) { -0.5 } else { 0.0 })
            }
        }
    }

    /// The samples that go right, one bit each.
    fn right_mask(&self, test: Test) -> Vec<u64> {
        match test {
            Test::Cut { cut, .. } => self.x.cut(cut).to_vec(),
            Test::Number { column, threshold } => {
                let mut mask = vec![0_u64; self.x.words()];
                for (sample, value) in self.x.numeric_column(column).values.iter().enumerate() {
                    if *value > threshold {
                        mask[sample >> 6] |= 1 << (63 - (sample & 63));
                    }
                }
                mask
            }
        }
    }
}

/// The words that a node has samples in, with their bits.
fn node_masks(terms: &[Term]) -> Vec<(u32, u64)> {
    let mut masks: Vec<(u32, u64)> = Vec::new();
    for t in terms {
        match masks.last_mut() {
            Some((word, mask)) if *word == t.word => *mask |= t.mask,
            _ => masks.push((t.word, t.mask)),
        }
    }
    masks
}

/// The samples of each class, as often as they weigh.
fn members(terms: &[Term], classes: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); classes];
    for t in terms {
        let mut mask = t.mask;
        while mask != 0 {
            let bit = mask.leading_zeros();
            mask &= !(1 << (63 - bit));
            let of = &mut members[usize::from(t.class)];
            of.extend(std::iter::repeat_n(64 * t.word + bit, usize::from(t.weight)));
        }
    }
    members
}

fn consider(best: &mut Option<Candidate>, test: Test, purity: f64) {
    // A difference in the last digits is rounding: the earlier split stays.
    if best.is_none_or(|b| purity > b.purity * (1.0 + 1e-12)) {
        *best = Some(Candidate { purity, test });
    }
}

/// Sum over `part` and the rest of `counts` of squared class counts over size.
fn purity(counts: &[u64], part: &[u64]) -> f64 {
    let (mut a, mut b, mut squares_a, mut squares_b) = (0, 0, 0, 0);
    for (all, one) in counts.iter().zip(part) {
        let other = all - one;
        a += one;
        b += other;
        squares_a += one * one;
        squares_b += other * other;
    }
    squares_a as f64 / a as f64 + squares_b as f64 / b as f64
}
