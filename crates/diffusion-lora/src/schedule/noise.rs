//! The forward process: betas, cumulative alphas, and what a training step needs of them.

use tch::{Kind, Tensor};

use super::{BetaSchedule, PredictionType, SchedulerConfig};
use crate::{Error, Result};

/// The noise of every training timestep.
///
/// A noisy sample at timestep `t` is `sqrt(a[t]) x0 + sqrt(1 - a[t]) noise`, with `a` the cumulative
/// product of `1 - beta`. Tables are `f64` values that were rounded to `f32` where diffusers rounds
/// them, so that derived timesteps and noise levels agree with what published models were trained on.
///
/// ```
/// use diffusion_lora::schedule::{NoiseSchedule, PredictionType, SchedulerClass, SchedulerConfig};
///
/// let config = SchedulerConfig::stable_diffusion(SchedulerClass::Ddpm, PredictionType::Epsilon);
/// let noise = NoiseSchedule::new(&config)?;
/// assert_eq!(noise.len(), 1000);
/// assert!(noise.alphas_cumprod()[0] > 0.999 && noise.alphas_cumprod()[999] < 0.005);
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
    prediction_type: PredictionType,
}

impl NoiseSchedule {
    /// Computes the tables of a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if there are no timesteps, if a beta is outside (0, 1), or if
    /// `trained_betas` has another length than `num_train_timesteps`.
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        let steps = config.num_train_timesteps;
        if !(1..=1_000_000).contains(&steps) {
            return Err(config.unsupported("num_train_timesteps", steps, "1 to 1000000"));
        }
        let mut betas = raw_betas(config)?;
        if let Some(bad) = betas.iter().find(|b| !(**b > 0.0 && **b < 1.0)) {
            return Err(config.unsupported("betas", bad, "numbers between 0 and 1"));
        }
        if config.rescale_betas_zero_snr {
            if steps < 2 {
                return Err(config.unsupported("num_train_timesteps", steps, "2 or more"));
            }
            betas = zero_terminal_snr(&betas);
        }
        let alphas_cumprod = cumulative_alphas(&betas);
        Ok(Self { betas, alphas_cumprod, prediction_type: config.prediction_type })
    }

    /// Number of training timesteps.
    pub fn len(&self) -> usize {
        self.betas.len()
    }

    /// Never: there is at least one timestep.
    pub fn is_empty(&self) -> bool {
        self.betas.is_empty()
    }

    /// Variance added at each timestep.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// Share of the clean sample's variance left at each timestep.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// What a model trained on this schedule predicts.
    pub fn prediction_type(&self) -> PredictionType {
        self.prediction_type
    }

    /// Noise levels `sqrt((1 - a) / a)` of the variance-exploding view.
    pub fn sigmas(&self) -> Vec<f64> {
        self.alphas_cumprod.iter().map(|&a| sigma_of_alpha(a)).collect()
    }

    /// Samples mixed with noise.
    ///
    /// # Shapes
    /// `x0` and `noise` `[batch, ...]`, `timesteps` `[batch]` of `i64`; result as `x0`, in its kind.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, [`Error::TimestepOutOfRange`] for a timestep that
    /// is not in the schedule.
    pub fn add_noise(&self, x0: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor> {
        same_shape("noise", x0, noise)?;
        let (signal, sigma) = self.coefficients(x0, timesteps)?;
        Ok((signal * upcast(x0) + sigma * upcast(noise)).to_kind(x0.kind()))
    }

    /// The velocity `sqrt(a) noise - sqrt(1 - a) x0`.
    ///
    /// # Shapes
    /// As [`add_noise`](Self::add_noise).
    ///
    /// # Errors
    /// As [`add_noise`](Self::add_noise).
    pub fn velocity(&self, x0: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor> {
        same_shape("noise", x0, noise)?;
        let (signal, sigma) = self.coefficients(x0, timesteps)?;
        Ok((signal * upcast(noise) - sigma * upcast(x0)).to_kind(x0.kind()))
    }

    /// What the model should output for these samples: noise, velocity or the samples themselves.
    ///
    /// # Shapes
    /// As [`add_noise`](Self::add_noise).
    ///
    /// # Errors
    /// As [`add_noise`](Self::add_noise).
    pub fn target(&self, x0: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor> {
        match self.prediction_type {
            PredictionType::Epsilon => Ok(noise.shallow_clone()),
            PredictionType::Sample => Ok(x0.shallow_clone()),
            PredictionType::VPrediction => self.velocity(x0, noise, timesteps),
        }
    }

    /// Signal-to-noise ratio `a / (1 - a)` of one timestep.
    ///
    /// # Errors
    /// [`Error::TimestepOutOfRange`].
    pub fn snr(&self, timestep: i64) -> Result<f64> {
        let a = self.alpha(timestep)?;
        Ok(a / (1.0 - a))
    }

    /// Min-SNR loss weights, one for each sample of a batch.
    ///
    /// # Shapes
    /// `timesteps` `[batch]`; result `[batch]` of `f32` on the same device.
    ///
    /// # Errors
    /// [`Error::TimestepOutOfRange`].
    ///
    /// # Source
    /// Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4;
    /// for velocity the weight is divided by `snr + 1` in place of `snr`.
    pub fn min_snr_weights(&self, timesteps: &Tensor, gamma: f64) -> Result<Tensor> {
        let mut weights = Vec::new();
        for t in timestep_values(timesteps)? {
            let snr = self.snr(t)?;
            let clipped = snr.min(gamma);
            weights.push(match self.prediction_type {
                PredictionType::Epsilon if snr > 0.0 => clipped / snr,
                PredictionType::Epsilon => 1.0,
                PredictionType::VPrediction => clipped / (snr + 1.0),
                PredictionType::Sample => clipped,
            } as f32);
        }
        Ok(Tensor::from_slice(&weights).to_device(timesteps.device()))
    }

    /// The cumulative alpha of a timestep.
    pub(super) fn alpha(&self, timestep: i64) -> Result<f64> {
        usize::try_from(timestep)
            .ok()
            .and_then(|t| self.alphas_cumprod.get(t))
            .copied()
            .ok_or(Error::TimestepOutOfRange { timestep, timesteps: self.len() })
    }

    /// `sqrt(a)` and `sqrt(1 - a)` as `[batch, 1, ...]`.
    fn coefficients(&self, x0: &Tensor, timesteps: &Tensor) -> Result<(Tensor, Tensor)> {
        let values = timestep_values(timesteps)?;
        if x0.size().first() != Some(&(values.len() as i64)) {
            return Err(Error::Shape {
                what: "timesteps",
                expected: format!("{:?}", &x0.size()[..x0.dim().min(1)]),
                actual: timesteps.size(),
            });
        }
        let (mut signal, mut sigma) = (Vec::new(), Vec::new());
        for t in values {
            let a = self.alpha(t)?;
            signal.push(a.sqrt());
            sigma.push((1.0 - a).sqrt());
        }
        let mut shape = vec![1; x0.dim()];
        shape[0] = signal.len() as i64;
        let place = |table: Vec<f64>| {
            Tensor::from_slice(&table).reshape(&shape).to_kind(step_kind(x0)).to_device(x0.device())
        };
        Ok((place(signal), place(sigma)))
    }
}

/// `sqrt((1 - a) / a)` with diffusers' single-precision rounding.
pub(super) fn sigma_of_alpha(alpha_cumprod: f64) -> f64 {
    let a = alpha_cumprod as f32;
    f64::from(((1.0 - a) / a).sqrt())
}

/// The kind that step mathematics runs in: `f64` stays, everything else is `f32`.
pub(super) fn step_kind(tensor: &Tensor) -> Kind {
    if tensor.kind() == Kind::Double { Kind::Double } else { Kind::Float }
}

/// The tensor in [`step_kind`].
pub(super) fn upcast(tensor: &Tensor) -> Tensor {
    tensor.to_kind(step_kind(tensor))
}

/// Refuses a tensor whose shape is not that of `like`.
pub(super) fn same_shape(what: &'static str, like: &Tensor, tensor: &Tensor) -> Result<()> {
    if like.size() == tensor.size() && like.device() == tensor.device() {
        return Ok(());
    }
    if like.size() == tensor.size() {
        return Err(Error::Device { what, expected: like.device(), actual: tensor.device() });
    }
    Err(Error::Shape { what, expected: format!("{:?}", like.size()), actual: tensor.size() })
}

fn timestep_values(timesteps: &Tensor) -> Result<Vec<i64>> {
    if timesteps.dim() != 1 || timesteps.kind() != Kind::Int64 {
        return Err(Error::Shape {
            what: "timesteps",
            expected: "[batch] of i64".to_owned(),
            actual: timesteps.size(),
        });
    }
    Ok(timesteps.iter::<i64>()?.collect())
}

/// Evenly spaced single-precision numbers, both ends included.
fn linspace(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    if count == 1 {
        return vec![start];
    }
    let step = (end - start) / (count - 1) as f32;
    let half = count >> 1;
    // From both ends, as libtorch does, so that the table is symmetric in its rounding.
    (0..count)
        .map(
            |i| {
                if i < half { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 }
            },
        )
        .collect()
}

fn raw_betas(config: &SchedulerConfig) -> Result<Vec<f64>> {
    let count = config.num_train_timesteps;
    if let Some(betas) = &config.trained_betas {
        if betas.len() != count {
            return Err(config.unsupported(
                "trained_betas",
                format!("{} numbers", betas.len()),
                "num_train_timesteps numbers",
            ));
        }
        return Ok(betas.iter().map(|&b| f64::from(b as f32)).collect());
    }
    let (start, end) = (config.beta_start, config.beta_end);
    Ok(match config.beta_schedule {
        BetaSchedule::Linear => linspace(start, end, count).into_iter().map(f64::from).collect(),
        BetaSchedule::ScaledLinear => linspace(start.sqrt(), end.sqrt(), count)
            .into_iter()
            .map(|root| f64::from(root * root))
            .collect(),
        BetaSchedule::SquaredCosCapV2 => squared_cosine(count),
        BetaSchedule::Sigmoid => linspace(-6.0, 6.0, count)
            .into_iter()
            .map(|x| {
                let sigmoid = 1.0 / (1.0 + (-x).exp());
                f64::from(sigmoid * (end - start) as f32 + start as f32)
            })
            .collect(),
    })
}

/// The largest beta of a schedule whose noise grows without bound.
pub(super) const MAX_BETA: f64 = 0.999;

/// Betas whose cumulative alphas follow a squared cosine.
fn squared_cosine(count: usize) -> Vec<f64> {
    // The quotients must be taken in floating point: with integers all betas but the last are 0.
    let alpha_bar = |i: usize| {
        let t = i as f64 / count as f64;
        ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
    };
    (0..count)
        .map(|i| f64::from((1.0 - alpha_bar(i + 1) / alpha_bar(i)).min(MAX_BETA) as f32))
        .collect()
}

/// Shifts and scales the square roots of the cumulative alphas so that the last one is 0
/// (Lin et al. 2023, algorithm 1).
fn zero_terminal_snr(betas: &[f64]) -> Vec<f64> {
    let roots: Vec<f32> = cumulative_alphas(betas).into_iter().map(|a| (a as f32).sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let bars: Vec<f32> = roots
        .iter()
        .map(|root| {
            let moved = (root - last) * scale;
            moved * moved
        })
        .collect();
    let mut previous = 1.0_f32;
    bars.iter()
        .map(|&bar| {
            let alpha = bar / previous;
            previous = bar;
            f64::from(1.0 - alpha)
        })
        .collect()
}

/// Running product of `1 - beta`: summed in double, each entry rounded to single, as libtorch does.
fn cumulative_alphas(betas: &[f64]) -> Vec<f64> {
    let mut product = 1.0_f64;
    betas
        .iter()
        .map(|&beta| {
            product *= f64::from(1.0 - beta as f32);
            f64::from(product as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::SchedulerClass;

    #[test]
    fn squared_cosine_is_not_the_integer_trap() {
        let betas = squared_cosine(1000);
        assert!(betas.iter().all(|&b| b > 0.0));
        assert!(betas.windows(2).all(|w| w[0] <= w[1]), "monotone");
        assert!((betas[500] - 0.003_155).abs() < 1e-4, "{}", betas[500]);
        assert!((betas[999] - 0.999).abs() < 1e-6);
    }

    #[test]
    fn zero_terminal_snr_ends_in_pure_noise() {
        let mut config =
            SchedulerConfig::stable_diffusion(SchedulerClass::Ddim, PredictionType::VPrediction);
        let plain = NoiseSchedule::new(&config).expect("defaults");
        config.rescale_betas_zero_snr = true;
        let rescaled = NoiseSchedule::new(&config).expect("defaults");
        assert_eq!(rescaled.alphas_cumprod()[999].to_bits(), 0.0_f64.to_bits());
        assert!((rescaled.alphas_cumprod()[0] - plain.alphas_cumprod()[0]).abs() < 1e-6);
    }

    #[test]
    fn noise_and_velocity_are_a_rotation() {
        let noise = NoiseSchedule::new(&SchedulerConfig::default()).expect("defaults");
        let x0 = Tensor::from_slice(&[0.5_f64, -1.0, 2.0, 0.25]).reshape([2, 2]);
        let eps = Tensor::from_slice(&[1.0_f64, 0.1, -0.3, 0.7]).reshape([2, 2]);
        let t = Tensor::from_slice(&[10_i64, 900]);
        let noisy = noise.add_noise(&x0, &eps, &t).expect("shapes fit");
        let velocity = noise.velocity(&x0, &eps, &t).expect("shapes fit");
        for (row, t) in [10, 900].into_iter().enumerate() {
            let a = noise.alpha(t).expect("in range");
            let back =
                noisy.get(row as i64) * a.sqrt() - velocity.get(row as i64) * (1.0 - a).sqrt();
            let gap = (back - x0.get(row as i64)).abs().max().double_value(&[]);
            assert!(gap < 1e-12, "{gap}");
        }
    }

    #[test]
    fn wrong_input_is_an_error() {
        let noise = NoiseSchedule::new(&SchedulerConfig::default()).expect("defaults");
        let x = Tensor::from_slice(&[0.5_f32, 1.0]).reshape([2, 1]);
        let far = Tensor::from_slice(&[0_i64, 1000]);
        assert!(matches!(
            noise.add_noise(&x, &x, &far),
            Err(Error::TimestepOutOfRange { timestep: 1000, timesteps: 1000 })
        ));
        let short = Tensor::from_slice(&[0_i64]);
        assert!(matches!(noise.add_noise(&x, &x, &short), Err(Error::Shape { .. })));
        assert!(matches!(noise.velocity(&x, &x.reshape([1, 2]), &short), Err(Error::Shape { .. })));
    }

    #[test]
    fn min_snr_weights_follow_the_paper() {
        let noise = NoiseSchedule::new(&SchedulerConfig::default()).expect("defaults");
        let t = Tensor::from_slice(&[0_i64, 999]);
        let weights: Vec<f32> = noise
            .min_snr_weights(&t, 5.0)
            .expect("in range")
            .iter::<f64>()
            .expect("numbers")
            .map(|w| w as f32)
            .collect();
        let snr0 = noise.snr(0).expect("in range");
        assert!((f64::from(weights[0]) - 5.0 / snr0).abs() < 1e-6);
        assert!((weights[1] - 1.0).abs() < 1e-6);
    }
}
