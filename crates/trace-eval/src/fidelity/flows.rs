//! Flows as routers and intrusion detection see them.

use super::References;
use super::reference::mean;
use crate::config::EvalConfig;
use crate::distance::{NumberDistances, number_distances};
use crate::features::{
    CICFLOW_NAMES, Flow, NETFLOW_NAMES, cicflow_features, flows, netflow_features,
};
use crate::report::{Better, FlowFeatureRow, Points, Score};
use crate::sample::Pool;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The features of one flow.
type Features = fn(&Flow) -> Vec<f64>;

const RANDOM: &str = "Floor: two halves of the real captures; random: uniform over the real range.";

/// Scores of flow features, and each feature.
pub(crate) fn flow_scores(
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> (Vec<Score>, Vec<FlowFeatureRow>) {
    let of_captures: Vec<Vec<Flow>> =
        pool.samples.par_iter().map(|s| flows(&s.trace, config.packets)).collect();
    let mut rows = Vec::new();
    let mut scores = Vec::new();
    let families: [(&str, &[&str], Features); 2] = [
        ("NetFlow", &NETFLOW_NAMES, |f| netflow_features(f).to_vec()),
        ("CICFlowMeter", &CICFLOW_NAMES, |f| cicflow_features(f).to_vec()),
    ];
    for (family, names, features) in families {
        // `values[capture][flow][feature]`.
        let values: Vec<Vec<Vec<f64>>> =
            of_captures.par_iter().map(|flows| flows.iter().map(features).collect()).collect();
        let of_family: Vec<FlowFeatureRow> = (0..names.len())
            .into_par_iter()
            .map(|feature| {
                let column = |capture: &Vec<Vec<f64>>| capture.iter().map(|f| f[feature]).collect();
                let columns: Vec<Vec<f64>> = values.iter().map(column).collect();
                let (wasserstein, kolmogorov_smirnov) = compare(columns, pool, references, config);
                let (family, feature) = (family.to_owned(), names[feature].to_owned());
                FlowFeatureRow { family, feature, wasserstein, kolmogorov_smirnov }
            })
            .collect();
        scores.push(Score::new(
            "Flows",
            format!("{family} features, Kolmogorov-Smirnov"),
            &format!(
                "Mean over the {} {family} features of the distance between their distributions over \
                 flows. {RANDOM}",
                names.len()
            ),
            Better::Lower,
            mean_points(&of_family),
        ));
        rows.extend(of_family);
    }
    let counts = of_captures.iter().map(|flows| vec![flows.len() as f64]).collect();
    let (wasserstein, _) = compare(counts, pool, references, config);
    scores.push(Score::new(
        "Flows",
        "flows in a capture: Wasserstein-1, flows",
        &format!("Distance between the distributions over captures. {RANDOM}"),
        Better::Lower,
        wasserstein,
    ));
    (scores, rows)
}

fn mean_points(rows: &[FlowFeatureRow]) -> Points {
    let of =
        |value: fn(&Points) -> Option<f64>| mean(rows.iter().map(|r| value(&r.kolmogorov_smirnov)));
    Points {
        synthetic: of(|p| p.synthetic),
        noise_floor: of(|p| p.noise_floor),
        wrong_class: of(|p| p.wrong_class),
        random: of(|p| p.random),
    }
}

/// Wasserstein-1 and Kolmogorov-Smirnov between lists of numbers, one list a capture of the pool.
fn compare(
    mut columns: Vec<Vec<f64>>,
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> (Points, Points) {
    let real = || columns[..pool.held_out.end].iter().flatten().copied();
    let (low, high) =
        (real().fold(f64::INFINITY, f64::min), real().fold(f64::NEG_INFINITY, f64::max));
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x666c_6f77);
    let uniform = |of: &Vec<f64>| {
        of.iter().map(|_| if high > low { rng.random_range(low..=high) } else { low }).collect()
    };
    let random: Vec<Vec<f64>> = columns[..pool.held_out.end].iter().map(uniform).collect();
    let first = columns.len();
    columns.extend(random);
    let random: Vec<usize> = (first..columns.len()).collect();
    let joined = |of: &[usize]| -> Vec<f64> {
        of.iter().flat_map(|s| columns[*s].iter().copied()).collect()
    };
    let found = references.compare(&random, |a, b| number_distances(&joined(a), &joined(b)));
    let points = |value: fn(&NumberDistances) -> f64| found.points(|d| d.as_ref().map(value));
    (points(|d| d.wasserstein), points(|d| d.kolmogorov_smirnov))
}
