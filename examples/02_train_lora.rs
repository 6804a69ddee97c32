//! Stage 2: a LoRA adapter, fine-tuned on the images of stage 1.
//!
//! `cargo run --release --example 02_train_lora [IMAGES [BASE [FOLDER]]]`

use torchlight::model::Place;
use torchlight::stages::{ADAPTER_FILE, LoraJob, train_lora};
use torchlight::trace_image::read_image_folder;
use torchlight::{Config, Event, LoraSettings, Monitor, Stage, StopFlag};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let images = read_image_folder(argument(1, "target/examples/01-dataset"))?;
    let pipeline =
        Place::of(&Config::default())?.load(&argument(2, "data-samples/torchlight-base"))?;
    let folder = argument(3, "target/examples/02-lora");
    let settings = LoraSettings {
        rank: 8,
        alpha: 8.0,
        steps: 20,
        batch_size: 4,
        gradient_accumulation: 1,
        learning_rate: 5e-4,
        ..LoraSettings::default()
    };
    let job = LoraJob {
        pipeline: &pipeline,
        images: &images,
        settings: &settings,
        clip_skip: 0,
        seed: 7,
    };
    let mut progress = |event: &Event| {
        if let Event::Advanced { done, total, loss: Some(loss), .. } = event {
            eprintln!("step {done} of {total}: loss {loss:.4}");
        }
    };
    let stop = StopFlag::new();
    train_lora(&job, &folder, &mut Monitor::new(Stage::TrainLora, &mut progress, &stop))?;
    eprintln!("{}", folder.join(ADAPTER_FILE).display());
    Ok(())
}
