//! What repair must give back of disturbed captures. `cargo bench -p protocol-repair --bench noise`
//! prints the whole table.

#[allow(dead_code)]
mod common;

use common::noise::{Disturbance, disturb};
use common::score::{GROUPS, Judged, score, sides};
use common::{captures, cells_of, flip};
use nprint_codec::{Header, Layout, SoftMatrix, TernaryMatrix, tcp};
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
            ("flow, direction", 99.8),
            ("ttl", 99.8),
            ("tcp flags", 99.3),
            ("length", 98.0),
            ("window", 94.0),
            ("ip id", 96.5),
            ("seq", 99.0),
            ("ack", 99.0),
        ],
    );
}

#[test]
fn one_cell_in_ten_flipped() {
    at_least(
        Disturbance::Flips(0.1),
        &[
            ("header stack", 99.5),
            ("ports", 89.5),
            ("flow, direction", 94.0),
            ("ttl", 98.5),
            ("tcp flags", 95.0),
            ("length", 84.0),
            ("window", 80.0),
            ("ip id", 55.0),
            ("seq", 90.0),
            ("ack", 91.0),
        ],
    );
}

#[test]
fn one_cell_in_fifty_wrong_in_runs() {
    at_least(
        Disturbance::Clusters(0.02),
        &[
            ("header stack", 99.8),
            ("ports", 99.0),
            ("flow, direction", 99.0),
            ("ttl", 99.5),
            ("tcp flags", 97.5),
            ("length", 98.0),
            ("window", 97.0),
            ("ip id", 94.5),
            ("seq", 97.0),
            ("ack", 97.5),
        ],
    );
}

#[test]
fn colour_noise_of_seventy() {
    at_least(
        Disturbance::Colour(70.0),
        &[
            ("header stack", 99.9),
            ("ports", 98.5),
            ("flow, direction", 99.0),
            ("ttl", 99.5),
            ("tcp flags", 99.3),
            ("length", 99.0),
            ("window", 93.0),
            ("ip id", 92.0),
            ("seq", 99.0),
            ("ack", 98.5),
        ],
    );
}

/// A download in which every twelfth segment of the later ones is of another connection, whose client has
/// a port with one bit otherwise.
fn one_inside_another() -> TernaryMatrix {
    let mut cells = TernaryMatrix::new(Layout::reference());
    let (mut seq, mut inner) = (0x1234_5678_u32, 0xb00c_0000_u32);
    for index in 0..240_u16 {
        let is_inner = index >= 120 && index % 12 == 0;
        let (seq, ack, port) = if is_inner {
            (&mut inner, 0x7e57_0001_u32, 44_234_u16)
        } else {
            (&mut seq, 0x0bad_cafe, 44_226)
        };
        let mut ip = vec![0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 57, 6, 0, 0];
        ip[4..6].copy_from_slice(&(0x2000 + index).to_be_bytes());
        let numbers = [443_u32 << 16 | u32::from(port), *seq, ack, 0x5010_01f5, 0];
        let transport: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
        let mut row = cells.push_vacant();
        row.set_header(Header::Ipv4, &ip);
        row.set_header(Header::Tcp, &transport);
        *seq = seq.wrapping_add(1_460);
    }
    cells
}

#[test]
fn a_short_connection_is_found_inside_another_one() {
    let truth = one_inside_another();
    for seed in 0..8 {
        let soft = SoftMatrix::certain(flip(&truth, 0.05, seed));
        let (made, _) = repair(&soft, &RepairConfig::default()).expect("the reference layout");
        let cells = cells_of(&made);
        let wrong = truth.iter().zip(cells.iter()).filter(|(truth, row)| {
            truth.get(tcp::DESTINATION_PORT) != row.get(tcp::DESTINATION_PORT)
        });
        assert!(wrong.count() <= 1, "seed {seed}");
    }
}
