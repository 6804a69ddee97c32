//! Adam with decoupled weight decay, with a state that can be stored.

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::weights::Weights;

/// Settings of [`AdamW`]. Defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of a parameter taken off per step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

/// Adam with decoupled weight decay over named parameters.
///
/// # Source
/// Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with the
/// order of operations of `torch.optim.AdamW`.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    parameters: Vec<Parameter>,
    steps: i64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    mean: Tensor,
    square: Tensor,
}

impl AdamW {
    /// An optimiser over the parameters given by name; they must be leaves that want gradients.
    pub fn new(config: AdamWConfig, parameters: Vec<(String, Tensor)>) -> Self {
        let parameters = parameters
            .into_iter()
            .map(|(name, value)| {
                let (mean, square) = no_grad(|| (value.zeros_like(), value.zeros_like()));
                Parameter { name, value, mean, square }
            })
            .collect();
        Self { config, parameters, steps: 0 }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> i64 {
        self.steps
    }

    /// The parameters with their names.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|p| (p.name.as_str(), &p.value))
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.value.zero_grad();
        }
    }

    /// Scales all gradients so that their joint L2 norm is at most `limit`; returns the norm
    /// before.
    pub fn clip_grad_norm(&mut self, limit: f64) -> f64 {
        no_grad(|| {
            let grads: Vec<Tensor> =
                self.parameters.iter().map(|p| p.value.grad()).filter(Tensor::defined).collect();
            let squares: Vec<Tensor> = grads.iter().map(|g| g.norm().square()).collect();
            if squares.is_empty() {
                return 0.0;
            }
            let norm = Tensor::stack(&squares, 0).sum(tch::Kind::Double).sqrt().double_value(&[]);
            if norm > limit {
                let factor = limit / (norm + 1e-6);
                for mut grad in grads {
                    let _ = grad.g_mul_scalar_(factor);
                }
            }
            norm
        })
    }

    /// Takes one step with the gradients that are there; a parameter without one stays.
    pub fn step(&mut self, learning_rate: f64) {
        self.steps += 1;
        let AdamWConfig { beta1, beta2, eps, weight_decay } = self.config;
        let correction1 = 1.0 - beta1.powi(self.steps as i32);
        let correction2 = (1.0 - beta2.powi(self.steps as i32)).sqrt();
        no_grad(|| {
            for Parameter { value, mean, square, .. } in &mut self.parameters {
                let grad = value.grad();
                if !grad.defined() {
                    continue;
                }
                let _ = value.g_mul_scalar_(1.0 - learning_rate * weight_decay);
                let _ = mean.lerp_(&grad, 1.0 - beta1);
                let _ = square.g_mul_scalar_(beta2).addcmul_(&grad, &(&grad * (1.0 - beta2)));
                let denominator = square.sqrt() / correction2 + eps;
                let _ = value.addcdiv_(&(&*mean * (-learning_rate / correction1)), &denominator);
            }
        });
    }

    /// Adds parameters and moments to a checkpoint under `parameter.`, `mean.`, `square.`.
    pub fn store(&self, weights: &mut Weights) {
        for Parameter { name, value, mean, square } in &self.parameters {
            weights.insert(format!("parameter.{name}"), value.detach());
            weights.insert(format!("mean.{name}"), mean.shallow_clone());
            weights.insert(format!("square.{name}"), square.shallow_clone());
        }
    }

    /// Takes parameters and moments from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where a tensor is missing or has another shape.
    pub fn restore(&mut self, weights: &Weights, steps: i64) -> Result<()> {
        no_grad(|| {
            for Parameter { name, value, mean, square } in &mut self.parameters {
                for (prefix, target) in [("parameter", value), ("mean", mean), ("square", square)] {
                    let key = format!("{prefix}.{name}");
                    let stored = weights.get(&key).filter(|t| t.size() == target.size());
                    let Some(stored) = stored else {
                        let path = weights.origin().to_owned();
                        return Err(Error::Checkpoint { path, tensor: key });
                    };
                    target.f_copy_(stored)?;
                }
            }
            self.steps = steps;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::OptimizerConfig;
    use tch::{Device, Kind, nn};

    /// Five steps on a small least-squares problem, with libtorch's own optimiser as the twin.
    #[test]
    fn agrees_with_libtorch() {
        let start = Tensor::from_slice(&[0.5_f32, -1.0, 2.0, 0.0]);
        let target = Tensor::from_slice(&[1.0_f32, 1.0, -1.0, 3.0]);
        let loss = |w: &Tensor| (w - &target).square().mean(Kind::Float);
        let ours = start.copy().set_requires_grad(true);
        let mut adam = AdamW::new(AdamWConfig::default(), vec![("w".into(), ours.shallow_clone())]);
        let store = nn::VarStore::new(Device::Cpu);
        let theirs = store.root().var_copy("w", &start);
        let mut twin = nn::AdamW { wd: 0.01, ..nn::AdamW::default() }
            .build(&store, 0.05)
            .expect("libtorch has AdamW");
        for _ in 0..5 {
            adam.zero_grad();
            loss(&ours).backward();
            adam.step(0.05);
            twin.backward_step(&loss(&theirs));
        }
        let gap = (ours - theirs).abs().max().double_value(&[]);
        assert!(gap < 1e-6, "{gap}");
    }

    #[test]
    fn clipping_limits_the_joint_norm() {
        let w = Tensor::from_slice(&[3.0_f32, 4.0]).set_requires_grad(true);
        let mut adam = AdamW::new(AdamWConfig::default(), vec![("w".into(), w.shallow_clone())]);
        (w.square().sum(Kind::Float) * 0.5).backward();
        assert!((adam.clip_grad_norm(1.0) - 5.0).abs() < 1e-5);
        assert!((w.grad().norm().double_value(&[]) - 1.0).abs() < 1e-4);
    }
}
