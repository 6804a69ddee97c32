//! Fitting a row autoencoder.

use std::ops::ControlFlow;
use std::path::PathBuf;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, no_grad};

use super::{Outcome, Progress, TrainConfig, Trainer};
use crate::autoencoder::{ColumnWeights, RowAutoencoder, RowPlanes, row_loss, standardise};
use crate::error::{Error, Result};
use crate::model::{Model, Network};
use crate::random;

/// The rows that a row autoencoder learns from, and how.
#[derive(Debug)]
pub struct RowTraining {
    /// Groups of images `[3, height, columns]` of `u8`; a batch takes the same number of rows from
    /// every group, so that a small group is not drowned by a large one.
    pub groups: Vec<Vec<Tensor>>,
    /// How much each column counts.
    pub weights: ColumnWeights,
    /// Chance, one a column, that a foreground pixel of an augmented row changes its colour, so
    /// that values never seen are reconstructed as well as common ones.
    pub flips: Vec<f32>,
    /// The same for columns whose value is not asked for in an augmented row: so the code of one column
    /// does not lean on another that happens to go with it in the training images, and costs no
    /// capacity.
    pub scrambles: Vec<f32>,
    /// Share of rows that are augmented.
    pub augmented_share: f64,
    /// Standard deviation of the noise on latents in training.
    pub latent_noise: f64,
}

/// Trains `model` and sets its latent statistics from all rows; of columns whose value weighs nothing
/// it says nothing afterwards. Returns the losses too.
///
/// # Errors
/// [`Error::Examples`] where there are no rows or the weights have another width than the
/// model; otherwise as [`Trainer::run`].
pub fn fit_row_autoencoder(
    model: &mut Model<RowAutoencoder>,
    training: &RowTraining,
    config: &TrainConfig,
    checkpoint: Option<PathBuf>,
    observe: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Outcome, Vec<f32>)> {
    let columns = model.config().columns;
    let RowTraining { groups, weights, flips, scrambles, .. } = training;
    let widths = [weights.presence.len(), weights.value.len(), flips.len(), scrambles.len()];
    if groups.is_empty() || groups.iter().any(Vec::is_empty) {
        return Err(Error::Examples { reason: "every group of images must have at least one" });
    }
    if widths.iter().any(|w| *w as i64 != columns) {
        return Err(Error::Examples { reason: "there must be one weight a column" });
    }
    let device = model.store().device();
    let weight_rows = Tensor::stack(
        &[Tensor::from_slice(&weights.presence), Tensor::from_slice(&weights.value)],
        0,
    )
    .to_device(device);
    let augmentation = Augmentation {
        flips: Tensor::from_slice(flips) * varying_columns(model.network(), groups)?,
        scrambles: Tensor::from_slice(scrambles),
        share: training.augmented_share,
    };
    let parameters = model.trainable();
    let mut trainer = Trainer::new(config.clone(), parameters, checkpoint);
    trainer.resume()?;
    let network = model.network();
    let outcome = trainer.run(
        |rng| {
            let mut planes = batch(network, groups, config.batch_size, rng)?;
            let asked = augmentation.apply(&mut planes, rng);
            let latents = standardise(&network.encode_rows(&planes));
            // Every row its own noise level, so that the decoder knows clean latents too.
            let size = latents.size();
            let level =
                random::uniform(rng, &[size[0], 1], 1.0).abs() * (2.0 * training.latent_noise);
            let noise = (random::gaussian(rng, &size) * level).to_device(device);
            Ok(row_loss(&planes, &network.decode_rows(&(latents + noise)), &weight_rows, &asked))
        },
        observe,
    )?;
    let losses = trainer.losses().to_vec();
    trainer.use_average();
    let (mean, std) = statistics(model.network(), groups)?;
    model.network_mut().set_statistics(&mean, &std);
    model.network_mut().silence_values(&weight_rows.select(0, 1).eq(0.0));
    Ok((outcome, losses))
}

fn batch(
    network: &RowAutoencoder,
    groups: &[Vec<Tensor>],
    batch_size: usize,
    rng: &mut ChaCha8Rng,
) -> Result<RowPlanes> {
    let each = batch_size.div_ceil(groups.len());
    // Rows of one image lie together; a batch takes short runs from several images.
    let run = each.div_ceil(16).max(1) as i64;
    let mut parts = Vec::new();
    for group in groups {
        let mut left = each as i64;
        while left > 0 {
            let image = &group[rng.random_range(0..group.len())];
            let height = image.size()[1];
            let index: Vec<i64> = (0..run.min(left)).map(|_| rng.random_range(0..height)).collect();
            parts.push(image.index_select(1, &Tensor::from_slice(&index)));
            left -= run;
        }
    }
    let images = Tensor::cat(&parts, 1).unsqueeze(0).to_kind(Kind::Float) / 127.5 - 1.0;
    network.planes(&images.to_device(network.device()))
}

