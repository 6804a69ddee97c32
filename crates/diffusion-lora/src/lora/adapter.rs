//! An adapter as data: pairs of matrices by module.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::{Branch, LoraSlots};
use crate::error::{Error, Result};

/// One module's pair of matrices.
#[derive(Debug)]
pub struct AdapterLayer {
    /// A, `[rank, in]` or `[rank, in, height, width]`.
    pub down: Tensor,
    /// B, `[out, rank]` or `[out, rank, 1, 1]`.
    pub up: Tensor,
    /// The output's factor, alpha / rank.
    pub scale: f64,
}

impl AdapterLayer {
    /// Number of rows of A.
    pub fn rank(&self) -> i64 {
        self.down.size().first().copied().unwrap_or(0)
    }

    /// The alpha that `scale` stands for.
    pub fn alpha(&self) -> f64 {
        self.scale * self.rank() as f64
    }

    /// The same pair with as many dimensions as a layer's weight has: linear layers and 1 × 1
    /// convolutions are interchangeable, and files mix them.
    fn shaped(&self, dimensions: usize) -> (Tensor, Tensor) {
        let reshape = |matrix: &Tensor| {
            let mut shape = matrix.size();
            if dimensions == 2 && shape.len() == 4 && shape[2..] == [1, 1] {
                shape.truncate(2);
            } else if dimensions == 4 && shape.len() == 2 {
                shape.extend([1, 1]);
            } else {
                // The tensor itself, so that a parameter stays a leaf of the graph.
                return matrix.shallow_clone();
            }
            matrix.reshape(shape)
        };
        (reshape(&self.down), reshape(&self.up))
    }
}

/// Pairs of matrices for the modules of one network.
#[derive(Debug, Default)]
pub struct Adapter {
    /// The pairs by dotted module name; in a kohya file dots are underscores, which
    /// [`Adapter::attach`] resolves.
    pub layers: BTreeMap<String, AdapterLayer>,
    /// The `target_modules` that the adapter was made with, where known.
    pub target_modules: Vec<String>,
}

impl Adapter {
    /// Whether it holds no pair.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Attaches every pair to its module under the name `adapter`, replacing one of that name.
    /// Several adapters add up, each times its `weight` ([`LoraSlots::set_weight`] changes it).
    ///
    /// # Errors
    /// [`Error::AdapterModules`] with every module the network does not have, or
    /// [`Error::Shape`]; where modules are missing nothing is attached.
    pub fn attach(&self, slots: &LoraSlots, adapter: &str, weight: f64) -> Result<()> {
        let names = resolve(slots);
        let find = |module: &String| {
            let prefixed = format!("text_model.{module}");
            names.get(module).or_else(|| names.get(&prefixed)).and_then(|name| slots.get(name))
        };
        let modules: Vec<String> =
            self.layers.keys().filter(|module| find(module).is_none()).cloned().collect();
        if !modules.is_empty() {
            return Err(Error::AdapterModules { adapter: adapter.to_owned(), modules });
        }
        for (module, layer) in &self.layers {
            let Some(slot) = find(module) else { continue };
            let target = slot.weight();
            let (down, up) = layer.shaped(target.dim());
            let place = |matrix: Tensor| matrix.to_device(target.device());
            let (down, up) = (place(down), place(up));
            slot.attach(Branch {
                adapter: adapter.to_owned(),
                down,
                up,
                scale: layer.scale,
                weight,
            })?;
        }
        Ok(())
    }

    /// A copy on the CPU in f32, apart from any graph.
    pub fn detached(&self) -> Self {
        let copy =
            |matrix: &Tensor| matrix.detach().to_device(Device::Cpu).to_kind(Kind::Float).copy();
        let layers = self.layers.iter().map(|(module, layer)| {
            let (down, up) = (copy(&layer.down), copy(&layer.up));
            (module.clone(), AdapterLayer { down, up, scale: layer.scale })
        });
        Self { layers: layers.collect(), target_modules: self.target_modules.clone() }
    }
}

/// Module names by themselves and by themselves with underscores for dots.
fn resolve(slots: &LoraSlots) -> BTreeMap<String, String> {
    slots
        .names()
        .into_iter()
        .flat_map(|name| [(name.replace('.', "_"), name.clone()), (name.clone(), name)])
        .collect()
}
