//! Captures, and runs of packets, that were seen before.

use super::GROUP;
use crate::fidelity::References;
use crate::report::{Better, Score};
use crate::sample::{Pool, Sample};
use std::collections::BTreeSet;

/// Packets in a row that make a run: fewer are alike by chance in bare acknowledgements.
const RUN: usize = 16;

/// Exact copies of captures, copies within a set, and copied runs of packets.
pub(super) fn copies(pool: &Pool<'_>, control: &[Sample], references: &References) -> [Score; 3] {
    let samples: Vec<&Sample> = pool.samples.iter().copied().chain(control).collect();
    let random: Vec<usize> = (pool.samples.len()..samples.len()).collect();
    let rows: Vec<Vec<u64>> = samples.iter().map(|s| row_hashes(s)).collect();

    let copied = |known: &[usize], found: &[usize]| {
        share(found, |f| known.iter().any(|k| same(samples[*k], samples[*f])))
    };
    let mut whole = references.compare(&random, copied).points(|v| *v);
    whole.synthetic = copied(&references.real, &references.synthetic);

    let repeated = |_: &[usize], found: &[usize]| {
        let repeats = |i: usize| found[..i].iter().any(|k| same(samples[*k], samples[found[i]]));
        let places: Vec<usize> = (0..found.len()).collect();
        share(&places, |i| repeats(*i))
    };
    let mut within = references.compare(&random, repeated).points(|v| *v);
    within.synthetic = repeated(&[], &references.synthetic);

    let runs = |known: &[usize], found: &[usize]| {
        let seen: BTreeSet<u64> = known.iter().flat_map(|k| run_hashes(&rows[*k])).collect();
        let (mut copied, mut all) = (0, 0);
        for f in found {
            copied += packets_in_runs(&rows[*f], &seen);
            all += rows[*f].len();
        }
        (all > 0).then(|| copied as f64 / all as f64)
    };
    let mut packets = references.compare(&random, runs).points(|v| *v);
    packets.synthetic = runs(&references.real, &references.synthetic);

    let score = |metric: &str, meaning: &str, points| {
        Score::new(GROUP, metric, meaning, Better::Lower, points)
    };
    [
        score(
            "captures that copy a real one",
            "Share of captures all of whose header bits equal those of a real capture, over the rows that \
             both have. A generator that only replays its training set scores 1.",
            whole,
        ),
        score(
            "captures that copy another of their set",
            "Share of captures all of whose header bits equal those of an earlier capture of the same set.",
            within,
        ),
        score(
            "packets in copied runs",
            "Share of packets in a run of at least 16 packets whose header bits, identifiers and checksums \
             included, stand in the same order in a real capture.",
            packets,
        ),
    ]
}

fn share<T>(of: &[T], test: impl Fn(&T) -> bool) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().filter(|x| test(x)).count() as f64 / of.len() as f64)
}

/// Whether all header bits are equal, over the rows that both have.
fn same(a: &Sample, b: &Sample) -> bool {
    let rows = a.matrix.rows().min(b.matrix.rows());
    let words = rows * a.matrix.layout().words();
    rows > 0
        && a.matrix.value_plane()[..words] == b.matrix.value_plane()[..words]
        && a.matrix.present_plane()[..words] == b.matrix.present_plane()[..words]
}

/// One number a row. Unequal rows have equal numbers by chance once in 2^64.
fn row_hashes(sample: &Sample) -> Vec<u64> {
    let rows = sample.matrix.iter().filter(|row| !row.is_vacant());
    rows.map(|row| hash(row.present_words().iter().chain(row.value_words()).copied())).collect()
}

fn run_hashes(rows: &[u64]) -> impl Iterator<Item = u64> + '_ {
    rows.windows(RUN).map(|run| hash(run.iter().copied()))
}

/// Packets of `rows` that lie in a run which `seen` holds.
fn packets_in_runs(rows: &[u64], seen: &BTreeSet<u64>) -> usize {
    let (mut copied, mut counted) = (0, 0);
    for (start, run) in run_hashes(rows).enumerate() {
        if seen.contains(&run) {
            copied += start + RUN - counted.max(start);
            counted = start + RUN;
        }
    }
    copied
}

/// FNV-1a over words, with a final mix; not for adversaries.
fn hash(words: impl Iterator<Item = u64>) -> u64 {
    let mixed = words.fold(0xcbf2_9ce4_8422_2325_u64, |h, w| {
        (h ^ w).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    });
    (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_once() {
        let known: Vec<u64> = (0..40).collect();
        let seen: BTreeSet<u64> = run_hashes(&known).collect();
        assert_eq!(packets_in_runs(&known, &seen), 40);
        let mixed: Vec<u64> = (100..110).chain(5..25).chain(200..240).collect();
        assert_eq!(packets_in_runs(&mixed, &seen), 20);
        let short: Vec<u64> = (100..110).chain(5..20).collect();
        assert_eq!(packets_in_runs(&short, &seen), 0);
        assert_eq!(packets_in_runs(&[], &seen), 0);
    }
}
