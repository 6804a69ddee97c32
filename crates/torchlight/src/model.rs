//! Models from folders, whatever their class.

use std::path::{Path, PathBuf};

use controlnet_canny::controlnet::AnyControlNet;
use diffusion_lora::Pipeline;
use diffusion_lora::lora::AdapterFile;
use tch::{Device, Kind};

use crate::{Config, Precision, Result, device};

impl Precision {
    /// The tensor type.
    pub fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::Fp16 => Kind::Half,
        }
    }
}

/// Where networks of a run live.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The device.
    pub device: Device,
    /// The type of frozen parameters.
    pub kind: Kind,
}

impl Place {
    /// Where a configuration wants them; sets the number of threads too.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where there is no such device.
    pub fn of(config: &Config) -> Result<Self> {
        if let Ok(threads @ 1..) = i32::try_from(config.threads) {
            tch::set_num_threads(threads);
        }
        Ok(Self { device: device::resolve(config.device)?, kind: config.precision.kind() })
    }

    /// Reads a model folder.
    ///
    /// # Errors
    /// [`crate::Error::Diffusion`].
    pub fn load(self, folder: &Path) -> Result<Pipeline> {
        Ok(Pipeline::load(folder, self.device, self.kind)?)
    }

    /// Reads a control network's folder.
    ///
    /// # Errors
    /// [`crate::Error::Diffusion`].
    pub fn load_control(self, folder: &Path) -> Result<AnyControlNet> {
        Ok(AnyControlNet::load(folder, self.device, self.kind)?)
    }
}

/// The folder of the control network that a configuration means, if any.
pub(crate) fn control_folder(config: &Config) -> Option<PathBuf> {
    let beside = config.base.folder.join("controlnet");
    config.control.folder.clone().or_else(|| beside.join("config.json").is_file().then_some(beside))
}

/// Attaches the adapters of a file to a model, under the file's path as their name.
///
/// # Errors
/// [`crate::Error::Diffusion`] where the file is damaged or fits another model.
pub fn attach_adapter(pipeline: &Pipeline, file: &Path, weight: f64) -> Result<()> {
    let name = file.display().to_string();
    let adapters = AdapterFile::read(file)?;
    adapters.unet.attach(pipeline.denoiser.lora_slots(), &name, weight)?;
    if !adapters.text_encoder.is_empty() {
        adapters.text_encoder.attach(pipeline.text_encoder.slots(), &name, weight)?;
    }
    Ok(())
}
