//! How far apart two ternary matrices, or two samples of numbers, are.
//!
//! All measures of matrices come from histograms over {-1, 0, 1} that are counted on the bit
//! planes, 64 cells at a time ([`ColumnCounts`]); [`compare`] gives them all at once.

mod bins;
mod counts;
mod matrix;
mod numbers;
mod planes;

pub use bins::{Bins, hellinger, js_distance, js_divergence, total_variation, wasserstein};
pub use counts::ColumnCounts;
pub use matrix::{
    ColumnDistances, MatrixDistances, column_distances, compare, hamming, js_distance_of_mass,
    mean_js_distance,
};
pub use numbers::{kolmogorov_smirnov, wasserstein_1d};
pub use planes::Planes;
