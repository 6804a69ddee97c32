//! Where a layer's parameters are made: their names, their first values, their LoRA slots.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;
use tch::nn::{self, VarStore};

use crate::lora::{LoraSlot, LoraSlots, SlotKind};
use crate::random;

/// First values of a network's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Everything zero, at no cost: the weights come from a file.
    Zeros,
    /// Each layer's own distribution, from a seed. A parameter's values depend on the seed and
    /// its name alone, not on the order in which layers are made.
    Random {
        /// The seed.
        seed: u64,
    },
}

/// The distribution a layer wants for one parameter when it is trained from scratch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// All zero (biases, and last layers that must start silent).
    Zeros,
    /// All one (norm weights).
    Ones,
    /// Uniform in [-bound, bound).
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// Normal about zero.
    Normal {
        /// Standard deviation.
        std: f64,
    },
}

impl Fill {
    /// `PyTorch`'s default for linear and convolution layers: uniform, bound 1/√fan-in.
    pub fn fan_in(fan_in: i64) -> Self {
        Self::Uniform { bound: 1.0 / (fan_in.max(1) as f64).sqrt() }
    }
}

/// A place in a parameter tree.
///
/// ```
/// use diffusion_lora::lora::LoraSlots;
/// use diffusion_lora::nn::{Init, Linear, Scope};
/// let store = tch::nn::VarStore::new(tch::Device::Cpu);
/// let slots = LoraSlots::new();
/// let root = Scope::new(&store, &slots, Init::Random { seed: 1 });
/// let layer = Linear::new(&root.sub("attn1").sub("to_q"), 8, 8);
/// assert_eq!(layer.forward(&tch::Tensor::zeros([2, 8], tch::kind::FLOAT_CPU)).size(), [2, 8]);
/// assert_eq!(slots.names(), ["attn1.to_q"]);
/// ```
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    path: nn::Path<'a>,
    slots: &'a LoraSlots,
    init: Init,
}

impl<'a> Scope<'a> {
    /// The root of a network's parameters. Set the store's kind and device before.
    pub fn new(store: &'a VarStore, slots: &'a LoraSlots, init: Init) -> Self {
        Self { path: store.root(), slots, init }
    }

    /// A child; dots in `name` are levels of their own (`"to_out.0"`).
    pub fn sub(&self, name: impl std::fmt::Display) -> Self {
        let name = name.to_string();
        let path = name.split('.').fold(self.path.clone(), |path, part| path.sub(part));
        Self { path, slots: self.slots, init: self.init }
    }

    /// The full dotted name of this place.
    pub fn name(&self) -> String {
        self.path.components().collect::<Vec<_>>().join(".")
    }

    /// The underlying path, for parameters that no layer here makes.
    pub fn path(&self) -> &nn::Path<'a> {
        &self.path
    }

    /// The registry layers enter themselves into.
    pub fn slots(&self) -> &'a LoraSlots {
        self.slots
    }

    /// Makes a trainable parameter.
    pub fn parameter(&self, name: &str, shape: &[i64], fill: Fill) -> Tensor {
        let Init::Random { seed } = self.init else { return self.path.zeros(name, shape) };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a(&self.path.path(name)));
        match fill {
            Fill::Zeros => self.path.zeros(name, shape),
            Fill::Ones => self.path.ones(name, shape),
            Fill::Uniform { bound } => {
                self.path.var_copy(name, &random::uniform(&mut rng, shape, bound))
            }
            Fill::Normal { std } => {
                self.path.var_copy(name, &(random::gaussian(&mut rng, shape) * std))
            }
        }
    }

    /// Enters a layer's weight into the LoRA registry under this place's name.
    pub fn slot(&self, kind: SlotKind, weight: &Tensor) -> LoraSlot {
        let slot = LoraSlot::new(kind, weight);
        self.slots.register(self.name(), &slot);
        slot
    }
}

/// FNV-1a, 64 bits: a stream number from a parameter's name.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_depend_on_seed_and_name_alone() {
        let (store, slots) = (VarStore::new(tch::Device::Cpu), LoraSlots::new());
        let draw = |seed, module: &str, store: &VarStore| {
            let scope = Scope::new(store, &slots, Init::Random { seed });
            scope.sub(module).parameter("weight", &[64], Fill::Normal { std: 1.0 })
        };
        let other = VarStore::new(tch::Device::Cpu);
        let _shift_the_order = draw(1, "b", &other);
        let first = draw(1, "a", &store);
        assert_eq!(first, draw(1, "a", &other));
        assert_ne!(first, draw(1, "b", &store));
        assert_ne!(first, draw(2, "a", &VarStore::new(tch::Device::Cpu)));
    }
}
