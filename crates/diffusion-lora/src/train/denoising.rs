//! What a denoiser learns from: latents, captions, and for control networks, conditions.

use rand::Rng;
use rand::distr::{Distribution, weighted::WeightedIndex};
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
        let count = self.schedule.len() as i64;
        let times: Vec<i64> = rows.iter().map(|_| rng.random_range(0..count)).collect();
        let device = self.examples.latents.device();
        let index = Tensor::from_slice(&rows).to_device(device);
        let latents = self.examples.latents.index_select(0, &index);
        let noise = random::gaussian(rng, &latents.size()).to_device(device);
        let times = Tensor::from_slice(&times).to_device(device);
        let noisy = self.schedule.add_noise(&latents, &noise, &times)?;
        let target = self.schedule.target(&latents, &noise, &times)?;
        let text = self.text.tokens(&captions)?;
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
