//! Everything that can be set about a run; its serde form in TOML is the configuration file.

mod device;
mod sections;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use device::{DeviceChoice, Precision};
pub use sections::{
    BaseConfig, CapturesConfig, ControlConfig, DatasetConfig, EvaluateConfig, GenerateConfig,
    LoraCourse, LoraSettings, RepairSettings, Sampler,
};

use crate::{Error, Result};

/// A whole run.
///
/// Paths in a file that [`Config::read`] reads are relative to the file.
///
/// # Example
/// ```
/// use torchlight::Config;
///
/// let text = r#"
///     output = "out"
///     seed = 7
///     [captures]
///     dir = "captures"
///     [base]
///     folder = "base"
///     [lora]
///     rank = 8
///     steps = 100
/// "#;
/// let config = Config::from_toml(text, "/data/run.toml".as_ref())?;
/// assert_eq!(config.output, std::path::Path::new("/data/out"));
/// assert_eq!((config.lora.rank, config.lora.alpha), (8, 4.0));
/// assert!(Config::from_toml("sede = 7", "run.toml".as_ref()).is_err());
/// # Ok::<(), torchlight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the stages' folders go. Default `torchlight-out`.
    pub output: PathBuf,
    /// Seed of everything random in the run. Default 1337. Source: the reference work's
    /// fine-tuning command.
    pub seed: u64,
    /// Default `auto`.
    pub device: DeviceChoice,
    /// Default `fp32`.
    pub precision: Precision,
    /// Threads of libtorch; 0, the default, leaves the number to it.
    pub threads: usize,
    /// The real captures.
    pub captures: CapturesConfig,
    /// How captures become images.
    pub dataset: DatasetConfig,
    /// The model that is fine-tuned.
    pub base: BaseConfig,
    /// The fine-tuning.
    pub lora: LoraSettings,
    /// What holds generation to the parents.
    pub control: ControlConfig,
    /// The children.
    pub generate: GenerateConfig,
    /// How children become captures.
    pub repair: RepairSettings,
    /// What is measured.
    pub evaluate: EvaluateConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            output: "torchlight-out".into(),
            seed: 1337,
            device: DeviceChoice::default(),
            precision: Precision::default(),
            threads: 0,
            captures: CapturesConfig::default(),
            dataset: DatasetConfig::default(),
            base: BaseConfig::default(),
            lora: LoraSettings::default(),
            control: ControlConfig::default(),
            generate: GenerateConfig::default(),
            repair: RepairSettings::default(),
            evaluate: EvaluateConfig::default(),
        }
    }
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ConfigToml`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        Self::from_toml(&text, path)
    }

    /// Reads TOML text; `path` is where it comes from, for relative paths and errors.
    ///
    /// # Errors
    /// [`Error::ConfigToml`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let mut config: Self = toml::from_str(text).map_err(|source| Error::ConfigToml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        for path in config.paths_mut() {
            *path = base.join(&*path);
        }
        Ok(config)
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every field has a form in TOML")
    }

    /// Checks every setting that can be judged without reading files.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that will not do.
    pub fn validate(&self) -> Result<()> {
        let refuse =
            |field, value: String, expected| Err(Error::Setting { field, value, expected });
        if self.captures.dir.as_os_str().is_empty() {
            return refuse("captures.dir", String::new(), "the folder of the real captures");
        }
        let canvas = self.dataset.canvas();
        if canvas.pixels().is_err() {
            return refuse("dataset.rows", canvas.to_string(), "a canvas of 1 to 2^26 pixels");
        }
        let counts = [
            ("lora.rank", self.lora.rank),
            ("lora.steps", self.lora.steps),
            ("lora.batch_size", self.lora.batch_size),
            ("lora.gradient_accumulation", self.lora.gradient_accumulation),
            ("generate.children", self.generate.children),
            ("generate.steps", self.generate.steps),
            ("generate.batch_size", self.generate.batch_size),
        ];
        for (field, count) in counts {
            if count == 0 {
                return refuse(field, "0".to_owned(), "at least 1");
            }
        }
        if self.generate.parents == Some(0) {
            return refuse(
                "generate.parents",
                "0".to_owned(),
                "at least 1, or no such line for all",
            );
        }
        let numbers = [
            ("lora.alpha", self.lora.alpha, f64::MIN_POSITIVE),
            ("lora.learning_rate", self.lora.learning_rate, f64::MIN_POSITIVE),
            ("lora.max_grad_norm", self.lora.max_grad_norm, f64::MIN_POSITIVE),
            ("generate.guidance", self.generate.guidance, 0.0),
            ("control.scale", self.control.scale, 0.0),
        ];
        for (field, number, least) in numbers {
            if !number.is_finite() || number < least {
                let expected = if least > 0.0 { "a positive number" } else { "0 or more" };
                return refuse(field, number.to_string(), expected);
            }
        }
        if !(0.0..=1.0).contains(&self.lora.caption_dropout) {
            return refuse("lora.caption_dropout", self.lora.caption_dropout.to_string(), "0 to 1");
        }
        Ok(())
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let always = [&mut self.output, &mut self.captures.dir, &mut self.base.folder];
        let maybe = [
            &mut self.captures.labels,
            &mut self.captures.held_out,
            &mut self.control.folder,
            &mut self.repair.timing,
        ];
        always
            .into_iter()
            .filter(|path| !path.as_os_str().is_empty())
            .chain(maybe.into_iter().filter_map(Option::as_mut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_round_trip() {
        let config = Config::default();
        let path = Path::new("x.toml");
        assert_eq!(Config::from_toml(&config.to_toml(), path).expect("own form"), config);
    }

    #[test]
    fn bad_settings_are_named() {
        let name = |text: &str| {
            let text = format!("captures.dir = 'c'\n{text}");
            match Config::from_toml(&text, Path::new("x.toml")).expect("TOML").validate() {
                Err(Error::Setting { field, .. }) => field,
                other => panic!("{text}: {other:?}"),
            }
        };
        assert_eq!(name("lora.rank = 0"), "lora.rank");
        assert_eq!(name("lora.learning_rate = -1.0"), "lora.learning_rate");
        assert_eq!(name("generate.guidance = nan"), "generate.guidance");
        assert_eq!(name("dataset.rows = 0"), "dataset.rows");
        assert!(matches!(
            Config::default().validate(),
            Err(Error::Setting { field: "captures.dir", .. })
        ));
    }
}
