//! `run`: the whole pipeline.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use torchlight::{Config, DeviceChoice, StopFlag, Torchlight};

use crate::bars::Bars;
use crate::summary::{Common, Summary};

/// `torchlight run`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight run data-samples/torchlight.toml\n\
Stages whose inputs are unchanged are not done again; after Ctrl-C or a crash the same command goes on.")]
pub struct Run {
    /// The configuration
    config: PathBuf,
    /// Where results go, in place of the configuration's `output`
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N, in place of the configuration's `device`
    #[arg(long)]
    device: Option<DeviceChoice>,
}

impl Run {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        let mut config = Config::read(&self.config)?;
        config.output = self.output.unwrap_or(config.output);
        config.device = self.device.unwrap_or(config.device);
        config.seed = common.seed.unwrap_or(config.seed);
        let outcome = Torchlight::new(config)?.run(&mut Bars::new(common), stop)?;
        let stages: Vec<_> = outcome
            .stages
            .iter()
            .map(|stage| {
                json!({
                    "stage": stage.stage,
                    "seconds": (stage.took.as_secs_f64() * 10.0).round() / 10.0,
                    "done_before": stage.skipped,
                })
            })
            .collect();
        Ok(Summary::of(1)
            .fact("stages", stages)
            .fact("new_captures", outcome.captures.display().to_string())
            .fact("report", outcome.report.display().to_string())
            .problems(&outcome.problems))
    }
}
