//! Every sampler trace in the golden folder, with class and configuration from its JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diffusion_lora::schedule::{NoiseSchedule, Scheduler, SchedulerConfig};
use tch::{Kind, Tensor};

const ALPHAS: f64 = 2e-6;
const SIGMAS: f64 = 2e-5;
const TRACE: f64 = 1e-4;
/// For numbers so large that the absolute tolerances are finer than `f32`.
const RELATIVE: f64 = 1e-6;

fn folder() -> PathBuf {
    match std::env::var_os("TORCHLIGHT_GOLDENS") {
        Some(root) => PathBuf::from(root).join("diffusers/schedulers"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusers/schedulers"),
    }
}

struct Case {
    name: String,
    config: SchedulerConfig,
    steps: usize,
    eta: f64,
    tensors: BTreeMap<String, Tensor>,
}

impl Case {
    fn scheduler(&self) -> Box<dyn Scheduler> {
        self.config.scheduler(self.steps, self.eta).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::<f64>::try_from(&self.tensor(name).to_kind(Kind::Double)).expect("one dimension")
    }
}

fn cases() -> Vec<Case> {
    let folder = folder();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no cases", folder.display());
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable file");
            // Python writes a bare `-Infinity`, which JSON forbids.
            let text = text.replace("-Infinity", "null");
            let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let config = SchedulerConfig::from_json(&file["scheduler_config"].to_string(), &path)
                .unwrap_or_else(|e| panic!("{e}"));
            let tensors = Tensor::read_safetensors(path.with_extension("safetensors"))
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            Case {
                name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
                config,
                steps: file["num_inference_steps"].as_u64().expect("a number") as usize,
                eta: file["eta"].as_f64().unwrap_or(0.0),
                tensors: tensors.into_iter().collect(),
            }
        })
        .collect()
}

fn gap(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

fn widest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(0.0, f64::max)
}

#[test]
fn golden_noise_tables_and_forward_process() {
    tch::set_num_threads(1);
    for case in cases() {
        let noise = NoiseSchedule::new(&case.config).expect("a supported configuration");
        let mut table = noise.alphas_cumprod().to_vec();
        let reference = case.numbers("alphas_cumprod");
        if case.config.rescale_betas_zero_snr
            && let (Some(last), Some(stored)) = (table.last_mut(), reference.last())
        {
            // Samplers on sigmas store the smallest half-precision number in place of 0.
            assert!(*stored <= 2.0_f64.powi(-24));
            *last = *stored;
        }
        let alphas = widest(&table, &reference);
        assert!(alphas <= ALPHAS, "{}: alphas_cumprod differ by {alphas:e}", case.name);
        eprintln!("{:<24} alphas_cumprod {alphas:.1e}", case.name);
        if !case.tensors.contains_key("fwd.x0") {
            continue;
        }
        let [x0, eps, t] = ["fwd.x0", "fwd.noise", "fwd.timesteps"].map(|name| case.tensor(name));
        let noisy = noise.add_noise(x0, eps, t).expect("matching shapes");
        let velocity = noise.velocity(x0, eps, t).expect("matching shapes");
        let (noisy, velocity) =
            (gap(&noisy, case.tensor("fwd.noisy")), gap(&velocity, case.tensor("fwd.velocity")));
        assert!(noisy <= ALPHAS && velocity <= ALPHAS, "{}: {noisy:e} {velocity:e}", case.name);
        eprintln!("{:<24} fwd.noisy {noisy:.1e} fwd.velocity {velocity:.1e}", case.name);
    }
}

