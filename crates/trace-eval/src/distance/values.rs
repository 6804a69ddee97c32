//! Measures between two histograms over any values: field values, n-grams, states.
//!
//! # Source
//! The same measures as in [`bins`](super::js_divergence), on any number of categories.

/// How often each value occurs.
///
/// # Layout
/// Pairs of value and count by rising value, none of them 0: fields of 32 bits have few values in
/// one capture, so nothing is ever as long as the range of a field.
///
/// # Example
/// ```
/// use trace_eval::distance::ValueCounts;
/// let a: ValueCounts = [7, 7, 9].into_iter().collect();
/// let both = ValueCounts::pooled([&a, &a]);
/// assert_eq!((both.count(7), both.total()), (4, 6));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueCounts {
    counts: Vec<(u64, u64)>,
    total: u64,
}

impl ValueCounts {
    /// The counts of several histograms together.
    pub fn pooled<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut counts: Vec<(u64, u64)> =
            parts.into_iter().flat_map(|p| p.counts.iter().copied()).collect();
        // Sorted runs one after the other: a stable sort only merges them.
        counts.sort_by_key(|c| c.0);
        counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let total = counts.iter().map(|c| c.1).sum();
        Self { counts, total }
    }

    /// Number of values counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How often `value` occurs.
    pub fn count(&self, value: u64) -> u64 {
        self.counts.binary_search_by_key(&value, |c| c.0).map_or(0, |at| self.counts[at].1)
    }

    /// Value and count, by rising value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.counts.iter().copied()
    }
}

impl FromIterator<u64> for ValueCounts {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let counts = values.chunk_by(u64::eq).map(|run| (run[0], run.len() as u64)).collect();
        Self { counts, total: values.len() as u64 }
    }
}

/// Distances between two histograms over the same kind of value, each between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueDistances {
    /// Jensen-Shannon distance: the square root of the divergence to base 2.
    pub js_distance: f64,
    /// Total variation: half the L1 distance.
    pub total_variation: f64,
    /// Hellinger distance.
    pub hellinger: f64,
}

/// The distances between two histograms; `None` where one is empty.
///
/// # Example
/// ```
/// use trace_eval::distance::{ValueCounts, value_distances};
/// let a: ValueCounts = [64, 64, 128].into_iter().collect();
/// let b: ValueCounts = [255].into_iter().collect();
/// assert_eq!(value_distances(&a, &a).map(|d| d.js_distance), Some(0.0));
/// assert_eq!(value_distances(&a, &b).map(|d| d.total_variation), Some(1.0));
/// assert_eq!(value_distances(&a, &ValueCounts::default()), None);
/// ```
///
/// # Source
/// Lin, 1991 (Jensen-Shannon); Levin, Peres, Wilmer, chapter 4 (total variation); Hellinger, 1909.
/// Equal to SciPy's `jensenshannon(p, q, base=2)`.
pub fn value_distances(a: &ValueCounts, b: &ValueCounts) -> Option<ValueDistances> {
    if a.total == 0 || b.total == 0 {
        return None;
    }
    let (mut divergence, mut variation, mut hellinger) = (0.0, 0.0, 0.0);
    let (mut i, mut j) = (0, 0);
    loop {
        let (count_a, count_b) = match (a.counts.get(i), b.counts.get(j)) {
            (None, None) => break,
            (Some(x), Some(y)) if x.0 == y.0 => {
                (i, j) = (i + 1, j + 1);
                (x.1, y.1)
            }
            (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                i += 1;
                (x.1, 0)
            }
            (_, y) => {
                j += 1;
                (0, y.map_or(0, |y| y.1))
            }
        };
        let p = count_a as f64 / a.total as f64;
        // Equal shares of different totals must be equal numbers, see the bins of bits.
        let equal =
            u128::from(count_a) * u128::from(b.total) == u128::from(count_b) * u128::from(a.total);
        let q = if equal { p } else { count_b as f64 / b.total as f64 };
        let middle = f64::midpoint(p, q);
        divergence += relative_entropy(p, middle) + relative_entropy(q, middle);
        variation += (p - q).abs();
        hellinger += (p.sqrt() - q.sqrt()).powi(2);
    }
    Some(ValueDistances {
        js_distance: (divergence / (2.0 * std::f64::consts::LN_2)).clamp(0.0, 1.0).sqrt(),
        total_variation: (variation / 2.0).min(1.0),
        hellinger: (hellinger / 2.0).sqrt().min(1.0),
    })
}

fn relative_entropy(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::{hellinger, js_distance, total_variation};
    use proptest::prelude::*;

    fn of_bins(bins: [u64; 3]) -> ValueCounts {
        (0..3).flat_map(|v| std::iter::repeat_n(v as u64, bins[v] as usize)).collect()
    }

    proptest! {
        /// The three bins of a bit are a histogram over three values.
        #[test]
        fn agrees_with_the_bins_of_bits(
            a in prop::array::uniform3(0_u64..300), b in prop::array::uniform3(0_u64..300),
        ) {
            let found = value_distances(&of_bins(a), &of_bins(b));
            for (value, expected) in [
                (found.map(|d| d.js_distance), js_distance(&a, &b)),
                (found.map(|d| d.total_variation), total_variation(&a, &b)),
                (found.map(|d| d.hellinger), hellinger(&a, &b)),
            ] {
                prop_assert_eq!(value.is_some(), expected.is_some());
                if let Some((v, e)) = value.zip(expected) {
                    prop_assert!((v - e).abs() < 1e-12, "{} {}", v, e);
                }
            }
        }

        #[test]
        fn pooling_is_counting_together(
            a in prop::collection::vec(0_u64..9, 0..40), b in prop::collection::vec(0_u64..9, 0..40),
        ) {
            let apart: [ValueCounts; 2] = [a.iter().copied().collect(), b.iter().copied().collect()];
            let together: ValueCounts = a.into_iter().chain(b).collect();
            prop_assert_eq!(ValueCounts::pooled(&apart), together);
        }
    }
}
