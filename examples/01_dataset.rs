//! Stage 1: captures to an image folder with captions.
//!
//! `cargo run --release --example 01_dataset [CAPTURES [FOLDER]]`

use torchlight::stages::write_dataset;
use torchlight::{DatasetConfig, LabelSource, Monitor, Quiet, Stage, StopFlag, capture_files};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let captures = argument(1, "data-samples/captures");
    let folder = argument(2, "target/examples/01-dataset");
    let categories = ["encryption", "resolution", "streaming", "transport"].map(str::to_owned);
    let labels = LabelSource::find(&captures, None, None, &categories)?;
    let (mut progress, stop) = (Quiet, StopFlag::new());
    let mut monitor = Monitor::new(Stage::Dataset, &mut progress, &stop);
    let files = capture_files(&captures)?;
    let settings = DatasetConfig::default();
    let images = write_dataset(&files, &labels, &settings, &folder, &mut monitor)?;
    for problem in monitor.problems() {
        eprintln!("left out {problem}");
    }
    eprintln!("{images} images of {} files in {}", files.len(), folder.display());
    Ok(())
}
