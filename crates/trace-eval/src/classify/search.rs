//! The best split of a node.

use super::cuts::NONE;
use super::draw::{Draw, Marks};
use super::grow::Term;
use super::popcount::{WORDS_A_BYTE, by_byte, sum_of_bytes};
use super::sweep::sweep;
use super::training::{Columns, Training};
use std::ops::Range;

/// What a node is split by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// Left: below the cut, which is one of that live (ternary) column.
    Cut { cut: u32, column: u32 },
    /// Left: at most the threshold, in that live (numeric) column.
    Number { column: usize, threshold: f64 },
}

impl Test {
    /// The live column that a test is about, and the midpoint of the neighbouring values in the node.
    pub(super) fn column_and_threshold(
        self,
        training: &Training<'_>,
        terms: &[Term],
    ) -> (usize, f64) {
        match self {
            Self::Number { column, threshold } => (column, threshold),
            Self::Cut { cut, column } => {
                let column = column as usize;
                let [present, value] = training.x().column_cuts(column);
                if cut != present {
                    return (column, 0.5);
                }
                let plane = training.cut(present);
                let ones = |word: usize| if value == NONE { 0 } else { training.cut(value)[word] };
                let zero = |t: &Term| t.mask & plane[t.word as usize] & !ones(t.word as usize) != 0;
                (column, if terms.iter().any(zero) { -0.5 } else { 0.0 })
            }
        }
    }
}

/// A split, and the sum over its sides of squared class counts over size (larger is purer).
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) purity: f64,
    pub(super) test: Test,
}

/// The best split of a node so far; of equally good ones the first.
struct Best<'a> {
    /// Class counts of the node, their sum, and the sum of their squares.
    counts: &'a [u64],
    size: u64,
    squares: u64,
    /// What a purity must exceed: a little more than the best, so that rounding is no gain.
    bar: f64,
    found: Option<Found>,
}

impl<'a> Best<'a> {
    fn new(counts: &'a [u64]) -> Self {
        let squares = counts.iter().map(|c| c * c).sum();
        Self { counts, size: counts.iter().sum(), squares, bar: 0.0, found: None }
    }

    /// Takes a test that puts `part` of the class counts on one side, if it is better. One that puts
    /// all there, or none, never is.
    fn offer(&mut self, part: &[u64], test: impl FnOnce() -> Test) {
        let (mut size, mut squares, mut products) = (0, 0, 0);
        for (all, one) in self.counts.iter().zip(part) {
            size += one;
            squares += one * one;
            products += all * one;
        }
        let other_size = self.size - size;
        let other_squares = self.squares + squares - 2 * products;
        // Products of whole numbers instead of quotients.
        let (a, b) = (size as f64, other_size as f64);
        let scaled = squares as f64 * b + other_squares as f64 * a;
        if scaled > self.bar * (a * b) {
            let purity = scaled / (a * b);
            self.bar = purity * (1.0 + 1e-12);
            self.found = Some(Found { purity, test: test() });
        }
    }
}

/// The best split by any feature.
pub(super) fn search_all(training: &Training<'_>, terms: &[Term], counts: &[u64]) -> Option<Found> {
    let x = training.x();
    let mut best = Best::new(counts);
    if x.cut_count() > 0 {
        sweep(x, &members(training, terms, counts.len()), |cut, upper| {
            best.offer(upper, || Test::Cut { cut, column: x.owner(cut) as u32 });
        });
    }
    let weighed = weighed_places(training, terms);
    for column in x.ternary_columns()..x.live_columns() {
        try_numeric(training, column, &weighed, &mut best);
    }
    best.found
}

/// The samples of each class, as often as they weigh.
fn members(training: &Training<'_>, terms: &[Term], classes: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); classes];
    for t in terms {
        let mut mask = t.mask;
        while mask != 0 {
            let bit = mask.leading_zeros();
            mask &= !(1 << (63 - bit));
            let sample = training.samples()[(64 * t.word + bit) as usize];
            let of = &mut members[usize::from(t.class)];
            of.extend(std::iter::repeat_n(sample, 1 << t.power));
        }
    }
    members
}

/// What the nodes of one tree draw their features from, with room for one node's work.
pub(crate) struct Candidates<'a> {
    columns: &'a Columns,
    draw: Draw,
    /// Cuts that were tried in this node.
    tried: Marks,
    /// Places of columns among the candidates, and their cuts.
    drawn: Vec<u32>,
    pairs: Vec<[u32; 2]>,
    /// Cuts that may split this node, each with the place of a column that has it.
    tests: Vec<(u32, u32)>,
    /// Words of these cuts: word by word, then cut by cut.
    words: Vec<u64>,
    upper: Vec<u64>,
}

