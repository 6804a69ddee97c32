//! What a denoiser learns from: latents, captions, and for control networks, conditions.

use rand::distr::{Distribution, weighted::WeightedIndex};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, no_grad};

use crate::denoiser::{Control, Denoiser};
use crate::error::{Error, Result};
use crate::random;
use crate::schedule::NoiseSchedule;
use crate::text::ClipText;

/// Encoded images with their captions.
///
/// # Shapes
/// `latents` `[examples, ...]`; `conditions` `[examples, channels, height, width]` of `u8`, 0 to 255.
#[derive(Debug)]
pub struct Examples {
    /// Latents of the images.
    pub latents: Tensor,
    /// Row of the text table for each example.
    pub captions: Vec<i64>,
    /// Condition images, for control networks.
    pub conditions: Option<Tensor>,
    /// How often each example is drawn, relative to the others.
    pub weights: Vec<f64>,
}

/// What a network is trained on: examples, and the schedule that makes them noisy.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// The examples.
    pub examples: &'a Examples,
    /// The noise schedule.
    pub schedule: &'a NoiseSchedule,
}

/// How captions become tokens.
#[derive(Debug)]
pub enum TextConditioning<'a> {
    /// The encoder is frozen: `[captions + 1, tokens, width]`, the last row of the empty caption.
    Frozen(Tensor),
    /// The encoder learns too: `ids` `[captions + 1, tokens]`, the last row of the empty caption.
    Trained {
        /// The encoder.
        encoder: &'a ClipText,
        /// Token ids of every caption.
        ids: Tensor,
    },
}

impl TextConditioning<'_> {
    /// Number of captions, the empty one not counted.
    fn len(&self) -> i64 {
        match self {
            Self::Frozen(table) => table.size()[0] - 1,
            Self::Trained { ids, .. } => ids.size()[0] - 1,
        }
    }

    fn tokens(&self, rows: &[i64]) -> Result<Tensor> {
        match self {
            Self::Frozen(table) => {
                Ok(table.index_select(0, &Tensor::from_slice(rows).to_device(table.device())))
            }
            Self::Trained { encoder, ids } => {
                let rows = Tensor::from_slice(rows).to_device(ids.device());
                encoder.encode(&ids.index_select(0, &rows), 0)
            }
        }
    }
}

/// The denoising objective: mean squared error against the schedule's target at random times.
///
/// The times of a batch are spread evenly from one random start, each as likely as any other
/// but the batch covering all of them: less noise in the loss for nothing (Kingma et al. 2021,
/// "Variational Diffusion Models", section I.1).
pub struct Denoising<'a> {
    denoiser: &'a dyn Denoiser,
    control: Option<&'a dyn Control>,
    schedule: &'a NoiseSchedule,
    examples: &'a Examples,
    text: &'a TextConditioning<'a>,
    draw: WeightedIndex<f64>,
    batch_size: usize,
    caption_dropout: f64,
}

impl<'a> Denoising<'a> {
    /// Joins the parts.
    ///
    /// # Errors
    /// [`Error::Examples`] where there are none, or their captions, weights and conditions do
    /// not fit together.
    pub fn new(
        denoiser: &'a dyn Denoiser,
        control: Option<&'a dyn Control>,
        material: Material<'a>,
        text: &'a TextConditioning<'a>,
        batch_size: usize,
        caption_dropout: f64,
    ) -> Result<Self> {
        let Material { examples, schedule } = material;
        let count = examples.latents.size().first().copied().unwrap_or(0);
        let refuse = |reason| Err(Error::Examples { reason });
        if count < 1 || batch_size < 1 {
            return refuse("there must be at least one example and a batch of at least one");
        }
        let conditions = examples.conditions.as_ref().map_or(count, |c| c.size()[0]);
        if examples.captions.len() as i64 != count || conditions != count {
            return refuse("there must be one caption and one condition an example");
        }
        if control.is_some() && examples.conditions.is_none() {
            return refuse("a control network needs a condition for every example");
        }
        if examples.captions.iter().any(|row| !(0..text.len()).contains(row)) {
            return refuse("a caption is not in the text table");
        }
        let draw = WeightedIndex::new(&examples.weights).ok();
        let Some(draw) = draw.filter(|_| examples.weights.len() as i64 == count) else {
            return refuse("there must be one weight an example, not negative and not all zero");
        };
        Ok(Self { denoiser, control, schedule, examples, text, draw, batch_size, caption_dropout })
    }

    /// The loss of one random batch: a scalar that gradients flow back from.
    ///
    /// # Errors
    /// What the networks return for shapes that do not fit.
    pub fn loss(&self, rng: &mut ChaCha8Rng) -> Result<Tensor> {
        let rows: Vec<i64> = (0..self.batch_size).map(|_| self.draw.sample(rng) as i64).collect();
        let empty = self.text.len();
        let captions: Vec<i64> = rows
            .iter()
            .map(|row| {
                let dropped = rng.random::<f64>() < self.caption_dropout;
                if dropped { empty } else { self.examples.captions[*row as usize] }
            })
            .collect();
        let start = rng.random::<f64>();
        let times = self.spread_times(rows.len(), start);
        self.loss_of(&rows, &captions, &times, rng)
    }

