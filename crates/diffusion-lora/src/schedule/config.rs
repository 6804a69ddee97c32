//! `scheduler_config.json` as diffusers writes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::noise::{MAX_BETA, NoiseSchedule};
use super::{Ddim, Ddpm, DpmSolverMultistep, EulerDiscrete, Pndm, Scheduler, UniPc};
use crate::{Error, Result};

/// Which sampler a configuration asks for, named as diffusers names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SchedulerClass {
    /// Ancestral sampling of denoising diffusion (Ho et al. 2020).
    #[serde(rename = "DDPMScheduler")]
    Ddpm,
    /// Denoising diffusion implicit models (Song et al. 2020).
    #[serde(rename = "DDIMScheduler")]
    Ddim,
    /// Pseudo numerical methods (Liu et al. 2022), the stored choice of Stable Diffusion 1.
    #[serde(rename = "PNDMScheduler")]
    Pndm,
    /// Unified predictor-corrector (Zhao et al. 2023).
    #[serde(rename = "UniPCMultistepScheduler")]
    UniPc,
    /// DPM-Solver and DPM-Solver++ (Lu et al. 2022).
    #[serde(rename = "DPMSolverMultistepScheduler")]
    DpmSolverMultistep,
    /// Euler's method in the sigma parametrisation (Karras et al. 2022).
    #[serde(rename = "EulerDiscreteScheduler")]
    EulerDiscrete,
}

impl SchedulerClass {
    /// Every supported class.
    pub const ALL: [Self; 6] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Pndm,
        Self::UniPc,
        Self::DpmSolverMultistep,
        Self::EulerDiscrete,
    ];

    /// The diffusers class name, as stored under `_class_name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "DDPMScheduler",
            Self::Ddim => "DDIMScheduler",
            Self::Pndm => "PNDMScheduler",
            Self::UniPc => "UniPCMultistepScheduler",
            Self::DpmSolverMultistep => "DPMSolverMultistepScheduler",
            Self::EulerDiscrete => "EulerDiscreteScheduler",
        }
    }
}

/// What the denoiser's output means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PredictionType {
    /// The noise that was added.
    #[default]
    Epsilon,
    /// The velocity `sqrt(a) noise - sqrt(1 - a) x0` (Salimans & Ho 2022), as in Stable Diffusion 2.
    VPrediction,
    /// The clean sample itself.
    Sample,
}

/// How the betas grow over the training timesteps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Evenly from `beta_start` to `beta_end`.
    #[default]
    Linear,
    /// Evenly in the square root: Stable Diffusion's choice.
    ScaledLinear,
    /// Squared cosine with betas capped at 0.999 (Nichol & Dhariwal 2021).
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosCapV2,
    /// A logistic curve over [-6, 6] between `beta_start` and `beta_end` (GeoDiff).
    Sigmoid,
}

/// How inference timesteps are picked from the training timesteps
/// (Table 2 of Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps Are Flawed").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimestepSpacing {
    /// Both ends included.
    Linspace,
    /// Multiples of a whole step from 0, plus `steps_offset`.
    Leading,
    /// Counted back from the last training timestep.
    Trailing,
}

/// The noise level after the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinalSigmas {
    /// No noise: the last step lands on the predicted clean sample.
    #[default]
    Zero,
    /// The smallest noise level of the training schedule.
    SigmaMin,
}

