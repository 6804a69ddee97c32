//! Search over sequences of choices that keeps only the cheapest few states.

/// States that are kept after a step.
const WIDTH: usize = 16;
/// States this much dearer than the cheapest are given up. Units: nats.
const MARGIN: f32 = 30.0;

/// A search: a state is what later steps depend on, a choice is what a step decides.
pub(super) struct Beam<S, C> {
    /// Cost so far, state, and the node of the last choice.
    states: Vec<(f32, S, u32)>,
    next: Vec<(f32, S, u32, C)>,
    /// Every kept choice with the node before it.
    nodes: Vec<(u32, C)>,
}

/// A node that has none before it.
const ROOT: u32 = u32::MAX;

impl<S: Copy + PartialEq, C: Copy> Beam<S, C> {
    pub(super) fn new(start: impl IntoIterator<Item = (f32, S)>) -> Self {
        let states = start.into_iter().map(|(cost, state)| (cost, state, ROOT)).collect();
        Self { states, next: Vec::new(), nodes: Vec::new() }
    }

    /// One step: `choices` offers what may follow a state, each with its cost.
    pub(super) fn step(&mut self, mut choices: impl FnMut(&S, &mut dyn FnMut(f32, S, C))) {
        self.next.clear();
        for (so_far, state, node) in &self.states {
            let next = &mut self.next;
            choices(state, &mut |cost, after, choice| {
                let total = so_far + cost;
                match next.iter_mut().find(|(_, known, ..)| *known == after) {
                    Some(known) if known.0 <= total => {}
                    Some(known) => *known = (total, after, *node, choice),
                    None => next.push((total, after, *node, choice)),
                }
            });
        }
        // A stable sort: of equal costs the first offer wins.
        self.next.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.states.clear();
        let Some(least) = self.next.first().map(|n| n.0) else { return };
        for (cost, state, before, choice) in self.next.drain(..) {
            if self.states.len() == WIDTH || cost > least + MARGIN {
                break;
            }
            // Only differences count; sums over a million steps would lose them.
            self.states.push((cost - least, state, self.nodes.len() as u32));
            self.nodes.push((before, choice));
        }
    }

    /// The choices of the cheapest sequence.
    pub(super) fn finish(self) -> Vec<C> {
        let mut out = Vec::new();
        let mut at = self.states.first().map_or(ROOT, |s| s.2);
        while let Some((before, choice)) = self.nodes.get(at as usize) {
            out.push(*choice);
            at = *before;
        }
        out.reverse();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Beam;

    #[test]
    fn the_cheapest_sequence_is_that_of_an_exhaustive_search() {
        // Eight steps over three states with made-up costs; the beam is wide enough for all.
        let cost =
            |step: usize, from: usize, to: usize| ((7 * step + 5 * from + 3 * to) % 11) as f32;
        let mut beam = Beam::new([(0.0, 0_usize)]);
        for step in 0..8 {
            beam.step(|from, offer| (0..3).for_each(|to| offer(cost(step, *from, to), to, to)));
        }
        let found = beam.finish();
        let price = |path: &[usize]| {
            let before = std::iter::once(&0).chain(path);
            before.zip(path).enumerate().map(|(i, (a, b))| cost(i, *a, *b)).sum::<f32>()
        };
        let best = (0..3_usize.pow(8))
            .map(|n| {
                let path: Vec<usize> = (0..8).map(|i| n.div_euclid(3_usize.pow(i)) % 3).collect();
                price(&path)
            })
            .fold(f32::MAX, f32::min);
        assert_eq!(price(&found), best);
    }
}
