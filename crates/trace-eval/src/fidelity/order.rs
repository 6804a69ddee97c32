//! The order of packets: words of packets in a row, and how a series repeats itself.

use super::References;
use super::reference::mean;
use crate::config::EvalConfig;
use crate::distance::{ValueCounts, value_distances};
use crate::features::{Series, autocorrelation, packet_tokens, token_ngrams};
use crate::report::{Better, Score};
use crate::sample::Pool;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Lengths of the words that are compared.
const WORDS: [usize; 3] = [1, 2, 3];
/// One property of a series.
type Values = fn(&Series) -> &[f64];

/// Longest lag of the autocorrelation.
const LAGS: usize = 10;

/// Scores of the order of packets. `series` are those of the pool's samples.
pub(crate) fn order_scores(
    pool: &Pool<'_>,
    series: &[Series],
    references: &References,
    config: &EvalConfig,
) -> Vec<Score> {
    let mut scores = ngram_scores(pool, references, config);
    let properties: [(&str, Values); 2] =
        [("lengths", |s| &s.length_bytes), ("gaps", |s| &s.gap_log10_s)];
    for (name, values) in properties {
        scores.push(autocorrelation_score(name, values, series, references, config));
    }
    scores
}

fn ngram_scores(pool: &Pool<'_>, references: &References, config: &EvalConfig) -> Vec<Score> {
    let mut tokens: Vec<Vec<u16>> =
        pool.samples.par_iter().map(|s| packet_tokens(&s.trace, config.packets)).collect();
    let mut known: Vec<u16> = tokens[..pool.held_out.end].iter().flatten().copied().collect();
    known.sort_unstable();
    known.dedup();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x0077_6f72_6473);
    let random: Vec<Vec<u16>> = tokens[..pool.held_out.end.div_ceil(2)]
        .iter()
        .map(|t| t.iter().map(|_| known[rng.random_range(0..known.len())]).collect())
        .collect();
    let first = tokens.len();
    tokens.extend(random);
    let random: Vec<usize> = (first..tokens.len()).collect();
    let score = |n: &usize| {
        let counts: Vec<ValueCounts> = tokens.iter().map(|t| token_ngrams(t, *n)).collect();
        let pooled = |of: &[usize]| ValueCounts::pooled(of.iter().map(|s| &counts[*s]));
        let found = references.compare(&random, |a, b| value_distances(&pooled(a), &pooled(b)));
        Score::new(
            "Order of packets",
            format!("words of {n} packet(s), Jensen-Shannon distance"),
            "Distance between the shares of words of packets in a row, a packet being its direction, TCP \
             flags and one of 11 length buckets. Floor: two halves of the real captures; random: packets \
             drawn at random from those that occur.",
            Better::Lower,
            found.points(|d| d.as_ref().map(|d| d.js_distance)),
        )
    };
    WORDS.par_iter().map(score).collect()
}

fn autocorrelation_score(
    name: &str,
    values: Values,
    series: &[Series],
    references: &References,
    config: &EvalConfig,
) -> Score {
    let mut curves: Vec<Vec<f64>> =
        series.iter().map(|s| autocorrelation(values(s), LAGS)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x006f_7264_6572);
    let shuffled: Vec<Vec<f64>> = references.real[..references.real.len().div_ceil(2)]
        .iter()
        .map(|s| {
            let mut values = values(&series[*s]).to_vec();
            values.shuffle(&mut rng);
            autocorrelation(&values, LAGS)
        })
        .collect();
    curves.extend(shuffled);
    let average = |of: &[usize], lag: usize| mean(of.iter().map(|s| Some(curves[*s][lag])));
    let random: Vec<usize> = (series.len()..curves.len()).collect();
    let found = references.compare(&random, |a, b| {
        mean((0..LAGS).map(|lag| Some((average(a, lag)? - average(b, lag)?).abs())))
    });
    Score::new(
        "Order of packets",
        format!("autocorrelation of {name}, difference"),
        "Mean over lags 1 to 10 of the difference between the sets' mean autocorrelations. Floor: two \
         halves of the real captures; random: the values of real captures in random order.",
        Better::Lower,
        found.points(|d| *d),
    )
}
