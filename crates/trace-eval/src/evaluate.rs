//! The whole evaluation.

use crate::classify::FeatureMatrix;
use crate::compliance::{Audit, Rule, audit};
use crate::config::{EvalConfig, View};
use crate::fidelity::{
    Cloud, FieldValues, Measured, References, cloud_scores, connection_scores, controls,
    dependence, detection_score, field_values, flow_scores, header_strips, order_scores,
    pair_scores, set_scores,
};
use crate::privacy::privacy;
use crate::report::{Report, RuleRow, SetSummary};
use crate::sample::{Category, Pool, Sample};
use crate::summary::summarise;
use crate::utility::{study_of, utility, view_matrices};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Compares synthetic captures with real ones.
///
/// `real` are the captures that the generator may have seen, `held_out` those that it has not (may
/// be empty; then utility tests cross-validate within `real`). Parents are found by name in both.
/// A child of a test capture is never trained on, and a test child's parent neither. The same input
/// and seed give the same report, on any number of threads.
///
/// # Errors
/// [`Error::EmptySet`] without real or without synthetic captures, [`Error::EmptySample`],
/// [`Error::LayoutMismatch`], [`Error::UnknownParent`], [`Error::DuplicateName`] for samples that
/// cannot be compared, [`Error::Setting`] for settings. Sets that are too small for a test are not
/// an error: the test is left out and a note in the report says why.
pub fn evaluate(
    real: &[Sample],
    held_out: &[Sample],
    synthetic: &[Sample],
    config: &EvalConfig,
) -> Result<Report> {
    config.validate()?;
    let pool = Pool::new(real, held_out, synthetic)?;
    let categories = pool.categories();
    let mut notes = Vec::new();
    if categories.is_empty() {
        notes.push("The real captures have no labels: there are no utility tests.".to_owned());
    }
    if !held_out.is_empty() {
        notes.push(
            "Distances and detection compare with real and held-out captures together; real → real and \
             synthetic → real are tested on held-out captures only."
                .to_owned(),
        );
    }
    if pool.parents.iter().any(Option::is_some) {
        notes.push(
            "A child is made from a real capture, so a set of children can lie nearer to the real set \
             than one half of that lies to the other: below the floor is no proof by itself. Novelty and \
             synthetic → real say whether the children are more than copies."
                .to_owned(),
        );
    }
    let references = References::new(&pool, &categories, config, &mut notes);
    let real_samples: Vec<&Sample> = pool.samples[..pool.held_out.end].to_vec();
    let control = controls(&real_samples, config.seed);
    let control_refs: Vec<&Sample> = control.iter().collect();
    let measured = Measured::of(&pool.samples, config);
    let control_measured = Measured::of(&control_refs, config);

    let (mut scores, distributions) =
        set_scores(&measured, &control_measured, &references, config)?;
    let FieldValues { scores: found, fields, positions } = field_values(&pool, &references, config);
    scores.extend(found);
    scores.extend(order_scores(&pool, &measured.series, &references, config));
    let (found, flow_features) = flow_scores(&pool, &references, config);
    scores.extend(found);
    let (found, connections) = connection_scores(&pool, &control, &references, config);
    scores.extend(found);
    let dependences = if let Some((score, rows)) = dependence(&pool, &references, config) {
        scores.push(score);
        rows
    } else {
        notes.push(
            "Fewer than two fields vary in the real captures: there is no mutual information."
                .to_owned(),
        );
        Vec::new()
    };
    let cloud = Cloud::new(&pool, config, &mut notes);
    scores.extend(cloud_scores(&cloud, &references, config));
    let beside = pair_scores(&pool, &measured, &control, &control_measured, &references, config)?;
    let (mut spreads, mut pairs) = (Vec::new(), Vec::new());
    if let Some(found) = beside {
        scores.extend(found.scores);
        pairs = found.pairs;
        spreads.push(found.spread);
    } else {
        notes.push(
            "No synthetic capture names a parent: children are not compared one by one.".to_owned(),
        );
    }
    let detection: Vec<_> = config
        .views
        .par_iter()
        .map(|view| detection_score(&pool, &control, &references, *view, config))
        .collect::<Result<_>>()?;
    scores.extend(detection);
    let private = privacy(&pool, &control, &cloud, &references, config, &mut notes);
    scores.extend(private.scores);
    spreads.push(private.spread);
    let headers = header_strips(&measured, &references, pool.samples[0].matrix.layout())?;

    let (mut rows, mut confusions) = (Vec::new(), Vec::new());
    let usable = usable_categories(&pool, &categories, &mut notes);
    let views = view_matrices(&pool.samples, config)?;
    let jobs: Vec<(&Category, &(View, FeatureMatrix))> =
        usable.iter().flat_map(|c| views.iter().map(move |v| (*c, v))).collect();
    let done: Vec<_> = jobs
        .into_par_iter()
        .map(|(category, (view, x))| {
            let mut notes = Vec::new();
            let found = utility(&pool, category, *view, x, config, &mut notes)?;
            Ok((found, notes))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    for ((r, c), n) in done {
        rows.extend(r);
        confusions.extend(c);
        notes.extend(n);
    }
    let study = config.study.as_ref();
    let study = study.map(|s| study_of(&pool, &usable, &views, config, s)).transpose()?;
    let compliance = compliance(&pool, &control);
    let mut report = Report {
        summary: Vec::new(),
        sets: set_summaries(&pool),
        scores,
        headers,
        fields,
        positions,
        flow_features,
        dependences,
        connections,
        closest: private.closest,
        identifiers: private.identifiers,
        pairs,
        distributions,
        spreads,
        utility: rows,
        confusions,
        study,
        compliance,
        notes,
        config: config.clone(),
    };
    report.summary = summarise(&report, references.category.as_deref());
    Ok(report)
}

/// Categories in which two classes have at least two real captures each.
pub(crate) fn usable_categories<'a>(
    pool: &Pool<'_>,
    categories: &'a [Category],
    notes: &mut Vec<String>,
) -> Vec<&'a Category> {
    let mut usable = Vec::new();
    for category in categories {
        let real = &category.classes[..pool.held_out.end];
        let size = |class: usize| real.iter().filter(|c| **c == Some(class)).count();
        let sizes: Vec<usize> = (0..category.values.len()).map(size).collect();
        let missing = category.classes.iter().filter(|c| c.is_none()).count();
        if sizes.iter().filter(|n| **n >= 2).count() < 2 {
            notes.push(format!(
                "{}: left out of the utility tests; fewer than two classes have two real captures.",
                category.name
            ));
            continue;
        }
        if missing > 0 {
            notes.push(format!(
                "{}: {missing} capture(s) without this label are left out of its tests.",
                category.name
            ));
        }
        for (value, n) in category.values.iter().zip(&sizes).filter(|(_, n)| **n < 2) {
            notes.push(format!(
                "{}: {value} has {n} real capture(s), so it can hardly be learned.",
                category.name
            ));
        }
        usable.push(category);
    }
    usable
}

