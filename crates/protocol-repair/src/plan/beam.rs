//! Search over sequences of choices that keeps only the cheapest few states.

use super::known::{Key, Known};

/// How far a search looks beside the cheapest state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Breadth {
    /// States that are kept after a step.
    pub(super) width: usize,
    /// States this much dearer than the cheapest are given up. Units: nats.
    pub(super) margin: f32,
}

/// What later steps depend on.
pub(super) trait State: Clone {
    /// Of states with equal keys the cheapest is kept.
    type Key: Key;
    /// What a step does to a state.
    type Step: Copy;

    /// The key of the state behind a step.
    fn key_after(&self, step: Self::Step) -> Self::Key;
    /// The state behind a step.
    fn after(&self, step: Self::Step) -> Self;
}

/// A search: a state is what later steps depend on, a choice is what a step decides.
pub(super) struct Beam<S: State, C> {
    /// Cost so far, state, and the node of the last choice.
    states: Vec<(f32, S, u32)>,
    /// The states before, while those that follow them are made.
    before: Vec<(f32, S, u32)>,
    next: Vec<Next<S, C>>,
    /// Their keys.
    keys: Known<S::Key>,
    /// What the states that are expected cost.
    ranks: Vec<f32>,
    /// Every kept choice with the node before it.
    nodes: Vec<(u32, C)>,
    steps: usize,
    /// How far the next step looks.
    pub(super) breadth: Breadth,
}

/// A place in a search, to which it can go back.
pub(super) struct Mark<S> {
    states: Vec<(f32, S, u32)>,
    nodes: usize,
    steps: usize,
}

/// What may follow a state.
struct Next<S: State, C> {
    cost: f32,
    /// The cost with what is foreseen.
    rank: f32,
    /// The place of the state before.
    before: u32,
    key: S::Key,
    step: S::Step,
    choice: C,
}

/// What a sum of costs may differ by if they are added in another order. Units: nats.
const ROUNDING: f32 = 1e-3;
/// A node that has none before it.
const ROOT: u32 = u32::MAX;

/// Takes what may follow a state.
pub(super) struct Offers<'a, S: State, C> {
    next: &'a mut Vec<Next<S, C>>,
    keys: &'a mut Known<S::Key>,
    bounds: &'a mut Bounds,
    width: usize,
    state: &'a S,
    so_far: f32,
    before: u32,
}

/// What the states of a step may cost.
struct Bounds {
    /// The least rank so far.
    least: f32,
    /// Ranks so much above it are given up.
    margin: f32,
    /// Rank above which a state is not among the cheapest.
    limit: f32,
    /// The highest rank that either leaves.
    most: f32,
}

impl Bounds {
    fn within(margin: f32) -> Self {
        Self { least: f32::MAX, margin, limit: f32::MAX, most: f32::MAX }
    }

    /// A rank that may be kept.
    fn know(&mut self, rank: f32) {
        self.least = rank.min(self.least);
        self.most = (self.least + self.margin).min(self.limit);
    }

    /// So many are cheaper that no rank above this is kept.
    fn limit(&mut self, rank: f32) {
        self.limit = rank;
        self.most = (self.least + self.margin).min(self.limit);
    }
}

impl<S: State, C: Copy> Offers<'_, S, C> {
    /// Whether anything that costs so much may be kept.
    pub(super) fn within(&self, cost: f32) -> bool {
        self.so_far + cost <= self.bounds.most
    }

    /// Offers the state behind a step with what that costs; it is made only if it is kept.
    pub(super) fn add(&mut self, cost: f32, step: S::Step, choice: C) {
        self.add_foreseen(cost, 0.0, step, choice);
    }

    /// As [`add`](Self::add), where `foreseen` is what the steps behind this one will cost: it decides
    /// which states are kept, and is not counted.
    pub(super) fn add_foreseen(&mut self, cost: f32, foreseen: f32, step: S::Step, choice: C) {
        if !self.within(cost + foreseen) {
            return;
        }
        let cost = self.so_far + cost;
        let rank = cost + foreseen;
        self.bounds.know(rank);
        let key = self.state.key_after(step);
        let offer = Next { cost, rank, before: self.before, key, step, choice };
        match self.keys.place(key) {
            (known, true) if self.next[known].cost <= cost => {}
            (known, true) => self.next[known] = offer,
            (_, false) => self.next.push(offer),
        }
        let width = self.width;
        if self.next.len() == 4 * width {
            self.next.sort_by(|a, b| a.rank.total_cmp(&b.rank));
            self.next.truncate(width);
            self.keys.clear();
            for next in &*self.next {
                self.keys.place(next.key);
            }
            self.bounds.limit(self.next[width - 1].rank);
        }
    }
}

