//! What the pipeline adds to the report: pictures, the loss, what repair changed.

use std::collections::BTreeMap;
use std::path::Path;

use trace_eval::Sample;
use trace_eval::report::{Curve, ExtraTable, Extras, Picture, PictureRow};
use trace_image::render;

use super::ReportSources;
use super::repair::{ChildReport, read_reports};
use crate::{Error, Result};

/// Children of one parent that are shown.
const CHILDREN_SHOWN: usize = 2;

/// The sections for [`trace_eval::Report::write`].
pub(super) fn extras(sources: &ReportSources<'_>) -> Result<Extras> {
    let reports = sources.reports.as_deref().map(read_reports).transpose()?.unwrap_or_default();
    let curves =
        sources.curves.iter().map(|(name, path)| curve(name, path)).collect::<Result<_>>()?;
    Ok(Extras {
        title: sources.settings.title.clone(),
        subtitle: format!(
            "{} synthetic captures against {} real ones, {} of them held out",
            sources.synthetic.len(),
            sources.real.len() + sources.held_out.len(),
            sources.held_out.len()
        ),
        pictures: pictures(sources)?,
        curves,
        tables: if reports.is_empty() { Vec::new() } else { tables(&reports) },
        facts: sources.facts.clone(),
    })
}

/// A real capture beside what was made of it: parent, edges, and a few children before and after repair,
/// for parents evenly spread. What names no parent stands beside a real capture with the same labels.
fn pictures(sources: &ReportSources<'_>) -> Result<Vec<PictureRow>> {
    let mut families: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in sources.synthetic {
        families.entry(sample.parent.as_deref().unwrap_or(&sample.name)).or_default().push(sample);
    }
    let shown = sources.settings.pictures.min(families.len());
    let every = families.len().div_ceil(shown.max(1)).max(1);
    let mut rows = Vec::new();
    for (family, children) in families.into_iter().step_by(every).take(shown) {
        let mut pictures = Vec::new();
        if let Some(parent) = &children[0].parent {
            let picture = stored("parent".to_owned(), sources.parents.as_deref(), parent)?;
            let edges = stored("its edges".to_owned(), sources.edges.as_deref(), parent)?;
            pictures.extend(picture.into_iter().chain(edges));
        }
        if pictures.is_empty() {
            pictures.extend(beside(children[0], sources)?);
        }
        for (number, child) in (1..).zip(children.into_iter().take(CHILDREN_SHOWN)) {
            let caption = format!("child {number} as generated");
            let repaired = match child.parent {
                Some(_) => format!("child {number} after repair"),
                None => "synthetic".to_owned(),
            };
            pictures.extend(stored(caption, sources.children.as_deref(), &child.name)?);
            pictures.push(drawn(repaired, child, sources)?);
        }
        rows.push(PictureRow { title: family.to_owned(), pictures });
    }
    Ok(rows)
}

/// The real capture that `child` is to be seen beside: its parent, else one with the same labels,
/// else the first.
fn beside(child: &Sample, sources: &ReportSources<'_>) -> Result<Option<Picture>> {
    let real = || sources.real.iter().chain(sources.held_out);
    let parent = real().find(|sample| child.parent.as_ref() == Some(&sample.name));
    let caption = if parent.is_some() { "parent" } else { "real" };
    let alike = || real().find(|sample| sample.labels == child.labels);
    let sample = parent.or_else(alike).or_else(|| real().next());
    sample.map(|sample| drawn(caption.to_owned(), sample, sources)).transpose()
}

fn drawn(caption: String, sample: &Sample, sources: &ReportSources<'_>) -> Result<Picture> {
    let canvas = sources.dataset.canvas();
    let png = render(&sample.matrix, &sources.dataset.palette, &canvas)?.to_png()?;
    Ok(Picture { caption, png })
}

/// `<folder>/<name>.png`, where it is there.
fn stored(caption: String, folder: Option<&Path>, name: &str) -> Result<Option<Picture>> {
    let path = folder.map(|folder| folder.join(format!("{name}.png")));
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
    let png = std::fs::read(&path).map_err(Error::file("read", &path))?;
    Ok(Some(Picture { caption, png }))
}

/// The points of a file of `step,loss` lines.
fn curve(name: &str, path: &Path) -> Result<Curve> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let point = |line: &str| {
        let (step, loss) = line.split_once(',')?;
        Some((step.parse().ok()?, loss.parse().ok()?))
    };
    let points = text.lines().filter_map(point).collect();
    Ok(Curve { name: name.to_owned(), points })
}

/// Cells changed by repair, by field and by rule, over all children.
fn tables(reports: &[ChildReport]) -> Vec<ExtraTable> {
    let mut fields: BTreeMap<(bool, &str), (u64, u64)> = BTreeMap::new();
    let mut rules: Vec<(&str, u64)> = Vec::new();
    let (mut cells, mut non_derived) = ((0, 0), (0, 0));
    for ChildReport { repair, .. } in reports {
        cells = (cells.0 + repair.changed_cells, cells.1 + repair.cells);
        non_derived.0 += repair.changed_non_derived_cells;
        non_derived.1 += repair.non_derived_cells;
        for change in &repair.by_field {
            let sum = fields.entry((change.derived, &change.field)).or_default();
            *sum = (sum.0 + change.cells, sum.1 + change.rows);
        }
        for change in &repair.by_rule {
            match rules.iter_mut().find(|(rule, _)| *rule == change.rule) {
                Some((_, sum)) => *sum += change.cells,
                None => rules.push((&change.rule, change.cells)),
            }
        }
    }
    let percent = |(part, whole): (u64, u64)| 100.0 * part as f64 / (whole as f64).max(1.0);
    let by_field = ExtraTable {
        title: "What repair changed, by field".to_owned(),
        note: format!(
            "{} of {} cells of {} children were changed ({:.2} %); of the fields that do not follow from \
             others, {} of {} ({:.2} %).",
            cells.0,
            cells.1,
            reports.len(),
            percent(cells),
            non_derived.0,
            non_derived.1,
            percent(non_derived)
        ),
        columns: ["field", "kind", "cells changed", "packets changed"].map(str::to_owned).to_vec(),
        rows: fields
            .into_iter()
            .map(|((derived, field), (cells, rows))| {
                let kind = if derived { "follows from others" } else { "own" };
                vec![field.to_owned(), kind.to_owned(), cells.to_string(), rows.to_string()]
            })
            .collect(),
    };
    let by_rule = ExtraTable {
        title: "What repair changed, by rule".to_owned(),
        note: "Over all passes, in the order of the rules; a later rule may change a cell again."
            .to_owned(),
        columns: ["rule", "cells changed"].map(str::to_owned).to_vec(),
        rows: rules.into_iter().map(|(r, c)| vec![r.to_owned(), c.to_string()]).collect(),
    };
    vec![by_field, by_rule]
}