    /// The mean loss of every example with its own caption, at times spread evenly over the
    /// schedule, with noise from `seed`: a yardstick, the same for the same weights, to see training
    /// progress by.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn fixed_loss(&self, seed: u64) -> Result<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows: Vec<i64> = (0..self.examples.captions.len() as i64).collect();
        rows.shuffle(&mut rng);
        let times = self.spread_times(rows.len(), 0.5);
        let mut sum = 0.0;
        for (rows, times) in rows.chunks(self.batch_size).zip(times.chunks(self.batch_size)) {
            let captions: Vec<i64> =
                rows.iter().map(|row| self.examples.captions[*row as usize]).collect();
            let mean = no_grad(|| self.loss_of(rows, &captions, times, &mut rng))?;
            sum += mean.double_value(&[]) * rows.len() as f64;
        }
        Ok(sum / rows.len() as f64)
    }

    /// One time in each of `count` equal parts of the schedule, at the same place in every part.
    fn spread_times(&self, count: usize, place: f64) -> Vec<i64> {
        let length = self.schedule.len() as f64;
        let time = |part| (((part as f64 + place) / count as f64) * length) as i64;
        (0..count).map(|part| time(part).min(self.schedule.len() as i64 - 1)).collect()
    }

    /// The loss of some examples with given captions and times.
    fn loss_of(
        &self,
        rows: &[i64],
        captions: &[i64],
        times: &[i64],
        rng: &mut ChaCha8Rng,
    ) -> Result<Tensor> {
        let device = self.examples.latents.device();
        let index = Tensor::from_slice(rows).to_device(device);
        let latents = self.examples.latents.index_select(0, &index);
        let noise = random::gaussian(rng, &latents.size()).to_device(device);
        let times = Tensor::from_slice(times).to_device(device);
        let noisy = self.schedule.add_noise(&latents, &noise, &times)?;
        let target = self.schedule.target(&latents, &noise, &times)?;
        let text = self.text.tokens(captions)?;
        let residuals = match (self.control, &self.examples.conditions) {
            (Some(control), Some(conditions)) => {
                let batch =
                    no_grad(|| conditions.index_select(0, &index).to_kind(Kind::Float) / 255.0);
                Some(control.residuals(&noisy, &times, &text, &batch, 1.0)?)
            }
            _ => None,
        };
        let prediction = self.denoiser.predict(&noisy, &times, &text, residuals.as_ref())?;
        Ok((prediction - target).to_kind(Kind::Float).square().mean(Kind::Float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::LoraSlots;
    use crate::schedule::{SchedulerClass, SchedulerConfig};
    use tch::kind::{FLOAT_CPU, INT64_CPU};

    /// Predicts a constant.
    #[derive(Debug)]
    struct Constant(Tensor, LoraSlots);

    impl Denoiser for Constant {
        fn predict(
            &self,
            latents: &Tensor,
            _timesteps: &Tensor,
            _text: &Tensor,
            _residuals: Option<&crate::denoiser::Residuals>,
        ) -> Result<Tensor> {
            Ok(self.0.expand_as(latents))
        }

        fn lora_slots(&self) -> &LoraSlots {
            &self.1
        }
    }

    #[test]
    fn the_yardstick_is_the_same_for_the_same_weights_and_only_for_them() {
        let schedule = NoiseSchedule::new(&SchedulerConfig::cosine(SchedulerClass::Ddim))
            .expect("a supported schedule");
        let examples = Examples {
            latents: Tensor::arange(3 * 2 * 4, FLOAT_CPU).cos().reshape([3, 2, 4]),
            captions: vec![0, 0, 0],
            conditions: None,
            weights: vec![1.0; 3],
        };
        let text = TextConditioning::Frozen(Tensor::zeros([2, 1, 4], FLOAT_CPU));
        let yardstick = |value: f64, seed| {
            let denoiser = Constant(Tensor::from(value as f32), LoraSlots::new());
            let material = Material { examples: &examples, schedule: &schedule };
            let denoising = Denoising::new(&denoiser, None, material, &text, 2, 0.5)?;
            denoising.fixed_loss(seed)
        };
        let bits = |value, seed| yardstick(value, seed).expect("shapes that fit").to_bits();
        let loss = yardstick(0.0, 1).expect("shapes that fit");
        assert!(loss > 0.0);
        assert_eq!(bits(0.0, 1), loss.to_bits());
        assert_ne!(bits(0.0, 2), loss.to_bits());
        assert!(yardstick(3.0, 1).expect("shapes that fit") > loss + 4.0);
    }

    #[test]
    fn a_batch_has_one_time_in_each_part_of_the_schedule() {
        let schedule = NoiseSchedule::new(&SchedulerConfig::cosine(SchedulerClass::Ddim))
            .expect("a supported schedule");
        let examples = Examples {
            latents: Tensor::zeros([1, 1, 1], FLOAT_CPU),
            captions: vec![0],
            conditions: None,
            weights: vec![1.0],
        };
        let text = TextConditioning::Frozen(Tensor::zeros([2, 1, 1], INT64_CPU));
        let denoiser = Constant(Tensor::from(0.0_f32), LoraSlots::new());
        let material = Material { examples: &examples, schedule: &schedule };
        let denoising =
            Denoising::new(&denoiser, None, material, &text, 1, 0.0).expect("one example");
        assert_eq!(denoising.spread_times(4, 0.0), [0, 250, 500, 750]);
        assert_eq!(denoising.spread_times(4, 0.999_99), [249, 499, 749, 999]);
    }
}
