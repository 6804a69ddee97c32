//! States and histories of connections, beside the real captures' own.

use super::References;
use crate::compliance::{Connection, ConnectionState, connections};
use crate::config::EvalConfig;
use crate::distance::{ValueCounts, value_distances};
use crate::report::{Better, ConnectionRow, Score};
use crate::sample::{Pool, Sample};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What a connection is called.
type Name = fn(&Connection) -> String;

/// Scores and table of connections. `control` are real captures in random order.
pub(crate) fn connection_scores(
    pool: &Pool<'_>,
    control: &[Sample],
    references: &References,
    config: &EvalConfig,
) -> (Vec<Score>, Vec<ConnectionRow>) {
    let samples: Vec<&Sample> = pool.samples.iter().copied().chain(control).collect();
    let found: Vec<Vec<Connection>> = samples
        .par_iter()
        .map(|s| {
            let mut trace = s.trace.clone();
            trace.truncate(config.packets);
            connections(&trace)
        })
        .collect();
    let shuffled: Vec<usize> = (pool.samples.len()..samples.len()).collect();
    let kinds: [(&str, Name); 2] = [
        ("state", |c| format!("{} {}", protocol(c.protocol), c.state.name())),
        ("history", |c| format!("{} {}", protocol(c.protocol), c.history)),
    ];
    let (mut scores, mut rows) = (Vec::new(), Vec::new());
    for (kind, name) in kinds {
        let names: Vec<Vec<String>> =
            found.iter().map(|list| list.iter().map(name).collect()).collect();
        scores.push(score(kind, &names, pool, references, config));
        rows.extend(table(kind, &names, references, &shuffled));
    }
    (scores, rows)
}

fn protocol(number: u8) -> String {
    match number {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        1 | 58 => "icmp".to_owned(),
        other => other.to_string(),
    }
}

fn score(
    kind: &str,
    names: &[Vec<String>],
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> Score {
    let mut known: Vec<&String> = names.iter().flatten().collect();
    known.sort();
    known.dedup();
    let number = |name: &String| known.binary_search(&name).map_or(0, |at| at as u64);
    let of_capture = |list: &Vec<String>| list.iter().map(number).collect();
    let mut counts: Vec<ValueCounts> = names[..pool.samples.len()].iter().map(of_capture).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x636f_6e6e);
    let random: Vec<ValueCounts> = names[..pool.held_out.end]
        .iter()
        .map(|list| list.iter().map(|_| rng.random_range(0..known.len() as u64)).collect())
        .collect();
    let first = counts.len();
    counts.extend(random);
    let random: Vec<usize> = (first..counts.len()).collect();
    let pooled = |of: &[usize]| ValueCounts::pooled(of.iter().map(|s| &counts[*s]));
    let found = references.compare(&random, |a, b| value_distances(&pooled(a), &pooled(b)));
    Score::new(
        "Connections",
        format!("connection {kind}, Jensen-Shannon distance"),
        "Distance between the shares of connections with each state or history, as Zeek names them, by protocol. \
         Floor: two halves of the real captures; random: each that occurs with the same chance.",
        Better::Lower,
        found.points(|d| d.as_ref().map(|d| d.js_distance)),
    )
}

/// Every name with its counts, commonest in real captures first.
fn table(
    kind: &str,
    names: &[Vec<String>],
    references: &References,
    shuffled: &[usize],
) -> Vec<ConnectionRow> {
    let mut counts: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for (place, samples) in
        [&references.real[..], &references.synthetic, shuffled].iter().enumerate()
    {
        for name in samples.iter().flat_map(|s| &names[*s]) {
            counts.entry(name).or_default()[place] += 1;
        }
    }
    let mut rows: Vec<ConnectionRow> = counts
        .into_iter()
        .map(|(name, [real, synthetic, shuffled])| {
            let state = name.split_once(' ').map_or("", |(_, state)| state);
            let known = ConnectionState::ALL.into_iter().find(|s| s.name() == state);
            let meaning = known.filter(|_| kind == "state").map_or("", ConnectionState::meaning);
            ConnectionRow {
                kind: kind.to_owned(),
                name: name.to_owned(),
                meaning: meaning.to_owned(),
                real,
                synthetic,
                shuffled,
            }
        })
        .collect();
    rows.sort_by_key(|r| std::cmp::Reverse((r.real, r.synthetic)));
    rows
}
