//! Feature matrices of the views.

use crate::classify::FeatureMatrix;
use crate::config::{EvalConfig, View};
use crate::features::sequence_features;
use crate::sample::Sample;
use crate::{Error, Result};
use rayon::prelude::*;

/// The features that `view` shows of each sample.
pub(crate) fn view_matrix(
    samples: &[&Sample],
    view: View,
    config: &EvalConfig,
) -> Result<FeatureMatrix> {
    if let Some(bits) = view.bit_view() {
        let matrices: Vec<_> = samples.iter().map(|s| &s.matrix).collect();
        let layout = matrices.first().ok_or(Error::EmptySet { set: "real", needed: 1 })?.layout();
        return FeatureMatrix::from_ternary(&matrices, config.rows, &bits.columns(layout));
    }
    let features: Vec<_> =
        samples.par_iter().map(|s| sequence_features(&s.trace, config.packets)).collect();
    let names = features.first().map(|f| f.names.clone()).unwrap_or_default();
    let values: Vec<Vec<f64>> = features.into_iter().map(|f| f.values).collect();
    FeatureMatrix::from_numbers(&names, &values)
}

/// The features of every view of the configuration.
pub(crate) fn view_matrices(
    samples: &[&Sample],
    config: &EvalConfig,
) -> Result<Vec<(View, FeatureMatrix)>> {
    config.views.iter().map(|view| Ok((*view, view_matrix(samples, *view, config)?))).collect()
}
