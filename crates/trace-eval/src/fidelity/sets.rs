//! Set against set.

use super::reference::{Split, mean};
use super::{Measured, References};
use crate::Result;
use crate::classify::ForestConfig;
use crate::config::{EvalConfig, View};
use crate::distance::{
    Bins, ColumnCounts, NumberDistances, column_distances, hellinger, js_distance,
    number_distances, total_variation,
};
use crate::features::Series;
use crate::report::{Better, Distribution, FieldStrip, HeaderStrip, Points, Score};
use crate::sample::{Pool, Sample};
use crate::utility::{real_or_other_auc, view_matrix};
use nprint_codec::{Header, Layout};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// One property of a series.
type Values = fn(&Series) -> &[f64];

fn pooled(counts: &[ColumnCounts], of: &[usize]) -> Result<Option<ColumnCounts>> {
    let Some(first) = of.first() else { return Ok(None) };
    let mut sum = ColumnCounts::empty(counts[*first].columns());
    for s in of {
        sum.add(&counts[*s])?;
    }
    Ok(Some(sum))
}

/// Distances of column histograms and of packet properties.
pub(crate) fn set_scores(
    measured: &Measured,
    control: &Measured,
    references: &References,
    config: &EvalConfig,
) -> Result<(Vec<Score>, Vec<Distribution>)> {
    let mut scores = bit_scores(measured, control, references)?;
    let properties: [(&str, &str, Values); 6] = [
        ("packet length", "bytes", |s| &s.length_bytes),
        ("gap between packets", "log10 s", |s| &s.gap_log10_s),
        ("TTL", "hops", |s| &s.ttl_hops),
        ("packets in a row one way", "packets", |s| &s.run_packets),
        ("TCP window", "bytes before scaling", |s| &s.window),
        ("duration of flows", "log10 s", |s| &s.flow_duration_log10_s),
    ];
    let mut distributions = Vec::new();
    let found: Vec<(Vec<Score>, Option<Distribution>)> = properties
        .par_iter()
        .map(|(name, unit, values)| property(name, unit, *values, measured, references, config))
        .collect();
    for (s, d) in found {
        scores.extend(s);
        // Nothing to draw where no capture has the property (windows without TCP).
        distributions.extend(d);
    }
    scores.push(unseen_lengths(measured, references, config));
    Ok((scores, distributions))
}

fn bit_scores(
    measured: &Measured,
    control: &Measured,
    references: &References,
) -> Result<Vec<Score>> {
    type Measure = fn(&Bins, &Bins) -> Option<f64>;
    let measures: [(&str, Measure); 3] = [
        ("Jensen-Shannon distance", js_distance),
        ("total variation", total_variation),
        ("Hellinger distance", hellinger),
    ];
    let everything: Vec<usize> = (0..control.counts.len()).collect();
    let random = pooled(&control.counts, &everything)?;
    // The pools of every split, once for all three measures; equal columns were checked.
    let pool = |of: &[usize]| pooled(&measured.counts, of).ok().flatten();
    let column_mean = |measure: Measure, p: Option<&ColumnCounts>, q: Option<&ColumnCounts>| {
        let (p, q) = (p?, q?);
        mean((0..p.columns()).map(|c| measure(&p.bins(c), &q.bins(c))))
    };
    let score = |(name, measure): (&str, Measure)| {
        let points = references
            .points(&|a, b| column_mean(measure, pool(a).as_ref(), pool(b).as_ref()), &|a| {
                column_mean(measure, pool(a).as_ref(), random.as_ref())
            });
        Score::new(
            "Header bits",
            format!("{name}, set against set"),
            "Mean over bit columns of the distance between the shares of vacant, 0 and 1. Floor: two \
             halves of the real captures; random: uniformly random cells.",
            Better::Lower,
            points,
        )
    };
    Ok(measures.into_iter().map(score).collect())
}

fn joined(series: &[Series], of: &[usize], values: Values) -> Vec<f64> {
    of.iter().flat_map(|s| values(&series[*s]).iter().copied()).collect()
}

/// As many numbers as `like` has, uniform over its range.
fn uniform_like(like: &[f64], seed: u64) -> Vec<f64> {
    let (low, high) = range(like);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    like.iter()
        .map(|_| if high > low { rng.random_range(low..=high).round() } else { low })
        .collect()
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)))
}

