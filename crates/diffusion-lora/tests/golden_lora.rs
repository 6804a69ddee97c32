//! LoRA against PEFT: both file formats, scale, fusing, and a short training run step by step.

mod golden_support;

use std::path::{Path, PathBuf};

use diffusion_lora::denoiser::UNet2DCondition;
use diffusion_lora::lora::{AdapterFile, Format, LoraConfig, LoraParameters};
use diffusion_lora::{Denoiser, Model, Weights};
use golden_support::{OUTPUT, cases, check, difference, json, recorded, root, tensor};
use serde_json::Value;
use tch::nn::{AdamW, OptimizerConfig};
use tch::{Device, Kind, Tensor, no_grad};

/// Steps of AdamW divide tiny gradients by their own size.
const FINAL: f64 = 2e-3;

fn lora_cases() -> Vec<PathBuf> {
    cases(|config| config["rank"].is_number() && config["base_unet_case"].is_string())
}

fn base(case: &Path) -> Model<UNet2DCondition> {
    let config = json(&case.join("config.json"));
    let name = config["base_unet_case"].as_str().expect("the base model's case");
    Model::load(&root().0.join(name), Device::Cpu, Kind::Float).expect("the base model loads")
}

fn run(unet: &UNet2DCondition, io: &Weights) -> Tensor {
    let (sample, text) = (tensor(io, "sample"), tensor(io, "encoder_hidden_states"));
    no_grad(|| unet.predict(&sample, &tensor(io, "timestep"), &text, None)).expect("shapes fit")
}

#[test]
fn golden_lora_adapters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in lora_cases() {
        let (io, unet) = (recorded(&case), base(&case));
        check(&case, &io, "out_base", &run(&unet, &io), OUTPUT);
        let slots = unet.lora_slots();
        for name in ["pytorch_lora_weights.safetensors", "kohya_lora.safetensors"] {
            let file = AdapterFile::read(&case.join(name)).expect("the adapter reads");
            assert!(file.text_encoder.is_empty());
            file.unet.attach(slots, "default", 1.0).expect("the adapter fits");
            check(&case, &io, "out_scale_1", &run(&unet, &io), OUTPUT);
            slots.set_weight("default", 0.5).expect("attached");
            check(&case, &io, "out_scale_0.5", &run(&unet, &io), OUTPUT);

            // Two halves of one adapter are the whole.
            file.unet.attach(slots, "other half", 0.5).expect("the adapter fits");
            check(&case, &io, "out_scale_1", &run(&unet, &io), OUTPUT);
            slots.detach("default").expect("attached");
            slots.detach("other half").expect("attached");
            check(&case, &io, "out_base", &run(&unet, &io), OUTPUT);

            // What we write reads back, in the other format as well.
            for format in [Format::Peft, Format::Kohya] {
                if name.starts_with("kohya") && format == Format::Peft {
                    continue; // the dots of the names are lost
                }
                let path = folder.path().join("again.safetensors");
                file.save(&path, format).expect("saves");
                let again = AdapterFile::read(&path).expect("reads back");
                again.unet.attach(slots, "again", 1.0).expect("the adapter fits");
                check(&case, &io, "out_scale_1", &run(&unet, &io), OUTPUT);
                slots.detach("again").expect("attached");
            }
        }
        let file = AdapterFile::read(&case.join("pytorch_lora_weights.safetensors"));
        file.expect("reads").unet.attach(slots, "default", 1.0).expect("the adapter fits");
        slots.fuse();
        assert!(slots.adapters().is_empty());
        check(&case, &io, "out_fused", &run(&unet, &io), OUTPUT);
    }
}

/// The noise schedule in f32, as diffusers computes it.
fn alphas_cumprod(schedule: &Value) -> Tensor {
    let number = |name: &str| schedule[name].as_f64().expect("a number");
    let (start, end) = (number("beta_start"), number("beta_end"));
    let steps = schedule["num_train_timesteps"].as_i64().expect("a whole number");
    let line = |a: f64, b: f64| Tensor::linspace(a, b, steps, (Kind::Float, Device::Cpu));
    let betas = match schedule["beta_schedule"].as_str() {
        Some("scaled_linear") => line(start.sqrt(), end.sqrt()).square(),
        Some("linear") => line(start, end),
        other => panic!("beta schedule {other:?}"),
    };
    (betas.neg() + 1.0).cumprod(0, Kind::Float)
}

