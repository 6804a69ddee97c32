//! Every sampler trace in the golden folder, with class and configuration from its JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diffusion_lora::schedule::{NoiseSchedule, Scheduler, SchedulerConfig};
use tch::{Kind, Tensor};

const ALPHAS: f64 = 2e-6;
const SIGMAS: f64 = 2e-5;
const TRACE: f64 = 1e-4;

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
            // The configuration is cut out as text, for it may hold Python's `-Infinity`.
            let start = text.find("\"scheduler_config\"").expect("a configuration");
            let open = start + text[start..].find('{').expect("an object");
            let close = open + text[open..].find('}').expect("its end");
            let config = SchedulerConfig::from_json(&text[open..=close], &path)
                .unwrap_or_else(|e| panic!("{e}"));
            let rest = format!("{}null{}", &text[..open], &text[close + 1..]);
            let rest: serde_json::Value = serde_json::from_str(&rest).expect("JSON");
            let tensors = Tensor::read_safetensors(path.with_extension("safetensors"))
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            Case {
                name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
                config,
                steps: rest["num_inference_steps"].as_u64().expect("a number") as usize,
                eta: rest["eta"].as_f64().unwrap_or(0.0),
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
        assert!((scheduler.init_noise_sigma() - initial).abs() <= SIGMAS, "{}", case.name);
        if let Some(sigmas) = scheduler.sigmas() {
            let off = widest(sigmas, &case.numbers("sigmas"));
            assert!(off <= SIGMAS, "{}: sigmas differ by {off:e}", case.name);
            eprintln!("{:<24} sigmas {off:.1e}", case.name);
        } else {
            assert!(!case.tensors.contains_key("sigmas"), "{}: no sigmas", case.name);
        }
    }
}

/// Runs a case from its first sample; `model` gives the model's output from step and scaled sample.
fn run(case: &Case, kind: Kind, model: impl Fn(i64, &Tensor) -> Tensor) -> f64 {
    let mut scheduler = case.scheduler();
    let samples = case.tensor("samples");
    let mut x = samples.get(0).to_kind(kind);
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
        assert_eq!(x.kind(), kind);
        let reference = samples.get(index as i64 + 1);
        let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
        assert!(finite(&x), "{}: step {index} is not finite", case.name);
        // diffusers itself ends in NaN in places (see `UniPc`); ours must not.
        if finite(&reference) {
            worst = worst.max(gap(&x, &reference));
        }
    }
    if let Some(noise) = case.tensors.get("variance_noise") {
        assert_eq!(noise.size()[0], drawn, "{}: noise drawn", case.name);
    }
    worst
}

#[test]
fn golden_traces_with_recorded_outputs() {
    tch::set_num_threads(1);
    for case in cases() {
        let worst = run(&case, Kind::Float, |i, _| case.tensor("model_outputs").get(i));
        eprintln!("{:<24} trace {worst:.1e}", case.name);
        assert!(worst <= TRACE, "{}: trace differs by {worst:e}", case.name);
    }
}

#[test]
fn golden_traces_with_the_model_in_the_loop() {
    tch::set_num_threads(1);
    for case in cases() {
        let bias = case.tensor("bias");
        let model = |i: i64, x: &Tensor| x * 0.6 + (bias + 0.1 * i as f64).tanh() * 0.4;
        let worst = run(&case, Kind::Float, model);
        eprintln!("{:<24} loop {worst:.1e}", case.name);
        assert!(worst <= TRACE, "{}: trace differs by {worst:e}", case.name);
        // In bf16 only storage is rough: 8 bits of the largest sample, once a step.
        let largest = case.tensor("samples").abs().max().double_value(&[]);
        let rough = run(&case, Kind::BFloat16, |i, _| {
            case.tensor("model_outputs").get(i).to_kind(Kind::BFloat16)
        });
        let bound = largest / 128.0 * case.steps as f64;
        assert!(rough <= bound, "{}: bf16 trace differs by {rough:e} of {bound:e}", case.name);
    }
}
