//! The option area of IPv4: none, unless the cells show one.

use super::options::{parse, presence_costs};
use crate::draft::Draft;
use crate::evidence::any;
use nprint_codec::{IpVersion, ipv4};

/// Nats of an IPv4 header with options.
const WITH_OPTIONS: f32 = 8.0;
/// First column of the IPv4 option area in the reference layout.
const IPV4_OPTIONS_COLUMN: usize = 96;

/// Decides the IPv4 option area and the header length.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let noise = draft.noise;
    for row in 0..draft.rows.len() {
        if draft.rows[row].stack.version != IpVersion::V4 {
            continue;
        }
        let evidence = draft.evidence;
        let header_length = evidence.reader(noise, row, ipv4::HEADER_LENGTH);
        let columns = IPV4_OPTIONS_COLUMN..IPV4_OPTIONS_COLUMN + 320;
        let none = header_length.reading.is_full() && header_length.reading.value == 5;
        if none && !any(evidence.cells().row(row).present_words(), columns) {
            continue;
        }
        let area = evidence.presence_up_to(row, IPV4_OPTIONS_COLUMN);
        if none && area[10].0 == 0 {
            continue;
        }
        let costs = presence_costs(noise, &area);
        let mut best = (costs[0] + header_length.cost(5), 0);
        for (words, area) in costs.into_iter().enumerate().skip(1) {
            // Rarer than none, and its length costs what it does.
            let area = WITH_OPTIONS + area;
            if area < best.0 {
                let cost = area + header_length.cost(5 + words as u32);
                if cost < best.0 {
                    best = (cost, words);
                }
            }
        }
        let mut bytes: Vec<u8> = (0..4 * best.1)
            .map(|i| evidence.read_columns(row, IPV4_OPTIONS_COLUMN + 8 * i, 8).value as u8)
            .collect();
        if parse(&bytes).is_none() {
            bytes.fill(1);
        }
        let mut cells = draft.cells.row_mut(row);
        cells.set_bytes(ipv4::OPTIONS, &bytes);
        cells.set(ipv4::HEADER_LENGTH, 5 + best.1 as u32);
    }
}
