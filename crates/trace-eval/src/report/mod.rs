//! The outcome of an evaluation, and how it is written: one HTML page, JSON, tables, plots alone.

mod extras;
mod html;
mod number;
#[cfg(feature = "polars")]
mod parquet;
mod plot;
mod rows;
mod sections;
mod study_section;
mod style;
mod table;
mod tables;
mod write;

pub use extras::{Curve, ExtraTable, Extras, Picture, PictureRow};
pub use html::to_html;
pub use rows::{
    ClosestRow, ConnectionRow, DependenceRow, FieldRow, FlowFeatureRow, IdentifierRow, PositionRow,
};
pub use table::{Column, Table, Values};

use crate::EvalConfig;
use crate::compliance::{Count, RuleKind};
use crate::config::{Classifier, View};
use crate::utility::Study;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What a person reads first.
    pub summary: Vec<Finding>,
    /// The sets that were compared.
    pub sets: Vec<SetSummary>,
    /// Scores, each beside its reference points.
    pub scores: Vec<Score>,
    /// Jensen-Shannon distance of each column, by header.
    pub headers: Vec<HeaderStrip>,
    /// Values of each header field.
    #[serde(default)]
    pub fields: Vec<FieldRow>,
    /// Field values at each place of the captures.
    #[serde(default)]
    pub positions: Vec<PositionRow>,
    /// Features of flows.
    #[serde(default)]
    pub flow_features: Vec<FlowFeatureRow>,
    /// What fields say about each other.
    #[serde(default)]
    pub dependences: Vec<DependenceRow>,
    /// States and histories of connections.
    #[serde(default)]
    pub connections: Vec<ConnectionRow>,
    /// The real capture nearest to each synthetic one.
    #[serde(default)]
    pub closest: Vec<ClosestRow>,
    /// Identifiers of real captures that were found in synthetic ones.
    #[serde(default)]
    pub identifiers: Vec<IdentifierRow>,
    /// Each child beside its parent.
    pub pairs: Vec<Pair>,
    /// Distributions of packet properties.
    pub distributions: Vec<Distribution>,
    /// Values of single captures and pairs of captures, beside their reference points.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Utility for classifiers.
    pub utility: Vec<UtilityRow>,
    /// Confusion matrices of the forest on bits without leak-prone fields.
    pub confusions: Vec<Confusion>,
    /// Mixing curves, class balancing and importances, where the configuration asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<Study>,
    /// Protocol rules.
    pub compliance: Vec<RuleRow>,
    /// What was left out, and why; what to keep in mind.
    pub notes: Vec<String>,
    /// The settings.
    pub config: EvalConfig,
}

/// One line of the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub title: String,
    /// The number, ready to read.
    pub value: String,
    /// What it means, with its reference points.
    pub text: String,
    /// How it compares with the reference points.
    pub grade: Grade,
}

/// Where a score lies between its reference points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Near the noise floor.
    Good,
    /// Between floor and wrong class.
    Middling,
    /// No better than the wrong class or chance.
    Poor,
    /// There is nothing to compare with.
    Unknown,
}

/// One of the compared sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSummary {
    /// `real`, `held-out` or `synthetic`.
    pub name: String,
    /// Number of captures.
    pub captures: usize,
    /// Number of packets.
    pub packets: usize,
    /// Captures by label value, by category.
    pub labels: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Which way a score gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Smaller is better.
    Lower,
    /// Larger is better.
    Higher,
    /// Nearer to one half is better.
    Half,
    /// Nearer to real against real is better: less and more are both wrong.
    Floor,
}

/// A score beside what it must be read against; `None` where a value cannot be had from these sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Group in the report.
    pub group: String,
    /// Name.
    pub metric: String,
    /// What is measured and how the reference points were made.
    pub meaning: String,
    /// Which way is better.
    pub better: Better,
    /// The synthetic set (or each child against its parent).
    pub synthetic: Option<f64>,
    /// Real against real.
    pub noise_floor: Option<f64>,
    /// Real of one class against real of others.
    pub wrong_class: Option<f64>,
    /// Random or shuffled data against real.
    pub random: Option<f64>,
}

/// A value beside its reference points, as in [`Score`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// The synthetic set.
    pub synthetic: Option<f64>,
    /// Real against real.
    pub noise_floor: Option<f64>,
    /// Real of one class against real of others.
    pub wrong_class: Option<f64>,
    /// Random data against real.
    pub random: Option<f64>,
}

/// The columns of one header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderStrip {
    /// Name of the header.
    pub header: String,
    /// Its fields.
    pub fields: Vec<FieldStrip>,
}

