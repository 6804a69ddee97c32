//! The measurement, added up over captures.

use crate::common::cells_of;
use crate::common::noise::{Disturbance, disturb};
use crate::common::score::{GROUPS, Judged, Score, score, sides};
use crate::population::Member;
use crate::reference::{knows_conversations, knows_statistics};
use protocol_repair::{RepairConfig, check, repair};
use std::error::Error;
use std::fmt::Write;

/// Packets of a capture that are judged: as many as an image has rows.
const ROWS: usize = 1024;

/// One kind of noise over several captures.
#[derive(Clone, Default)]
pub struct Line {
    pub name: &'static str,
    /// Bits as they are.
    pub raw: Score,
    pub repaired: Score,
    /// The decoder that knows the truth's own field statistics.
    pub known: Score,
    /// Ports with the decoder that knows the conversations.
    pub conversations: (usize, usize),
    /// Changed cells and all cells.
    pub changed: (u64, u64),
    pub findings: usize,
    /// Packets lost or invented.
    pub off: usize,
}

impl Line {
    fn add(&mut self, other: &Self) {
        self.name = other.name;
        for (sum, own) in self
            .raw
            .iter_mut()
            .zip(other.raw)
            .chain(self.repaired.iter_mut().zip(other.repaired))
            .chain(self.known.iter_mut().zip(other.known))
            .chain(std::iter::once((&mut self.conversations, other.conversations)))
        {
            *sum = (sum.0 + own.0, sum.1 + own.1);
        }
        self.changed = (self.changed.0 + other.changed.0, self.changed.1 + other.changed.1);
        self.findings += other.findings;
        self.off += other.off;
    }
}

/// A line for each kind of noise.
#[derive(Clone, Default)]
pub struct Table {
    pub captures: usize,
    pub lines: Vec<Line>,
}

/// In percent; 100 where nothing was judged.
pub fn percent((right, judged): (usize, usize)) -> f64 {
    if judged == 0 { 100.0 } else { 100.0 * right as f64 / judged as f64 }
}

impl Table {
    fn add(&mut self, line: usize, other: &Line) {
        if self.lines.len() <= line {
            self.lines.resize(line + 1, Line::default());
        }
        self.lines[line].add(other);
    }

    /// As `bits as they are → repaired (bound)`.
    pub fn markdown(&self) -> String {
        let names: Vec<&str> = GROUPS.iter().map(|g| g.0).collect();
        let mut out =
            format!("| noise | {} | changed | findings | rows off |\n", names.join(" | "));
        let _ = writeln!(out, "|---{}|---|---|---|", "|---".repeat(names.len()));
        for line in &self.lines {
            let cells: Vec<String> = (0..GROUPS.len())
                .map(|g| {
                    let share = |score: &Score| percent(score[g]);
                    let mut bound = format!("{:.2}", share(&line.known));
                    if GROUPS[g].0 == "ports" {
                        let _ = write!(bound, "; {:.2}", percent(line.conversations));
                    }
                    format!("{:.1} → {:.2} ({bound})", share(&line.raw), share(&line.repaired))
                })
                .collect();
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {} | {} |",
                line.name,
                cells.join(" | "),
                100.0 * line.changed.0 as f64 / line.changed.1.max(1) as f64,
                line.findings,
                line.off
            );
        }
        out
    }
}

/// A table for each folder, in the members' order, and one for all.
pub fn measure(
    members: &[Member],
    kinds: &[(&'static str, Disturbance)],
    by_capture: bool,
) -> Result<(Vec<Table>, Table), Box<dyn Error>> {
    let (mut tables, mut all) = (Vec::new(), Table::default());
    let mut seed = 0;
    for folder in members.chunk_by(|a, b| a.folder == b.folder) {
        let mut table = Table { captures: folder.len(), ..Table::default() };
        all.captures += folder.len();
        for member in folder {
            for (index, (name, kind)) in kinds.iter().enumerate() {
                let line = Line { name, ..one(member, *kind, seed)? };
                if by_capture {
                    let shares: Vec<String> =
                        line.repaired.iter().map(|s| format!("{:.1}", percent(*s))).collect();
                    let bound = percent(line.conversations);
                    println!("| {name} {} | {} | {bound:.1} |", member.name, shares.join(" | "));
                }
                table.add(index, &line);
                all.add(index, &line);
            }
            seed += 1;
        }
        tables.push(table);
    }
    Ok((tables, all))
}

fn one(member: &Member, kind: Disturbance, seed: u64) -> Result<Line, Box<dyn Error>> {
    let mut truth = cells_of(&member.trace);
    truth.truncate(ROWS);
    let soft = disturb(&truth, kind, seed);
    let (made, report) = repair(&soft, &RepairConfig::default())?;
    let found = cells_of(&made);
    let (true_sides, found_sides) = (sides(&member.trace), sides(&made));
    let judged = Judged { cells: &truth, sides: Some(&true_sides) };
    Ok(Line {
        name: "",
        raw: score(judged, Judged { cells: soft.cells(), sides: None }),
        repaired: score(judged, Judged { cells: &found, sides: Some(&found_sides) }),
        known: knows_statistics(&truth, &soft),
        conversations: knows_conversations(&truth, &soft),
        changed: (report.changed_cells, report.cells),
        findings: check(&made).len(),
        off: made.len().abs_diff(truth.rows()),
    })
}
