//! Exchanges gaps until their autocorrelation is right.
//!
//! # Source
//! Schreiber, "Constrained randomization of time series data", Physical Review Letters 80 (1998): a
//! series with a given distribution and given autocorrelations is found by exchanging values. Here
//! only values of packets of the same context are exchanged, and the search begins near its end, so that an
//! exchange that does not help is never kept. The autocorrelations are those of the gaps, which a few long
//! pauses rule, and those of their logarithms, which all gaps do.

use super::step::{CONTEXTS, LEVELS, Packet, gap_ns};
use super::stretch::Stretch;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::LazyLock;

/// Autocorrelations that are restored: at lags 1 to this.
const LAGS: usize = 20;
/// Most exchanges that are tried, for each packet.
const TRIES: usize = 6;
/// Sum of the squares of what autocorrelations are off by that is as good as none: 0.005 at each lag.
const NONE: f32 = 2.0 * LAGS as f32 * 0.005 * 0.005;
/// Of the longest gaps, which alone rule the autocorrelation of gaps: one in so many packets.
const LONGEST: usize = 32;

/// Exchanges heights of packets of the same context until the autocorrelations are the stretches' mean.
pub(super) fn restore(
    heights: &mut [f32],
    stretches: &[&Stretch],
    packets: &[Packet],
    random: &mut ChaCha8Rng,
) {
    let gaps: Vec<f32> = heights.iter().map(|h| gap_ns(f64::from(*h)) as f32).collect();
    let [of_levels, of_gaps] = mean_autocorrelations(stretches);
    let mut series = [Series::new(heights, of_levels), Series::new(&gaps, of_gaps)];
    let partners = partners(packets);
    let mut longest = longest(heights);
    let mut error: f32 = series.iter().map(|series| series.error(&series.sums)).sum();
    for index in 0..TRIES * heights.len() {
        if error < NONE {
            break;
        }
        // By turns one of the longest gaps and any.
        let long = index & 1 == 0;
        let place = random.random_range(0..if long { longest.len() } else { heights.len() });
        let first = if long { longest[place] } else { place };
        let others = &partners[usize::from(packets[first].context)];
        let second = others[random.random_range(0..others.len())];
        let exchanged = series.each_ref().map(|series| series.sums_with(first, second));
        let new: f32 = series.iter().zip(&exchanged).map(|(s, sums)| s.error(sums)).sum();
        if new < error {
            error = new;
            for (series, sums) in series.iter_mut().zip(exchanged) {
                series.exchange(first, second, sums);
            }
            heights.swap(first, second);
            if long {
                longest[place] = second;
            }
        }
    }
}

/// Where the longest gaps are.
fn longest(heights: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..heights.len()).collect();
    places.sort_unstable_by(|a, b| heights[*b].total_cmp(&heights[*a]));
    places.truncate(heights.len().div_ceil(LONGEST));
    places
}

/// The packets of each context.
fn partners(packets: &[Packet]) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new(); CONTEXTS];
    for (index, packet) in packets.iter().enumerate() {
        out[usize::from(packet.context)].push(index);
    }
    out
}

/// Of levels and of gaps.
fn mean_autocorrelations(stretches: &[&Stretch]) -> [[f32; LAGS]; 2] {
    /// The gap in the middle of each level.
    static GAPS: LazyLock<[f32; LEVELS]> =
        LazyLock::new(|| std::array::from_fn(|level| gap_ns(level as f64 + 0.5) as f32));
    let level = |level: u8| f32::from(level);
    let gap = |level: u8| GAPS[usize::from(level)];
    let mut means = [[0.0; LAGS]; 2];
    for stretch in stretches {
        let values = |of: &dyn Fn(u8) -> f32| -> Vec<f32> {
            stretch.steps().iter().map(|step| of(step.level)).collect()
        };
        for (mean, values) in means.iter_mut().zip([values(&level), values(&gap)]) {
            let own = Series::new(&values, [0.0; LAGS]).sums;
            mean.iter_mut().zip(own).for_each(|(mean, own)| *mean += own / stretches.len() as f32);
        }
    }
    means
}

/// Values less their mean in units of their standard deviation over the root of their number, so that the sums
/// of their products are autocorrelations.
///
/// # Representation
/// An exchange changes a sum by what stands before and behind both places. The values are there a second time, the last one
/// first, so that both are read upwards, lag by lag, and several lags at once.
struct Series {
    /// Between [`LAGS`] zeros on either side.
    padded: Vec<f32>,
    mirrored: Vec<f32>,
    /// Of the products of values 1 to [`LAGS`] apart.
    sums: [f32; LAGS],
    wanted: [f32; LAGS],
}

impl Series {
    fn new(values: &[f32], wanted: [f32; LAGS]) -> Self {
        let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
        let square: f32 = values.iter().map(|value| (value - mean).powi(2)).sum();
        // Values that do not differ: all zero.
        let scale = if square > 1e-6 * mean * mean { square.sqrt().recip() } else { 0.0 };
        let mut padded = vec![0.0; values.len() + 2 * LAGS];
        let own = padded[LAGS..].iter_mut().zip(values);
        own.for_each(|(to, value)| *to = scale * (value - mean));
        let mut sums = [0.0; LAGS];
        for window in padded[LAGS..].windows(LAGS + 1) {
            sums.iter_mut().zip(&window[1..]).for_each(|(sum, later)| *sum += window[0] * later);
        }
        let mirrored = padded.iter().rev().copied().collect();
        Self { padded, mirrored, sums, wanted }
    }

