//! Whole text-to-image runs against Python diffusers: text encoder, guidance, sampler, control
//! network, autoencoder.
//!
//! Cases are the JSON files of `pipelines/`, each naming its parts' folders; `TORCHLIGHT_GOLDENS`
//! names another folder whose `diffusers` subfolder has the same form.
#![cfg(feature = "controlnet")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use controlnet_canny::controlnet::AnyControlNet;
use diffusion_lora::folder::{AnyAutoencoder, AnyDenoiser};
use diffusion_lora::sample::{ControlInput, SampleConfig, SampleRequest, sample_from};
use diffusion_lora::schedule::SchedulerConfig;
use diffusion_lora::text::ClipText;
use diffusion_lora::{Model, Weights};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

/// The fixtures' tolerance on latents and pictures.
const TOLERANCE: f64 = 5e-4;

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).expect("valid JSON")
}

fn check(case: &str, name: &str, actual: &Tensor, expected: &Tensor) {
    assert_eq!(actual.size(), expected.size(), "{case}: {name}");
    let gap = (actual - expected).abs().max().double_value(&[]);
    eprintln!("{case} {name}: {gap:.2e}");
    assert!(gap <= TOLERANCE, "{case} {name}: off by {gap:e}");
}

fn run(root: &Path, path: &Path) {
    let case = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let spec = read_json(path);
    let part = |key: &str| root.join(spec[key].as_str().expect("the name of a part"));
    let number = |key: &str| spec[key].as_f64().expect("a number");
    let recorded = Weights::read(&path.with_extension("safetensors")).expect("recorded tensors");
    let tensor = |name: &str| recorded.get(name).expect("a recorded tensor").shallow_clone();
    let (device, kind) = (Device::Cpu, Kind::Float);

    let text = Model::<ClipText>::load(&part("clip"), device, kind).expect("a text encoder");
    let denoiser = AnyDenoiser::load(&part("unet"), device, kind).expect("a denoiser");
    let autoencoder = AnyAutoencoder::load(&part("vae"), device, kind).expect("an autoencoder");
    let sampler = spec["sched"].as_str().expect("a sampler");
    let sampler = root.join("schedulers").join(sampler).with_extension("json");
    let stored = read_json(&sampler)["scheduler_config"].to_string();
    let schedule = SchedulerConfig::from_json(&stored, &sampler).expect("a sampler");

    let embeds = |ids: &str, expected: &str| {
        let tokens = no_grad(|| text.encode(&tensor(ids), 0)).expect("ids in the vocabulary");
        check(&case, expected, &tokens, &tensor(expected));
        tokens
    };
    let prompt = embeds("prompt_ids", "prompt_embeds");
    let negative = embeds("negative_ids", "negative_embeds");

    let control = spec["controlnet"].is_string().then(|| {
        let network = AnyControlNet::load(&part("controlnet"), device, kind).expect("a network");
        let channels = network.conditioning_channels();
        let mask = tensor("cond_binary_u8").to_kind(kind).repeat([1, channels, 1, 1]);
        (network, mask, number("scale"))
    });
    let noise = tensor("latents_init");
    let request = SampleRequest {
        text: &prompt,
        negative: &negative,
        latent_shape: &noise.size()[1..],
        seeds: &[0],
        control: control.as_ref().map(|(network, mask, scale)| ControlInput {
            control: network.as_dyn(),
            condition: mask,
            scale: *scale,
        }),
    };
    let config = SampleConfig {
        steps: number("steps") as usize,
        guidance_scale: number("guidance"),
        eta: 0.0,
    };
    let latents = sample_from(denoiser.as_dyn(), &schedule, &config, &request, &noise, |_, _| {
        ControlFlow::Continue(())
    });
    let latents = latents.expect("shapes that fit").expect("nobody stopped it");
    check(&case, "latents", &latents, &tensor("latents_steps").select(0, -1));
    let image = no_grad(|| autoencoder.as_dyn().decode(&latents)).expect("latents that fit");
    check(&case, "image", &((image + 1.0) * 0.5).clamp(0.0, 1.0), &tensor("image"));
}

#[test]
fn golden_pipelines() {
    tch::set_num_threads(1);
    let other = std::env::var_os("TORCHLIGHT_GOLDENS").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let root = other.clone().unwrap_or(own).join("diffusers");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root.join("pipelines"))
        .map(|entries| entries.map(|e| e.expect("an entry").path()).collect())
        .unwrap_or_default();
    cases.retain(|path| path.extension().is_some_and(|e| e == "json"));
    cases.sort();
    assert!(other.is_some() || !cases.is_empty(), "no golden case");
    for case in cases {
        run(&root, &case);
    }
}