#[test]
fn golden_timesteps_and_sigmas() {
    for case in cases() {
        let scheduler = case.scheduler();
        let timesteps = case.tensor("timesteps");
        let reference = case.numbers("timesteps");
        if timesteps.kind() == Kind::Int64 {
            let whole: Vec<f64> = scheduler.timesteps().iter().map(|&t| t as f64).collect();
            assert_eq!(whole, reference, "{}", case.name);
        } else {
            let off = widest(scheduler.exact_timesteps(), &reference);
            assert!(off <= 1e-3, "{}: timesteps differ by {off:e}", case.name);
        }
        let initial = case.numbers("init_noise_sigma")[0];
        assert!(
            (scheduler.init_noise_sigma() - initial).abs() <= SIGMAS.max(RELATIVE * initial),
            "{}",
            case.name
        );
        if let Some(sigmas) = scheduler.sigmas() {
            let reference = case.numbers("sigmas");
            let off = widest(sigmas, &reference);
            assert!(
                off <= SIGMAS.max(RELATIVE * largest(&reference)),
                "{}: sigmas differ by {off:e}",
                case.name
            );
            eprintln!("{:<24} sigmas {off:.1e}", case.name);
        } else {
            assert!(!case.tensors.contains_key("sigmas"), "{}: no sigmas", case.name);
        }
    }
}

/// Runs a case from its first sample; `model` gives the model's output from step and scaled sample.
fn run(case: &Case, model: impl Fn(i64, &Tensor) -> Tensor) {
    let mut scheduler = case.scheduler();
    let samples = case.tensor("samples");
    let mut x = samples.get(0);
    let mut drawn = 0;
    let mut worst = 0.0_f64;
    for index in 0..scheduler.timesteps().len() {
        let input = scheduler.scale_model_input(&x, index).expect("in range");
        if let Some(scaled) = case.tensors.get("scaled_inputs") {
            worst = worst.max(gap(&input, &scaled.get(index as i64)));
        }
        let noise = scheduler.needs_noise(index).then(|| {
            drawn += 1;
            case.tensor("variance_noise").get(drawn - 1)
        });
        let output = model(index as i64, &input);
        x = scheduler.step(&output, index, &x, noise.as_ref()).expect("steps in order");
        let reference = samples.get(index as i64 + 1);
        assert!(finite(&x), "{}: step {index} is not finite", case.name);
        // diffusers itself ends in NaN in places (see `UniPc`); ours must not.
        if finite(&reference) {
            worst = worst.max(gap(&x, &reference));
        }
    }
    if let Some(noise) = case.tensors.get("variance_noise") {
        assert_eq!(noise.size()[0], drawn, "{}: noise drawn", case.name);
    }
    eprintln!("{:<24} trace {worst:.1e}", case.name);
    // Samples at a noise level of thousands have fewer digits behind the point.
    let bound = TRACE.max(RELATIVE * samples.get(0).abs().max().double_value(&[]));
    assert!(worst <= bound, "{}: trace differs by {worst:e}", case.name);
}

fn finite(tensor: &Tensor) -> bool {
    tensor.isfinite().all().int64_value(&[]) == 1
}

#[test]
fn golden_traces_with_recorded_outputs() {
    tch::set_num_threads(1);
    for case in cases() {
        let outputs = case.tensor("model_outputs");
        run(&case, |i, _| outputs.get(i));
    }
}

#[test]
fn golden_traces_with_the_model_in_the_loop() {
    tch::set_num_threads(1);
    for case in cases() {
        let bias = case.tensor("bias");
        run(&case, |i, x| x * 0.6 + (bias + 0.1 * i as f64).tanh() * 0.4);
    }
}

/// A step on `bf16` tensors is the step on the same numbers in `f32`, rounded once.
#[test]
fn golden_traces_in_bf16_round_only_what_is_stored() {
    tch::set_num_threads(1);
    for case in cases() {
        let (mut rough, mut fine) = (case.scheduler(), case.scheduler());
        let outputs = case.tensor("model_outputs").to_kind(Kind::BFloat16);
        let mut x = case.tensor("samples").get(0).to_kind(Kind::BFloat16);
        for index in 0..rough.timesteps().len() {
            let output = outputs.get(index as i64);
            let noise = rough.needs_noise(index).then(|| output.tanh());
            let wide = |t: &Tensor| t.to_kind(Kind::Float);
            let next = rough.step(&output, index, &x, noise.as_ref()).expect("steps in order");
            let expected = fine
                .step(&wide(&output), index, &wide(&x), noise.as_ref().map(wide).as_ref())
                .expect("steps in order");
            assert_eq!(next.kind(), Kind::BFloat16);
            assert_eq!(next, expected.to_kind(Kind::BFloat16), "{} step {index}", case.name);
            x = next;
        }
    }
}