/// A scheduler's configuration, field for field as in `scheduler_config.json`.
///
/// A field that is `None` takes the default of the class that is built, as in diffusers (for
/// example `timestep_spacing` is `leading` for DDIM and `linspace` for `UniPC`). Fields of other
/// classes are carried and ignored, so one stored configuration can build any sampler: set
/// [`class`](Self::class) and call [`scheduler`](Self::scheduler).
///
/// ```
/// use diffusion_lora::schedule::{PredictionType, SchedulerClass, SchedulerConfig};
///
/// let mut config = SchedulerConfig::stable_diffusion(SchedulerClass::UniPc, PredictionType::VPrediction);
/// let unipc = config.scheduler(20, 0.0)?;
/// assert_eq!(unipc.timesteps().len(), 20);
/// config.class = SchedulerClass::Ddim;
/// assert_eq!(config.scheduler(50, 0.0)?.timesteps()[0], 981);
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // a file format's fields, not states of ours
pub struct SchedulerConfig {
    /// The sampler to build.
    #[serde(rename = "_class_name")]
    pub class: SchedulerClass,
    /// Number of timesteps the model was trained on.
    #[serde(default = "default_num_train_timesteps")]
    pub num_train_timesteps: usize,
    /// First beta.
    #[serde(default = "default_beta_start")]
    pub beta_start: f64,
    /// Last beta.
    #[serde(default = "default_beta_end")]
    pub beta_end: f64,
    /// Shape of the betas in between.
    #[serde(default)]
    pub beta_schedule: BetaSchedule,
    /// Betas given one by one, in place of the three fields above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts.
    #[serde(default)]
    pub prediction_type: PredictionType,
    /// Choice of inference timesteps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to `leading` timesteps; 1 in Stable Diffusion.
    #[serde(default)]
    pub steps_offset: i64,
    /// Rescale the betas so that the last timestep is pure noise (Lin et al. 2023).
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    /// DDPM, DDIM: clamp the predicted clean sample; on by default in diffusers, off in Stable Diffusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_sample: Option<bool>,
    /// Bound of that clamp.
    #[serde(default = "one")]
    pub clip_sample_range: f64,
    /// Dynamic thresholding of the predicted clean sample (Saharia et al. 2022).
    #[serde(default)]
    pub thresholding: bool,
    /// Quantile used by dynamic thresholding.
    #[serde(default = "default_thresholding_ratio")]
    pub dynamic_thresholding_ratio: f64,
    /// Largest threshold of dynamic thresholding.
    #[serde(default = "one")]
    pub sample_max_value: f64,
    /// DDIM, PNDM: whether the level after the last step is 1 (else that of timestep 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_alpha_to_one: Option<bool>,
    /// PNDM: skip the Runge-Kutta steps at the start, as Stable Diffusion does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_prk_steps: Option<bool>,
    /// DDPM: `fixed_small`, `fixed_small_log` or `fixed_large`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance_type: Option<String>,
    /// `UniPC`, DPM-Solver: order of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver_order: Option<usize>,
    /// `UniPC`: `bh1` or `bh2`; DPM-Solver: `midpoint` or `heun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver_type: Option<String>,
    /// `UniPC`: predict the clean sample rather than the noise inside the solver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predict_x0: Option<bool>,
    /// `UniPC`: step indices after which the corrector is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable_corrector: Vec<usize>,
    /// `UniPC`, DPM-Solver: lower the order near the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_order_final: Option<bool>,
    /// DPM-Solver: take the last step with Euler's method.
    #[serde(default)]
    pub euler_at_final: bool,
    /// DPM-Solver: `dpmsolver++`, `dpmsolver`, `sde-dpmsolver++` or `sde-dpmsolver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm_type: Option<String>,
    /// DPM-Solver: smallest log signal-to-noise ratio used. Python writes `-Infinity` here.
    #[serde(
        default,
        deserialize_with = "finite_or_named",
        skip_serializing_if = "Option::is_none"
    )]
    pub lambda_min_clipped: Option<f64>,
    /// Noise levels spaced as in Karras et al. (2022), rho 7.
    #[serde(default)]
    pub use_karras_sigmas: bool,
    /// Noise levels spaced evenly in the logarithm.
    #[serde(default)]
    pub use_exponential_sigmas: bool,
    /// DPM-Solver: noise levels spaced as in Lu et al. (2022).
    #[serde(default)]
    pub use_lu_lambdas: bool,
    /// Not supported: noise levels by quantiles of a beta distribution.
    #[serde(default)]
    pub use_beta_sigmas: bool,
    /// Not supported: flow matching.
    #[serde(default)]
    pub use_flow_sigmas: bool,
    /// Noise level after the last step.
    #[serde(default)]
    pub final_sigmas_type: FinalSigmas,
    /// Smallest noise level of the Karras and exponential spacings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_min: Option<f64>,
    /// Largest noise level of the Karras and exponential spacings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_max: Option<f64>,
    /// Euler: `linear` or `log_linear`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpolation_type: Option<String>,
    /// Euler: `discrete` or `continuous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestep_type: Option<String>,
    /// Everything else in the file, kept for writing it back.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

fn default_num_train_timesteps() -> usize {
    1000
}
fn default_beta_start() -> f64 {
    0.0001
}
fn default_beta_end() -> f64 {
    0.02
}
fn default_thresholding_ratio() -> f64 {
    0.995
}
fn one() -> f64 {
    1.0
}

