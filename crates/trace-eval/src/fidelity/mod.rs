//! Fidelity: distances between sets and between child and parent, each beside its reference points.

mod control;
mod pairs;
mod reference;
mod sets;

pub(crate) use control::controls;
pub(crate) use pairs::pair_scores;
pub(crate) use reference::References;
pub(crate) use sets::{copies, detection_score, header_strips, set_scores};

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
