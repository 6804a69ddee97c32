//! Decoders that know of the truth what no decoder can: what repair is measured against.

use crate::common::score::{GROUPS, Group, Key, PORTS, Score, key, pair};
use nprint_codec::{Cell, Row, SoftMatrix, TernaryMatrix, tcp, udp};
use std::collections::BTreeMap;

/// Cells of like confidence are wrong alike. Units: 255ths, as a power of two.
const BUCKET_SHIFT: u32 = 4;

/// Nats that a wrong cell costs, by confidence: the true share of wrong cells.
fn costs(truth: &TernaryMatrix, soft: &SoftMatrix) -> Vec<f32> {
    let mut wrong = [(1.0_f32, 2.0_f32); (256 >> BUCKET_SHIFT) + 1];
    for row in 0..truth.rows() {
        for column in 0..truth.columns() {
            let bucket = bucket(soft, row, column);
            wrong[bucket].1 += 1.0;
            if truth.row(row).cell(column) != soft.cells().row(row).cell(column) {
                wrong[bucket].0 += 1.0;
            }
        }
    }
    // Two states share the wrong cells.
    wrong.iter().map(|(wrong, all)| ((all - wrong) / (0.5 * wrong)).ln().max(0.0)).collect()
}

fn bucket(soft: &SoftMatrix, row: usize, column: usize) -> usize {
    usize::from(soft.confidence()[row * soft.cells().columns() + column]) >> BUCKET_SHIFT
}

/// Rows that are right when every row takes the most likely of the values that the group's fields
/// really have in this capture, with the shares that they have there. Conversations are told by
/// their true ports.
pub fn knows_statistics(truth: &TernaryMatrix, soft: &SoftMatrix) -> Score {
    let costs = costs(truth, soft);
    let certain = soft.confidence().iter().all(|c| *c == u8::MAX);
    GROUPS.map(|(_, group)| {
        let fields = match group {
            Group::Fields(fields) => fields,
            Group::Ports | Group::Flow => PORTS,
        };
        let mut masks = vec![0_u64; truth.layout().words()];
        for field in fields {
            if let Some(column) = truth.layout().column_of(*field) {
                for c in column..column + usize::from(field.bits) {
                    masks[c >> 6] |= 1 << (63 - (c & 63));
                }
            }
        }
        let masks: Vec<(usize, u64)> =
            masks.into_iter().enumerate().filter(|(_, mask)| *mask != 0).collect();
        let words = |row: Row<'_>| -> Vec<[u64; 2]> {
            let planes = (row.present_words(), row.value_words());
            masks.iter().map(|(w, mask)| [planes.0[*w] & mask, planes.1[*w] & mask]).collect()
        };
        // Each value with its count and a row that has it.
        let mut values: BTreeMap<Vec<[u64; 2]>, (usize, usize)> = BTreeMap::new();
        for (index, row) in truth.iter().enumerate() {
            values.entry(words(row)).or_insert((0, index)).0 += 1;
        }
        let (mut right, mut judged) = (0, 0);
        for (index, own) in truth.iter().enumerate() {
            let counts = match group {
                Group::Fields(fields) => fields.iter().any(|f| own.get(*f).is_some()),
                Group::Ports | Group::Flow => pair(own).is_some(),
            };
            if !counts {
                continue;
            }
            judged += 1;
            let seen = words(soft.cells().row(index));
            let mut best = (f32::MAX, index);
            for (value, (count, example)) in &values {
                let mut cost = (truth.rows() as f32 / *count as f32).ln();
                for (((word, _), seen), value) in masks.iter().zip(&seen).zip(value) {
                    let mut wrong = (seen[0] ^ value[0]) | (seen[1] ^ value[1]);
                    if certain {
                        cost += wrong.count_ones() as f32 * costs[255 >> BUCKET_SHIFT];
                        continue;
                    }
                    while wrong != 0 && cost < best.0 {
                        let at = wrong.leading_zeros();
                        cost += costs[bucket(soft, index, 64 * word + at as usize)];
                        wrong ^= 1 << (63 - at);
                    }
                }
                if cost < best.0 {
                    best = (cost, *example);
                }
            }
            let found = truth.row(best.1);
            right += usize::from(match group {
                Group::Ports => pair(found).map(key) == pair(own).map(key),
                Group::Fields(_) | Group::Flow => words(found) == words(own),
            });
        }
        (right, judged)
    })
}

/// Rows with the right ports when every packet's conversation and direction and every server's
/// port are known, and only the clients' ports are read: each bit by the cells of all packets of
/// the conversation and by its share of ones among the true client ports.
///
/// Client ports of different conversations say nothing of each other, so nothing can read them
/// better: this is the bound where ports are not known beforehand.
pub fn knows_conversations(truth: &TernaryMatrix, soft: &SoftMatrix) -> (usize, usize) {
    let costs = costs(truth, soft);
    let mut flows: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (index, row) in truth.iter().enumerate() {
        if let Some(pair) = pair(row) {
            flows.entry(key(pair)).or_default().push(index);
        }
    }
    // A port of several conversations is a server's, and known.
    let mut users: BTreeMap<(bool, bool, u16), usize> = BTreeMap::new();
    for (v6, tcp, ports) in flows.keys() {
        for port in ports {
            *users.entry((*v6, *tcp, *port)).or_default() += 1;
        }
    }
    let unknown = |key: &Key, port: u16| users[&(key.0, key.1, port)] == 1;
    let free: Vec<u16> = flows
        .keys()
        .flat_map(|key| key.2.into_iter().filter(|p| unknown(key, *p)).collect::<Vec<_>>())
        .collect();
    let (mut right, mut judged) = (0, 0);
    for (flow, rows) in &flows {
        let read = flow.2.iter().filter(|p| unknown(flow, **p)).all(|port| {
            (0..16).all(|bit| {
                let is_one = |port: u16| (port >> (15 - bit)) & 1 == 1;
                let ones = free.iter().filter(|p| is_one(**p)).count() as f32;
                let mut odds = ((ones + 0.5) / (free.len() as f32 - ones + 0.5)).ln();
                for row in rows {
                    let Some(own) = pair(truth.row(*row)) else { continue };
                    let fields = if own.tcp {
                        [tcp::SOURCE_PORT, tcp::DESTINATION_PORT]
                    } else {
                        [udp::SOURCE_PORT, udp::DESTINATION_PORT]
                    };
                    let end = usize::from(own.ports[0] != *port);
                    let column = truth.layout().column_of(fields[end]).unwrap_or(0) + bit;
                    odds += match soft.cells().row(*row).cell(column) {
                        Cell::Vacant => 0.0,
                        Cell::Zero => -costs[bucket(soft, *row, column)],
                        Cell::One => costs[bucket(soft, *row, column)],
                    };
                }
                (odds > 0.0) == is_one(*port)
            })
        });
        judged += rows.len();
        right += if read { rows.len() } else { 0 };
    }
    (right, judged)
}
