//! Matrices to test with.

#![allow(dead_code)] // not every test file needs all of it

use std::sync::Arc;

use nprint_codec::{Layout, TernaryMatrix, ipv4, ipv6, tcp, udp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator of numbers.
pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Any cells at all.
pub fn noise(layout: &Arc<Layout>, rows: usize, rng: &mut impl Rng) -> TernaryMatrix {
    let mut matrix = TernaryMatrix::new(layout.clone());
    let words = layout.words();
    for _ in 0..rows {
        let mut plane = || (0..words).map(|_| rng.random()).collect::<Vec<u64>>();
        let (present, value) = (plane(), plane());
        matrix.push_vacant().set_words(&present, &value);
    }
    matrix
}

/// Rows that look like packets: headers whole, one flow, a few fields that change.
pub fn packets(rows: usize, rng: &mut impl Rng) -> TernaryMatrix {
    let mut matrix = TernaryMatrix::new(Layout::reference());
    for i in 0..rows {
        let mut row = matrix.push_vacant();
        let total = rng.random_range(40..1500);
        if rng.random_bool(0.1) {
            row.set_header(nprint_codec::Header::Ipv6, &[0; 40]);
            row.set(ipv6::VERSION, 6);
        } else {
            row.set_header(nprint_codec::Header::Ipv4, &[0; 20]);
            row.set(ipv4::VERSION, 4);
            row.set(ipv4::HEADER_LENGTH, 5);
            row.set(ipv4::TOTAL_LENGTH, total);
            row.set(ipv4::TTL, 64);
            row.set(ipv4::ID, 7 + i as u32);
        }
        if rng.random_bool(0.5) {
            row.set_header(nprint_codec::Header::Tcp, &[0; 32]);
            row.set(tcp::SOURCE_PORT, 443);
            row.set(tcp::SEQ, rng.random());
            row.set(tcp::ACK, rng.random());
        } else {
            row.set_header(nprint_codec::Header::Udp, &[0; 8]);
            row.set(udp::SOURCE_PORT, 51_820);
            row.set(udp::LENGTH, total - 20);
        }
    }
    matrix
}