/// Columns that are drawn at once when the wanted ones cannot split the node.
const MORE: usize = 64;

/// The best split by one of the drawn features; where none of them can split the node, by the first one
/// drawn after them that can.
///
/// # Speed
/// Bench `classify/forest/342x1024x1088`. A node of the seeds' matrix draws about 500 live columns, and
/// each read of a column's cuts and of a cut's words misses the caches: that was three quarters of the
/// time. So each kind of scattered read has a plain loop of its own, in which the misses overlap.
pub(super) fn search_drawn(
    training: &Training<'_>,
    terms: &[Term],
    counts: &[u64],
    candidates: &mut Candidates<'_>,
) -> Option<Found> {
    let node = NodeCounter::new(training, terms);
    let mut best = Best::new(counts);
    candidates.begin_node(counts.len());
    let wanted = candidates.draw.live_among_drawn();
    candidates.draw_columns(wanted);
    candidates.try_columns(0..candidates.drawn.len(), &node, &mut best);
    while best.found.is_none() {
        candidates.draw_columns(MORE);
        if candidates.drawn.is_empty() {
            break;
        }
        for at in 0..candidates.drawn.len() {
            candidates.try_columns(at..at + 1, &node, &mut best);
            if best.found.is_some() {
                break;
            }
        }
    }
    best.found
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(training: &Training<'_>, columns: &'a Columns, draw: Draw) -> Self {
        Self {
            columns,
            draw,
            tried: Marks::new(training.x().cut_count()),
            drawn: Vec::new(),
            pairs: Vec::new(),
            tests: Vec::new(),
            words: Vec::new(),
            upper: Vec::new(),
        }
    }

    fn begin_node(&mut self, classes: usize) {
        self.draw.begin_node();
        self.tried.clear();
        self.upper.resize(classes, 0);
    }

    fn draw_columns(&mut self, most: usize) {
        let Self { drawn, draw, .. } = self;
        drawn.clear();
        drawn.extend((0..most).map_while(|_| draw.next_live()));
    }

    /// Tries some of the drawn columns, in the order in which they were drawn.
    fn try_columns(&mut self, some: Range<usize>, node: &NodeCounter<'_>, best: &mut Best<'_>) {
        let Self { columns, tried, drawn, pairs, tests, words, upper, .. } = self;
        let drawn = &drawn[some];
        pairs.clear();
        pairs.extend(drawn.iter().map(|at| columns.cuts[*at as usize]));
        tests.clear();
        for (pair, at) in pairs.iter().zip(drawn) {
            for cut in *pair {
                if cut != NONE && tried.insert(cut) {
                    tests.push((cut, *at));
                }
            }
        }
        node.gather(tests, words);
        for (i, (cut, at)) in tests.iter().enumerate() {
            let word = |w: u32| words[w as usize * tests.len() + i];
            if node.is_parted(word) {
                node.count(word, upper);
                let column = || columns.numbers[*at as usize];
                best.offer(upper, || Test::Cut { cut: *cut, column: column() });
            }
        }
        if node.weighed.is_empty() {
            return;
        }
        let first_numeric = node.training.x().ternary_columns();
        for column in drawn.iter().map(|at| columns.numbers[*at as usize] as usize) {
            if column >= first_numeric {
                try_numeric(node.training, column, &node.weighed, best);
            }
        }
    }
}

/// Counts the classes of a node on the upper side of a cut.
struct NodeCounter<'a> {
    training: &'a Training<'a>,
    /// The words that the node has places in, with their bits.
    masks: Vec<(u32, u64)>,
    /// Terms of one class and power, as many as [`by_byte`] results can be added.
    runs: Vec<&'a [Term]>,
    weighed: Vec<(u16, u64)>,
}

impl<'a> NodeCounter<'a> {
    fn new(training: &'a Training<'a>, terms: &'a [Term]) -> Self {
        let mut all = vec![0_u64; training.words()];
        for t in terms {
            all[t.word as usize] |= t.mask;
        }
        let masks = (0..).zip(all).filter(|(_, mask)| *mask != 0).collect();
        let alike = terms.chunk_by(|a, b| (a.class, a.power) == (b.class, b.power));
        let runs = alike.flat_map(|run| run.chunks(WORDS_A_BYTE)).collect();
        Self { training, masks, runs, weighed: weighed_places(training, terms) }
    }

    /// The words of the tests' cuts in which the node has places; word `w` of test `i` is
    /// `out[w * tests.len() + i]`.
    fn gather(&self, tests: &[(u32, u32)], out: &mut Vec<u64>) {
        let (planes, words) = (self.training.planes(), self.training.words());
        out.resize(words * tests.len(), 0);
        for at in self.masks.iter().map(|(word, _)| *word as usize) {
            let row = &mut out[at * tests.len()..][..tests.len()];
            for (word, (cut, _)) in row.iter_mut().zip(tests) {
                *word = planes[*cut as usize * words + at];
            }
        }
    }

