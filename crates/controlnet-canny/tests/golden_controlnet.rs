//! `ControlNet` against Python diffusers, and its beginning as a silent copy of a UNet's encoder.
//!
//! Cases are the folders whose `config.json` says `ControlNetModel`; `TORCHLIGHT_GOLDENS` names
//! another folder whose `diffusers` subfolder has the same form.
#![cfg(feature = "controlnet")]

use std::path::{Path, PathBuf};

use controlnet_canny::controlnet::{ControlNet, Scaling};
use diffusion_lora::denoiser::{Control, Denoiser, UNet2DCondition};
use diffusion_lora::{Model, Network, Weights};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

/// Ten times the noise floor of f32 on residuals; on the UNet's output.
const RESIDUAL: f64 = 5e-5;
const OUTPUT: f64 = 2e-5;

fn cases() -> Vec<(PathBuf, Value)> {
    tch::set_num_threads(1);
    let other = std::env::var_os("TORCHLIGHT_GOLDENS").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let root = other.clone().unwrap_or(own).join("diffusers");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).expect("the folder of goldens") {
        let folder = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(folder.join("config.json")) else { continue };
        let config: Value = serde_json::from_str(&text).expect("valid JSON");
        if config["_class_name"] == ControlNet::CLASS {
            found.push((folder, config));
        }
    }
    assert!(other.is_some() || !found.is_empty(), "no golden case");
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn load<N: Network>(folder: &Path) -> Model<N> {
    Model::load(folder, Device::Cpu, Kind::Float).expect("the model loads")
}

fn base(case: &Path, config: &Value) -> Model<UNet2DCondition> {
    let name = config["base_unet_case"].as_str().expect("the base model's case");
    load(&case.parent().expect("a case lies in a folder").join(name))
}

fn check(case: &Path, name: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.size(), expected.size(), "{}: {name}", case.display());
    let gap = (actual - expected).abs().max().double_value(&[]);
    eprintln!("{} {name}: {gap:.2e}", case.file_name().unwrap_or_default().display());
    assert!(gap <= tolerance, "{} {name}: off by {gap:e}", case.display());
}

struct Inputs {
    io: Weights,
    latents: Tensor,
    timesteps: Tensor,
    text: Tensor,
    condition: Tensor,
}

fn inputs(case: &Path, control: &ControlNet) -> Inputs {
    let io = Weights::read(&case.join("io.safetensors")).expect("recorded tensors");
    let tensor = |name: &str| io.get(name).expect("a recorded tensor").shallow_clone();
    let mask = tensor("cond_binary_u8").to_kind(Kind::Float);
    let condition = mask.repeat([1, control.config().conditioning_channels, 1, 1]);
    let (latents, timesteps) = (tensor("sample"), tensor("timestep"));
    let text = tensor("encoder_hidden_states");
    Inputs { io, latents, timesteps, text, condition }
}

#[test]
fn golden_controlnet() {
    for (case, config) in cases() {
        let control: Model<ControlNet> = load(&case);
        let unet = base(&case, &config);
        let Inputs { io, latents, timesteps, text, condition } = inputs(&case, &control);
        let recorded = |name: &str| io.get(name).expect("a recorded tensor");
        let scale = config["conditioning_scale_used"].as_f64().expect("a scale");
        let _guard = tch::no_grad_guard();

        let embedded = control.embed(&condition).expect("shapes fit");
        check(&case, "cond_embedding", &embedded, recorded("cond_embedding"), RESIDUAL);
        let residuals =
            control.residuals(&latents, &timesteps, &text, &condition, scale).expect("shapes fit");
        for (index, residual) in residuals.down.iter().enumerate() {
            let name = format!("down_{index}");
            check(&case, &name, residual, recorded(&name), RESIDUAL);
        }
        let count = io.iter().filter(|(name, _)| name.starts_with("down_")).count();
        assert_eq!(residuals.down.len(), count);
        check(&case, "mid", &residuals.mid, recorded("mid"), RESIDUAL);
        let out = unet.predict(&latents, &timesteps, &text, Some(&residuals)).expect("shapes fit");
        check(&case, "unet_out", &out, recorded("unet_out"), OUTPUT);

        let guess = control
            .scaled_residuals(&latents, &timesteps, &text, &condition, scale, Scaling::Guess)
            .expect("shapes fit");
        check(&case, "guess_mid", &guess.mid, recorded("guess_mid"), RESIDUAL);
        for (index, residual) in guess.down.iter().enumerate() {
            let name = format!("guess_down_{index}_mean");
            let mean = residual.mean(Kind::Float).reshape([1]);
            check(&case, &name, &mean, recorded(&name), RESIDUAL);
        }
    }
}

#[test]
fn golden_controlnet_survives_a_round_trip_through_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (case, _) in cases() {
        let first: Model<ControlNet> = load(&case);
        first.save(folder.path()).expect("saves");
        let second: Model<ControlNet> = load(folder.path());
        assert_eq!(first.store().len(), second.store().len());
        for (name, tensor) in first.store().variables() {
            assert_eq!(second.store().variables()[&name], tensor, "{name}");
        }
        let text = std::fs::read_to_string(folder.path().join("config.json")).expect("written");
        let written: Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(written["_class_name"], "ControlNetModel");
        assert!(written.get("up_block_types").is_none());
    }
}

#[test]
fn golden_base_starts_a_silent_control_that_can_learn() {
    for (case, config) in cases() {
        let unet = base(&case, &config);
        let recorded: Model<ControlNet> = load(&case);
        let channels = recorded.config().conditioning_embedding_out_channels.clone();
        let control = ControlNet::from_unet(&unet, channels, 9).expect("builds");
        let Inputs { latents, timesteps, text, condition, .. } = inputs(&case, &control);
        let residuals =
            control.residuals(&latents, &timesteps, &text, &condition, 1.0).expect("shapes fit");
        let plain = no_grad(|| unet.predict(&latents, &timesteps, &text, None)).expect("fits");
        let held = unet.predict(&latents, &timesteps, &text, Some(&residuals)).expect("fits");
        assert_eq!(plain, held.detach(), "zero convolutions change nothing");

        held.square().mean(Kind::Float).backward();
        let variables = control.store().variables();
        let gradient = |name: &str| variables[name].grad().abs().max().double_value(&[]);
        assert!(gradient("controlnet_mid_block.weight") > 0.0);
        assert!(gradient("controlnet_down_blocks.0.weight") > 0.0);
        assert!(!unet.store().variables()["conv_in.weight"].requires_grad());
    }
}

#[test]
fn a_condition_of_another_size_is_an_error() {
    for (case, _) in cases() {
        let control: Model<ControlNet> = load(&case);
        let Inputs { latents, timesteps, text, condition, .. } = inputs(&case, &control);
        let half = condition.narrow(2, 0, condition.size()[2] >> 1);
        let error = control.residuals(&latents, &timesteps, &text, &half, 1.0);
        let message = error.expect_err("too small").to_string();
        assert!(message.starts_with("condition has shape"), "{message}");
    }
}
