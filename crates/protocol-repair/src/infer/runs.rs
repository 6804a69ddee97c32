//! Where runs of wrong cells lie.
//!
//! A run covers some rows and columns. Cells around a field whose presence the header stacks give show
//! whether one goes through it.

use super::stack::fixed_regions;
use crate::draft::RowFacts;
use crate::evidence::{Evidence, Noise, extract};
use std::f32::consts::LN_2;
use std::ops::Range;

/// Columns on each side of a field that are looked at. Units: cells.
const BESIDE: usize = 16;
/// Columns of a field that runs are looked for in. Units: cells.
const FIELD: usize = 32;
/// Wrong cells of [`FIELD`] that show a run.
const SHOWN: u32 = 5;

/// The cells whose truth is known, as evidence of runs.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    evidence: &'a Evidence<'a>,
    rows: &'a [RowFacts],
    /// Cost of a run where nothing around shows one. Units: nats.
    usual: f32,
}

impl<'a> Runs<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, rows: &'a [RowFacts], noise: Noise) -> Self {
        Self { evidence, rows, usual: noise.burst_cost }
    }

    /// Nats for saying that a run lies over the [`FIELD`] cells of a row from `column` on.
    pub(super) fn cost(&self, row: usize, column: usize) -> f32 {
        if self.usual.is_infinite() {
            return self.usual;
        }
        let own = column..column + FIELD;
        let beside = self.wrong(row, column.saturating_sub(BESIDE)..column)
            + self.wrong(row, own.end..own.end + BESIDE);
        let above = row.checked_sub(1).map_or(0, |row| self.wrong(row, own.clone()));
        let below = if row + 1 < self.rows.len() { self.wrong(row + 1, own) } else { 0 };
        if beside.max(above).max(below) >= SHOWN { LN_2.min(self.usual) } else { self.usual }
    }

    /// Cells of a row in these columns that are there and should not be, or the other way round.
    fn wrong(&self, row: usize, columns: Range<usize>) -> u32 {
        let present = self.evidence.cells().row(row).present_words();
        fixed_regions(self.rows[row].stack)
            .into_iter()
            .map(|(region, expected)| {
                let part = columns.start.max(region.start)..columns.end.min(region.end);
                if part.is_empty() {
                    return 0;
                }
                let here = extract(present, part.start, part.len()).count_ones();
                let all = part.len() as u32;
                if expected { all - here } else { here }
            })
            .sum()
    }
}