/// The columns of one field: Jensen-Shannon distance of each bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldStrip {
    /// nPrint's name of the field.
    pub field: String,
    /// Synthetic against real, bit by bit.
    pub synthetic: Vec<f64>,
    /// One half of the real captures against the other, bit by bit.
    pub noise_floor: Vec<f64>,
}

/// A child beside its parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Name of the synthetic capture.
    pub synthetic: String,
    /// Name of its parent.
    pub parent: String,
    /// Jensen-Shannon distance, mean over columns.
    pub js_distance: Option<f64>,
    /// Total variation, mean over columns.
    pub total_variation: Option<f64>,
    /// Hellinger distance, mean over columns.
    pub hellinger: Option<f64>,
    /// Share of cells that differ, over the rows that both have.
    pub hamming: Option<f64>,
    /// Share of packets with the same IP length at the same place.
    pub same_length: Option<f64>,
    /// Share of packets that go the same way at the same place.
    pub same_direction: Option<f64>,
}

/// A distribution of a packet property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Name.
    pub name: String,
    /// Unit of the axis.
    pub unit: String,
    /// Lower bound of the first bin.
    pub from: f64,
    /// Width of a bin.
    pub width: f64,
    /// Share of real packets in each bin.
    pub real: Vec<f64>,
    /// Share of synthetic packets in each bin.
    pub synthetic: Vec<f64>,
}

/// Values of single captures, or of pairs of captures, group beside group: what a violin shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Name.
    pub name: String,
    /// Unit of the values.
    pub unit: String,
    /// What the values are, and how the groups were made.
    pub meaning: String,
    /// The synthetic captures first, then the reference points.
    pub groups: Vec<SpreadGroup>,
}

impl Spread {
    /// The values of the synthetic captures and of the reference points, those without any left out.
    pub(crate) fn new(name: &str, unit: &str, meaning: &str, values: [Vec<f64>; 4]) -> Self {
        const NAMES: [&str; 4] = ["synthetic", "real against real", "wrong class", "random"];
        let groups = NAMES.into_iter().zip(values).filter(|(_, values)| !values.is_empty());
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            meaning: meaning.to_owned(),
            groups: groups
                .map(|(name, values)| SpreadGroup { name: name.to_owned(), values })
                .collect(),
        }
    }
}

/// One group of a [`Spread`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpreadGroup {
    /// `synthetic`, or the name of a reference point.
    pub name: String,
    /// The values.
    pub values: Vec<f64>,
}

/// Which set a classifier learns from and which it is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scenario {
    /// Train on real, test on other real captures: the ceiling.
    RealReal,
    /// Train on synthetic, test on real captures that are no parents of the training set.
    SyntheticReal,
    /// Train on real, test on synthetic captures whose parents were not trained on.
    RealSynthetic,
    /// Real to real with shuffled training labels: what the classifier reaches by luck.
    ShuffledLabels,
}

impl Scenario {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RealReal => "real → real",
            Self::SyntheticReal => "synthetic → real",
            Self::RealSynthetic => "real → synthetic",
            Self::ShuffledLabels => "shuffled labels",
        }
    }
}

/// A mean over runs with the interval that holds 95 % of the runs (2.5th to 97.5th percentile).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Mean over runs.
    pub mean: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// Summarises runs; `None` without any.
    pub fn of(runs: &[f64]) -> Option<Self> {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let percentile = |p: f64| {
            let at = p * last as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        Some(Self {
            mean: runs.iter().sum::<f64>() / runs.len() as f64,
            low: percentile(0.025),
            high: percentile(0.975),
        })
    }
}

/// One utility test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UtilityRow {
    /// Label category.
    pub category: String,
    /// What the classifier saw.
    pub view: View,
    /// The classifier.
    pub classifier: Classifier,
    /// Training and test set.
    pub scenario: Scenario,
    /// Accuracy.
    pub accuracy: Interval,
    /// Macro F1.
    pub macro_f1: Interval,
    /// Share of the commonest class among the tested samples: what guessing it scores.
    pub chance: f64,
    /// Number of classes.
    pub classes: usize,
    /// Samples tested in one run.
    pub tested: usize,
    /// Runs.
    pub runs: usize,
}

/// A confusion matrix, summed over runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Label category.
    pub category: String,
    /// Training and test set.
    pub scenario: Scenario,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// True class × predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// One protocol rule over the sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// Name of the rule.
    pub rule: String,
    /// What it asks for.
    pub meaning: String,
    /// Where it comes from.
    pub source: String,
    /// Whether breaking it is wrong in itself.
    pub kind: RuleKind,
    /// Real captures, held-out ones included.
    pub real: Count,
    /// Synthetic captures.
    pub synthetic: Count,
    /// Real captures with their packets in random order.
    pub shuffled: Count,
}
