//! `dataset`: a folder of captures to an image folder.

use std::path::PathBuf;

use clap::Args;
use torchlight::trace_image::{DEFAULT_TEMPLATE, LabelPattern, Palette};
use torchlight::{DatasetConfig, LabelSource, Monitor, Stage, StopFlag, capture_files};

use crate::bars::Bars;
use crate::files::new_folder;
use crate::summary::{Common, Summary};

/// `torchlight dataset`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight dataset captures -o images --caption 'pixelated network data: {labels}'"
)]
pub struct Dataset {
    /// Folder of captures
    captures: PathBuf,
    /// Image folder to make
    #[arg(short, long)]
    output: PathBuf,
    /// Table of labels: CSV with a column `file` (default: labels.csv in the folder, if there)
    #[arg(long, conflicts_with = "pattern")]
    labels: Option<PathBuf>,
    /// Labels from file names: searchlight, netdiffusion, or a regular expression with named groups
    #[arg(long)]
    pattern: Option<LabelPattern>,
    /// Columns of the table that are labels (default: all)
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// Caption, with {category} or {labels}
    #[arg(long, default_value = DEFAULT_TEMPLATE)]
    caption: String,
    /// Rows of the images
    #[arg(long, default_value_t = 1024)]
    rows: usize,
    /// Colours: torchlight or netdiffusion
    #[arg(long, default_value = "torchlight")]
    palette: Palette,
}

impl Dataset {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        new_folder(&self.output, "metadata.jsonl", common)?;
        let files = capture_files(&self.captures)?;
        let (table, pattern) = (self.labels.as_deref(), self.pattern.as_ref());
        let labels = LabelSource::find(&self.captures, table, pattern, &self.categories)?;
        let settings = DatasetConfig {
            rows: self.rows,
            palette: self.palette,
            caption: self.caption,
            ..DatasetConfig::default()
        };
        let mut bars = Bars::new(common);
        let mut monitor = Monitor::new(Stage::Dataset, &mut bars, stop);
        let images = torchlight::stages::write_dataset(
            &files,
            &labels,
            &settings,
            &self.output,
            &mut monitor,
        )?;
        Ok(Summary::of(images)
            .fact("images", images)
            .fact("output", self.output.display().to_string())
            .problems(monitor.problems()))
    }
}