fn compliance(pool: &Pool<'_>, control: &[Sample]) -> Vec<RuleRow> {
    let all = |samples: &[&Sample]| {
        let audits: Vec<Audit> = samples.par_iter().map(|s| audit(&s.trace)).collect();
        let mut sum = Audit::default();
        for a in &audits {
            sum.add(a);
        }
        sum
    };
    let real = all(&pool.samples[..pool.held_out.end]);
    let synthetic = all(&pool.samples[pool.synthetic.clone()]);
    let shuffled = all(&control.iter().collect::<Vec<_>>());
    let row = |rule: Rule| RuleRow {
        rule: rule.name().to_owned(),
        meaning: rule.meaning().to_owned(),
        source: rule.source().to_owned(),
        kind: rule.kind(),
        real: real.count(rule),
        synthetic: synthetic.count(rule),
        shuffled: shuffled.count(rule),
    };
    Rule::ALL.into_iter().map(row).collect()
}

fn set_summaries(pool: &Pool<'_>) -> Vec<SetSummary> {
    let sets = [("real", &pool.real), ("held-out", &pool.held_out), ("synthetic", &pool.synthetic)];
    sets.into_iter()
        .filter(|(_, range)| !range.is_empty())
        .map(|(name, range)| {
            let samples = &pool.samples[range.clone()];
            let mut labels: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
            for (category, value) in samples.iter().flat_map(|s| s.labels.iter()) {
                *labels
                    .entry(category.to_owned())
                    .or_default()
                    .entry(value.to_owned())
                    .or_default() += 1;
            }
            SetSummary {
                name: name.to_owned(),
                captures: samples.len(),
                packets: samples.iter().map(|s| s.trace.len()).sum(),
                labels,
            }
        })
        .collect()
}