    /// Where a value is in the mirror.
    fn mirror(&self, at: usize) -> usize {
        self.padded.len() - 1 - LAGS - at
    }

    /// The sums if two values were exchanged.
    #[inline]
    fn sums_with(&self, first: usize, second: usize) -> [f32; LAGS] {
        let behind = |at: usize| &self.padded[at + LAGS..][..=LAGS];
        let before = |at: usize| &self.mirrored[self.mirror(at)..][..=LAGS];
        let (a, b) = ([behind(first), before(first)], [behind(second), before(second)]);
        let more = b[0][0] - a[0][0];
        let mut sums = self.sums;
        for (lag, sum) in sums.iter_mut().enumerate() {
            *sum += more * (a[0][lag + 1] + a[1][lag + 1] - b[0][lag + 1] - b[1][lag + 1]);
        }
        // Their own product is not changed.
        if let Some(sum) = sums.get_mut(first.abs_diff(second).wrapping_sub(1)) {
            *sum -= more * more;
        }
        sums
    }

    fn exchange(&mut self, first: usize, second: usize, sums: [f32; LAGS]) {
        let (one, other) = (self.mirror(first), self.mirror(second));
        self.padded.swap(first + LAGS, second + LAGS);
        self.mirrored.swap(one, other);
        self.sums = sums;
    }

    /// How far sums are from those that are wanted.
    fn error(&self, sums: &[f32; LAGS]) -> f32 {
        // Four sums side by side: one would wait for each addition.
        let mut parts = [0.0_f32; 4];
        for (sums, wanted) in sums.chunks_exact(4).zip(self.wanted.chunks_exact(4)) {
            for (part, (sum, wanted)) in parts.iter_mut().zip(sums.iter().zip(wanted)) {
                *part += (sum - wanted) * (sum - wanted);
            }
        }
        parts.iter().sum()
    }
}
const _: () = assert!(LAGS.is_multiple_of(4));

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::seq::SliceRandom;

    fn packets(count: usize) -> Vec<Packet> {
        let packet = |index: usize| Packet { context: 3 * (index % 2) as u8, service: (17, 53) };
        (0..count).map(packet).collect()
    }

    #[test]
    fn sums_after_an_exchange_are_those_of_the_exchanged() {
        let values: Vec<f32> = (0..60_u16).map(|i| f32::from(i * i % 37)).collect();
        for (first, second) in [(0, 59), (5, 6), (6, 5), (10, 30), (11, 11), (40, 20), (3, 50)] {
            let mut exchanged = values.clone();
            exchanged.swap(first, second);
            let expected = Series::new(&exchanged, [0.0; LAGS]).sums;
            let found = Series::new(&values, [0.0; LAGS]).sums_with(first, second);
            for (lag, (a, b)) in found.iter().zip(expected).enumerate() {
                assert!((a - b).abs() < 1e-5, "{first} {second} lag {}: {a} {b}", lag + 1);
            }
        }
    }

    #[test]
    fn shuffled_gaps_get_their_autocorrelation_back_within_contexts() {
        // Six slow packets after each eighteen fast ones.
        let gap = |index: usize| if index % 24 < 6 { 9_000_000 } else { 20_000 + index as u64 };
        let observed: Vec<(Packet, u64)> = packets(960).into_iter().zip((0..).map(gap)).collect();
        let stretch = Stretch::new(&observed).expect("packets");
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let packets = packets(960);
        let mut heights: Vec<f32> =
            stretch.steps().iter().map(|step| f32::from(step.level) + 0.5).collect();
        // Shuffled among the packets of each context.
        for context in 0..2 {
            let mut own: Vec<f32> = heights.iter().skip(context).step_by(2).copied().collect();
            own.shuffle(&mut random);
            heights.iter_mut().skip(context).step_by(2).zip(own).for_each(|(to, h)| *to = h);
        }
        let of_context = |heights: &[f32]| {
            let mut own: Vec<f32> = heights.iter().step_by(2).copied().collect();
            own.sort_by(f32::total_cmp);
            own
        };
        let error = |heights: &[f32]| {
            let series = Series::new(heights, mean_autocorrelations(&[&stretch])[0]);
            series.error(&series.sums)
        };
        let (before, lengths) = (error(&heights), of_context(&heights));
        restore(&mut heights, &[&stretch], &packets, &mut random);
        assert!(error(&heights) < 0.2 * before, "{} of {before}", error(&heights));
        assert_eq!(of_context(&heights), lengths);
    }

    #[test]
    fn values_that_do_not_differ_are_left() {
        let observed: Vec<(Packet, u64)> =
            packets(50).into_iter().map(|packet| (packet, 5_000)).collect();
        let stretch = Stretch::new(&observed).expect("packets");
        let mut heights = vec![4.5; 50];
        let mut random = ChaCha8Rng::seed_from_u64(0);
        restore(&mut heights, &[&stretch], &packets(50), &mut random);
        assert_eq!(heights, [4.5; 50]);
    }
}
