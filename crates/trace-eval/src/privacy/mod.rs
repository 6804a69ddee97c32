//! Privacy: does the output give its training captures away, and is it more than a few of them?

mod closest;
mod copies;
mod diversity;
mod identifiers;
mod membership;

pub use identifiers::{Identifier, IdentifierKind, identifiers};

use crate::config::EvalConfig;
use crate::fidelity::{Cloud, References};
use crate::report::{ClosestRow, IdentifierRow, Score, Spread};
use crate::sample::{Pool, Sample};

/// Scores and tables of privacy and diversity.
pub(crate) struct Privacy {
    pub(crate) scores: Vec<Score>,
    pub(crate) closest: Vec<ClosestRow>,
    pub(crate) identifiers: Vec<IdentifierRow>,
    pub(crate) spread: Spread,
}

/// Group of these scores in the report.
const GROUP: &str = "Privacy";

/// Everything about privacy. `control` are captures of random cells.
pub(crate) fn privacy(
    pool: &Pool<'_>,
    control: &[Sample],
    cloud: &Cloud,
    references: &References,
    config: &EvalConfig,
    notes: &mut Vec<String>,
) -> Privacy {
    let (mut scores, closest, spread) = closest::closest(pool, cloud, references);
    scores.extend(copies::copies(pool, control, references));
    scores.push(membership::membership(pool, cloud, references, config, notes));
    let (found, identifiers) = identifiers::identifier_scores(pool, references, config);
    scores.extend(found);
    scores.extend(diversity::diversity(cloud, references));
    Privacy { scores, closest, identifiers, spread }
}
