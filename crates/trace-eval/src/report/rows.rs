//! Rows of the report's tables.

use super::Points;
use serde::{Deserialize, Serialize};

/// Distances between the values of one header field, all packets together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldRow {
    /// nPrint's name of the field.
    pub field: String,
    /// Whether the field tells single captures apart, so that it differs between real ones too.
    pub leak_prone: bool,
    /// Jensen-Shannon distance, base 2.
    pub js_distance: Points,
    /// Total variation.
    pub total_variation: Points,
    /// Hellinger distance.
    pub hellinger: Points,
}

/// Field values at one place of the captures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionRow {
    /// Number of the packet, from 0.
    pub packet: usize,
    /// Jensen-Shannon distance over captures, mean over fields that are not leak-prone.
    pub js_distance: Points,
}

/// One feature of flows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowFeatureRow {
    /// `NetFlow` or `CICFlowMeter`.
    pub family: String,
    /// Name of the feature.
    pub feature: String,
    /// Wasserstein-1 distance, in the unit of the feature.
    pub wasserstein: Points,
    /// Kolmogorov-Smirnov statistic.
    pub kolmogorov_smirnov: Points,
}

/// What two fields say about each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependenceRow {
    /// One field.
    pub first: String,
    /// The other.
    pub second: String,
    /// Mutual information in real captures. Units: bits.
    pub real_bits: f64,
    /// Mutual information in synthetic captures. Units: bits.
    pub synthetic_bits: f64,
    /// Difference between sets. Units: bits.
    pub difference: Points,
}

/// How often connections end in a state, or run through a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// `state` or `history`.
    pub kind: String,
    /// Protocol and Zeek's name, e.g. `tcp SF`.
    pub name: String,
    /// What the state means; empty for histories.
    pub meaning: String,
    /// Connections of real captures, held-out ones included.
    pub real: u64,
    /// Connections of synthetic captures.
    pub synthetic: u64,
    /// Connections of real captures with their packets in random order.
    pub shuffled: u64,
}

/// The training capture nearest to a synthetic one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosestRow {
    /// Name of the synthetic capture.
    pub synthetic: String,
    /// Name of the nearest training capture.
    pub real: String,
    /// Their distance, in standard deviations of the real captures' sequence features.
    pub distance: f64,
    /// That distance over the distance to the second nearest.
    pub ratio: Option<f64>,
    /// Whether it is the capture's parent.
    pub is_parent: bool,
}

/// An identifier of the training set that stands in synthetic captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierRow {
    /// What it is: `MAC address`, `IP address` or `connection`.
    pub kind: String,
    /// The identifier.
    pub identifier: String,
    /// Training captures that it stands in.
    pub real: usize,
    /// Synthetic captures that it stands in.
    pub synthetic: usize,
}