/// Accepts a number, null, or the names that [`strict_json`] puts for Python's infinities.
fn finite_or_named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Value(f64),
        Name(String),
    }
    match Option::<Number>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Value(value)) => Ok(Some(value)),
        Some(Number::Name(name)) if name == "-Infinity" || name == "-inf" => Ok(None),
        Some(Number::Name(name)) => {
            Err(serde::de::Error::custom(format!("expected a number or -Infinity, found {name:?}")))
        }
    }
}

/// Quotes the bare `Infinity`, `-Infinity` and `NaN` that Python's `json` writes, which JSON forbids.
fn strict_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        if !in_string {
            let bare = ["-Infinity", "Infinity", "NaN"].into_iter().find(|w| rest.starts_with(w));
            if let Some(word) = bare {
                out.push('"');
                out.push_str(word);
                out.push('"');
                rest = &rest[word.len()..];
                continue;
            }
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

impl Default for SchedulerConfig {
    /// DDIM with the noise of Stable Diffusion and noise prediction.
    fn default() -> Self {
        Self::stable_diffusion(SchedulerClass::Ddim, PredictionType::Epsilon)
    }
}

impl SchedulerConfig {
    /// The noise and spacing of Stable Diffusion's stored configuration: `scaled_linear` betas from
    /// 0.00085 to 0.012, leading timesteps with offset 1, no clipping.
    ///
    /// # Source
    /// `scheduler/scheduler_config.json` of `stabilityai/stable-diffusion-2`.
    pub fn stable_diffusion(class: SchedulerClass, prediction_type: PredictionType) -> Self {
        Self {
            class,
            num_train_timesteps: default_num_train_timesteps(),
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            trained_betas: None,
            prediction_type,
            timestep_spacing: Some(TimestepSpacing::Leading),
            steps_offset: 1,
            rescale_betas_zero_snr: false,
            clip_sample: Some(false),
            clip_sample_range: 1.0,
            thresholding: false,
            dynamic_thresholding_ratio: default_thresholding_ratio(),
            sample_max_value: 1.0,
            set_alpha_to_one: Some(false),
            skip_prk_steps: Some(true),
            variance_type: None,
            solver_order: None,
            solver_type: None,
            predict_x0: None,
            disable_corrector: Vec::new(),
            lower_order_final: None,
            euler_at_final: false,
            algorithm_type: None,
            lambda_min_clipped: None,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_lu_lambdas: false,
            use_beta_sigmas: false,
            use_flow_sigmas: false,
            final_sigmas_type: FinalSigmas::Zero,
            sigma_min: None,
            sigma_max: None,
            interpolation_type: None,
            timestep_type: None,
            other: BTreeMap::new(),
        }
    }

    /// Squared-cosine betas with velocity prediction and trailing timesteps: a good choice for small
    /// models trained from nothing.
    ///
    /// # Source
    /// Nichol & Dhariwal 2021, section 3.2; spacing from Lin et al. 2023.
    pub fn cosine(class: SchedulerClass) -> Self {
        Self {
            beta_start: default_beta_start(),
            beta_end: default_beta_end(),
            beta_schedule: BetaSchedule::SquaredCosCapV2,
            timestep_spacing: Some(TimestepSpacing::Trailing),
            steps_offset: 0,
            set_alpha_to_one: Some(true),
            ..Self::stable_diffusion(class, PredictionType::VPrediction)
        }
    }

    /// The same noise with the ratio of signal to noise amplitude divided by `factor` at every
    /// timestep, as `trained_betas`. What many pixels or rows share is still seen through noise
    /// that hides each of them, so large and repetitive images need more of it.
    ///
    /// # Errors
    /// [`Error::Config`] where the betas are not between 0 and 1, before or after.
    ///
    /// # Source
    /// Hoogeboom, Heek & Salimans 2023, "simple diffusion", section 2.1.
    pub fn shifted(self, factor: f64) -> Result<Self> {
        let noise = NoiseSchedule::new(&self)?;
        let mut before = 1.0;
        let beta = |alpha: &f64| {
            let ratio = alpha / (1.0 - alpha) / (factor * factor);
            let shifted = ratio / (1.0 + ratio);
            let beta = (1.0 - shifted / before).min(MAX_BETA);
            before *= 1.0 - beta;
            beta
        };
        let betas: Vec<f64> = noise.alphas_cumprod().iter().map(beta).collect();
        let config = Self { trained_betas: Some(betas), ..self };
        NoiseSchedule::new(&config)?;
        Ok(config)
    }

    /// Reads the text of a `scheduler_config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Json`] with line and column where the text is not JSON, where a field has the wrong
    /// type, or where it names a class or value that is not supported.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        serde_json::from_str(&strict_json(text)).map_err(Error::json(path))
    }

    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, else as [`from_json`](Self::from_json).
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_json(&std::fs::read_to_string(path).map_err(Error::io(path))?, path)
    }

    /// The text of a `scheduler_config.json` that diffusers reads back.
    ///
    /// # Errors
    /// [`Error::Json`] if a number is not finite.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(Error::json(Path::new("scheduler_config.json")))
    }

    /// Builds the sampler for a number of inference steps; `eta` is DDIM's noise (0: none, 1: as
    /// much as DDPM) and must be 0 for the others.
    ///
    /// # Errors
    /// [`Error::SchedulerSteps`] for a number of steps the schedule cannot take, and
    /// [`Error::Config`] for a value that the class does not support.
    pub fn scheduler(&self, steps: usize, eta: f64) -> Result<Box<dyn Scheduler>> {
        let zero_or_ddim = eta == 0.0 || self.class == SchedulerClass::Ddim;
        if !zero_or_ddim || !(0.0..=1.0).contains(&eta) {
            return Err(self.unsupported("eta", eta, "0; for DDIMScheduler 0 to 1"));
        }
        Ok(match self.class {
            SchedulerClass::Ddpm => Box::new(Ddpm::new(self, steps)?),
            SchedulerClass::Ddim => Box::new(Ddim::new(self, steps, eta)?),
            SchedulerClass::Pndm => Box::new(Pndm::new(self, steps)?),
            SchedulerClass::UniPc => Box::new(UniPc::new(self, steps)?),
            SchedulerClass::DpmSolverMultistep => Box::new(DpmSolverMultistep::new(self, steps)?),
            SchedulerClass::EulerDiscrete => Box::new(EulerDiscrete::new(self, steps)?),
        })
    }

    /// The error for a value of `field` that this class does not support.
    pub(super) fn unsupported(
        &self,
        field: &'static str,
        value: impl std::fmt::Display,
        expected: &'static str,
    ) -> Error {
        Error::Config { class: self.class.name(), field, value: value.to_string(), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_infinities_are_read() {
        let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity,
            "note": "NaN \" -Infinity"}"#;
        let config = SchedulerConfig::from_json(text, Path::new("test.json"))
            .expect("Python's JSON is accepted");
        assert_eq!(config.lambda_min_clipped, None);
        assert_eq!(config.other["note"], "NaN \" -Infinity");
    }

    #[test]
    fn written_text_reads_back() {
        for class in SchedulerClass::ALL {
            let config = SchedulerConfig::cosine(class);
            let text = config.to_json().expect("plain values");
            assert!(text.contains(class.name()));
            assert_eq!(
                SchedulerConfig::from_json(&text, Path::new("test.json")).expect("own text"),
                config
            );
        }
    }

    #[test]
    fn a_shift_divides_the_ratio_of_signal_to_noise() {
        let plain = SchedulerConfig::cosine(SchedulerClass::Ddim);
        let shifted = plain.clone().shifted(5.0).expect("betas between 0 and 1");
        let alphas = |config| {
            NoiseSchedule::new(config).expect("a supported schedule").alphas_cumprod().to_vec()
        };
        let ratio = |alpha: f64| (alpha / (1.0 - alpha)).sqrt();
        for (before, after) in alphas(&plain).into_iter().zip(alphas(&shifted)).take(990) {
            assert!((ratio(before) / ratio(after) - 5.0).abs() < 1e-2, "{before} {after}");
        }
        let text = shifted.to_json().expect("plain values");
        let read = SchedulerConfig::from_json(&text, Path::new("test.json")).expect("own text");
        assert!(alphas(&read) == alphas(&shifted), "betas are read as f32");
    }

    #[test]
    fn unknown_values_name_their_place() {
        for text in [
            r#"{"_class_name": "NoScheduler"}"#,
            r#"{"_class_name": "DDIMScheduler", "beta_schedule": "cubic"}"#,
            r#"{"_class_name": "DDIMScheduler", "prediction_type": "flow_prediction"}"#,
            r#"{"beta_start": 1}"#,
        ] {
            let error = SchedulerConfig::from_json(text, Path::new("test.json"))
                .expect_err("not supported")
                .to_string();
            assert!(error.contains("line 1"), "{error}");
        }
    }
}
