//! Generated images to protocol-correct captures.

use std::path::{Path, PathBuf};

use nprint_codec::{Labels, Trace, write_capture};
use protocol_repair::{
    AddressPlan, Payload, RepairConfig, RepairReport, Timing, TimingModel, repair,
};
use serde::{Deserialize, Serialize};
use trace_image::{DecodeReport, Description, FolderImage, decode_tolerant};

use crate::artefact::{seed_of, write_atomic, write_json};
use crate::{Capture, Error, Monitor, RepairSettings, Result};

/// Folder of the captures, with their `labels.csv`.
pub const CAPTURES_FOLDER: &str = "captures";
/// Folder of one report a child.
pub const REPORTS_FOLDER: &str = "reports";

/// What is repaired, and how.
#[derive(Debug, Clone)]
pub struct RepairJob<'a> {
    /// The images.
    pub images: &'a [FolderImage],
    /// The settings.
    pub settings: &'a RepairSettings,
    /// Times of packets.
    pub timing: &'a TimingModel,
    /// The category whose values have times of their own.
    pub timing_label: Option<&'a str>,
    /// The run's seed; a child's follows from it and its name.
    pub seed: u64,
}

/// A child's report file.
#[derive(Debug, Serialize)]
struct ChildReport<'a> {
    image: String,
    capture: String,
    seed: u64,
    labels: &'a Labels,
    decode: DecodeReport,
    repair: &'a RepairReport,
}

/// The part of a report file that the page needs.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredReport {
    pub(crate) repair: RepairReport,
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

/// Makes `captures/<stem>.pcap` and `reports/<stem>.json` of every image in `folder`, and last
/// `captures/labels.csv`. Images whose two files are there are left out; images that cannot be
/// read or hold no packet are told to the monitor as problems.
///
/// Returns how many captures there are.
///
/// # Errors
/// [`Error::NoUsableChild`] where every image has a problem, [`Error::Io`], [`Error::Codec`] where a capture cannot be written, [`Error::Repair`] for
/// settings that will not do, [`Error::Stopped`].
pub fn repair_images(
    job: &RepairJob<'_>,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<usize> {
    let (captures, reports) = (folder.join(CAPTURES_FOLDER), folder.join(REPORTS_FOLDER));
    for path in [&captures, &reports] {
        std::fs::create_dir_all(path).map_err(Error::file("create", path))?;
    }
    let mut table: Vec<(String, &Labels)> = Vec::new();
    for (index, image) in job.images.iter().enumerate() {
        monitor.step(index, job.images.len())?;
        let capture = captures.join(format!("{}.pcap", image.stem()));
        let report = reports.join(format!("{}.json", image.stem()));
        if !(capture.is_file() && report.is_file()) {
            match child(job, image, &capture, &report) {
                Ok(()) => {}
                // What the image holds is the image's problem; the rest is the run's.
                Err(error @ (Error::Image(_) | Error::EmptyChild { .. })) => {
                    monitor.problem(image.path.display().to_string(), error);
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        table.push((format!("{}.pcap", image.stem()), &image.labels));
    }
    if table.is_empty() {
        let first =
            monitor.problems().first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(Error::NoUsableChild { children: job.images.len(), first });
    }
    write_atomic(&captures.join("labels.csv"), labels_csv(&table).as_bytes())?;
    monitor.step(job.images.len(), job.images.len())?;
    Ok(table.len())
}

fn child(job: &RepairJob<'_>, image: &FolderImage, capture: &Path, report: &Path) -> Result<()> {
    let picture = image.read()?;
    let unknown = Description { canvas: picture.size(), ..Description::default() };
    let description = picture.description().unwrap_or(&unknown);
    let (soft, decode) = decode_tolerant(&picture, description)?;
    let seed = seed_of(&["repair", &job.seed.to_string(), image.stem()]);
    let label = job.timing_label.and_then(|c| image.labels.value(c)).map(str::to_owned);
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
        return Err(Error::EmptyChild { path: image.path.clone() });
    }
    write_capture(capture, &trace)?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let record = ChildReport {
        image: name(&image.path),
        capture: name(capture),
        seed,
        labels: &image.labels,
        decode,
        repair: &repaired,
    };
    write_json(report, &record)
}

/// A table of labels: `file` and every category that a capture has.
fn labels_csv(table: &[(String, &Labels)]) -> String {
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
        line(std::iter::once(file.as_str()).chain(cells).collect())
    });
    std::iter::once(head).chain(rows).collect()
}

/// The report files of a repair folder, sorted by name.
pub(crate) fn read_reports(folder: &Path) -> Result<Vec<StoredReport>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| crate::artefact::read_json(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_quote_what_must_be() {
        let a: Labels = [("x", "1,2"), ("y", "\"")].into_iter().collect();
        let b: Labels = [("z", "3")].into_iter().collect();
        let table = [("a.pcap".to_owned(), &a), ("b.pcap".to_owned(), &b)];
        let csv = labels_csv(&table);
        assert_eq!(csv, "file,x,y,z\na.pcap,\"1,2\",\"\"\"\",\nb.pcap,,,3\n");
    }
}
