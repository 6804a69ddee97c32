//! `evaluate`: synthetic captures against real ones.

use std::path::{Path, PathBuf};

use clap::Args;
use torchlight::stages::{ReportSources, read_samples, write_report};
use torchlight::trace_eval::utility::StudyConfig;
use torchlight::trace_eval::{EvalConfig, Sample};
use torchlight::{
    DatasetConfig, EvaluateConfig, LabelSource, Monitor, Stage, StopFlag, capture_files,
};

use crate::bars::Bars;
use crate::files::new_folder;
use crate::summary::{Common, Summary};

/// `torchlight evaluate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight evaluate --real captures --held-out held-out --synthetic children -o report"
)]
pub struct Evaluate {
    /// Folder of real captures
    #[arg(long)]
    real: PathBuf,
    /// Folder of synthetic captures
    #[arg(long)]
    synthetic: PathBuf,
    /// Folder of real captures that the generator has not seen
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Table of the real captures' labels (default: labels.csv in each folder, else the file names)
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Table of the synthetic captures' labels
    #[arg(long)]
    synthetic_labels: Option<PathBuf>,
    /// Columns of the tables that are labels (default: all but packet counts)
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// Folder for the report
    #[arg(short, long)]
    output: PathBuf,
    /// Packets of a capture that are compared
    #[arg(long, default_value_t = 1024)]
    packets: usize,
    /// Runs of every classifier
    #[arg(long, default_value_t = EvalConfig::default().runs)]
    runs: usize,
    /// Longer tests too: mixing curves, class balancing, importances (two to four times the time)
    #[arg(long)]
    study: bool,
    /// Title of the page
    #[arg(long)]
    title: Option<String>,
}

impl Evaluate {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        new_folder(&self.output, "report.html", common)?;
        std::fs::create_dir_all(&self.output)?;
        let mut settings = EvaluateConfig::default();
        settings.metrics.runs = self.runs;
        settings.metrics.seed = common.seed();
        settings.metrics.study = self.study.then(StudyConfig::default);
        settings.title = self.title.clone().unwrap_or(settings.title);
        let mut bars = Bars::new(common);
        let mut monitor = Monitor::new(Stage::Evaluate, &mut bars, stop);
        let mut set = |folder: &Path, table: Option<&Path>| -> anyhow::Result<Vec<Sample>> {
            let labels = LabelSource::find(folder, table, None, &self.categories)?.lenient();
            Ok(read_samples(&capture_files(folder)?, &labels, self.packets, &mut monitor)?)
        };
        let real = set(&self.real, self.labels.as_deref())?;
        let held_out = match &self.held_out {
            Some(folder) => set(folder, self.labels.as_deref())?,
            None => Vec::new(),
        };
        let synthetic = set(&self.synthetic, self.synthetic_labels.as_deref())?;
        let sources = ReportSources {
            real: &real,
            held_out: &held_out,
            synthetic: &synthetic,
            settings: &settings,
            dataset: &DatasetConfig { rows: self.packets, ..DatasetConfig::default() },
            parents: None,
            edges: None,
            children: None,
            curves: Vec::new(),
            reports: None,
            facts: vec![("seed".to_owned(), common.seed().to_string())],
        };
        let paths = write_report(&sources, &self.output, &mut monitor).inspect_err(|_| {
            // Why a set is empty stands among them.
            monitor.problems().iter().for_each(|problem| eprintln!("failed: {problem}"));
        })?;
        let page = paths.first().map(|path| path.display().to_string());
        Ok(Summary::of(real.len() + held_out.len() + synthetic.len())
            .fact("real", real.len())
            .fact("held_out", held_out.len())
            .fact("synthetic", synthetic.len())
            .fact("report", page)
            .problems(monitor.problems()))
    }
}
