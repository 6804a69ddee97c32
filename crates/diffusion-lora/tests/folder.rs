//! Whole folders: what is written is read, what is missing is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diffusion_lora::folder::tiny_stable_diffusion;
use diffusion_lora::{Error, Pipeline, Result};
use tch::{Device, Kind, Tensor, no_grad};

const CAPTIONS: [&str; 2] = ["pixelated network data, type-0", "netflix traffic, 1080p"];

fn load(folder: &Path) -> Result<Pipeline> {
    tch::set_num_threads(1);
    Pipeline::load(folder, Device::Cpu, Kind::Float)
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut open, mut found) = (vec![folder.to_owned()], BTreeMap::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
        .into_iter()
        .map(|(path, data)| (path.strip_prefix(folder).expect("inside").to_owned(), data))
        .collect()
}

fn predict(pipeline: &Pipeline) -> Tensor {
    let latents = Tensor::arange(2 * 4 * 4 * 4, (Kind::Float, Device::Cpu)) / 100.0;
    let timesteps = Tensor::from_slice(&[10_i64, 900]);
    let text = pipeline.encode_text(&CAPTIONS, 1).expect("captions fit");
    let denoiser = pipeline.denoiser.as_dyn();
    no_grad(|| denoiser.predict(&latents.reshape([2, 4, 4, 4]), &timesteps, &text, None))
        .expect("shapes fit")
}

#[test]
fn a_folder_is_a_function_of_the_seed_and_loads_back() {
    let (one, two, three) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
    let [one, two, three] = [one, two, three].map(|folder| folder.expect("a temporary folder"));
    let made = tiny_stable_diffusion(&CAPTIONS, 4).expect("builds");
    made.save(one.path()).expect("saves");
    tiny_stable_diffusion(&CAPTIONS, 4).expect("builds").save(two.path()).expect("saves");
    assert_eq!(files(one.path()), files(two.path()));

    let loaded = load(one.path()).expect("loads");
    assert_eq!(predict(&made), predict(&loaded));
    assert!(loaded.denoiser.store().trainable_variables().iter().all(|v| !v.requires_grad()));
    loaded.save(three.path()).expect("saves");
    assert_eq!(files(one.path()), files(three.path()));

    let other = tiny_stable_diffusion(&CAPTIONS, 5).expect("builds");
    assert_ne!(predict(&made), predict(&other));
}

#[test]
fn every_file_that_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    tiny_stable_diffusion(&CAPTIONS, 4).expect("builds").save(folder.path()).expect("saves");
    let optional = ["tokenizer_config.json", "special_tokens_map.json"];
    for name in files(folder.path()).keys() {
        if optional.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
        std::fs::rename(&path, &aside).expect("moves");
        match load(folder.path()).expect_err("a file is missing") {
            Error::MissingFile { path: named, .. } => assert_eq!(named, path),
            other => panic!("{}: {other}", name.display()),
        }
        std::fs::rename(&aside, &path).expect("moves back");
    }
    load(folder.path()).expect("complete again");
}

#[test]
fn a_half_precision_variant_stands_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = tiny_stable_diffusion(&CAPTIONS, 4).expect("builds");
    made.save(folder.path()).expect("saves");
    let unet = folder.path().join("unet");
    let weights = diffusion_lora::Weights::of(made.denoiser.store());
    weights.save_f16(&unet.join("diffusion_pytorch_model.fp16.safetensors")).expect("saves");
    std::fs::remove_file(unet.join("diffusion_pytorch_model.safetensors")).expect("removes");
    let gap = predict(&made) - predict(&load(folder.path()).expect("loads"));
    assert!(gap.abs().max().double_value(&[]) < 1e-2);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    tiny_stable_diffusion(&CAPTIONS, 4).expect("builds").save(folder.path()).expect("saves");
    let config = folder.path().join("unet/config.json");
    let text = std::fs::read_to_string(&config).expect("written");
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from));
        std::fs::write(&config, text.replace(from, to)).expect("writes");
        load(folder.path()).expect_err("refused").to_string()
    };
    let message = edit("UNet2DConditionModel", "SomethingElse");
    assert!(message.contains("_class_name") && message.contains("SomethingElse"), "{message}");
    let message = edit("\"cross_attention_dim\": 32", "\"cross_attention_dim\": 40");
    assert!(message.contains("attn2.to_k.weight"), "{message}");
    let message = edit("\"in_channels\": 4", "\"in_channels\": \"four\"");
    assert!(message.contains("config.json"), "{message}");
}