#[test]
fn golden_lora_training() {
    for case in lora_cases() {
        let config = json(&case.join("config.json"));
        let train = &config["train"];
        let number = |name: &str| train[name].as_f64().expect("a number");
        let trace = Weights::read(&case.join("train.safetensors")).expect("a training trace");
        let unet = base(&case);
        let lora_config = LoraConfig {
            rank: config["rank"].as_i64().expect("a rank"),
            alpha: config["alpha"].as_f64().expect("an alpha"),
            target_modules: serde_json::from_value(config["target_modules"].clone())
                .expect("module names"),
            ..LoraConfig::default()
        };
        let lora = LoraParameters::attach(unet.lora_slots(), "train", &lora_config, 1, Device::Cpu)
            .expect("the targets are there");
        let parameters = lora.store().variables();
        for (name, parameter) in &parameters {
            if name.contains("lora_A") {
                let init = tensor(&trace, &format!("init.{name}"));
                no_grad(|| parameter.shallow_clone().copy_(&init));
            }
        }
        let inits = trace.iter().filter(|(name, _)| name.starts_with("init.")).count();
        assert_eq!(2 * inits, parameters.len(), "every parameter is trained");

        let (beta1, beta2) =
            (train["betas"][0].as_f64().expect("beta 1"), train["betas"][1].as_f64().expect("2"));
        let adamw = AdamW { beta1, beta2, wd: number("wd"), eps: number("eps"), amsgrad: false };
        let mut optimizer = adamw.build(lora.store(), number("lr")).expect("an optimiser");
        let alphas = alphas_cumprod(&train["noise_schedule"]);
        let losses = tensor(&trace, "losses");
        let mut worst_loss = 0f64;
        for step in 0..train["steps"].as_i64().expect("steps") {
            let at = |name: &str| tensor(&trace, name).get(step);
            let (x0, noise, timesteps) = (at("x0"), at("noise"), at("timesteps"));
            let alpha = alphas.index_select(0, &timesteps).reshape([-1, 1, 1, 1]);
            let (signal, sigma) = (alpha.sqrt(), (alpha.neg() + 1.0).sqrt());
            let noisy = &signal * &x0 + &sigma * &noise;
            let target = match train["prediction_type"].as_str() {
                Some("v_prediction") => signal * &noise - sigma * &x0,
                _ => noise,
            };
            let text = at("encoder_hidden_states");
            let out = unet.predict(&noisy, &timesteps, &text, None).expect("shapes fit");
            let loss = out.mse_loss(&target, tch::Reduction::Mean);
            let expected = losses.get(step).double_value(&[]);
            worst_loss = worst_loss.max((loss.double_value(&[]) - expected).abs());
            optimizer.zero_grad();
            loss.backward();
            compare(&case, &trace, &format!("grad{step}."), 1e-3, true, |name| {
                parameters[name].grad()
            });
            optimizer.step();
        }
        eprintln!("{} losses: {worst_loss:.2e}", case.display());
        assert!(worst_loss <= 1e-5, "{}: losses off by {worst_loss:e}", case.display());
        let seen = compare(&case, &trace, "final.", FINAL, false, |name| parameters[name].detach());
        assert_eq!(seen, parameters.len());
    }
}

/// Compares every recorded tensor with the prefix, and every norm; returns how many there are.
/// A `relative` tolerance is of the tensor's largest value.
fn compare(
    case: &Path,
    trace: &Weights,
    prefix: &str,
    tolerance: f64,
    relative: bool,
    ours: impl Fn(&str) -> Tensor,
) -> usize {
    let (mut seen, mut worst) = (0, 0f64);
    for (name, expected) in trace.iter() {
        let gap = if let Some(name) = name.strip_prefix(prefix) {
            let largest = if relative { expected.abs().max().double_value(&[]) } else { 1.0 };
            difference(&ours(name), expected) / largest.max(1e-12)
        } else if let Some(name) =
            name.strip_prefix("norm.").and_then(|name| name.strip_prefix(prefix))
        {
            let norm = expected.double_value(&[0]);
            (ours(name).norm().double_value(&[]) - norm).abs() / norm.max(1e-12)
        } else {
            continue;
        };
        seen += 1;
        worst = worst.max(gap);
        assert!(gap <= tolerance, "{}: {name} off by {gap:e}", case.display());
    }
    if seen > 0 {
        eprintln!("{} {prefix}*: {worst:.2e} over {seen}", case.display());
    }
    seen
}

#[test]
fn an_adapter_of_another_network_names_its_modules() {
    let (folder, own) = root();
    if !own {
        return;
    }
    let unet: Model<UNet2DCondition> =
        Model::load(&folder.join("unet_sd1_eps"), Device::Cpu, Kind::Float).expect("loads");
    let path = folder.join("lora_sd2/kohya_lora.safetensors");
    let adapter = AdapterFile::read(&path).expect("reads").unet;
    let error = adapter.attach(unet.lora_slots(), "a", 1.0).expect_err("another network's");
    assert!(error.to_string().contains("down_blocks_0_attentions_1"), "{error}");
    assert!(unet.lora_slots().adapters().is_empty());
}
