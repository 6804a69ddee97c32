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
    /// Share of rows that are augmented.
    pub flip_share: f64,
    /// Standard deviation of the noise on latents in training.
    pub latent_noise: f64,
}

/// Trains `model` and sets its latent statistics from all rows. Returns the losses too.
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
    let RowTraining { groups, weights, flips, .. } = training;
    let widths = [weights.presence.len(), weights.value.len(), flips.len()];
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
    let flip_chances = Tensor::from_slice(flips);
    let parameters = model.trainable();
    let mut trainer = Trainer::new(config.clone(), parameters, checkpoint);
    trainer.resume()?;
    let network = model.network();
    let outcome = trainer.run(
        |rng| {
            let planes = batch(network, training, &flip_chances, config.batch_size, rng)?;
            let latents = standardise(&network.encode_rows(&planes));
            // Every row its own noise level, so that the decoder knows clean latents too.
            let size = latents.size();
            let level =
                random::uniform(rng, &[size[0], 1], 1.0).abs() * (2.0 * training.latent_noise);
            let noise = (random::gaussian(rng, &size) * level).to_device(device);
            Ok(row_loss(&planes, &network.decode_rows(&(latents + noise)), &weight_rows))
        },
        observe,
    )?;
    let losses = trainer.losses().to_vec();
    trainer.use_average();
    let (mean, std) = statistics(model.network(), groups)?;
    model.network_mut().set_statistics(&mean, &std);
    Ok((outcome, losses))
}

fn batch(
    network: &RowAutoencoder,
    training: &RowTraining,
    flip_chances: &Tensor,
    batch_size: usize,
    rng: &mut ChaCha8Rng,
) -> Result<RowPlanes> {
    let each = batch_size.div_ceil(training.groups.len());
    // Rows of one image lie together; a batch takes short runs from several images.
    let run = each.div_ceil(16).max(1) as i64;
    let mut parts = Vec::new();
    for group in &training.groups {
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
    let mut planes = network.planes(&images.to_device(network.device()))?;
    let rows = planes.sign.size()[0];
    let augmented = (rows as f64 * training.flip_share) as i64;
    if augmented > 0 {
        let picks = Tensor::from_slice(
            &(0..augmented).map(|_| rng.random_range(0..rows)).collect::<Vec<_>>(),
        );
        let strength = random::uniform(rng, &[augmented, 1], 1.0).abs() * 2.0;
        let draws = random::uniform(rng, &[augmented, planes.sign.size()[1]], 1.0).abs();
        let flip = draws.lt_tensor(&(strength * flip_chances)).to_kind(Kind::Float) * -2.0 + 1.0;
        let mut factor = Tensor::ones(planes.sign.size(), (Kind::Float, tch::Device::Cpu));
        factor = factor.index_copy(0, &picks, &flip);
        planes.sign = &planes.sign * factor.to_device(planes.sign.device());
    }
    Ok(planes)
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
