//! Where the time of a repair goes.

use crate::repair::repair_timed;
use crate::rules::{Rule, Stage};
use crate::{RepairConfig, Result};
use nprint_codec::SoftMatrix;

/// Wall-clock times of the parts of one repair.
///
/// # Units
/// Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Each rule with its stage and time over all passes, in the order in which rules ran.
    pub rules: Vec<(&'static str, Stage, u64)>,
    /// Making the packets' bytes, checksums included.
    pub bytes_ns: u64,
}

impl Profile {
    pub(crate) fn add(&mut self, rule: &Rule, ns: u64) {
        match self.rules.iter_mut().find(|r| r.0 == rule.name) {
            Some(known) => known.2 += ns,
            None => self.rules.push((rule.name, rule.stage, ns)),
        }
    }

    pub(crate) fn add_bytes(&mut self, ns: u64) {
        self.bytes_ns += ns;
    }

    /// Time of a stage: its rules, and for [`Stage::Compile`] the bytes too.
    pub fn stage_ns(&self, stage: Stage) -> u64 {
        let rules: u64 = self.rules.iter().filter(|r| r.1 == stage).map(|r| r.2).sum();
        rules + if stage == Stage::Compile { self.bytes_ns } else { 0 }
    }
}

/// Repairs `soft`, forgets the result and says where the time went.
///
/// # Errors
/// Those of [`repair`](crate::repair()).
///
/// # Example
/// ```
/// use nprint_codec::{Layout, SoftMatrix, TernaryMatrix};
/// use protocol_repair::{RepairConfig, Stage, profile};
///
/// let soft = SoftMatrix::certain(TernaryMatrix::vacant(Layout::reference(), 3));
/// let profile = profile(&soft, &RepairConfig::default())?;
/// let rules: u64 = profile.rules.iter().map(|(_, _, ns)| ns).sum();
/// let stages = [Stage::Infer, Stage::Plan, Stage::Compile].map(|s| profile.stage_ns(s));
/// assert_eq!(stages.iter().sum::<u64>(), rules + profile.bytes_ns);
/// # Ok::<(), protocol_repair::Error>(())
/// ```
pub fn profile(soft: &SoftMatrix, config: &RepairConfig) -> Result<Profile> {
    let mut profile = Profile::default();
    repair_timed(soft, config, &mut profile)?;
    Ok(profile)
}
