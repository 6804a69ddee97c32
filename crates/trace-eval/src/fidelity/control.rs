//! Samples that are wrong on purpose.

use crate::sample::Sample;
use nprint_codec::{Cell, TernaryMatrix, Trace};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Most controls that are made.
const MOST: usize = 24;

/// For some of the samples, one with its packets in random order (time stamps stay where they are)
/// and a matrix of uniformly random cells.
pub(crate) fn controls(real: &[&Sample], seed: u64) -> Vec<Sample> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x636f_6e74_726f_6c73);
    let step = real.len().div_ceil(MOST).max(1);
    real.iter()
        .step_by(step)
        .map(|s| Sample {
            name: format!("control of {}", s.name),
            trace: shuffled(&s.trace, &mut rng),
            matrix: random(&s.matrix, &mut rng),
            labels: s.labels.clone(),
            parent: None,
        })
        .collect()
}

fn shuffled(trace: &Trace, rng: &mut ChaCha8Rng) -> Trace {
    let mut order: Vec<usize> = (0..trace.len()).collect();
    order.shuffle(rng);
    let mut out = Trace::new(trace.link_type());
    for (place, from) in order.into_iter().enumerate() {
        let packet = trace.packet(from);
        out.push(trace.packet(place).time_ns, packet.bytes, packet.original_length);
    }
    out
}

fn random(matrix: &TernaryMatrix, rng: &mut ChaCha8Rng) -> TernaryMatrix {
    let mut out = TernaryMatrix::vacant(matrix.layout().clone(), matrix.rows());
    for row in 0..matrix.rows() {
        let mut row = out.row_mut(row);
        for column in 0..matrix.columns() {
            row.set_cell(column, [Cell::Vacant, Cell::Zero, Cell::One][rng.random_range(0..3)]);
        }
    }
    out
}
