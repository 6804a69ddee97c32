//! Random tensors that are the same bytes for the same seed on every device.
//!
//! Numbers are drawn on the CPU from `ChaCha8` and uploaded; libtorch's own generator, which is
//! process-wide and differs between devices, is never asked.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

/// Standard normal numbers in f32 on the CPU, by Box and Muller's transform in f64.
///
/// ```
/// use rand::SeedableRng;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
/// let noise = diffusion_lora::random::gaussian(&mut rng, &[2, 4, 8]);
/// assert_eq!(noise.size(), [2, 4, 8]);
/// ```
pub fn gaussian(rng: &mut ChaCha8Rng, shape: &[i64]) -> Tensor {
    let count = element_count(shape);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.truncate(count);
    Tensor::from_slice(&values).reshape(shape)
}

/// Numbers uniform in [-bound, bound) in f32 on the CPU.
pub fn uniform(rng: &mut ChaCha8Rng, shape: &[i64], bound: f64) -> Tensor {
    let values: Vec<f32> = (0..element_count(shape))
        .map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32)
        .collect();
    Tensor::from_slice(&values).reshape(shape)
}

fn element_count(shape: &[i64]) -> usize {
    shape.iter().product::<i64>().max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn gaussian_has_unit_moments_and_repeats() {
        let draw = || gaussian(&mut ChaCha8Rng::seed_from_u64(3), &[20_001]);
        let sample = draw();
        assert!(sample.mean(tch::Kind::Double).double_value(&[]).abs() < 0.03);
        assert!((sample.std(true).double_value(&[]) - 1.0).abs() < 0.03);
        assert_eq!(sample, draw());
    }

    #[test]
    fn uniform_stays_in_its_bound() {
        let sample = uniform(&mut ChaCha8Rng::seed_from_u64(3), &[1000], 0.25);
        let largest = sample.abs().max().double_value(&[]);
        assert!((0.2..=0.25).contains(&largest), "{largest}");
    }
}