/// Changes to some rows of a batch.
struct Augmentation {
    flips: Tensor,
    scrambles: Tensor,
    share: f64,
}

impl Augmentation {
    /// Augments the first rows (rows come in random order) and returns which values are asked
    /// for, `[rows, columns]`.
    fn apply(&self, planes: &mut RowPlanes, rng: &mut ChaCha8Rng) -> Tensor {
        let size = planes.sign.size();
        let asked = Tensor::ones_like(&planes.sign);
        let rows = (size[0] as f64 * self.share) as i64;
        if rows == 0 {
            return asked;
        }
        let device = planes.sign.device();
        let picks: Vec<i64> = (0..rows).map(|_| rng.random_range(0..size[0])).collect();
        let picks = Tensor::from_slice(&picks).to_device(device);
        let strength = random::uniform(rng, &[rows, 1], 1.0).abs() * 2.0;
        let draws = random::uniform(rng, &[rows, size[1]], 1.0).abs();
        let changed = draws.lt_tensor(&(strength * &self.flips + &self.scrambles));
        let sign: Tensor = 1.0 - changed.to_kind(Kind::Float) * 2.0;
        let sign = sign.to_device(device);
        let ones = Tensor::ones_like(&planes.sign);
        planes.sign = &planes.sign * ones.index_copy(0, &picks, &sign);
        let kept = self.scrambles.eq(0.0).to_kind(Kind::Float).expand([rows, size[1]], false);
        asked.index_copy(0, &picks, &kept.to_device(device))
    }
}

/// 1 for the columns in which both foreground colours occur, else 0, `[columns]`: to vary what never
/// varies would only cost capacity.
fn varying_columns(network: &RowAutoencoder, groups: &[Vec<Tensor>]) -> Result<Tensor> {
    no_grad(|| {
        let mut range = None;
        for image in groups.iter().flatten() {
            let pixels = image.unsqueeze(0).to_kind(Kind::Float) / 127.5 - 1.0;
            let sign = network.planes(&pixels.to_device(network.device()))?.sign;
            let (low, high) = (sign.amin([0].as_slice(), false), sign.amax([0].as_slice(), false));
            range = Some(match range {
                None => (low, high),
                Some((l, h)) => (low.minimum(&l), high.maximum(&h)),
            });
        }
        let Some((low, high)) = range else {
            return Err(Error::Examples { reason: "every group of images must have at least one" });
        };
        Ok((high - low).gt(1.5).to_kind(Kind::Float).to_device(tch::Device::Cpu))
    })
}

/// Mean and standard deviation of the encoder's output, groups weighted alike.
fn statistics(network: &RowAutoencoder, groups: &[Vec<Tensor>]) -> Result<(Tensor, Tensor)> {
    no_grad(|| {
        let (mut means, mut squares) = (Vec::new(), Vec::new());
        for group in groups {
            let (mut sum, mut square, mut rows) = (None::<Tensor>, None::<Tensor>, 0);
            for image in group {
                let pixels = image.unsqueeze(0).to_kind(Kind::Float) / 127.5 - 1.0;
                let planes = network.planes(&pixels.to_device(network.device()))?;
                let encoded = network.encode_rows(&planes).to_kind(Kind::Double);
                rows += encoded.size()[0];
                let add = |total: Option<Tensor>, part: Tensor| match total {
                    Some(total) => total + part,
                    None => part,
                };
                let first = [0].as_slice();
                sum = Some(add(sum, encoded.sum_dim_intlist(first, false, Kind::Double)));
                let part = encoded.square().sum_dim_intlist(first, false, Kind::Double);
                square = Some(add(square, part));
            }
            if let (Some(sum), Some(square)) = (sum, square) {
                means.push(sum / rows as f64);
                squares.push(square / rows as f64);
            }
        }
        let mean = Tensor::stack(&means, 0).mean_dim([0].as_slice(), false, Kind::Double);
        let square = Tensor::stack(&squares, 0).mean_dim([0].as_slice(), false, Kind::Double);
        let std = (square - mean.square()).clamp_min(1e-10).sqrt();
        Ok((mean.to_kind(Kind::Float), std.to_kind(Kind::Float)))
    })
}