fn property(
    name: &str,
    unit: &str,
    values: Values,
    measured: &Measured,
    references: &References,
    config: &EvalConfig,
) -> (Vec<Score>, Option<Distribution>) {
    let of = |samples: &[usize]| joined(&measured.series, samples, values);
    let measure = |a: &[f64], b: &[f64]| number_distances(a, b);
    let found = references.splits.iter().map(|s| {
        let a = of(&s.a);
        let random = measure(&a, &uniform_like(&a, config.seed));
        (measure(&a, &of(&s.synthetic)), measure(&a, &of(&s.b)), random)
    });
    let found: Vec<_> = found.collect();
    let wrong: Vec<_> =
        references.classes.iter().map(|(c, rest)| measure(&of(rest), &of(c))).collect();
    let score = |metric: &str, unit: &str, value: fn(&NumberDistances) -> f64| {
        let value = |d: &Option<NumberDistances>| d.as_ref().map(value);
        let points = Points {
            synthetic: mean(found.iter().map(|f| value(&f.0))),
            noise_floor: mean(found.iter().map(|f| value(&f.1))),
            wrong_class: mean(wrong.iter().map(value)),
            random: mean(found.iter().map(|f| value(&f.2))),
        };
        Score::new(
            "Packet properties",
            format!("{name}: {metric}{unit}"),
            "Distance between the distributions over all packets (flows, for their durations). Floor: two \
             halves of the real captures; random: uniform over the real range.",
            Better::Lower,
            points,
        )
    };
    let scores = vec![
        score("Wasserstein-1", &format!(", {unit}"), |d| d.wasserstein),
        score("Kolmogorov-Smirnov", "", |d| d.kolmogorov_smirnov),
    ];
    let (real, synthetic) = (of(&references.real), of(&references.synthetic));
    let drawn = !(real.is_empty() && synthetic.is_empty());
    (scores, drawn.then(|| histogram(name, unit, &real, &synthetic)))
}

fn histogram(name: &str, unit: &str, real: &[f64], synthetic: &[f64]) -> Distribution {
    const BINS: usize = 48;
    let both: Vec<f64> = real.iter().chain(synthetic).copied().collect();
    let (low, high) = range(&both);
    // A long tail would squeeze everything else into one bin: the last bin holds it.
    let mut sorted = both;
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.get((sorted.len() * 995).div_euclid(1000)).copied().unwrap_or(high);
    let (low, width) = if sorted.is_empty() {
        (0.0, 1.0)
    } else {
        let span = cut.max(low) - low;
        (low, if span > 0.0 { span / (BINS as f64 - 1.0) } else { 1.0 })
    };
    let shares = |values: &[f64]| {
        let mut bins = vec![0_usize; BINS];
        for v in values {
            bins[(((v - low) / width) as usize).min(BINS - 1)] += 1;
        }
        bins.into_iter().map(|c| c as f64 / values.len().max(1) as f64).collect()
    };
    Distribution {
        name: name.to_owned(),
        unit: unit.to_owned(),
        from: low,
        width,
        real: shares(real),
        synthetic: shares(synthetic),
    }
}

fn unseen_lengths(measured: &Measured, references: &References, config: &EvalConfig) -> Score {
    let of = |samples: &[usize]| joined(&measured.series, samples, |s| &s.length_bytes);
    let unseen = |known: &[f64], found: &[f64]| {
        let known: BTreeSet<u64> = known.iter().map(|v| *v as u64).collect();
        let new = found.iter().filter(|v| !known.contains(&(**v as u64))).count();
        (!found.is_empty()).then(|| new as f64 / found.len() as f64)
    };
    let points = references.points(&|a, b| unseen(&of(a), &of(b)), &|a| {
        let real = of(a);
        unseen(&real, &uniform_like(&real, config.seed))
    });
    Score::new(
        "Packet properties",
        "packets of a length never seen in real captures",
        "Share of packets whose IP length does not occur in the reference half at all: exactness \
         of values, which bit distances do not see.",
        Better::Lower,
        points,
    )
}

