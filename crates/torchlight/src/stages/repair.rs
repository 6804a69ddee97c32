//! Generated images to protocol-correct captures.

use std::path::{Path, PathBuf};

use nprint_codec::{Labels, SoftMatrix, Trace, read_csv, write_capture};
use protocol_repair::{
    AddressPlan, Payload, RepairConfig, RepairReport, Timing, TimingModel, check, repair,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trace_image::{DecodeReport, Description, FolderImage, TraceImage, decode_tolerant};

use crate::artefact::{read_json, seed_of, write_atomic, write_json};
use crate::{Capture, Error, Monitor, RepairSettings, Result};

/// Folder of the captures, with their `labels.csv`.
pub const CAPTURES_FOLDER: &str = "captures";
/// Folder of one report a child.
pub const REPORTS_FOLDER: &str = "reports";

/// Something to be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairInput {
    /// A trace image (PNG), or rows of bits as nPrint CSV (`.csv`).
    pub path: PathBuf,
    /// What it is known to be.
    pub labels: Labels,
}

impl From<&FolderImage> for RepairInput {
    fn from(image: &FolderImage) -> Self {
        Self { path: image.path.clone(), labels: image.labels.clone() }
    }
}

impl RepairInput {
    /// The file's name without folders and ending.
    pub fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The bits with their confidence, and what the tolerant decoder saw of an image.
    fn read(&self) -> Result<(SoftMatrix, Option<DecodeReport>)> {
        if self.path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            return Ok((SoftMatrix::certain(read_csv(&self.path)?.matrix), None));
        }
        let picture = TraceImage::read_png(&self.path)?;
        let unknown = Description { canvas: picture.size(), ..Description::default() };
        let description = picture.description().unwrap_or(&unknown);
        let (soft, report) = decode_tolerant(&picture, description)?;
        Ok((soft, Some(report)))
    }
}

/// What is repaired, and how.
#[derive(Debug, Clone)]
pub struct RepairJob<'a> {
    /// The images or rows.
    pub inputs: &'a [RepairInput],
    /// The settings.
    pub settings: &'a RepairSettings,
    /// Times of packets.
    pub timing: &'a TimingModel,
    /// The category whose values have times of their own.
    pub timing_label: Option<&'a str>,
    /// The run's seed; a child's follows from it and its name.
    pub seed: u64,
    /// Whether a capture that [`protocol_repair::check`] finds fault with is a problem.
    pub strict: bool,
}

/// A child's report file, `reports/<stem>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildReport {
    /// The image or rows that it was made from.
    pub input: String,
    /// The capture.
    pub capture: String,
    /// What repair drew from.
    pub seed: u64,
    /// What it is known to be.
    pub labels: Labels,
    /// What the tolerant decoder saw, for images.
    pub decode: Option<Value>,
    /// What repair made and changed.
    pub repair: RepairReport,
}

/// `report.json`: all children.
#[derive(Debug, Serialize)]
struct Totals<'a> {
    children: usize,
    packets: usize,
    cells: u64,
    changed_cells: u64,
    non_derived_cells: u64,
    changed_non_derived_cells: u64,
    changed_non_derived_share: f64,
    reports: &'a [ChildReport],
}

/// Learns times from real captures, by the values of `category` too.
pub fn learn_timing(captures: &[Capture], category: Option<&str>) -> TimingModel {
    let label = |capture: &Capture| {
        category.and_then(|c| capture.labels.value(c)).map(str::to_owned).into_iter().collect()
    };
    let labels: Vec<Vec<String>> = captures.iter().map(label).collect();
    let pairs: Vec<(&Trace, &[String])> =
        captures.iter().zip(&labels).map(|(c, labels)| (&c.trace, labels.as_slice())).collect();
    TimingModel::fit_labelled(&pairs)
}

/// Makes `captures/<stem>.pcap` and `reports/<stem>.json` of every input in `folder`, and last
/// `captures/labels.csv` and `report.json`. Inputs whose two files are there are left out; inputs
/// that cannot be read or hold no packet are told to the monitor as problems.
///
/// Returns the reports.
///
/// # Errors
/// [`Error::NoUsableChild`] where every input has a problem, [`Error::Io`], [`Error::Codec`] where
/// a capture cannot be written, [`Error::Repair`] for settings that will not do,
/// [`Error::Stopped`].
pub fn repair_images(
    job: &RepairJob<'_>,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<Vec<ChildReport>> {
    let (captures, reports) = (folder.join(CAPTURES_FOLDER), folder.join(REPORTS_FOLDER));
    for path in [&captures, &reports] {
        std::fs::create_dir_all(path).map_err(Error::file("create", path))?;
    }
    let total = job.inputs.len();
    let mut done: Vec<ChildReport> = Vec::with_capacity(total);
    for (index, input) in job.inputs.iter().enumerate() {
        monitor.step(index, total)?;
        let capture = captures.join(format!("{}.pcap", input.stem()));
        let report = reports.join(format!("{}.json", input.stem()));
        let before = report.is_file() && capture.is_file();
        let made = match before.then(|| read_json(&report)) {
            Some(Ok(made)) => Ok(made),
            _ => child(job, input, &capture, &report),
        };
        match made {
            Ok(made) => done.push(made),
            Err(error) if is_inputs(&error) => {
                monitor.problem(input.path.display().to_string(), error);
            }
            Err(error) => return Err(error),
        }
    }
    if done.is_empty() {
        let first =
            monitor.problems().first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(Error::NoUsableChild { children: total, first });
    }
    let table: Vec<(&str, &Labels)> =
        done.iter().map(|child| (child.capture.as_str(), &child.labels)).collect();
    write_atomic(&captures.join("labels.csv"), labels_csv(&table).as_bytes())?;
    write_json(&folder.join("report.json"), &totals(&done))?;
    monitor.step(total, total)?;
    Ok(done)
}

