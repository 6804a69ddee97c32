//! How far apart two ternary matrices, two histograms, two samples of numbers or two sets of points are.
//!
//! All measures of matrices come from histograms over {-1, 0, 1} that are counted on the bit
//! planes, 64 cells at a time ([`ColumnCounts`]); [`compare`] gives them all at once. Histograms over
//! any values are [`ValueCounts`]; points are compared by the distances between them ([`DistanceMatrix`]).

mod bins;
mod counts;
mod matrix;
mod mmd;
mod mutual_information;
mod neighbours;
mod numbers;
mod planes;
mod values;
mod vendi;

pub use bins::{Bins, hellinger, js_distance, js_divergence, total_variation, wasserstein};
pub use counts::ColumnCounts;
pub use matrix::{
    ColumnDistances, MatrixDistances, column_distances, compare, hamming, js_distance_of_mass,
    mean_js_distance,
};
pub use mmd::{Mmd, mmd};
pub use mutual_information::mutual_information;
pub use neighbours::{DistanceMatrix, Manifold, manifold};
pub use numbers::{NumberDistances, kolmogorov_smirnov, number_distances, wasserstein_1d};
pub use planes::Planes;
pub use values::{ValueCounts, ValueDistances, value_distances};
pub use vendi::vendi_score;