/// How well a forest tells synthetic from real in one view.
pub(crate) fn detection_score(
    pool: &Pool<'_>,
    control: &[Sample],
    references: &References,
    view: View,
    config: &EvalConfig,
) -> Result<Score> {
    let folds = config.folds.min(references.real.len().min(references.synthetic.len()).max(2));
    let forest = |seed: u64| ForestConfig {
        trees: config.trees,
        seed: config.seed.wrapping_add(seed),
        ..ForestConfig::default()
    };
    let x = view_matrix(&pool.samples, view, config)?;
    let groups: Vec<usize> =
        (0..pool.samples.len()).map(|s| pool.parents[s].unwrap_or(s)).collect();
    let kinds: Vec<bool> = (0..pool.samples.len()).map(|s| s >= pool.held_out.end).collect();
    let runs = config.runs.min(3) as u64;
    let synthetic: Vec<Option<f64>> = (0..runs)
        .into_par_iter()
        .map(|run| real_or_other_auc(&x, &kinds, &groups, folds, &forest(run)))
        .collect::<Result<_>>()?;
    let real: Vec<&Sample> = references.real.iter().map(|s| pool.samples[*s]).collect();
    let x = view_matrix(&real, view, config)?;
    let alone: Vec<usize> = (0..real.len()).collect();
    let within = |positive: &[usize], seed: u64| {
        let kinds: Vec<bool> = alone.iter().map(|s| positive.contains(s)).collect();
        real_or_other_auc(&x, &kinds, &alone, folds, &forest(seed))
    };
    let floor: Vec<Option<f64>> = references.splits[..references.splits.len().min(3)]
        .par_iter()
        .enumerate()
        .map(|(i, split)| if split.b.is_empty() { Ok(None) } else { within(&split.b, i as u64) })
        .collect::<Result<_>>()?;
    let wrong: Vec<Option<f64>> =
        references.classes.par_iter().map(|(class, _)| within(class, 0)).collect::<Result<_>>()?;
    let with_control: Vec<&Sample> = real.iter().copied().chain(control).collect();
    let x = view_matrix(&with_control, view, config)?;
    let kinds: Vec<bool> = (0..with_control.len()).map(|s| s >= real.len()).collect();
    let alone: Vec<usize> = (0..with_control.len()).collect();
    let random = real_or_other_auc(&x, &kinds, &alone, folds, &forest(0))?;
    Ok(Score::new(
        "Detection",
        format!("real-vs-synthetic AUC, {}", view.name()),
        "Area under the ROC curve of a forest that tells synthetic from real captures, cross-validated \
         with families (parent and children) kept together: 0.5 cannot tell, 1 always can. Floor: two \
         halves of the real captures; wrong class: one class against the others; random: random \
         cells, or packets in random order for sequence features.",
        Better::Half,
        Points {
            synthetic: mean(synthetic.into_iter()),
            noise_floor: mean(floor.into_iter()),
            wrong_class: mean(wrong.into_iter()),
            random,
        },
    ))
}

/// Jensen-Shannon distance of each bit, by header and field: the columns that the score is the mean of.
pub(crate) fn header_strips(
    measured: &Measured,
    references: &References,
    layout: &Layout,
) -> Result<Vec<HeaderStrip>> {
    let all = |of: &[usize]| pooled(&measured.counts, of);
    let mean_over_splits = |other: fn(&Split) -> &[usize]| -> Result<Vec<f64>> {
        let (mut sum, mut count) = (vec![0.0; layout.columns()], 0_usize);
        for split in &references.splits {
            let (Some(a), Some(b)) = (all(&split.a)?, all(other(split))?) else { continue };
            let Some(found) = column_distances(&a, &b)? else { continue };
            sum.iter_mut().zip(found.js_distance).for_each(|(sum, d)| *sum += d);
            count += 1;
        }
        let means = sum.into_iter().map(|d| d / count as f64);
        Ok(if count > 0 { means.collect() } else { Vec::new() })
    };
    let score = mean_over_splits(|s| &s.synthetic)?;
    if score.is_empty() {
        return Ok(Vec::new());
    }
    let floor = mean_over_splits(|s| &s.b)?;
    let mut strips: Vec<HeaderStrip> = Vec::new();
    for (field, column) in layout.fields() {
        let name = Header::name(field.header);
        if strips.last().is_none_or(|s| s.header != name) {
            strips.push(HeaderStrip { header: name.to_owned(), fields: Vec::new() });
        }
        let range = column..column + usize::from(field.bits);
        if let Some(strip) = strips.last_mut() {
            strip.fields.push(FieldStrip {
                field: field.name.to_owned(),
                synthetic: score[range.clone()].to_vec(),
                noise_floor: floor.get(range).unwrap_or_default().to_vec(),
            });
        }
    }
    Ok(strips)
}

impl Score {
    pub(crate) fn new(
        group: &str,
        metric: impl Into<String>,
        meaning: &str,
        better: Better,
        points: Points,
    ) -> Self {
        Self {
            group: group.to_owned(),
            metric: metric.into(),
            meaning: meaning.to_owned(),
            better,
            synthetic: points.synthetic,
            noise_floor: points.noise_floor,
            wrong_class: points.wrong_class,
            random: points.random,
        }
    }
}
