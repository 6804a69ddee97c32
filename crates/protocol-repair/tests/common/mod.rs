//! Small real captures and ways to disturb them.

pub mod made;
pub mod noise;
pub mod score;

use nprint_codec::{Cell, Layout, RowPolicy, TernaryMatrix, Trace, encode, read_capture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Every capture under `tests/captures`, by name.
pub fn captures() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is part of the package")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no captures");
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
            (name, read_capture(&path).expect("a readable capture"))
        })
        .collect()
}

pub fn cells_of(trace: &Trace) -> TernaryMatrix {
    encode(trace, &Layout::reference(), RowPolicy::EveryIpPacket)
}

/// Turns each cell into one of its two other states with probability `rate`.
pub fn flip(cells: &TernaryMatrix, rate: f64, seed: u64) -> TernaryMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut out = cells.clone();
    for row in 0..cells.rows() {
        for column in 0..cells.columns() {
            if random.random_bool(rate) {
                let states = match cells.row(row).cell(column) {
                    Cell::Vacant => [Cell::Zero, Cell::One],
                    Cell::Zero => [Cell::One, Cell::Vacant],
                    Cell::One => [Cell::Zero, Cell::Vacant],
                };
                out.row_mut(row).set_cell(column, states[usize::from(random.random_bool(0.5))]);
            }
        }
    }
    out
}

/// Random cells, vacant with the given probability; the last row is not vacant.
pub fn random_cells(rows: usize, vacant: f64, seed: u64) -> TernaryMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut out = TernaryMatrix::vacant(Layout::reference(), rows);
    for row in 0..rows {
        for column in 0..out.columns() {
            if !random.random_bool(vacant) {
                let one = random.random_bool(0.5);
                out.row_mut(row).set_cell(column, if one { Cell::One } else { Cell::Zero });
            }
        }
    }
    out
}
