//! Ways in which a generated image errs.

use nprint_codec::{Cell, SoftMatrix, TernaryMatrix};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How cells are disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disturbance {
    /// Each cell takes one of its two other states with this probability; every cell is certain.
    Flips(f64),
    /// The same share of wrong cells, but in runs: 1 to 4 rows by 8 to 32 columns of which half
    /// are wrong.
    Clusters(f64),
    /// Colour noise of this standard deviation on each channel of the rendered image, read back
    /// as the nearest colour with the margin to the second nearest as confidence.
    Colour(f64),
}

/// One of a cell's two other states.
fn other(cell: Cell, random: &mut ChaCha8Rng) -> Cell {
    let states = match cell {
        Cell::Vacant => [Cell::Zero, Cell::One],
        Cell::Zero => [Cell::One, Cell::Vacant],
        Cell::One => [Cell::Zero, Cell::Vacant],
    };
    states[usize::from(random.random_bool(0.5))]
}

/// Evidence made from the truth; the same for the same seed.
pub fn disturb(cells: &TernaryMatrix, kind: Disturbance, seed: u64) -> SoftMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    match kind {
        Disturbance::Flips(rate) => SoftMatrix::certain(super::flip(cells, rate, seed)),
        Disturbance::Clusters(rate) => {
            let mut out = cells.clone();
            let (rows, columns) = (cells.rows(), cells.columns());
            // A cluster has 2.5 rows by 20 columns on average, half of them wrong.
            let clusters = ((rows * columns) as f64 * rate / 25.0).round() as usize;
            for _ in 0..clusters {
                let (height, width) = (random.random_range(1..=4), random.random_range(8..=32));
                let (top, left) = (random.random_range(0..rows), random.random_range(0..columns));
                for row in top..(top + height).min(rows) {
                    for column in left..(left + width).min(columns) {
                        if random.random_bool(0.5) {
                            let wrong = other(cells.row(row).cell(column), &mut random);
                            out.row_mut(row).set_cell(column, wrong);
                        }
                    }
                }
            }
            SoftMatrix::certain(out)
        }
        Disturbance::Colour(sigma) => {
            let mut out = cells.clone();
            let mut confidence = Vec::with_capacity(cells.rows() * cells.columns());
            let states = [Cell::Vacant, Cell::Zero, Cell::One];
            for row in 0..cells.rows() {
                for column in 0..cells.columns() {
                    let truth = cells.row(row).cell(column);
                    let channels = states.map(|state| {
                        let pure = if state == truth { 255.0 } else { 0.0 };
                        (pure + sigma * gauss(&mut random)).round().clamp(0.0, 255.0) as u8
                    });
                    let mut order = [0, 1, 2];
                    order.sort_by_key(|c| std::cmp::Reverse(channels[*c]));
                    out.row_mut(row).set_cell(column, states[order[0]]);
                    let margin = channels[order[0]] - channels[order[1]];
                    let pure = margin == 255 && channels[order[2]] == 0;
                    confidence.push(if pure { 255 } else { margin.min(254) });
                }
            }
            SoftMatrix::new(out, confidence).expect("one confidence a cell")
        }
    }
}

/// A standard normal number by Box and Muller.
fn gauss(random: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
