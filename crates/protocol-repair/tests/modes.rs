//! Strict mode, audits, and what the report counts.

#[allow(dead_code)]
mod common;

use common::{captures, cells_of, flip};
use nprint_codec::{SoftMatrix, Trace, ipv4, ipv6, tcp};
use protocol_repair::{CheckRule, Error, Mode, RepairConfig, audit, check, repair};

fn strict() -> RepairConfig {
    RepairConfig { mode: Mode::Strict, ..RepairConfig::default() }
}

#[test]
fn strict_mode_takes_real_captures_as_repair_does() {
    for (name, source) in captures() {
        let soft = SoftMatrix::certain(cells_of(&source));
        let (made, _) = repair(&soft, &strict()).expect("a real capture breaks no rule");
        let (repaired, _) = repair(&soft, &RepairConfig::default()).expect("a valid matrix");
        assert_eq!(made, repaired, "{name}");
    }
}

#[test]
fn strict_mode_names_rule_packet_and_field() {
    for (name, source) in captures() {
        let mut cells = cells_of(&source);
        let field = if cells.row(3).get(ipv4::TTL).is_some() { ipv4::TTL } else { ipv6::HOP_LIMIT };
        cells.row_mut(3).set(field, 0);
        match repair(&SoftMatrix::certain(cells), &strict()) {
            Err(Error::Refused { rule, packet, field: named, cells }) => {
                assert_eq!((rule, packet, named), ("hop limits", 3, field.name), "{name}");
                assert!(cells > 0, "{name}");
            }
            other => panic!("{name}: {:?}", other.map(|(_, report)| report)),
        }
    }
}

#[test]
fn an_audit_counts_rule_by_rule() {
    for (name, source) in captures() {
        let (made, _) = repair(&SoftMatrix::certain(cells_of(&source)), &RepairConfig::default())
            .expect("a valid matrix");
        let clean = audit(&made);
        assert_eq!(clean.packets, made.len(), "{name}");
        assert!(clean.rules.iter().all(|r| r.broken == 0 && r.first.is_none()), "{name}");
        let judged = |rule| clean.rules.iter().find(|r| r.rule == rule).map_or(0, |r| r.judged);
        assert_eq!(judged(CheckRule::IpLength), made.len(), "{name}");
        assert_eq!(judged(CheckRule::TimeOrder), made.len(), "{name}");
        // The last byte of the second packet turned: whoever sums it up finds it.
        let mut damaged = Trace::new(made.link_type());
        for (index, packet) in made.iter().enumerate() {
            let mut bytes = packet.bytes.to_vec();
            if index == 1
                && let Some(last) = bytes.last_mut()
            {
                *last ^= 1;
            }
            damaged.push(packet.time_ns, &bytes, packet.original_length);
        }
        let found = audit(&damaged);
        assert_eq!(found.findings, check(&damaged), "{name}");
        for rule in &found.rules {
            let own = found.findings.iter().filter(|f| f.rule == rule.rule);
            assert_eq!(own.clone().count(), rule.broken, "{name}");
            assert_eq!(own.map(|f| f.packet).min(), rule.first, "{name}");
            assert!(rule.first.is_none_or(|packet| packet == 1), "{name}");
        }
        let transport = CheckRule::TransportChecksum;
        if judged(transport) == made.len() {
            let broken = found.rules.iter().find(|r| r.rule == transport).map(|r| r.broken);
            assert_eq!(broken, Some(1), "{name}");
        }
    }
}

#[test]
fn every_rule_has_its_place_and_judges_known_fields() {
    for (index, rule) in CheckRule::ALL.into_iter().enumerate() {
        assert_eq!(rule as usize, index);
    }
    assert!(CheckRule::TcpFlags.fields().contains(&tcp::SYN));
}

#[test]
fn changes_by_field_add_up() {
    for (index, (name, source)) in captures().into_iter().enumerate() {
        let disturbed = flip(&cells_of(&source), 0.02, index as u64);
        let soft = SoftMatrix::certain(disturbed);
        let (made, report) = repair(&soft, &RepairConfig::default()).expect("a valid matrix");
        let by_field: u64 = report.by_field.iter().map(|f| f.cells).sum();
        assert_eq!(by_field, report.changed_cells, "{name}");
        let distance: usize = soft
            .cells()
            .iter()
            .zip(cells_of(&made).iter())
            .map(|(before, after)| before.differing_cells(&after))
            .sum();
        assert_eq!(distance as u64, report.changed_cells, "{name}: the distance itself");
        // A cell may be changed by one rule and back by another, never the other way about.
        let by_rule: u64 = report.by_rule.iter().map(|r| r.cells).sum();
        assert!(by_rule >= report.changed_cells, "{name}");
        assert!(report.confidence_lost > 0.0 && report.confidence_lost < 1.0, "{name}");
    }
}

#[test]
fn numbers_inside_options_are_derived_on_both_sides_of_the_share() {
    for (name, source) in captures() {
        let truth = cells_of(&source);
        let column = truth.layout().column_of(tcp::OPTIONS).expect("the reference layout");
        // A time-stamp option of an ordinary segment: NOP, NOP, 8, 10, value, echo.
        let stamped: Vec<usize> = (0..truth.rows())
            .filter(|r| truth.row(*r).bytes(tcp::OPTIONS).starts_with(&[1, 1, 8, 10]))
            .collect();
        let report = |cells| {
            repair(&SoftMatrix::certain(cells), &RepairConfig::default()).expect("a valid matrix").1
        };
        let before = report(truth.clone());
        let derived: u64 = truth
            .iter()
            .map(|row| {
                let of = |f: &nprint_codec::Field| row.get(*f).map_or(0, |_| u64::from(f.bits));
                protocol_repair::DERIVED_FIELDS.iter().map(of).sum::<u64>()
            })
            .sum();
        // Every option of these captures that is not on a SYN begins with two NOPs, and SYNs carry
        // theirs behind MSS and SACK-permitted.
        let on_syn =
            truth.iter().filter(|r| r.bytes(tcp::OPTIONS).get(6..8) == Some(&[8, 10])).count();
        let sack: usize = truth
            .iter()
            .map(|row| {
                let bytes = row.bytes(tcp::OPTIONS);
                let at = if bytes.starts_with(&[1, 1, 8, 10]) { 12 } else { 0 };
                match bytes.get(at..at + 4) {
                    Some([1, 1, 5, length]) => 8 * (usize::from(*length) - 2),
                    _ => 0,
                }
            })
            .sum();
        let numbers = 64 * (stamped.len() + on_syn) + sack;
        let expected = before.cells - derived - numbers as u64;
        assert_eq!(before.non_derived_cells, expected, "{name}");
        // A clock that jumps to and fro is set again, and that changes nothing that is not derived.
        let mut disturbed = truth.clone();
        for row in stamped.iter().step_by(2) {
            let at = column + 32;
            let one = truth.row(*row).cell(at) == nprint_codec::Cell::Zero;
            let cell = if one { nprint_codec::Cell::One } else { nprint_codec::Cell::Zero };
            disturbed.row_mut(*row).set_cell(at, cell);
        }
        let after = report(disturbed);
        assert_eq!(after.non_derived_cells, before.non_derived_cells, "{name}");
        assert_eq!(after.changed_non_derived_cells, 0, "{name}");
        assert_eq!(after.changed_cells > before.changed_cells, stamped.len() > 8, "{name}");
    }
}
