//! Utility: do classifiers learn from synthetic captures what they learn from real ones?
//!
//! Every report tests real → real, synthetic → real, real → synthetic and shuffled labels for each
//! category and view. [`study`] adds what takes longer: mixing curves, class balancing against
//! duplication and SMOTE, and the importances of fields and packets.

mod balancing;
mod discriminate;
mod importance;
mod learner;
mod mixing;
mod scenario;
mod sets;
mod study;
mod views;

pub use balancing::{BalanceRow, Filling};
pub use discriminate::real_or_other_auc;
pub use importance::{Agreement, FeatureName, ImportanceComparison, ImportantFeature};
pub use mixing::MixingRow;
pub(crate) use scenario::utility;
pub(crate) use study::study_of;
pub use study::{Study, StudyConfig, study};
pub(crate) use views::{view_matrices, view_matrix};
