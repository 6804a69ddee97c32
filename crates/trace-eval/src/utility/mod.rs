//! Utility: do classifiers learn from synthetic captures what they learn from real ones?

mod discriminate;
mod scenario;
mod views;

pub use discriminate::real_or_other_auc;
pub(crate) use scenario::utility;
pub(crate) use views::view_matrix;
