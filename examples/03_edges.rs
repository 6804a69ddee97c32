//! Stage 3: the edges of the images of stage 1, exactly as OpenCV finds them.
//!
//! `cargo run --release --example 03_edges [IMAGES [FOLDER]]`

use torchlight::controlnet_canny::Canny;
use torchlight::stages::write_edges;
use torchlight::trace_image::read_image_folder;
use torchlight::{Monitor, Quiet, Stage, StopFlag};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let images = read_image_folder(argument(1, "target/examples/01-dataset"))?;
    let folder = argument(2, "target/examples/03-edges");
    let (mut progress, stop) = (Quiet, StopFlag::new());
    let mut monitor = Monitor::new(Stage::Edges, &mut progress, &stop);
    write_edges(&images, &Canny::default(), &folder, &mut monitor)?;
    eprintln!("edges of {} images in {}", images.len(), folder.display());
    Ok(())
}
