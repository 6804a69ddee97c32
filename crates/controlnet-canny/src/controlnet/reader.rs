//! From edges to what they outline, row by row.

use diffusion_lora::nn::{Conv1d, ConvConfig, Linear, Scope};
use diffusion_lora::{Error, Network, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// `config.json` of an [`EdgeReader`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeReaderConfig {
    /// Pixels in a row of the edge image.
    pub conditioning_columns: i64,
    /// Width of the hidden layers.
    pub conditioning_width: i64,
    /// Hidden layers after the first.
    pub conditioning_blocks: i64,
    /// Numbers that describe a row: the latent channels.
    pub latent_channels: i64,
}

impl Default for EdgeReaderConfig {
    fn default() -> Self {
        Self {
            conditioning_columns: 1088,
            conditioning_width: 256,
            conditioning_blocks: 3,
            latent_channels: 64,
        }
    }
}

impl EdgeReaderConfig {
    /// Checks that every width is at least 1.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is not.
    pub fn check(&self, class: &'static str) -> Result<()> {
        let fields = [
            ("conditioning_columns", self.conditioning_columns),
            ("conditioning_width", self.conditioning_width),
            ("conditioning_blocks", self.conditioning_blocks),
            ("latent_channels", self.latent_channels),
        ];
        match fields.into_iter().find(|(_, value)| *value < 1) {
            Some((field, value)) => {
                let (value, expected) = (value.to_string(), "at least 1");
                Err(Error::Config { class, field, value, expected })
            }
            None => Ok(()),
        }
    }
}

/// Guesses the clean latents of a picture from its edges.
///
/// An edge says that a pixel differs from its neighbours, not what it is; what it is follows from
/// the rows above and below and, for what is the same in the whole picture, from the mean of all
/// rows. So every block is a convolution over rows that is also told that mean.
#[derive(Debug)]
pub struct EdgeReader {
    conv_in: Conv1d,
    blocks: Vec<Block>,
    conv_out: Conv1d,
    columns: i64,
    config: EdgeReaderConfig,
}

#[derive(Debug)]
struct Block {
    conv: Conv1d,
    mean: Linear,
}

impl Network for EdgeReader {
    type Config = EdgeReaderConfig;
    const CLASS: &'static str = "RowEdgeReader";

    fn build(scope: &Scope<'_>, config: &EdgeReaderConfig) -> Result<Self> {
        config.check(Self::CLASS)?;
        let EdgeReaderConfig { conditioning_columns: columns, conditioning_width: width, .. } =
            *config;
        let block = |index: i64| {
            let scope = scope.sub("blocks").sub(index);
            Block {
                conv: Conv1d::new(&scope.sub("conv"), width, width, ConvConfig::same(5)),
                mean: Linear::zeroed(&scope.sub("mean"), width, width),
            }
        };
        Ok(Self {
            conv_in: Conv1d::new(&scope.sub("conv_in"), columns, width, ConvConfig::same(3)),
            blocks: (0..config.conditioning_blocks).map(block).collect(),
            conv_out: Conv1d::new(
                &scope.sub("conv_out"),
                width,
                config.latent_channels,
                ConvConfig::same(1),
            ),
            columns,
            config: config.clone(),
        })
    }

    fn config(&self) -> &EdgeReaderConfig {
        &self.config
    }
}

impl EdgeReader {
    /// # Shapes
    /// `condition` `[batch, channels, rows, columns]`, of which the first channel is read →
    /// `[batch, latent channels, rows]`
    ///
    /// # Errors
    /// [`Error::Shape`] where the condition has another width.
    pub fn read(&self, condition: &Tensor) -> Result<Tensor> {
        let (shape, columns) = (condition.size(), self.columns);
        if shape.len() != 4 || shape[1] < 1 || shape[3] != columns {
            let expected = format!("[batch, channels, rows, {columns}]");
            return Err(Error::Shape { what: "condition", expected, actual: shape });
        }
        let rows = condition.select(1, 0).transpose(1, 2).contiguous();
        let first = self.conv_in.forward(&rows).silu();
        let hidden = self.blocks.iter().fold(first, |xs, block| {
            let mean = block.mean.forward(&xs.mean_dim([2].as_slice(), false, None::<Kind>));
            let change = (block.conv.forward(&xs) + mean.unsqueeze(-1)).silu();
            xs + change
        });
        Ok(self.conv_out.forward(&hidden))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use diffusion_lora::Model;
    use diffusion_lora::nn::Init;
    use diffusion_lora::train::TrainConfig;
    use tch::{Device, kind::FLOAT_CPU};

    use super::*;
    use crate::controlnet::{EdgeReading, fit_edge_reader};

    fn small() -> Model<EdgeReader> {
        let config = EdgeReaderConfig {
            conditioning_columns: 6,
            conditioning_width: 16,
            conditioning_blocks: 1,
            latent_channels: 2,
        };
        Model::create(&config, Init::Random { seed: 4 }, Device::Cpu, Kind::Float)
            .expect("a supported configuration")
    }

    #[test]
    fn it_learns_what_edges_outline() {
        tch::manual_seed(5);
        // What is asked for: whether the third pixel is an edge, and whether the row above has one first.
        let bits = Tensor::randint(2, [8, 1, 32, 6], FLOAT_CPU);
        let edges = (&bits * 255.0).to_kind(Kind::Uint8);
        let third = bits.select(1, 0).select(2, 2);
        let above = bits.select(1, 0).select(2, 0).roll([1], [1]);
        let latents = Tensor::stack(&[third, above], 1);
        let config = TrainConfig {
            steps: 150,
            batch_size: 4,
            gradient_accumulation: 1,
            learning_rate: 1e-2,
            ..TrainConfig::default()
        };
        let mut reader = small();
        let material = EdgeReading { latents: &latents, conditions: &edges, window: 16 };
        let (_, losses) =
            fit_edge_reader(&mut reader, material, &config, None, |_| ControlFlow::Continue(()))
                .expect("material that fits");
        assert!(losses[losses.len() - 1] < 0.1 * losses[0], "{losses:?}");
    }

    #[test]
    fn material_that_does_not_fit_is_refused() {
        let latents = Tensor::zeros([2, 2, 8], FLOAT_CPU);
        let refused = |shape: [i64; 4], window| {
            let conditions = Tensor::zeros(shape, (Kind::Uint8, Device::Cpu));
            let material = EdgeReading { latents: &latents, conditions: &conditions, window };
            let go_on = |_| ControlFlow::Continue(());
            let config = TrainConfig::default();
            matches!(
                fit_edge_reader(&mut small(), material, &config, None, go_on),
                Err(Error::Examples { .. })
            )
        };
        assert!(refused([1, 1, 8, 6], 4) && refused([2, 1, 7, 6], 4) && refused([2, 1, 8, 6], 9));
        let narrow = Tensor::zeros([1, 1, 8, 5], FLOAT_CPU);
        assert!(matches!(small().read(&narrow), Err(Error::Shape { .. })));
    }
}
