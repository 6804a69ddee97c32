//! Child against parent.

use super::reference::mean;
use super::{Measured, References};
use crate::Result;
use crate::config::EvalConfig;
use crate::distance::{MatrixDistances, Planes, compare};
use crate::features::Series;
use crate::report::{Better, Pair, Points, Score, Spread};
use crate::sample::{Pool, Sample};
use nprint_codec::TernaryMatrix;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Most pairs of real captures that a reference point is averaged over.
const MOST: usize = 60;

/// Two captures beside each other.
#[derive(Debug, Clone, Copy)]
struct Beside {
    matrix: Option<MatrixDistances>,
    same_length: Option<f64>,
    same_direction: Option<f64>,
}

/// Children beside their parents.
pub(crate) struct FamilyScores {
    pub(crate) scores: Vec<Score>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) spread: Spread,
}

/// Scores of children beside their parents, and every pair; `None` where no child names a parent.
pub(crate) fn pair_scores(
    pool: &Pool<'_>,
    measured: &Measured,
    control: &[Sample],
    control_measured: &Measured,
    references: &References,
    config: &EvalConfig,
) -> Result<Option<FamilyScores>> {
    let children: Vec<(usize, usize)> =
        references.synthetic.iter().filter_map(|s| Some((*s, pool.parents[*s]?))).collect();
    if children.is_empty() {
        return Ok(None);
    }
    let beside = |(a, b): (usize, usize)| {
        let (x, y) = (pool.samples[a], pool.samples[b]);
        side_by_side(&x.matrix, &y.matrix, &measured.series[a], &measured.series[b], config)
    };
    let (same, other) = real_pairs(pool, references, config);
    let all = |pairs: &[(usize, usize)]| -> Result<Vec<Beside>> {
        pairs.par_iter().map(|p| beside(*p)).collect()
    };
    let (found, same, other) = (all(&children)?, all(&same)?, all(&other)?);
    // Controls were made from every n-th real sample, in order.
    let step = references.real.len().div_ceil(control.len().max(1)).max(1);
    let random: Vec<Beside> = control
        .par_iter()
        .enumerate()
        .filter_map(|(i, c)| {
            let real = *references.real.get(i * step)?;
            let series = (&control_measured.series[i], &measured.series[real]);
            Some(side_by_side(&c.matrix, &pool.samples[real].matrix, series.0, series.1, config))
        })
        .collect::<Result<_>>()?;
    let score = |metric: &str, meaning: &str, better, of: &dyn Fn(&Beside) -> Option<f64>| {
        let mean_of = |list: &[Beside]| mean(list.iter().map(of));
        let points = Points {
            synthetic: mean_of(&found),
            noise_floor: mean_of(&same),
            wrong_class: mean_of(&other),
            random: mean_of(&random),
        };
        Score::new("Child against parent", metric, meaning, better, points)
    };
    let bits = "Mean over pairs of child and parent. Floor: two real captures with the same labels; \
                wrong class: two with different labels; random: uniformly random cells.";
    let order = "Share of packets that agree at the same place of child and parent: the order of \
                 packets, which distributions do not see. Floor: two real captures with the same \
                 labels; random: the parent's packets in random order.";
    let matrix =
        |f: fn(&MatrixDistances) -> Option<f64>| move |b: &Beside| b.matrix.as_ref().and_then(f);
    let scores = vec![
        score(
            "Jensen-Shannon distance",
            bits,
            Better::Lower,
            &matrix(|d| d.js_distance_column_mean_no_padding),
        ),
        score(
            "total variation",
            bits,
            Better::Lower,
            &matrix(|d| d.total_variation_column_mean_no_padding),
        ),
        score(
            "Hellinger distance",
            bits,
            Better::Lower,
            &matrix(|d| d.hellinger_column_mean_no_padding),
        ),
        score("cells that differ", bits, Better::Lower, &matrix(|d| d.hamming)),
        score("same packet length", order, Better::Higher, &|b| b.same_length),
        score("same direction", order, Better::Higher, &|b| b.same_direction),
    ];
    let pairs = children.iter().zip(&found).map(|((child, parent), b)| Pair {
        synthetic: pool.samples[*child].name.clone(),
        parent: pool.samples[*parent].name.clone(),
        js_distance: b.matrix.and_then(|d| d.js_distance_column_mean_no_padding),
        total_variation: b.matrix.and_then(|d| d.total_variation_column_mean_no_padding),
        hellinger: b.matrix.and_then(|d| d.hellinger_column_mean_no_padding),
        hamming: b.matrix.and_then(|d| d.hamming),
        same_length: b.same_length,
        same_direction: b.same_direction,
    });
    let distances = |list: &[Beside]| -> Vec<f64> {
        let of = |b: &Beside| b.matrix.as_ref()?.js_distance_column_mean_no_padding;
        list.iter().filter_map(of).collect()
    };
    let spread = Spread::new(
        "Distance of two captures",
        "JS distance of header bits",
        "Distance of two captures, mean over bit columns: each child and its parent; two real captures with the same labels; two \
         with different ones; a real capture and random cells.",
        [&found, &same, &other, &random].map(|list| distances(list)),
    );
    Ok(Some(FamilyScores { scores, pairs: pairs.collect(), spread }))
}

/// Pairs of real captures with the same labels, and with different classes.
#[allow(clippy::type_complexity)]
fn real_pairs(
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> (Vec<(usize, usize)>, Vec<(usize, usize)>) {
    let real = &references.real;
    let pairs: Vec<(usize, usize)> = real
        .iter()
        .enumerate()
        .flat_map(|(i, a)| real[i + 1..].iter().map(move |b| (*a, *b)))
        .collect();
    let class = |s: usize| references.class_of[s];
    let mut same: Vec<(usize, usize)> = pairs
        .iter()
        .filter(|(a, b)| pool.samples[*a].labels == pool.samples[*b].labels)
        .copied()
        .collect();
    if same.is_empty() {
        same = pairs
            .iter()
            .filter(|(a, b)| class(*a).is_some() && class(*a) == class(*b))
            .copied()
            .collect();
    }
    let mut other: Vec<(usize, usize)> = pairs
        .into_iter()
        .filter(|(a, b)| class(*a).is_some() && class(*b).is_some() && class(*a) != class(*b))
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x7061_6972);
    for list in [&mut same, &mut other] {
        list.shuffle(&mut rng);
        list.truncate(MOST);
    }
    (same, other)
}

fn side_by_side(
    a: &TernaryMatrix,
    b: &TernaryMatrix,
    x: &Series,
    y: &Series,
    config: &EvalConfig,
) -> Result<Beside> {
    let rows = config.packets.min(a.rows()).min(b.rows());
    let cut = |m: &TernaryMatrix| {
        let mut m = m.clone();
        m.truncate(rows);
        m
    };
    let (a, b) = (cut(a), cut(b));
    let matrix = if rows == 0 { None } else { Some(compare(&Planes::of(&a), &Planes::of(&b))?) };
    Ok(Beside {
        matrix,
        same_length: agreement(&x.length_bytes, &y.length_bytes),
        same_direction: agreement(&x.up, &y.up),
    })
}

/// Share of places with equal values, over the places that both have.
fn agreement(a: &[f64], b: &[f64]) -> Option<f64> {
    let places = a.len().min(b.len());
    let equal = a.iter().zip(b).filter(|(x, y)| x.total_cmp(y).is_eq()).count();
    (places > 0).then(|| equal as f64 / places as f64)
}
