//! The longer tests of utility, beside those of every report.

use super::balancing::{BalanceRow, Thinning, balance_rows};
use super::importance::{ImportanceComparison, importances};
use super::mixing::{MixingRow, mixing_rows};
use super::view_matrices;
use crate::classify::FeatureMatrix;
use crate::config::{EvalConfig, View};
use crate::evaluate::usable_categories;
use crate::sample::{Category, Pool, Sample};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of a study. The default is the seeds' protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyConfig {
    /// Shares of the training set that synthetic captures take over, each from 0 to 1.
    pub mixing_shares: Vec<f64>,
    /// Halvings of the captures that importances are averaged over; 0 leaves importances out.
    pub importance_runs: usize,
    /// Share of its captures that a thinned class keeps in the balancing tests, above 0 and at most 1.
    pub thinned_share: f64,
    /// Neighbours that SMOTE chooses from; 0 leaves the balancing tests out.
    pub smote_neighbours: usize,
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            mixing_shares: (1..10_u8).map(|tenths| f64::from(tenths) / 10.0).collect(),
            importance_runs: 100,
            thinned_share: 0.2,
            smote_neighbours: 5,
        }
    }
}

/// What a study found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Study {
    /// Real training captures replaced by synthetic ones, share by share.
    pub mixing: Vec<MixingRow>,
    /// Thinned classes filled up in different ways.
    pub balancing: Vec<BalanceRow>,
    /// What forests look at, real beside synthetic.
    pub importances: Vec<ImportanceComparison>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl StudyConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first share that is out of range.
    pub fn validate(&self) -> Result<()> {
        let shares = self.mixing_shares.iter().map(|s| ("mixing share", *s));
        let wrong = shares
            .chain([("thinned share", self.thinned_share)])
            .find(|(_, value)| !(0.0..=1.0).contains(value));
        match wrong {
            Some((setting, value)) => {
                Err(Error::Setting { setting, value, expected: "between 0 and 1" })
            }
            None => Ok(()),
        }
    }
}

/// Mixing curves, class balancing and importances for every label category. Sets are as for
/// [`evaluate`](crate::evaluate), which does the same where [`EvalConfig::study`] asks for it; children
/// of a tested capture are never trained on.
///
/// # Errors
/// As [`evaluate`](crate::evaluate), and [`Error::Setting`] for shares out of range. Categories that
/// cannot be tested are left out with a note.
pub fn study(
    real: &[Sample],
    held_out: &[Sample],
    synthetic: &[Sample],
    config: &EvalConfig,
    settings: &StudyConfig,
) -> Result<Study> {
    config.validate()?;
    settings.validate()?;
    let pool = Pool::new(real, held_out, synthetic)?;
    let categories = pool.categories();
    let mut notes = Vec::new();
    let usable = usable_categories(&pool, &categories, &mut notes);
    let views = view_matrices(&pool.samples, config)?;
    let mut out = study_of(&pool, &usable, &views, config, settings)?;
    notes.append(&mut out.notes);
    Ok(Study { notes, ..out })
}

/// The study of categories that can be tested. `views` are those of the configuration.
pub(crate) fn study_of(
    pool: &Pool<'_>,
    categories: &[&Category],
    views: &[(View, FeatureMatrix)],
    config: &EvalConfig,
    settings: &StudyConfig,
) -> Result<Study> {
    let mut out = Study::default();
    let thinning =
        Thinning { share: settings.thinned_share, neighbours: settings.smote_neighbours };
    for (view, x) in views {
        for category in categories {
            let shares = &settings.mixing_shares;
            out.mixing.extend(mixing_rows(pool, category, *view, x, shares, config)?);
            if settings.smote_neighbours > 0 {
                out.balancing.extend(balance_rows(pool, category, *view, x, thinning, config)?);
            }
            if *view == View::Bits && settings.importance_runs > 0 {
                match importances(pool, category, x, settings.importance_runs, config)? {
                    Some(found) => out.importances.push(found),
                    None => out.notes.push(format!(
                        "{}: no importances; half of a set has fewer than two classes.",
                        category.name
                    )),
                }
            }
        }
    }
    Ok(out)
}
