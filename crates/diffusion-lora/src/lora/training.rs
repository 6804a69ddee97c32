//! An adapter being trained.

use tch::Device;
use tch::nn::VarStore;

use super::{Adapter, AdapterLayer, LoraConfig, LoraInit, LoraSlots};
use crate::error::{Error, Result};
use crate::nn::{Fill, Init, Scope};
use crate::weights::{Weights, load_into};

/// The trainable matrices of an adapter, in a store of their own beside the frozen network's.
///
/// Parameters are f32, whatever the network computes in, and bear PEFT's names:
/// `<module>.lora_A.weight` and `<module>.lora_B.weight`.
///
/// ```
/// use diffusion_lora::lora::{LoraConfig, LoraParameters, LoraSlots};
/// use diffusion_lora::nn::{Init, Linear, Scope};
/// let mut store = tch::nn::VarStore::new(tch::Device::Cpu);
/// let slots = LoraSlots::new();
/// let scope = Scope::new(&store, &slots, Init::Random { seed: 1 });
/// let layer = Linear::new(&scope.sub("attn1.to_q"), 8, 8);
/// store.freeze();
///
/// let target_modules = vec!["to_q".to_owned()];
/// let config = LoraConfig { rank: 2, target_modules, ..LoraConfig::default() };
/// let lora = LoraParameters::attach(&slots, "new", &config, 5, tch::Device::Cpu)?;
/// assert_eq!(lora.store().trainable_variables().len(), 2);
/// let loss = layer.forward(&tch::Tensor::ones([1, 8], tch::kind::FLOAT_CPU)).mean(None);
/// loss.backward();
/// assert!(lora.store().variables()["attn1.to_q.lora_B.weight"].grad().defined());
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
#[derive(Debug)]
pub struct LoraParameters {
    store: VarStore,
    modules: Vec<String>,
    config: LoraConfig,
}

impl LoraParameters {
    /// Makes a pair for every slot that `config.target_modules` matches and attaches it under
    /// the name `adapter` with weight 1. The values depend on `seed` and the names alone.
    ///
    /// # Errors
    /// [`Error::Config`] where the configuration is invalid or a target matches no module.
    pub fn attach(
        slots: &LoraSlots,
        adapter: &str,
        config: &LoraConfig,
        seed: u64,
        device: Device,
    ) -> Result<Self> {
        config.check()?;
        for target in &config.target_modules {
            if slots.matching(std::slice::from_ref(target)).is_empty() {
                return Err(Error::Config {
                    class: "LoRA",
                    field: "target_modules",
                    value: target.clone(),
                    expected: "names that a module's dotted name ends in",
                });
            }
        }
        let (store, no_slots) = (VarStore::new(device), LoraSlots::new());
        let root = Scope::new(&store, &no_slots, Init::Random { seed });
        let mut modules = Vec::new();
        for (module, slot) in slots.matching(&config.target_modules) {
            let mut down = slot.weight_shape();
            let mut up = vec![1; down.len()];
            (up[0], up[1]) = (down[0], config.rank);
            down[0] = config.rank;
            let fill = match config.init {
                LoraInit::KaimingUniform => Fill::fan_in(down[1..].iter().product()),
                LoraInit::Gaussian => Fill::Normal { std: 1.0 / config.rank as f64 },
            };
            let scope = root.sub(&module);
            let _down = scope.sub("lora_A").parameter("weight", &down, fill);
            let _up = scope.sub("lora_B").parameter("weight", &up, Fill::Zeros);
            modules.push(module);
        }
        let parameters = Self { store, modules, config: config.clone() };
        parameters.adapter().attach(slots, adapter, 1.0)?;
        Ok(parameters)
    }

    /// The parameters, for an optimiser.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// What the adapter was made from.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The matrices as an adapter; they share memory with the parameters, so
    /// [`Adapter::detached`] is what to keep.
    pub fn adapter(&self) -> Adapter {
        let variables = self.store.variables();
        let scale = self.config.alpha / self.config.rank as f64;
        let layer = |module: &String| {
            let matrix = |which: &str| {
                variables.get(&format!("{module}.{which}.weight")).map(tch::Tensor::shallow_clone)
            };
            let (down, up) = (matrix("lora_A")?, matrix("lora_B")?);
            Some((module.clone(), AdapterLayer { down, up, scale }))
        };
        Adapter {
            layers: self.modules.iter().filter_map(layer).collect(),
            target_modules: self.config.target_modules.clone(),
        }
    }

    /// Overwrites the parameters, to go on from a checkpoint. The names are the parameters'.
    ///
    /// # Errors
    /// [`Error::WeightNames`] where names or shapes are others.
    pub fn load(&self, weights: &Weights) -> Result<()> {
        load_into(&self.store, weights, |name| Some(name.to_owned()))
    }
}
