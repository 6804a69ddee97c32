//! Settings by method calls.

use std::path::PathBuf;

use super::Torchlight;
use crate::{Config, DeviceChoice, Result};

/// Builds a [`Torchlight`]; every method sets one thing of the [`Config`], and
/// [`configure`](Self::configure) reaches the rest.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Starts from these settings.
    pub fn config(self, config: Config) -> Self {
        Self { config }
    }

    /// The folder of the real captures.
    pub fn captures(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.configure(|config| config.captures.dir = folder)
    }

    /// The folder of captures that nothing is trained on.
    pub fn held_out(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.configure(|config| config.captures.held_out = Some(folder))
    }

    /// The model folder.
    pub fn base(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.configure(|config| config.base.folder = folder)
    }

    /// The control network's folder.
    pub fn control(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.configure(|config| config.control.folder = Some(folder))
    }

    /// Where results go.
    pub fn output(self, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        self.configure(|config| config.output = folder)
    }

    /// The seed.
    pub fn seed(self, seed: u64) -> Self {
        self.configure(|config| config.seed = seed)
    }

    /// The device.
    pub fn device(self, device: DeviceChoice) -> Self {
        self.configure(|config| config.device = device)
    }

    /// Sets anything else.
    pub fn configure(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(&mut self.config);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first that will not do.
    pub fn build(self) -> Result<Torchlight> {
        Torchlight::new(self.config)
    }
}