    /// Whether a cut has places of the node on both sides.
    fn is_parted(&self, plane: impl Fn(u32) -> u64) -> bool {
        let (mut any, mut missing) = (0, 0);
        for (word, mask) in &self.masks {
            let plane = plane(*word);
            any |= plane & mask;
            missing |= !plane & mask;
        }
        any != 0 && missing != 0
    }

    /// Class counts of the upper side.
    fn count(&self, plane: impl Fn(u32) -> u64, upper: &mut [u64]) {
        upper.fill(0);
        for run in &self.runs {
            let bytes: u64 = run.iter().map(|t| by_byte(plane(t.word) & t.mask)).sum();
            upper[usize::from(run[0].class)] += sum_of_bytes(bytes) << run[0].power;
        }
    }
}

/// Class and weight of each place, weight 0 where it is not in the node; empty where there is no numeric
/// column to ask for it.
fn weighed_places(training: &Training<'_>, terms: &[Term]) -> Vec<(u16, u64)> {
    let x = training.x();
    if x.ternary_columns() == x.live_columns() {
        return Vec::new();
    }
    let mut weighed = vec![(0, 0); training.samples().len()];
    for t in terms {
        let mut mask = t.mask;
        while mask != 0 {
            let bit = mask.leading_zeros();
            mask &= !(1 << (63 - bit));
            let (class, weight) = &mut weighed[(64 * t.word + bit) as usize];
            *class = t.class;
            *weight += 1 << t.power;
        }
    }
    weighed
}

