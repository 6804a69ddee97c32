//! From a model's output to the clean sample or the noise it implies.

use tch::{Kind, Tensor};

use super::noise::{same_shape, upcast};
use super::{PredictionType, SchedulerConfig};
use crate::{Error, Result};

/// What is done to a predicted clean sample before it is used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    None,
    Clamp(f64),
    /// Clamped at a quantile of each sample's magnitudes (at least 1) and divided by it.
    Dynamic {
        quantile: f64,
        maximum: f64,
    },
}

impl Limit {
    /// The limit of a class that clips by default (DDPM, DDIM) or cannot clip (the others).
    pub(super) fn new(config: &SchedulerConfig, clips: bool) -> Result<Self> {
        if config.thresholding {
            let quantile = config.dynamic_thresholding_ratio;
            if !(0.0..=1.0).contains(&quantile) {
                return Err(config.unsupported("dynamic_thresholding_ratio", quantile, "0 to 1"));
            }
            return Ok(Self::Dynamic { quantile, maximum: config.sample_max_value });
        }
        Ok(if clips && config.clip_sample.unwrap_or(true) {
            Self::Clamp(config.clip_sample_range)
        } else {
            Self::None
        })
    }

    pub(super) fn apply(self, x0: Tensor) -> Tensor {
        match self {
            Self::None => x0,
            Self::Clamp(range) => x0.clamp(-range, range),
            Self::Dynamic { quantile, maximum } => {
                let shape = x0.size();
                let batch = shape.first().copied().unwrap_or(1);
                let flat = x0.reshape([batch, -1]);
                let bound = flat
                    .abs()
                    .quantile_scalar(quantile, 1, true, "linear")
                    .clamp(1.0, maximum.max(1.0));
                (flat.minimum(&bound).maximum(&-&bound) / &bound).reshape(shape)
            }
        }
    }
}

/// The predicted clean sample; `alpha` and `sigma` are the amplitudes of signal and noise.
pub(super) fn clean_sample(
    prediction: PredictionType,
    output: &Tensor,
    sample: &Tensor,
    (alpha, sigma): (f64, f64),
) -> Tensor {
    match prediction {
        PredictionType::Epsilon => combine(&[(alpha.recip(), sample), (-sigma / alpha, output)]),
        PredictionType::Sample => output.shallow_clone(),
        PredictionType::VPrediction => combine(&[(alpha, sample), (-sigma, output)]),
    }
}

/// The predicted noise; amplitudes as in [`clean_sample`].
pub(super) fn noise(
    prediction: PredictionType,
    output: &Tensor,
    sample: &Tensor,
    (alpha, sigma): (f64, f64),
) -> Tensor {
    match prediction {
        PredictionType::Epsilon => output.shallow_clone(),
        PredictionType::Sample => combine(&[(sigma.recip(), sample), (-alpha / sigma, output)]),
        PredictionType::VPrediction => combine(&[(alpha, output), (sigma, sample)]),
    }
}

/// A weighted sum; terms of weight 0 are left out, so that what they hold does not matter.
pub(super) fn combine(terms: &[(f64, &Tensor)]) -> Tensor {
    let mut sum: Option<Tensor> = None;
    for &(weight, tensor) in terms {
        if weight == 0.0 {
            continue;
        }
        let term = tensor * weight;
        sum = Some(match sum {
            None => term,
            Some(sum) => sum + term,
        });
    }
    match (sum, terms.first()) {
        (Some(sum), _) => sum,
        (None, Some((_, like))) => like.zeros_like(),
        (None, None) => Tensor::zeros([0], (Kind::Float, tch::Device::Cpu)),
    }
}

/// Checks a step's tensors and returns output and sample ready for mathematics.
pub(super) fn checked(output: &Tensor, sample: &Tensor) -> Result<(Tensor, Tensor)> {
    same_shape("model output", sample, output)?;
    let sample = upcast(sample);
    Ok((output.to_kind(sample.kind()), sample))
}

/// The noise of a step that needs some.
pub(super) fn required_noise(
    noise: Option<&Tensor>,
    sample: &Tensor,
    index: usize,
) -> Result<Tensor> {
    let noise = noise.ok_or(Error::VarianceNoiseMissing { index })?;
    same_shape("variance noise", sample, noise)?;
    Ok(noise.to_kind(sample.kind()))
}
