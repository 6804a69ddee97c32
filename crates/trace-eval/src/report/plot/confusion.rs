//! Confusion matrices.

use super::canvas::{Anchor, Canvas};
use super::{Legend, Plot, file_name};
use crate::report::Confusion;

/// Side of a cell. Units: pixels.
const CELL: f64 = 34.0;
/// Width of a letter of a name, roughly.
const LETTER: f64 = 5.8;

/// True classes down, predicted classes across; each row's shares.
pub(in crate::report) fn confusion(c: &Confusion) -> Plot {
    let n = c.classes.len() as f64;
    let longest = c.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let (left, top) = (LETTER * longest + 26.0, LETTER * longest + 26.0);
    let mut canvas = Canvas::new(left + n * CELL + 4.0, top + n * CELL + 4.0);
    canvas.text_as("label", Anchor::Start, (left, 10.0), "predicted");
    canvas.turned(-90.0, Anchor::End, (10.0, top), "true");
    for (i, (name, row)) in c.classes.iter().zip(&c.counts).enumerate() {
        let y = top + i as f64 * CELL;
        canvas.text(Anchor::End, (left - 6.0, y + CELL / 2.0 + 4.0), name);
        let x = left + i as f64 * CELL;
        canvas.turned(-90.0, Anchor::Start, (x + CELL / 2.0 + 4.0, top - 6.0), name);
        let sum: u64 = row.iter().sum();
        for (j, count) in row.iter().enumerate() {
            let share = *count as f64 / sum.max(1) as f64;
            let x = left + j as f64 * CELL;
            let words = format!("{name} taken for {}: {count} of {sum}", c.classes[j]);
            let area = [x, y, CELL - 1.0, CELL - 1.0];
            canvas.cell("frame", area, 0.0, "");
            canvas.cell("cool", area, share * 0.85, &words);
            if *count > 0 {
                let class = if share > 0.55 { "tick over" } else { "tick" };
                let place = (x + CELL / 2.0 - 0.5, y + CELL / 2.0 + 4.0);
                canvas.text_as(class, Anchor::Middle, place, &format!("{:.0}", 100.0 * share));
            }
        }
    }
    Plot {
        name: file_name(&format!("confusion {} {}", c.category, c.scenario.name())),
        title: format!("{}: {}, %", c.category, c.scenario.name()),
        legend: Legend::new(),
        canvas,
    }
}