impl<S: State, C: Copy> Beam<S, C> {
    pub(super) fn new(breadth: Breadth, start: impl IntoIterator<Item = (f32, S)>) -> Self {
        let states = start.into_iter().map(|(cost, state)| (cost, state, ROOT)).collect();
        // As many as a step has before it is cut down: most searches are short and need no more room.
        let most = 4 * breadth.width;
        let (next, nodes) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let (before, keys) = (Vec::with_capacity(breadth.width), Known::with_capacity(most));
        Self { states, before, next, keys, ranks: Vec::new(), nodes, steps: 0, breadth }
    }

    /// The state that ranks first: the cheapest with what was foreseen.
    pub(super) fn best(&self) -> Option<&S> {
        self.states.first().map(|s| &s.1)
    }

    /// One step: `choices` offers what may follow a state.
    pub(super) fn step(&mut self, choices: impl FnMut(&S, &mut Offers<'_, S, C>)) {
        self.step_within(f32::MAX, |_| None, choices);
    }

    /// One step, after which only states are kept that are at most `margin` dearer than the cheapest. `expected`
    /// is the cost of one choice of a state, and what is foreseen behind it: these lead to different states.
    pub(super) fn step_within(
        &mut self,
        margin: f32,
        expected: impl Fn(&S) -> Option<(f32, f32)>,
        mut choices: impl FnMut(&S, &mut Offers<'_, S, C>),
    ) {
        let width = self.breadth.width;
        let margin = self.breadth.margin.min(margin);
        self.next.clear();
        self.keys.clear();
        let mut bounds = Bounds::within(margin);
        if let Some(rank) = self.expected(expected) {
            // Most other choices need not be weighed.
            bounds.limit(rank + ROUNDING);
        }
        for (before, (so_far, state, _)) in (0..).zip(&self.states) {
            let so_far = *so_far;
            if so_far > bounds.most {
                continue;
            }
            let (next, keys, bounds) = (&mut self.next, &mut self.keys, &mut bounds);
            choices(state, &mut Offers { next, keys, bounds, width, state, so_far, before });
        }
        self.steps += 1;
        // A stable sort: of equal costs the first offer wins.
        self.next.sort_by(|a, b| a.rank.total_cmp(&b.rank));
        std::mem::swap(&mut self.states, &mut self.before);
        self.states.clear();
        let least = bounds.least;
        for Next { cost, rank, before, step, choice, .. } in self.next.drain(..) {
            if self.states.len() == width || rank > least + margin {
                break;
            }
            // Only differences count; sums over a million steps would lose them.
            let (_, state, node) = &self.before[before as usize];
            self.states.push((cost - least, state.after(step), self.nodes.len() as u32));
            self.nodes.push((*node, choice));
        }
    }

    /// A rank that so many states will have at most, each after its `choice`, that no others are kept.
    fn expected(&mut self, choice: impl Fn(&S) -> Option<(f32, f32)>) -> Option<f32> {
        if self.states.len() < self.breadth.width {
            return None;
        }
        self.ranks.clear();
        self.ranks.extend(self.states.iter().filter_map(|(so_far, state, _)| {
            choice(state).map(|(cost, foreseen)| so_far + cost + foreseen)
        }));
        let last = self.breadth.width - 1;
        let ranks = &mut self.ranks;
        (last < ranks.len()).then(|| *ranks.select_nth_unstable_by(last, f32::total_cmp).1)
    }

    /// The place where the search stands.
    pub(super) fn mark(&self) -> Mark<S> {
        Mark { states: self.states.clone(), nodes: self.nodes.len(), steps: self.steps }
    }

    /// Goes back to a place where it stood.
    pub(super) fn back_to(&mut self, mark: &Mark<S>) {
        self.states.clone_from(&mark.states);
        self.nodes.truncate(mark.nodes);
        self.steps = mark.steps;
    }

    /// The choices of the cheapest sequence since then, in order.
    pub(super) fn since(&self, mark: &Mark<S>) -> Vec<C> {
        self.choices(mark.nodes, self.steps - mark.steps)
    }

    /// The choices of the cheapest sequence.
    pub(super) fn finish(self) -> Vec<C> {
        self.choices(0, self.steps)
    }

    /// Those of the cheapest sequence from a node on, which are those of so many steps.
    fn choices(&self, first: usize, steps: usize) -> Vec<C> {
        let mut out = Vec::with_capacity(steps);
        let cheapest = self.states.iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let mut at = cheapest.map_or(ROOT, |s| s.2);
        while let Some((before, choice)) =
            self.nodes.get(at as usize).filter(|_| at as usize >= first)
        {
            out.push(*choice);
            at = *before;
        }
        out.reverse();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Beam, Breadth, State};

    impl State for u32 {
        type Key = Self;
        type Step = Self;

        fn key_after(&self, step: Self) -> Self {
            step
        }

        fn after(&self, step: Self) -> Self {
            step
        }
    }

    #[test]
    fn the_cheapest_sequence_is_that_of_an_exhaustive_search() {
        // Eight steps over three states with made-up costs; the beam is wide enough for all.
        let cost = |step: u32, from: u32, to: u32| ((7 * step + 5 * from + 3 * to) % 11) as f32;
        let mut beam = Beam::new(Breadth { width: 24, margin: 45.0 }, [(0.0, 0_u32)]);
        for step in 0..8 {
            beam.step(|from, offers| {
                for to in 0..3_u32 {
                    offers.add(cost(step, *from, to), to, to);
                }
            });
        }
        let found = beam.finish();
        let price = |path: &[u32]| {
            let before = std::iter::once(&0).chain(path);
            before.zip(path).enumerate().map(|(i, (a, b))| cost(i as u32, *a, *b)).sum::<f32>()
        };
        let best = (0..3_u32.pow(8))
            .map(|n| {
                let path: Vec<u32> = (0..8).map(|i| n.div_euclid(3_u32.pow(i)) % 3).collect();
                price(&path)
            })
            .fold(f32::MAX, f32::min);
        assert!((price(&found) - best).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_is_foreseen_decides_what_is_kept_and_is_not_counted() {
        // Three ways of which two are kept: with what it will cost the second is the cheapest, but the
        // first has cost less.
        let ways = [(1.0, 9.0), (3.0, 2.0), (2.0, 8.5)];
        let mut beam = Beam::new(Breadth { width: 2, margin: 45.0 }, [(0.0, 0_u32)]);
        beam.step(|_, offers| {
            for (way, (cost, foreseen)) in (0..).zip(ways) {
                offers.add_foreseen(cost, foreseen, way, way);
            }
        });
        assert_eq!(beam.best(), Some(&1));
        assert_eq!(beam.finish(), [0]);
    }

    #[test]
    fn states_that_are_expected_rule_out_only_what_is_not_kept() {
        let cost = |from: u32, to: u32| ((7 * from + 3 * to) % 13) as f32;
        let run = |expects: bool| {
            let starts = (0..6_u32).map(|n| (n as f32, 100 * n));
            let mut beam = Beam::new(Breadth { width: 4, margin: 45.0 }, starts);
            for _ in 0..6 {
                let expected = |from: &u32| expects.then(|| (cost(*from, 2), 1.0));
                beam.step_within(f32::MAX, expected, |from, offers| {
                    for to in 0..5 {
                        offers.add_foreseen(cost(*from, to), 1.0, from + to, to);
                    }
                });
            }
            beam.finish()
        };
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn a_search_goes_back_to_a_place() {
        let step = |beam: &mut Beam<u32, u32>, cheap: u32| {
            beam.step(|from, offers| {
                let to = from + cheap;
                offers.add(0.0, to, cheap);
                offers.add(1.0, to + 1, cheap + 1);
            });
        };
        let mut beam = Beam::new(Breadth { width: 4, margin: 45.0 }, [(0.0, 0_u32)]);
        step(&mut beam, 3);
        let mark = beam.mark();
        step(&mut beam, 5);
        step(&mut beam, 6);
        assert_eq!(beam.since(&mark), [5, 6]);
        beam.back_to(&mark);
        step(&mut beam, 7);
        assert_eq!(beam.since(&mark), [7]);
        assert_eq!(beam.finish(), [3, 7]);
    }
}