fn try_numeric(
    training: &Training<'_>,
    column: usize,
    weighed: &[(u16, u64)],
    best: &mut Best<'_>,
) {
    let numeric = training.x().numeric_column(column);
    let mut left = vec![0_u64; best.counts.len()];
    let mut last: Option<f64> = None;
    for sample in &numeric.order {
        let (class, weight) = training.place(*sample).map_or((0, 0), |p| weighed[p]);
        if weight == 0 {
            continue;
        }
        let value = numeric.values[*sample as usize];
        if let Some(last) = last.filter(|l| value > *l) {
            let middle = f64::midpoint(last, value);
            let threshold = if middle < value { middle } else { last };
            best.offer(&left, || Test::Number { column, threshold });
        }
        left[usize::from(class)] += weight;
        last = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{DecisionTree, FeatureMatrix};
    use crate::distance::Planes;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Twin that looks at every cell: grows a tree from the features that `draw` names and lists
    /// feature, threshold and class counts of its inner nodes in pre-order.
    struct Naive<'a> {
        columns: usize,
        cells: &'a [i8],
        labels: &'a [usize],
        weights: &'a [u32],
        /// The features that differ among the training samples.
        features: Vec<usize>,
        draw: Draw,
        nodes: Vec<(u32, f64, Vec<u64>)>,
    }

    type Cut = (f64, usize, f64);

    impl Naive<'_> {
        fn counts(&self, samples: &[usize]) -> Vec<u64> {
            let mut counts = vec![0; self.labels.iter().max().map_or(0, |m| m + 1)];
            for s in samples {
                counts[self.labels[*s]] += u64::from(self.weights[*s]);
            }
            counts
        }

        fn sides(&self, inside: &[usize], column: usize, cut: f64) -> (Vec<usize>, Vec<usize>) {
            let cell = |s: usize| f64::from(self.cells[s * self.columns + column]);
            inside.iter().partition(|s| cell(**s) <= cut)
        }

        fn try_feature(&self, inside: &[usize], column: usize, best: &mut Option<Cut>) {
            let cell = |s: &usize| f64::from(self.cells[s * self.columns + column]);
            let mut values: Vec<f64> = inside.iter().map(cell).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            for pair in values.windows(2) {
                let cut = f64::midpoint(pair[0], pair[1]);
                let (left, right) = self.sides(inside, column, cut);
                let purity = |side: &[usize]| {
                    let counts = self.counts(side);
                    let squares: u64 = counts.iter().map(|c| c * c).sum();
                    squares as f64 / counts.iter().sum::<u64>() as f64
                };
                let purity = purity(&left) + purity(&right);
                if best.is_none_or(|b| purity > b.0 * (1.0 + 1e-12)) {
                    *best = Some((purity, column, cut));
                }
            }
        }

        fn grow(&mut self, inside: &[usize]) {
            let counts = self.counts(inside);
            if counts.iter().filter(|c| **c > 0).count() < 2 {
                return;
            }
            let mut best = None;
            self.draw.begin_node();
            let wanted = self.draw.live_among_drawn();
            let first: Vec<u32> = (0..wanted).map_while(|_| self.draw.next_live()).collect();
            for at in first {
                self.try_feature(inside, self.features[at as usize], &mut best);
            }
            while best.is_none() {
                let more: Vec<u32> = (0..MORE).map_while(|_| self.draw.next_live()).collect();
                if more.is_empty() {
                    return;
                }
                for at in more {
                    if best.is_none() {
                        self.try_feature(inside, self.features[at as usize], &mut best);
                    }
                }
            }
            let Some((_, column, cut)) = best else { return };
            self.nodes.push((column as u32, cut, counts));
            let (left, right) = self.sides(inside, column, cut);
            self.grow(&left);
            self.grow(&right);
        }
    }

    fn check(columns: usize, cells: &[i8], labels: &[usize], picks: &[usize], seed: u64) {
        let x = FeatureMatrix::from_planes(&Planes::from_cells(columns, cells).expect("ternary"));
        let mut weights = vec![0; labels.len()];
        for s in picks {
            weights[*s] += 1;
        }
        let training = Training::by_class(&x, labels, picks);
        let found = training.columns();
        let draw = || Draw::new(columns, found.numbers.len(), ChaCha8Rng::seed_from_u64(seed));
        let candidates = Candidates::new(&training, &found, draw());
        let classes = labels.iter().max().map_or(0, |m| m + 1);
        let tree =
            DecisionTree::grown(&training, labels, &weights, classes, None, Some(candidates));
        let inside: Vec<usize> = (0..labels.len()).filter(|s| weights[*s] > 0).collect();
        let cell = |s: usize, c: usize| cells[s * columns + c];
        let differs = |c: &usize| inside.iter().any(|s| cell(*s, *c) != cell(inside[0], *c));
        let features = (0..columns).filter(differs).collect();
        let (weights, nodes) = (&weights[..], Vec::new());
        let mut twin = Naive { columns, cells, labels, weights, features, draw: draw(), nodes };
        twin.grow(&inside);
        let inner = tree.nodes().iter().filter_map(|n| Some((n.split?, n.counts.clone())));
        let inner: Vec<_> = inner.map(|(s, counts)| (s.feature, s.threshold, counts)).collect();
        assert_eq!(inner, twin.nodes);
    }

    proptest! {
        /// Few features, of which a node draws two to four, some with one value only.
        #[test]
        fn drawn_features_are_searched_like_their_cells(
            columns in 1_usize..20,
            rows in prop::collection::vec((0_usize..4, prop::collection::vec(-1_i8..=1, 20)), 2..200),
            picks in prop::collection::vec(any::<usize>(), 2..200),
            seed: u64,
        ) {
            let cells: Vec<i8> = rows.iter().flat_map(|r| r.1[..columns].to_vec()).collect();
            let labels: Vec<usize> = rows.iter().map(|r| r.0).collect();
            let picks: Vec<usize> = picks.iter().map(|p| p % rows.len()).collect();
            check(columns, &cells, &labels, &picks, seed);
        }
    }

    /// As bits of captures are: many equal columns, whole fields vacant together, long constant stretches.
    #[test]
    fn headers_are_searched_like_their_cells() {
        for seed in 0..12 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let (samples, columns) = (140, 900);
            let mut cells = vec![0_i8; samples * columns];
            for field in 0..columns.div_euclid(30) {
                let kinds: Vec<i8> = (0..samples).map(|_| rng.random_range(-1..=1)).collect();
                let rare = rng.random_bool(0.5);
                for bit in 30 * field..30 * field + 30 {
                    let noisy = rng.random_bool(0.3);
                    for (s, kind) in kinds.iter().enumerate() {
                        let vacant = *kind < 0 && (!rare || s < 20);
                        let one = if noisy { rng.random_bool(0.4) } else { *kind == 1 };
                        cells[s * columns + bit] = if vacant { -1 } else { i8::from(one) };
                    }
                }
            }
            let labels: Vec<usize> = (0..samples).map(|_| rng.random_range(0..4)).collect();
            let picks: Vec<usize> = (0..samples).map(|_| rng.random_range(0..samples)).collect();
            check(columns, &cells, &labels, &picks, seed);
        }
    }

    /// Samples that no feature tells apart end the draw, whatever their number.
    #[test]
    fn equal_samples_of_two_classes_are_one_leaf() {
        let cells: Vec<i8> = (0..6 * 300).map(|i| i8::from(i < 2 * 300)).collect();
        check(300, &cells, &[0, 0, 0, 1, 1, 0], &[0, 1, 2, 3, 4, 5, 5], 3);
    }
}
