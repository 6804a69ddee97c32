#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod check;
mod compile;
mod config;
mod draft;
mod error;
mod evidence;
mod infer;
mod plan;
mod profile;
mod repair;
mod report;
mod rules;
mod timing;

pub use check::{Audit, CheckRule, Finding, RuleAudit, audit, check};
pub use config::{AddressPlan, Link, Mode, Payload, PayloadPolicy, RepairConfig, Subnets, Timing};
pub use error::{Error, Result};
pub use profile::{Profile, profile};
pub use repair::{repair, repair_windows};
pub use report::{DERIVED_FIELDS, FieldChange, RepairReport, RuleChange};
pub use rules::Stage;
pub use timing::TimingModel;
