//! What is right already is not touched: real captures, and made ones with losses, resets, fragments and
//! control messages.

#[allow(dead_code)]
mod common;

use common::{cells_of, made};
use nprint_codec::{SoftMatrix, Trace};
use protocol_repair::{AddressPlan, Payload, RepairConfig, Timing, check, repair};
use std::sync::Arc;

/// Real and made captures by name.
fn captures() -> impl Iterator<Item = (String, Trace)> {
    let made = made::captures().into_iter().map(|(name, source)| (name.to_owned(), source));
    common::captures().into_iter().chain(made)
}

#[test]
fn made_captures_are_right_themselves() {
    for (name, source) in made::captures() {
        assert_eq!(check(&source), vec![], "{name}");
    }
}

#[test]
fn no_header_field_changes_apart_from_checksums() {
    for (name, source) in captures() {
        let cells = cells_of(&source);
        let soft = SoftMatrix::certain(cells.clone());
        let (trace, report) = repair(&soft, &RepairConfig::default()).expect("a valid matrix");
        assert_eq!(trace.len(), source.len(), "{name}");
        let again = cells_of(&trace);
        for (row, (before, after)) in cells.iter().zip(again.iter()).enumerate() {
            for (field, _) in cells.layout().fields() {
                if !field.name.ends_with("_cksum") {
                    let of = |row: &nprint_codec::Row<'_>| (row.get(field), row.bytes(field));
                    assert_eq!(of(&before), of(&after), "{name}, row {row}, {}", field.name);
                }
            }
        }
        assert_eq!(report.changed_non_derived_cells, 0, "{name}");
        assert_eq!(check(&trace), vec![], "{name}");
    }
}

#[test]
fn with_everything_kept_the_bytes_come_back() {
    for (name, source) in captures() {
        let kept = Arc::new(source.clone());
        let config = RepairConfig {
            addresses: AddressPlan::Keep(kept.clone()),
            payload: Payload::Keep(kept),
            timing: Timing::of_trace(&source),
            ..RepairConfig::default()
        };
        let (trace, _) =
            repair(&SoftMatrix::certain(cells_of(&source)), &config).expect("a valid matrix");
        for (packet, (before, after)) in source.iter().zip(trace.iter()).enumerate() {
            assert_eq!(before, after, "{name}, packet {packet}");
        }
        assert_eq!(trace, source, "{name}");
    }
}