/// Whether an error is the input's; else it is the run's.
fn is_inputs(error: &Error) -> bool {
    match error {
        Error::Image(_) | Error::EmptyChild { .. } | Error::NotCompliant { .. } => true,
        Error::Codec(error) => {
            !matches!(error, nprint_codec::Error::Io { action: "write" | "rename", .. })
        }
        Error::Repair(error) => matches!(error, protocol_repair::Error::Layout { .. }),
        _ => false,
    }
}

fn totals(reports: &[ChildReport]) -> Totals<'_> {
    let sum = |of: fn(&RepairReport) -> u64| reports.iter().map(|child| of(&child.repair)).sum();
    let (non_derived, changed) =
        (sum(|r| r.non_derived_cells), sum(|r| r.changed_non_derived_cells));
    Totals {
        children: reports.len(),
        packets: reports.iter().map(|child| child.repair.packets).sum(),
        cells: sum(|r| r.cells),
        changed_cells: sum(|r| r.changed_cells),
        non_derived_cells: non_derived,
        changed_non_derived_cells: changed,
        changed_non_derived_share: changed as f64 / (non_derived as f64).max(1.0),
        reports,
    }
}

fn child(
    job: &RepairJob<'_>,
    input: &RepairInput,
    capture: &Path,
    report: &Path,
) -> Result<ChildReport> {
    let (soft, decode) = input.read()?;
    let seed = seed_of(&["repair", &job.seed.to_string(), &input.stem()]);
    let label = job.timing_label.and_then(|c| input.labels.value(c)).map(str::to_owned);
    let config = RepairConfig {
        seed,
        addresses: job.settings.addresses.map_or_else(AddressPlan::default, AddressPlan::Subnets),
        payload: Payload::Policy(job.settings.payload),
        timing: Timing::Model { model: job.timing.clone(), label },
        link: job.settings.link,
        ..RepairConfig::default()
    };
    let (trace, repaired) = repair(&soft, &config)?;
    if trace.is_empty() {
        return Err(Error::EmptyChild { path: input.path.clone() });
    }
    if job.strict
        && let Some(finding) = check(&trace).first()
    {
        let finding = format!("{finding:?}");
        return Err(Error::NotCompliant { path: input.path.clone(), finding });
    }
    write_capture(capture, &trace)?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let made = ChildReport {
        input: name(&input.path),
        capture: name(capture),
        seed,
        labels: input.labels.clone(),
        decode: decode.map(|decode| json!(decode)),
        repair: repaired,
    };
    write_json(report, &made)?;
    // As a resumed run has it: a number may lose its last bit on the way through text.
    read_json(report)
}

/// A table of labels: `file` and every category that a capture has.
fn labels_csv(table: &[(&str, &Labels)]) -> String {
    let mut categories: Vec<&str> = Vec::new();
    for (category, _) in table.iter().flat_map(|(_, labels)| labels.iter()) {
        if !categories.contains(&category) {
            categories.push(category);
        }
    }
    let quote = |cell: &str| {
        let plain = !cell.contains([',', '"', '\n', '\r']);
        if plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    let line = |cells: Vec<&str>| cells.into_iter().map(quote).collect::<Vec<_>>().join(",") + "\n";
    let head = line(std::iter::once("file").chain(categories.iter().copied()).collect());
    let rows = table.iter().map(|(file, labels)| {
        let cells = categories.iter().map(|category| labels.value(category).unwrap_or_default());
        line(std::iter::once(*file).chain(cells).collect())
    });
    std::iter::once(head).chain(rows).collect()
}

/// The report files of a repair folder, sorted by name.
pub(crate) fn read_reports(folder: &Path) -> Result<Vec<ChildReport>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| read_json(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_quote_what_must_be() {
        let a: Labels = [("x", "1,2"), ("y", "\"")].into_iter().collect();
        let b: Labels = [("z", "3")].into_iter().collect();
        let table = [("a.pcap", &a), ("b.pcap", &b)];
        let csv = labels_csv(&table);
        assert_eq!(csv, "file,x,y,z\na.pcap,\"1,2\",\"\"\"\",\nb.pcap,,,3\n");
    }
}
