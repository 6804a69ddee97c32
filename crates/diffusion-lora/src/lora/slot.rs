//! The places in a network where adapters attach.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Tensor, no_grad};

use crate::error::{Error, Result};

/// One adapter's pair of matrices at one layer.
///
/// # Shapes
/// At a linear layer `down` `[rank, in]` and `up` `[out, rank]`; at a convolution `down`
/// `[rank, in, height, width]` and `up` `[out, rank, 1, 1]`.
#[derive(Debug)]
pub struct Branch {
    /// The adapter the pair belongs to.
    pub adapter: String,
    /// A: projects the input down.
    pub down: Tensor,
    /// B: projects back up.
    pub up: Tensor,
    /// The adapter's own factor, alpha / rank.
    pub scale: f64,
    /// How much of the adapter is wanted; 1 is all of it.
    pub weight: f64,
}

impl Branch {
    /// The branch as one weight of the layer's shape, both factors included.
    pub fn delta(&self) -> Tensor {
        let (rank, out) = (self.down.size()[0], self.up.size()[0]);
        let mut shape = self.down.size();
        shape[0] = out;
        let product = self.up.reshape([out, rank]).matmul(&self.down.reshape([rank, -1]));
        product.reshape(shape) * (self.scale * self.weight)
    }
}

/// The operation a slot's layer does, which its branches mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// `x Wᵀ` over the last dimension.
    Linear,
    /// Two-dimensional convolution.
    Conv2d {
        /// Step in both directions.
        stride: i64,
        /// Zeros added on every side.
        padding: i64,
    },
}

/// One layer's place for adapters; clones are the same place.
#[derive(Debug, Clone)]
pub struct LoraSlot {
    kind: SlotKind,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    weight: Tensor,
    branches: Vec<Branch>,
}

impl LoraSlot {
    pub(crate) fn new(kind: SlotKind, weight: &Tensor) -> Self {
        let state = State { weight: weight.shallow_clone(), branches: Vec::new() };
        Self { kind, state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the layer does.
    pub fn kind(&self) -> SlotKind {
        self.kind
    }

    /// Shape of the layer's weight: `[out, in]` or `[out, in, height, width]`.
    pub fn weight_shape(&self) -> Vec<i64> {
        self.lock().weight.size()
    }

    /// The layer's weight; the tensor shares the parameter's memory.
    pub fn weight(&self) -> Tensor {
        self.lock().weight.shallow_clone()
    }

    /// Adds a branch, replacing the one its adapter may have here.
    ///
    /// # Errors
    /// [`Error::Shape`] where the pair does not fit the layer.
    pub fn attach(&self, branch: Branch) -> Result<()> {
        let mut state = self.lock();
        let weight = state.weight.size();
        let (down, up) = (branch.down.size(), branch.up.size());
        let fits_down = down.len() == weight.len() && down[1..] == weight[1..] && down[0] > 0;
        if !fits_down {
            let expected = format!("[rank, {:?}]", &weight[1..]);
            return Err(Error::Shape { what: "LoRA down matrix", expected, actual: down });
        }
        let mut wanted = vec![1; weight.len()];
        (wanted[0], wanted[1]) = (weight[0], down[0]);
        if up != wanted {
            let expected = format!("{wanted:?}");
            return Err(Error::Shape { what: "LoRA up matrix", expected, actual: up });
        }
        state.branches.retain(|other| other.adapter != branch.adapter);
        state.branches.push(branch);
        Ok(())
    }

    /// Adds every branch's output for the layer's `input` to the layer's `output`.
    pub(crate) fn add_branches(&self, input: &Tensor, output: Tensor) -> Tensor {
        let state = self.lock();
        state.branches.iter().filter(|branch| branch.weight != 0.0).fold(
            output,
            |output, branch| {
                let input = input.to_kind(branch.down.kind());
                let none = None::<&Tensor>;
                let low_rank = match self.kind {
                    SlotKind::Linear => input.linear(&branch.down, none).linear(&branch.up, none),
                    SlotKind::Conv2d { stride, padding } => input
                        .conv2d(&branch.down, none, [stride; 2], [padding; 2], [1; 2], 1)
                        .conv2d(&branch.up, none, [1; 2], [0; 2], [1; 2], 1),
                };
                &output + (low_rank * (branch.scale * branch.weight)).to_kind(output.kind())
            },
        )
    }
}

/// All slots of a network by dotted module name; clones are the same registry.
///
/// Names are diffusers' module names, e.g.
/// `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
#[derive(Debug, Clone, Default)]
pub struct LoraSlots {
    slots: Arc<Mutex<BTreeMap<String, LoraSlot>>>,
}

impl LoraSlots {
    /// An empty registry; layers made in a [`crate::nn::Scope`] enter themselves.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LoraSlot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, name: String, slot: &LoraSlot) {
        self.lock().insert(name, slot.clone());
    }

    /// Every module name, sorted.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// The slot of a module.
    pub fn get(&self, name: &str) -> Option<LoraSlot> {
        self.lock().get(name).cloned()
    }

    /// Slots whose name is a target or ends in `.target`, as PEFT matches `target_modules`.
    pub fn matching(&self, targets: &[String]) -> Vec<(String, LoraSlot)> {
        let is_target = |name: &str| {
            targets.iter().any(|target| {
                name.strip_suffix(target.as_str())
                    .is_some_and(|head| head.is_empty() || head.ends_with('.'))
            })
        };
        self.lock()
            .iter()
            .filter(|(name, _)| is_target(name))
            .map(|(name, slot)| (name.clone(), slot.clone()))
            .collect()
    }

    /// Names of the attached adapters, sorted.
    pub fn adapters(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .lock()
            .values()
            .flat_map(|slot| {
                slot.lock().branches.iter().map(|branch| branch.adapter.clone()).collect::<Vec<_>>()
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Sets how much of an adapter is wanted.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] where no branch bears the name.
    pub fn set_weight(&self, adapter: &str, weight: f64) -> Result<()> {
        let mut found = false;
        for slot in self.lock().values() {
            for branch in slot.lock().branches.iter_mut().filter(|b| b.adapter == adapter) {
                branch.weight = weight;
                found = true;
            }
        }
        if found { Ok(()) } else { Err(self.unknown(adapter)) }
    }

    /// Takes an adapter off.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] where no branch bears the name.
    pub fn detach(&self, adapter: &str) -> Result<()> {
        let mut found = false;
        for slot in self.lock().values() {
            slot.lock().branches.retain(|branch| {
                let keep = branch.adapter != adapter;
                found |= !keep;
                keep
            });
        }
        if found { Ok(()) } else { Err(self.unknown(adapter)) }
    }

    /// Adds every branch to its layer's weight and takes the branches off.
    pub fn fuse(&self) {
        no_grad(|| {
            for slot in self.lock().values() {
                let mut state = slot.lock();
                let State { weight, branches } = &mut *state;
                for branch in branches.drain(..) {
                    let delta = branch.delta().to_kind(weight.kind());
                    let _ = weight.g_add_(&delta);
                }
            }
        });
    }

    fn unknown(&self, adapter: &str) -> Error {
        Error::UnknownAdapter { adapter: adapter.to_owned(), attached: self.adapters() }
    }
}
