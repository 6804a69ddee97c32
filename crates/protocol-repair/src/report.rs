//! What repair changed: a measure of how good the evidence was.

use crate::draft::{Connection, Draft, Stack, Transport};
use crate::evidence::Evidence;
use nprint_codec::{Field, IpVersion, icmp, ipv4, tcp, udp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod counts;

use counts::Counts;

/// Derived fields: they follow from the others, and a model need not get them right.
///
/// Checksums, header lengths, sequence and acknowledgement numbers, IPv4 identification and
/// fragment offset, the UDP length. The numbers inside TCP options are derived too, though the option
/// area is not: the 64 cells of a time-stamp option's value and echo, and the edges of SACK blocks,
/// where the result has them. Every count of this module that says "derived" means these cells.
pub const DERIVED_FIELDS: [Field; 11] = [
    ipv4::CHECKSUM,
    ipv4::HEADER_LENGTH,
    ipv4::ID,
    ipv4::FRAGMENT_OFFSET,
    tcp::CHECKSUM,
    tcp::SEQ,
    tcp::ACK_NUMBER,
    tcp::DATA_OFFSET,
    udp::CHECKSUM,
    udp::LENGTH,
    icmp::CHECKSUM,
];

/// What became of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepairReport {
    /// Packets made: one for each row that is not padding.
    pub packets: usize,
    /// Trailing rows that were taken for padding.
    pub padding_rows: usize,
    /// Packets by header stack, such as `ipv4/tcp`.
    pub packets_by_protocol: BTreeMap<String, usize>,
    /// Conversations.
    pub flows: usize,
    /// TCP connections whose first packet is a SYN.
    pub handshakes: usize,
    /// Share of wrong cells that the contradictions of the header stacks show.
    pub noise: f64,
    /// How often the rules ran until nothing changed any more.
    pub passes: usize,
    /// Cells of the packets that the evidence or the result has.
    pub cells: u64,
    /// Cells that were changed, vacancy included.
    pub changed_cells: u64,
    /// Of these, the cells that are not derived ([`DERIVED_FIELDS`]).
    pub non_derived_cells: u64,
    /// Changed cells that are not derived.
    pub changed_non_derived_cells: u64,
    /// Changed cells of the evidence by their confidences, as a share of all confidence.
    pub confidence_lost: f64,
    /// Changes by field, in column order, fields without a change left out.
    pub by_field: Vec<FieldChange>,
    /// Changed cells by rule, in the order in which rules ran.
    pub by_rule: Vec<RuleChange>,
    /// Share of TCP rows whose numbers explain each other, in the evidence. 1 without TCP.
    pub tcp_explained_before: f64,
    /// The same in the result.
    pub tcp_explained_after: f64,
}

impl RepairReport {
    /// Share of the cells that were changed.
    pub fn changed_share(&self) -> f64 {
        share(self.changed_cells, self.cells)
    }

    /// Share of the non-derived cells that were changed: 0 for a real capture.
    pub fn changed_non_derived_share(&self) -> f64 {
        share(self.changed_non_derived_cells, self.non_derived_cells)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Changes of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// nPrint's name of the field.
    pub field: String,
    /// Changed cells.
    pub cells: u64,
    /// Rows with a changed cell.
    pub rows: u64,
    /// Whether the field follows from others ([`DERIVED_FIELDS`]).
    pub derived: bool,
}

/// Changes made by one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// Name of the rule.
    pub rule: String,
    /// Cells that it changed, over all passes. A later rule may have changed one again.
    pub cells: u64,
}

/// Changes by rule while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    rules: Vec<RuleChange>,
    first: Option<FirstChange>,
}

/// The first change of a repair.
#[derive(Debug, Clone)]
pub(crate) struct FirstChange {
    pub(crate) rule: &'static str,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Changes {
    /// Adds what one rule changed; `first` is the row and column of its first change.
    pub(crate) fn add_rule(
        &mut self,
        rule: &'static str,
        cells: u64,
        first: Option<(usize, usize)>,
    ) {
        match self.rules.iter_mut().find(|c| c.rule == rule) {
            Some(change) => change.cells += cells,
            None => self.rules.push(RuleChange { rule: rule.to_owned(), cells }),
        }
        if let Some((row, column)) = first
            && self.first.is_none()
        {
            self.first = Some(FirstChange { rule, row, column });
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.rules.iter().map(|c| c.cells).sum()
    }

    /// The first change of the rule that ran first among those that changed something.
    pub(crate) fn first(&self) -> Option<&FirstChange> {
        self.first.as_ref()
    }
}

pub(crate) fn explained_share(draft: &Draft<'_>) -> f64 {
    let (good, all) = draft.explained;
    if all == 0 { 1.0 } else { good as f64 / all as f64 }
}

/// Compares the evidence with the result.
pub(crate) fn report(
    evidence: &Evidence<'_>,
    draft: &Draft<'_>,
    mut changes: Changes,
) -> RepairReport {
    let result = &draft.cells;
    let counts = Counts::of(evidence, result);
    let fields = || result.layout().fields().map(|(field, _)| field).zip(&counts.by_field);
    let checksum_cells = fields()
        .filter(|(field, _)| field.name.ends_with("_cksum"))
        .map(|(_, (cells, _))| cells)
        .sum();
    changes.add_rule("checksums", checksum_cells, None);
    let mut packets_by_stack: Vec<(Stack, usize)> = Vec::new();
    for facts in &draft.rows {
        match packets_by_stack.iter_mut().find(|(stack, _)| *stack == facts.stack) {
            Some((_, packets)) => *packets += 1,
            None => packets_by_stack.push((facts.stack, 1)),
        }
    }
    let packets_by_protocol =
        packets_by_stack.into_iter().map(|(stack, packets)| (stack_name(stack), packets)).collect();
    let opens = |connection: &&Connection| {
        let first = connection.rows[0];
        draft.value(first, tcp::SYN) == 1 && draft.value(first, tcp::ACK) == 0
    };
    let handshakes = draft.connections().iter().filter(opens).count();
    RepairReport {
        packets: result.rows(),
        padding_rows: evidence.cells().rows() - result.rows(),
        packets_by_protocol,
        flows: draft.flows.len(),
        handshakes,
        noise: 0.0,
        passes: 1,
        cells: counts.cells,
        changed_cells: counts.changed,
        non_derived_cells: counts.non_derived,
        changed_non_derived_cells: counts.changed_non_derived,
        confidence_lost: share(counts.lost, counts.trust),
        by_field: fields()
            .filter(|(_, (cells, _))| *cells > 0)
            .map(|(field, (cells, rows))| FieldChange {
                field: field.name.to_owned(),
                cells: *cells,
                rows: *rows,
                derived: DERIVED_FIELDS.contains(&field),
            })
            .collect(),
        by_rule: changes.rules,
        tcp_explained_before: 1.0,
        tcp_explained_after: explained_share(draft),
    }
}

/// Such as `ipv4/tcp`.
fn stack_name(stack: Stack) -> String {
    let version = if stack.version == IpVersion::V4 { "ipv4" } else { "ipv6" };
    let transport = match stack.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Icmp => "icmp",
        Transport::Fragment => "fragment",
        Transport::Other => "other",
    };
    format!("{version}/{transport}")
}
