//! How far drawn gaps are from real ones, beside how far real ones are from each other.
//!
//! ```text
//! cargo run --release -p protocol-repair --example timing_quality -- SPLITS CAPTURE…
//! cargo run --release -p protocol-repair --example timing_quality -- SPLITS CAPTURE… -- HELD_OUT…
//! ```
//! Captures are told apart by class: the part of the name before `-a-`, with the service where that is
//! `none`. Of each, the first 1024 IP packets are used. One model is fitted on the captures A of all
//! classes, each labelled with its class, and gives times to the packets of the captures B of a class; none of
//! these is among A.
//!
//! - Without HELD_OUT, A and B are halves of each class, drawn anew for each split.
//! - With HELD_OUT, these are B, the others A, and only the seeds of the draws differ between splits.
//!
//! **The floor** is how far as many of the class's captures in A, chosen by the split's seed, are from B. As many,
//! for how far a set is from another depends on its size most of all: a class's captures differ by link and
//! content, and 3 of them are no more like the class than 3 drawn ones are. Against all of A drawn and real sets
//! of 3 would both be far off. A single choice of 3 is far from the next: the floor is the mean over the splits,
//! and its standard deviation is printed behind it. The mean is what drawn gaps are to be compared with, in ratio.
//!
//! Printed for each class, once with the label given and once without, as `drawn / floor ± deviation = ratio`
//! (means over the splits); in the last line for all classes together, as one set:
//!
//! - Wasserstein-1 between `log10` of the gaps in seconds, and within each context (direction kept or
//!   changed; no payload or three sizes), weighted by its share of B; and between the gaps in milliseconds;
//! - the mean over lags 1 to 20 of the difference between the mean autocorrelations, of `log10` of the gaps, and
//!   of the gaps themselves.
#![allow(clippy::print_stdout)]

mod captures;
mod distances;

use captures::{Capture, Classes, load_all};
use distances::{Distances, Gaps, apart};
use protocol_repair::{RepairConfig, Timing, TimingModel, repair};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;
/// Captures of one class.
type Set<'a> = Vec<&'a Capture>;

/// What is compared with B: drawn with the label, without it, and real.
const KINDS: usize = 3;
const LABELLED: usize = 0;
const UNLABELLED: usize = 1;
const FLOOR: usize = 2;

/// Of a class, in the order of the splits.
type Found = [Vec<Distances>; KINDS];

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [splits, captures @ ..] = arguments.as_slice() else {
        return Err("usage: timing_quality SPLITS CAPTURE… [-- HELD_OUT…]".into());
    };
    let splits: u64 = splits.parse()?;
    let mut sets = captures.split(|argument| argument == "--");
    let captures = load_all(sets.next().unwrap_or_default())?;
    let held_out = sets.next().map(load_all).transpose()?;
    let model = held_out.is_some().then(|| fit(&whole(&captures)));
    let mut found: BTreeMap<&str, (usize, Found)> = BTreeMap::new();
    for seed in 0..splits {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (a, b) = match &held_out {
            Some(held_out) => (whole(&captures), whole(held_out)),
            None => halves(&captures, &mut random),
        };
        let fitted = if model.is_none() { Some(fit(&a)) } else { None };
        let Some(model) = model.as_ref().or(fitted.as_ref()) else { continue };
        let mut all: [(Vec<Gaps>, Vec<Gaps>); KINDS] = Default::default();
        for (class, b) in &b {
            let others = a.get(class).map_or(&[][..], Vec::as_slice);
            let sets = compared(class, others, b, model, &mut random)?;
            let real = gaps_of(b);
            let (captures, of_class) = found.entry(class).or_default();
            *captures = b.len();
            for (kind, set) in sets.into_iter().enumerate() {
                of_class[kind].push(apart(&set, &real));
                all[kind].0.extend(set);
                all[kind].1.extend(real.iter().cloned());
            }
        }
        let (captures, together) = found.entry("~ all").or_default();
        *captures = b.values().map(Vec::len).sum();
        all.iter().zip(together).for_each(|((set, real), of)| of.push(apart(set, real)));
    }
    println!("Label given:\n");
    table(&found, LABELLED);
    println!("\nNo label given:\n");
    table(&found, UNLABELLED);
    Ok(())
}

fn whole(classes: &Classes) -> BTreeMap<&str, Set<'_>> {
    classes.iter().map(|(class, captures)| (class.as_str(), captures.iter().collect())).collect()
}

/// Both halves of each class.
fn halves<'a>(
    classes: &'a Classes,
    random: &mut ChaCha8Rng,
) -> (BTreeMap<&'a str, Set<'a>>, BTreeMap<&'a str, Set<'a>>) {
    let (mut a, mut b) = (whole(classes), BTreeMap::new());
    for (class, captures) in &mut a {
        captures.shuffle(random);
        b.insert(*class, captures.split_off(captures.len().div_ceil(2)));
    }
    (a, b)
}

/// A model of all classes, each a label.
fn fit(classes: &BTreeMap<&str, Set<'_>>) -> TimingModel {
    let labels: BTreeMap<&str, [String; 1]> =
        classes.keys().map(|class| (*class, [(*class).to_owned()])).collect();
    let labelled = classes.iter().flat_map(|(class, captures)| {
        captures.iter().map(|capture| (&capture.trace, &labels[class][..]))
    });
    TimingModel::fit_labelled(&labelled.collect::<Vec<_>>())
}

/// The gaps that are compared with those of B, by kind.
fn compared(
    class: &str,
    others: &[&Capture],
    b: &[&Capture],
    model: &TimingModel,
    random: &mut ChaCha8Rng,
) -> Fallible<[Vec<Gaps>; KINDS]> {
    let mut real = others.to_vec();
    real.shuffle(random);
    real.truncate(b.len());
    let mut out = [Vec::new(), Vec::new(), gaps_of(&real)];
    for (kind, label) in [(LABELLED, Some(class.to_owned())), (UNLABELLED, None)] {
        for capture in b {
            let timing = Timing::Model { model: model.clone(), label: label.clone() };
            let seed = rand::Rng::random(random);
            let config = RepairConfig { timing, seed, ..RepairConfig::default() };
            let (repaired, _) = repair(&capture.soft, &config)?;
            out[kind].push(capture.gaps.with_times_of(&repaired));
        }
    }
    Ok(out)
}

fn gaps_of(set: &[&Capture]) -> Vec<Gaps> {
    set.iter().map(|capture| capture.gaps.clone()).collect()
}

fn table(found: &BTreeMap<&str, (usize, Found)>, kind: usize) {
    let heads = ["W1, log10 s", "W1 in context", "W1, ms", "ACF of log10", "ACF of s"];
    println!("| class | captures | {} |", heads.join(" | "));
    println!("|---|---|{}", "---|".repeat(heads.len()));
    for (class, (captures, found)) in found {
        let cells = (0..heads.len()).map(|which| {
            let (drawn, _) = mean_and_deviation(&found[kind], which);
            let (floor, deviation) = mean_and_deviation(&found[FLOOR], which);
            format!(" {drawn:.3} / {floor:.3} ± {deviation:.3} = {:.2} |", drawn / floor)
        });
        println!("| {class} | {captures} |{}", cells.collect::<String>());
    }
}

fn mean_and_deviation(found: &[Distances], which: usize) -> (f64, f64) {
    let count = found.len().max(1) as f64;
    let mean = found.iter().map(|d| d[which]).sum::<f64>() / count;
    let square = found.iter().map(|d| (d[which] - mean).powi(2)).sum::<f64>() / count;
    (mean, square.sqrt())
}
