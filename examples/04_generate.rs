//! Stage 4: children of two parents, held to their edges.
//!
//! `cargo run --release --example 04_generate [IMAGES [EDGES [BASE [ADAPTER [FOLDER]]]]]`

use torchlight::model::{Place, attach_adapter};
use torchlight::stages::{GenerateJob, Parent, generate};
use torchlight::trace_image::read_image_folder;
use torchlight::{Config, DatasetConfig, GenerateConfig, Monitor, Quiet, Stage, StopFlag};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let images = read_image_folder(argument(1, "target/examples/01-dataset"))?;
    let edges = argument(2, "target/examples/03-edges");
    let base = argument(3, "data-samples/torchlight-base");
    let adapter = argument(4, "target/examples/02-lora/pytorch_lora_weights.safetensors");
    let folder = argument(5, "target/examples/04-generate");

    let place = Place::of(&Config::default())?;
    let pipeline = place.load(&base)?;
    attach_adapter(&pipeline, &adapter, 1.0)?;
    let control = place.load_control(&base.join("controlnet"))?;
    let parents: Vec<Parent> = images
        .iter()
        .take(2)
        .map(|image| Parent::of(image, Some(edges.join(format!("{}.png", image.stem())))))
        .collect();
    let settings = GenerateConfig { children: 2, guidance: 1.0, ..GenerateConfig::default() };
    let job = GenerateJob {
        pipeline: &pipeline,
        control: Some((&control, 1.0)),
        parents: &parents,
        settings: &settings,
        dataset: &DatasetConfig::default(),
        clip_skip: 0,
        seed: 7,
    };
    let (mut progress, stop) = (Quiet, StopFlag::new());
    generate(&job, &folder, &mut Monitor::new(Stage::Generate, &mut progress, &stop))?;
    eprintln!("{} children in {}", parents.len() * settings.children, folder.display());
    Ok(())
}
