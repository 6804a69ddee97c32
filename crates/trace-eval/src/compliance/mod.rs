//! Protocol audit: which rules of the protocols a capture keeps, packet by packet.
//!
//! Everything is read through `nprint_codec::dissect`; no outside tool is needed. Real captures
//! break some rules too (lost packets, mid-stream starts), so rates are read beside theirs.

mod connection;
mod headers;
mod rule;
mod tcp;

pub use connection::{Connection, ConnectionState, connections};
pub use rule::{Rule, RuleKind};

use crate::packet::facts;
use nprint_codec::Trace;
use serde::{Deserialize, Serialize};

/// How often a rule was applied, and how often it was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Times that the rule could be checked.
    pub checked: u64,
    /// Times that it was broken.
    pub broken: u64,
}

impl Count {
    /// Share of checks that failed; `None` where nothing was checked.
    pub fn rate(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.broken as f64 / self.checked as f64)
    }
}

/// A broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Number of the packet in its capture, from 0.
    pub packet: usize,
}

/// The outcome of an audit; audits of several captures add up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    counts: [Count; Rule::ALL.len()],
    violations: Vec<Violation>,
}

impl Audit {
    /// Counts of one rule.
    pub fn count(&self, rule: Rule) -> Count {
        self.counts[rule as usize]
    }

    /// The broken rules in packet order (of [`RuleKind::Error`] only).
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Adds the counts of another capture; its violations are not kept.
    pub fn add(&mut self, other: &Self) {
        for (a, b) in self.counts.iter_mut().zip(&other.counts) {
            a.checked += b.checked;
            a.broken += b.broken;
        }
    }

    /// Number of broken rules of [`RuleKind::Error`].
    pub fn errors(&self) -> u64 {
        let errors = Rule::ALL.into_iter().filter(|r| r.kind() == RuleKind::Error);
        errors.map(|r| self.count(r).broken).sum()
    }

    fn check(&mut self, rule: Rule, packet: usize, kept: bool) {
        let count = &mut self.counts[rule as usize];
        count.checked += 1;
        if !kept {
            count.broken += 1;
            if rule.kind() == RuleKind::Error {
                self.violations.push(Violation { rule, packet });
            }
        }
    }
}

/// Applies every rule to a capture.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use trace_eval::compliance::{Rule, audit};
/// let mut trace = Trace::new(LinkType::RawIp);
/// // An IPv4 header with a wrong checksum and TTL 0.
/// trace.push(1, &[0x45, 0, 0, 20, 0, 0, 0, 0, 0, 99, 9, 9, 10, 0, 0, 1, 10, 0, 0, 2], 20);
/// let audit = audit(&trace);
/// assert_eq!(audit.count(Rule::Ipv4Checksum).rate(), Some(1.0));
/// assert_eq!(audit.count(Rule::TtlNotZero).broken, 1);
/// assert_eq!(audit.count(Rule::TcpChecksum).rate(), None);
/// ```
pub fn audit(trace: &Trace) -> Audit {
    let mut audit = Audit::default();
    let mut last = None;
    let mut varied = false;
    for (index, packet) in trace.iter().enumerate() {
        headers::check(trace.link_type(), index, &packet, &mut audit);
        audit.check(Rule::TimeNotZero, index, packet.time_ns > 0);
        if let Some(last) = last.replace(packet.time_ns) {
            audit.check(Rule::TimeOrder, index, packet.time_ns >= last);
            varied |= packet.time_ns != last;
        }
    }
    if trace.len() > 1 {
        audit.check(Rule::TimeVaries, trace.len() - 1, varied);
    }
    let (facts, flows) = facts(trace);
    tcp::check(&facts, flows, &mut audit);
    audit.violations.sort_by_key(|v| (v.packet, v.rule));
    audit
}
