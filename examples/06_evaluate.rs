//! Stage 6: the report on a folder of synthetic captures.
//!
//! `cargo run --release --example 06_evaluate [REAL [SYNTHETIC [FOLDER]]]`

use std::path::Path;

use torchlight::stages::{ReportSources, read_samples, write_report};
use torchlight::{
    DatasetConfig, EvaluateConfig, LabelSource, Monitor, Quiet, Stage, StopFlag, capture_files,
};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let real = argument(1, "data-samples/captures");
    let synthetic = argument(2, "target/examples/05-repair/captures");
    let folder = argument(3, "target/examples/06-evaluate");

    let (mut progress, stop) = (Quiet, StopFlag::new());
    let mut monitor = Monitor::new(Stage::Evaluate, &mut progress, &stop);
    let categories = ["encryption", "resolution", "streaming", "transport"].map(str::to_owned);
    let mut read = |folder: &Path, categories: &[String]| {
        let labels = LabelSource::find(folder, None, None, categories)?;
        read_samples(&capture_files(folder)?, &labels, 1024, &mut monitor)
    };
    let (real, synthetic) = (read(&real, &categories)?, read(&synthetic, &[])?);
    let sources = ReportSources {
        real: &real,
        held_out: &[],
        synthetic: &synthetic,
        settings: &EvaluateConfig::default(),
        dataset: &DatasetConfig::default(),
        parents: None,
        edges: None,
        children: None,
        curves: Vec::new(),
        reports: None,
        facts: Vec::new(),
    };
    for path in write_report(&sources, &folder, &mut monitor)? {
        eprintln!("{}", path.display());
    }
    Ok(())
}
