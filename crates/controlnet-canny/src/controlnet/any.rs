//! A control network of any class, from its folder.

use std::path::Path;

use diffusion_lora::denoiser::Control;
use diffusion_lora::folder::{AnyDenoiser, class_name};
use diffusion_lora::{Error, Model, Network, Result};
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::{ControlNet, RowControlNet};

/// A control network, whatever denoiser it is made for.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // a program has one of these, not a list
pub enum AnyControlNet {
    /// `ControlNetModel`: Stable Diffusion.
    UNet2D(Model<ControlNet>),
    /// `RowControlNetModel`: the one-dimensional UNet.
    UNet1D(Model<RowControlNet>),
}

impl AnyControlNet {
    /// Reads a folder with `config.json` and weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a class that is not supported, and as [`Model::load`].
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        match class_name(folder)?.as_str() {
            ControlNet::CLASS => Model::load(folder, device, kind).map(Self::UNet2D),
            RowControlNet::CLASS => Model::load(folder, device, kind).map(Self::UNet1D),
            other => Err(Error::Config {
                class: "controlnet",
                field: "_class_name",
                value: format!("{other:?}"),
                expected: "ControlNetModel or RowControlNetModel",
            }),
        }
    }

    /// A network to train for a denoiser, with zero convolutions. `columns` is the width of the
    /// condition, which matters to row-wise models; two-dimensional ones are told how the
    /// condition comes down to the latents by Stable Diffusion's own channel list.
    ///
    /// # Errors
    /// As the networks' own constructors.
    pub fn from_denoiser(denoiser: &AnyDenoiser, columns: i64, seed: u64) -> Result<Self> {
        match denoiser {
            AnyDenoiser::UNet2D(unet) => {
                ControlNet::from_unet(unet, vec![16, 32, 96, 256], seed).map(Self::UNet2D)
            }
            AnyDenoiser::UNet1D(unet) => {
                RowControlNet::from_unet(unet, columns, seed).map(Self::UNet1D)
            }
            _ => Err(Error::Config {
                class: "controlnet",
                field: "denoiser",
                value: denoiser.class().to_owned(),
                expected: "a class that has a control network",
            }),
        }
    }

    /// Writes the folder.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        match self {
            Self::UNet2D(model) => model.save(folder),
            Self::UNet1D(model) => model.save(folder),
        }
    }

    /// The parameters.
    pub fn store(&self) -> &VarStore {
        match self {
            Self::UNet2D(model) => model.store(),
            Self::UNet1D(model) => model.store(),
        }
    }

    /// Channels that the condition must have.
    pub fn conditioning_channels(&self) -> i64 {
        match self {
            Self::UNet2D(model) => model.config().conditioning_channels,
            Self::UNet1D(_) => 1,
        }
    }

    /// The network, whatever its class.
    pub fn as_dyn(&self) -> &dyn Control {
        match self {
            Self::UNet2D(model) => model.network(),
            Self::UNet1D(model) => model.network(),
        }
    }
}
