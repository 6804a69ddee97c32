//! How much each header field counts when the base's autoencoder is trained.

use diffusion_lora::autoencoder::ColumnWeights;
use nprint_codec::{Field, Layout, icmp, ipv4, ipv6, tcp, udp};

/// Weights of the value of a field, a bit each. Fields that follow from others (checksums,
/// lengths of UDP) or are a stream's own counters (sequence and acknowledgement numbers,
/// identifications) carry nothing for the picture to learn and count 0: repair computes them.
const VALUE_WEIGHTS: &[(Field, f32)] = &[
    (ipv4::VERSION, 1.0),
    (ipv4::HEADER_LENGTH, 1.0),
    (ipv4::TOS, 3.0),
    (ipv4::TOTAL_LENGTH, 6.0),
    (ipv4::RESERVED, 2.0),
    (ipv4::DONT_FRAGMENT, 2.0),
    (ipv4::MORE_FRAGMENTS, 2.0),
    (ipv4::FRAGMENT_OFFSET, 1.0),
    (ipv4::TTL, 8.0),
    (ipv4::PROTOCOL, 6.0),
    (ipv6::VERSION, 1.0),
    (ipv6::TRAFFIC_CLASS, 3.0),
    (ipv6::PAYLOAD_LENGTH, 6.0),
    (ipv6::NEXT_HEADER, 6.0),
    (ipv6::HOP_LIMIT, 8.0),
    (tcp::SOURCE_PORT, 0.2),
    (tcp::DESTINATION_PORT, 0.2),
    (tcp::DATA_OFFSET, 1.0),
    (tcp::RESERVED, 2.0),
    (tcp::NS, 3.0),
    (tcp::CWR, 3.0),
    (tcp::ECE, 3.0),
    (tcp::URG, 3.0),
    (tcp::ACK, 3.0),
    (tcp::PSH, 3.0),
    (tcp::RST, 3.0),
    (tcp::SYN, 3.0),
    (tcp::FIN, 3.0),
    (tcp::WINDOW, 0.2),
    (tcp::URGENT_POINTER, 1.0),
    (tcp::OPTIONS, 0.05),
    (udp::SOURCE_PORT, 0.3),
    (udp::DESTINATION_PORT, 0.3),
    (icmp::TYPE, 3.0),
    (icmp::CODE, 3.0),
];

/// Weight of the presence of a bit, by header; the first byte of a header counts more, because
/// it decides which headers a row has.
const PRESENCE_WEIGHT: f32 = 0.05;
const FIRST_BYTE_PRESENCE_WEIGHT: f32 = 0.5;

/// Fields from this weight on must survive any value: their bits are varied in training.
const VARIED_FROM: f32 = 2.0;
const FLIP_CHANCE: f32 = 0.12;
const SCRAMBLE_CHANCE: f32 = 0.5;

/// The weights of a layout's columns.
pub fn column_weights(layout: &Layout) -> ColumnWeights {
    let mut presence = vec![PRESENCE_WEIGHT; layout.columns()];
    for (_, column) in layout.fields().filter(|(f, _)| f.offset_bits == 0) {
        let first_byte = presence.iter_mut().skip(column).take(8);
        first_byte.for_each(|weight| *weight = FIRST_BYTE_PRESENCE_WEIGHT);
    }
    ColumnWeights { presence, value: value_weights(layout) }
}

/// The chance that training varies a bit of each column and asks for it.
pub fn flip_chances(layout: &Layout) -> Vec<f32> {
    let chance = |weight: f32| if weight >= VARIED_FROM { FLIP_CHANCE } else { 0.0 };
    value_weights(layout).into_iter().map(chance).collect()
}

/// The chance that training varies a bit of each column without asking for it: fields that
/// count little must not disturb those that count.
pub fn scramble_chances(layout: &Layout) -> Vec<f32> {
    let chance = |weight: f32| if weight < 1.0 { SCRAMBLE_CHANCE } else { 0.0 };
    value_weights(layout).into_iter().map(chance).collect()
}

fn value_weights(layout: &Layout) -> Vec<f32> {
    let mut value = vec![0.0; layout.columns()];
    for (field, column) in layout.fields() {
        if let Some((_, weight)) = VALUE_WEIGHTS.iter().find(|(f, _)| *f == field) {
            value[column..column + usize::from(field.bits)].fill(*weight);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_fields_count_nothing_and_every_column_has_a_presence() {
        let layout = Layout::reference();
        let weights = column_weights(&layout);
        let at = |field| weights.value[layout.column_of(field).expect("in the layout")];
        assert!(
            [ipv4::CHECKSUM, ipv4::ID, tcp::SEQ, udp::LENGTH].map(at).iter().all(|w| *w == 0.0)
        );
        assert!(at(ipv4::TTL) > at(tcp::SOURCE_PORT));
        assert!(weights.presence.iter().all(|w| *w > 0.0));
        let flips = flip_chances(&layout);
        let scrambles = scramble_chances(&layout);
        assert!(flips.iter().zip(&scrambles).all(|(f, s)| *f <= 0.0 || *s <= 0.0));
    }
}
