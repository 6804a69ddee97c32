//! Conversations of two packets each, a query and its answer, under noise.

#[allow(dead_code)]
mod common;

use common::cells_of;
use common::noise::{Disturbance, disturb};
use common::score::{GROUPS, Judged, score};
use nprint_codec::{Header, Layout, TernaryMatrix};
use protocol_repair::{RepairConfig, repair};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Queries from ports drawn at random, each answered after the next query; `between` echo requests
/// after each packet.
fn exchanges(number: usize, between: usize) -> TernaryMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut cells = TernaryMatrix::new(Layout::reference());
    let mut identification = 0_u16;
    let mut packet = |ttl: u8, protocol: u8, length: u16, header: Header, transport: &[u8]| {
        let mut ip = [0x45, 0, 0, 0, 0, 0, 0, 0, ttl, protocol, 0, 0];
        ip[2..4].copy_from_slice(&length.to_be_bytes());
        ip[4..6].copy_from_slice(&identification.to_be_bytes());
        identification += 1;
        let mut row = cells.push_vacant();
        row.set_header(Header::Ipv4, &ip);
        row.set_header(header, transport);
    };
    let mut waiting = None;
    for exchange in 0..=number {
        let client: u16 = random.random_range(32_768..61_000);
        let asked = (exchange < number).then_some((client, 53, 64, 60));
        let answered = waiting.replace(client).map(|client| (53, client, 57, 120));
        for (source, destination, ttl, length) in asked.into_iter().chain(answered) {
            let udp: Vec<u8> = [source, destination, length - 20, 0]
                .iter()
                .flat_map(|n| n.to_be_bytes())
                .collect();
            packet(ttl, 17, length, Header::Udp, &udp);
            for sequence in 0..between {
                packet(64, 1, 84, Header::Icmp, &[8, 0, 0, 0, 0, 7, 0, sequence as u8]);
            }
        }
    }
    cells
}

/// Share of packets, in percent, that repair puts into the right conversation and direction.
fn right(truth: &TernaryMatrix, kind: Disturbance) -> f64 {
    let soft = disturb(truth, kind, 1);
    let (made, _) = repair(&soft, &RepairConfig::default()).expect("the reference layout");
    let cells = cells_of(&made);
    let scores = score(Judged { cells: truth, sides: None }, Judged { cells: &cells, sides: None });
    let flow = GROUPS.iter().position(|group| group.0 == "flow, direction").expect("a group");
    100.0 * scores[flow].0 as f64 / scores[flow].1 as f64
}

#[test]
fn queries_find_their_answers_where_no_pair_of_ports_is_read_twice() {
    let share = right(&exchanges(250, 0), Disturbance::Flips(0.1));
    assert!(share >= 75.0, "{share:.1} %");
}

#[test]
fn exchanges_far_apart_are_no_crowd() {
    let share = right(&exchanges(90, 4), Disturbance::Colour(70.0));
    assert!(share >= 97.0, "{share:.1} %");
}
