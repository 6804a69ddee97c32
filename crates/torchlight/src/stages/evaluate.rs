//! Synthetic captures against real ones: the report.

use std::path::{Path, PathBuf};

use nprint_codec::{Layout, RowPolicy, encode};
use trace_eval::{Sample, evaluate};

use super::Child;
use super::report_extras::extras;
use crate::{Capture, DatasetConfig, Error, EvaluateConfig, LabelSource, Monitor, Result};

/// What a report is made from.
#[derive(Debug, Clone)]
pub struct ReportSources<'a> {
    /// Captures that the model was fine-tuned on.
    pub real: &'a [Sample],
    /// Captures that it has not seen.
    pub held_out: &'a [Sample],
    /// What was generated.
    pub synthetic: &'a [Sample],
    /// The settings.
    pub settings: &'a EvaluateConfig,
    /// The form of pictures.
    pub dataset: &'a DatasetConfig,
    /// Folder of the parents' pictures.
    pub parents: Option<PathBuf>,
    /// Folder of their edges.
    pub edges: Option<PathBuf>,
    /// Folder of the generated pictures.
    pub children: Option<PathBuf>,
    /// Curves of the fine-tuning: a name, and a file of `step,loss` lines.
    pub curves: Vec<(String, PathBuf)>,
    /// Folder of repair's reports.
    pub reports: Option<PathBuf>,
    /// Names and values that the page shows as they are.
    pub facts: Vec<(String, String)>,
}

/// Reads captures for an evaluation, each cut to `packets`. Files that cannot be used are told
/// to the monitor as problems.
///
/// # Errors
/// [`Error::Stopped`].
pub fn read_samples(
    files: &[PathBuf],
    labels: &LabelSource,
    packets: usize,
    monitor: &mut Monitor<'_>,
) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = Vec::with_capacity(files.len());
    for path in files {
        monitor.check()?;
        match sample(path, labels, packets) {
            Ok(sample) if samples.iter().any(|other| other.name == sample.name) => {
                monitor.problem(name(path), format!("another capture is named {}", sample.name));
            }
            Ok(sample) => samples.push(sample),
            Err(error) => monitor.problem(name(path), error),
        }
    }
    Ok(samples)
}

fn sample(path: &Path, labels: &LabelSource, packets: usize) -> Result<Sample> {
    let Capture { stem, mut trace, labels } = Capture::read(path, labels)?;
    trace.truncate(packets);
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    if matrix.rows() == 0 {
        return Err(Error::NoIpPacket { path: path.to_owned(), packets: trace.len() });
    }
    let Child { labels, parent } = Child::of(&labels);
    Ok(Sample { name: stem, trace, matrix, labels, parent })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Measures, and writes `report.html`, `report.json` and the tables into `folder`. Returns the
/// paths, the page first.
///
/// # Errors
/// [`Error::Evaluation`] where the sets cannot be compared, [`Error::Io`] and [`Error::Image`]
/// where a picture or table for the page cannot be read, [`Error::Stopped`].
pub fn write_report(
    sources: &ReportSources<'_>,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<Vec<PathBuf>> {
    monitor.step(0, 2)?;
    let real = sources.real.iter().chain(sources.held_out);
    let names: Vec<&str> = real.map(|sample| sample.name.as_str()).collect();
    let mut synthetic = sources.synthetic.to_vec();
    for sample in &mut synthetic {
        // A child whose parent is not among the compared captures is compared as one of the set.
        sample.parent = sample.parent.take().filter(|parent| names.contains(&parent.as_str()));
    }
    let report = evaluate(sources.real, sources.held_out, &synthetic, &sources.settings.metrics)?;
    monitor.step(1, 2)?;
    let paths = report.write(folder, &extras(sources)?)?;
    monitor.step(2, 2)?;
    Ok(paths)
}
