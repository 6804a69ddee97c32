//! A network with its parameters, as one folder on disk: `config.json` and a weight file.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::lora::LoraSlots;
use crate::nn::{Init, Scope};
use crate::weights::{self, Weights};

/// A kind of network that is described by a configuration.
pub trait Network: Sized {
    /// The contents of `config.json`.
    type Config: Serialize + DeserializeOwned + Clone;
    /// The class as diffusers or transformers names it.
    const CLASS: &'static str;
    /// The weight file's name.
    const WEIGHT_FILE: &'static str = "diffusion_pytorch_model.safetensors";

    /// Fields of [`Network::Config`] that this class does not write.
    const OMITTED_FIELDS: &'static [&'static str] = &[];

    /// Makes the network's parameters in `scope`.
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration asks for something that is not supported.
    fn build(scope: &Scope<'_>, config: &Self::Config) -> Result<Self>;

    /// The configuration it was built from.
    fn config(&self) -> &Self::Config;

    /// A stored tensor's name as the parameter's name, or `None` to leave the tensor out.
    fn parameter_name(stored: &str) -> Option<String> {
        Some(stored.to_owned())
    }

    /// Fields of `config.json` that name the class.
    fn class_fields() -> Vec<(&'static str, Value)> {
        vec![("_class_name", Value::from(Self::CLASS))]
    }
}

/// A network, the parameters it computes with, and the places where adapters attach.
///
/// Dereferences to the network.
#[derive(Debug)]
pub struct Model<N> {
    network: N,
    store: VarStore,
    slots: LoraSlots,
}

impl<N: Network> Model<N> {
    /// Makes a network with first values `init`.
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration is not supported.
    pub fn create(config: &N::Config, init: Init, device: Device, kind: Kind) -> Result<Self> {
        let (mut store, slots) = (VarStore::new(device), LoraSlots::new());
        store.set_kind(kind);
        let network = N::build(&Scope::new(&store, &slots, init), config)?;
        Ok(Self { network, store, slots })
    }

    /// The folder's weight file: the usual name, or where that is not there, the name of the
    /// half-precision variant that some models are published with alone.
    pub fn weight_file(folder: &Path) -> PathBuf {
        let usual = folder.join(N::WEIGHT_FILE);
        let half = folder.join(N::WEIGHT_FILE.replace(".safetensors", ".fp16.safetensors"));
        if !usual.is_file() && half.is_file() { half } else { usual }
    }

    /// Reads `config.json` and the weights from a folder. Parameters are frozen;
    /// [`Model::store_mut`] unfreezes.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Json`], [`Error::Config`], [`Error::Safetensors`] or
    /// [`Error::WeightNames`], each with the file.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = read_config::<N::Config>(&folder.join("config.json"))?;
        let stored = Weights::read(&Self::weight_file(folder))?;
        let mut model = Self::create(&config, Init::Zeros, device, kind)?;
        weights::load_into(&model.store, &stored, N::parameter_name)?;
        model.store.freeze();
        Ok(model)
    }

    /// Writes `config.json` and the weights (f32 or as the parameters are) into a folder, which
    /// is made where it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Json`] with the file.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.write(folder, Weights::save)
    }

    /// [`Model::save`] with the weights rounded to f16.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save_f16(&self, folder: &Path) -> Result<()> {
        self.write(folder, Weights::save_f16)
    }

    fn write(&self, folder: &Path, save: fn(&Weights, &Path) -> Result<()>) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        write_config::<N>(&folder.join("config.json"), self.network.config())?;
        let mut stored = Weights::of(&self.store);
        stored.set_metadata("format", "pt");
        save(&stored, &folder.join(N::WEIGHT_FILE))
    }

    /// The parameters.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// The parameters, to freeze, unfreeze or convert them.
    pub fn store_mut(&mut self) -> &mut VarStore {
        &mut self.store
    }

    /// Where adapters attach.
    pub fn slots(&self) -> &LoraSlots {
        &self.slots
    }

    /// The network itself.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// The network itself, for changing what is not a parameter.
    pub fn network_mut(&mut self) -> &mut N {
        &mut self.network
    }

    /// Copies every parameter of `source` that has its counterpart below `prefix` here (dotted;
    /// empty for the same name).
    ///
    /// # Errors
    /// [`Error::Torch`] where counterparts differ in shape.
    pub fn copy_matching(&self, source: &VarStore, prefix: &str) -> Result<()> {
        let own = self.store.variables();
        tch::no_grad(|| {
            for (name, value) in source.variables() {
                let target = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                if let Some(parameter) = own.get(&target) {
                    parameter.shallow_clone().f_copy_(&value)?;
                }
            }
            Ok(())
        })
    }

    /// The parameters that gradients flow to, sorted by name.
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        let all: BTreeMap<String, Tensor> = self.store.variables().into_iter().collect();
        all.into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
    }
}

impl<N> Deref for Model<N> {
    type Target = N;

    fn deref(&self) -> &N {
        &self.network
    }
}

/// Reads a JSON file.
///
/// # Errors
/// [`Error::MissingFile`], [`Error::Io`] or [`Error::Json`] with the file.
pub fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T> {
    if !path.is_file() {
        return Err(Error::MissingFile { path: path.to_owned(), purpose: "the configuration" });
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(Error::json(path))
}

fn write_config<N: Network>(path: &Path, config: &N::Config) -> Result<()> {
    let mut value = serde_json::to_value(config).map_err(Error::json(path))?;
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !N::OMITTED_FIELDS.contains(&name.as_str()));
        for (key, field) in N::class_fields() {
            fields.insert(key.to_owned(), field);
        }
    }
    let text = serde_json::to_string_pretty(&value).map_err(Error::json(path))?;
    weights::write_atomically(path, |out| writeln!(out, "{text}"))
}

/// Fields of a configuration that this crate keeps but does not read.
pub type OtherFields = BTreeMap<String, Value>;

/// Checks that fields which would change the network have the one value that is supported (or
/// are absent or null).
pub(crate) fn only_supported(
    class: &'static str,
    fields: &OtherFields,
    supported: &[(&'static str, Value)],
) -> Result<()> {
    for (field, wanted) in supported {
        let Some(found) = fields.get(*field) else { continue };
        let same_number = found.is_number() && found.as_f64() == wanted.as_f64();
        if found.is_null() || found == wanted || same_number {
            continue;
        }
        let expected = if wanted.is_null() { "null" } else { "the Stable Diffusion value" };
        return Err(Error::Config { class, field, value: found.to_string(), expected });
    }
    Ok(())
}
