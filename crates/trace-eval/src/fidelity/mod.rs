//! Fidelity: distances between sets and between child and parent, each beside its reference points.

mod cloud;
mod connections;
mod control;
mod dependence;
mod field_values;
mod flows;
mod order;
mod pairs;
mod reference;
mod sets;

pub(crate) use cloud::{Cloud, cloud_scores};
pub(crate) use connections::connection_scores;
pub(crate) use control::controls;
pub(crate) use dependence::dependence;
pub(crate) use field_values::{FieldValues, field_values};
pub(crate) use flows::flow_scores;
pub(crate) use order::order_scores;
pub(crate) use pairs::pair_scores;
pub(crate) use reference::{References, mean};
pub(crate) use sets::{detection_score, header_strips, set_scores};

use crate::config::EvalConfig;
use crate::distance::{ColumnCounts, Planes};
use crate::features::{Series, series};
use crate::sample::Sample;
use rayon::prelude::*;

/// What is measured of each sample.
pub(crate) struct Measured {
    /// Column histograms of the first packets, without padding rows.
    pub(crate) counts: Vec<ColumnCounts>,
    /// Series of the first packets.
    pub(crate) series: Vec<Series>,
}

impl Measured {
    pub(crate) fn of(samples: &[&Sample], config: &EvalConfig) -> Self {
        let counts = |s: &&Sample| {
            let mut matrix = s.matrix.clone();
            matrix.truncate(config.packets);
            ColumnCounts::of(&Planes::of(&matrix)).without_padding()
        };
        Self {
            counts: samples.par_iter().map(counts).collect(),
            series: samples.par_iter().map(|s| series(&s.trace, config.packets)).collect(),
        }
    }
}
