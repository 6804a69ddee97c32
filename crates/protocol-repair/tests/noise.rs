//! What repair must give back of disturbed captures. `cargo bench -p protocol-repair --bench noise`
//! prints the whole table.

#[allow(dead_code)]
mod common;

use common::noise::{Disturbance, disturb};
use common::score::{GROUPS, Judged, score, sides};
use common::{captures, cells_of};
use protocol_repair::{RepairConfig, check, repair};

/// Share of packets, in percent, whose fields of a group are right after repair of every capture of
/// the tests.
fn shares(kind: Disturbance) -> Vec<(&'static str, f64)> {
    let mut sums = [(0, 0); GROUPS.len()];
    for (index, (name, source)) in captures().into_iter().enumerate() {
        let truth = cells_of(&source);
        let soft = disturb(&truth, kind, index as u64);
        let (made, _) = repair(&soft, &RepairConfig::default()).expect("the reference layout");
        assert_eq!(made.len(), truth.rows(), "{name}: no packet invented, none lost");
        assert_eq!(check(&made), vec![], "{name}");
        let (cells, [own, other]) = (cells_of(&made), [&source, &made].map(sides));
        let own = score(
            Judged { cells: &truth, sides: Some(&own) },
            Judged { cells: &cells, sides: Some(&other) },
        );
        for (sum, own) in sums.iter_mut().zip(own) {
            *sum = (sum.0 + own.0, sum.1 + own.1);
        }
    }
    let share = |(right, judged): (usize, usize)| 100.0 * right as f64 / judged.max(1) as f64;
    GROUPS.iter().zip(sums).map(|(group, sum)| (group.0, share(sum))).collect()
}

fn at_least(kind: Disturbance, floors: &[(&str, f64)]) {
    let shares = shares(kind);
    for (group, floor) in floors {
        let share = shares.iter().find(|(name, _)| name == group).map_or(0.0, |(_, share)| *share);
        assert!(share >= *floor, "{kind:?}: {group} {share:.2} % of {floor} %; all {shares:.1?}");
    }
}

#[test]
fn one_cell_in_a_hundred_flipped() {
    at_least(
        Disturbance::Flips(0.01),
        &[
            ("header stack", 99.9),
            ("ports", 98.5),
            ("flow, direction", 99.5),
            ("ttl", 99.5),
            ("tcp flags", 98.0),
            ("length", 96.5),
            ("seq", 94.0),
            ("ack", 94.0),
        ],
    );
}

#[test]
fn one_cell_in_ten_flipped() {
    at_least(
        Disturbance::Flips(0.1),
        &[
            ("header stack", 99.5),
            ("ports", 88.0),
            ("flow, direction", 92.5),
            ("ttl", 96.0),
            ("tcp flags", 82.0),
            ("length", 71.0),
            ("seq", 25.0),
            ("ack", 33.0),
        ],
    );
}

#[test]
fn one_cell_in_fifty_wrong_in_runs() {
    at_least(
        Disturbance::Clusters(0.02),
        &[
            ("header stack", 99.5),
            ("ports", 97.0),
            ("flow, direction", 97.5),
            ("ttl", 98.0),
            ("tcp flags", 94.0),
            ("length", 95.0),
            ("seq", 93.0),
            ("ack", 93.0),
        ],
    );
}

#[test]
fn colour_noise_of_seventy() {
    at_least(
        Disturbance::Colour(70.0),
        &[
            ("header stack", 99.9),
            ("ports", 97.5),
            ("flow, direction", 98.5),
            ("ttl", 99.5),
            ("tcp flags", 98.5),
            ("length", 98.0),
            ("seq", 90.0),
            ("ack", 90.0),
        ],
    );
}
