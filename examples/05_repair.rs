//! Stage 5: generated images to protocol-correct captures.
//!
//! `cargo run --release --example 05_repair [IMAGES [CAPTURES [FOLDER]]]`

use torchlight::stages::{RepairInput, RepairJob, learn_timing, repair_images};
use torchlight::trace_image::read_image_folder;
use torchlight::{
    Capture, LabelSource, Monitor, Quiet, RepairSettings, Stage, StopFlag, capture_files,
};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let images = read_image_folder(argument(1, "target/examples/04-generate"))?;
    let real = argument(2, "data-samples/captures");
    let folder = argument(3, "target/examples/05-repair");

    let labels = LabelSource::find(&real, None, None, &[])?;
    let captures: Vec<Capture> = capture_files(&real)?
        .iter()
        .map(|file| Capture::read(file, &labels))
        .collect::<Result<_, _>>()?;
    let inputs: Vec<RepairInput> = images.iter().map(RepairInput::from).collect();
    let job = RepairJob {
        inputs: &inputs,
        settings: &RepairSettings::default(),
        timing: &learn_timing(&captures, Some("encryption")),
        timing_label: Some("encryption"),
        seed: 7,
        strict: true,
    };
    let (mut progress, stop) = (Quiet, StopFlag::new());
    let mut monitor = Monitor::new(Stage::Repair, &mut progress, &stop);
    for made in repair_images(&job, &folder, &mut monitor)? {
        let share = 100.0 * made.repair.changed_non_derived_share();
        eprintln!(
            "{}: {} packets, {share:.1} % of own cells changed",
            made.capture, made.repair.packets
        );
    }
    Ok(())
}
