//! All stages, one after the other, resumable.

mod builder;
mod steps;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use builder::Builder;

use crate::artefact::{Hashes, Inputs, Manifest, StageFolder};
use crate::stages::CAPTURES_FOLDER;
use crate::{Config, Error, Monitor, Problem, Progress, Result, Stage, StopFlag};

/// A run with checked settings.
///
/// # Example
/// ```no_run
/// use torchlight::{Event, StopFlag, Torchlight};
///
/// let torchlight = Torchlight::builder()
///     .captures("captures")
///     .held_out("held-out")
///     .base("torchlight-base")
///     .output("out")
///     .seed(7)
///     .configure(|config| config.lora.steps = 100)
///     .build()?;
/// let outcome = torchlight.run(&mut |event: &Event| eprintln!("{event:?}"), &StopFlag::new())?;
/// eprintln!("{} and {}", outcome.captures.display(), outcome.report.display());
/// # Ok::<(), torchlight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Torchlight {
    config: Config,
}

/// What a run has made.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The stages, in order.
    pub stages: Vec<StageOutcome>,
    /// Inputs that could not be used, in this run or the one that made a skipped stage.
    pub problems: Vec<Problem>,
    /// Folder of the new captures.
    pub captures: PathBuf,
    /// The report's page.
    pub report: PathBuf,
}

/// What became of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageOutcome {
    /// The stage.
    pub stage: Stage,
    /// Whether it was finished already.
    pub skipped: bool,
    /// How long it took, now or when it was done.
    pub took: Duration,
}

impl Torchlight {
    /// Starts a builder with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A run with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn new(config: Config) -> Result<Self> {
        config.validate()?;
        if config.base.folder.as_os_str().is_empty() {
            return Err(Error::Setting {
                field: "base.folder",
                value: String::new(),
                expected: "a model folder in diffusers' layout",
            });
        }
        Ok(Self { config })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Does every stage that is not finished. After a stop, a crash or a kill, the same call goes
    /// on where the run was.
    ///
    /// # Errors
    /// [`Error::Stopped`] after `stop`; whatever a stage cannot do without. Inputs that can be
    /// done without are [`Outcome::problems`].
    pub fn run(&self, progress: &mut dyn Progress, stop: &StopFlag) -> Result<Outcome> {
        let output = &self.config.output;
        std::fs::create_dir_all(output).map_err(Error::file("create", output))?;
        let mut run = Run {
            config: &self.config,
            progress,
            stop,
            hashes: Hashes::default(),
            stages: Vec::new(),
            problems: Vec::new(),
        };
        run.all()?;
        let Run { stages, problems, .. } = run;
        Ok(Outcome {
            stages,
            problems,
            captures: output.join(Stage::Repair.folder()).join(CAPTURES_FOLDER),
            report: output.join(Stage::Evaluate.folder()).join("report.html"),
        })
    }
}

/// A run that goes.
struct Run<'a> {
    config: &'a Config,
    progress: &'a mut dyn Progress,
    stop: &'a StopFlag,
    hashes: Hashes,
    stages: Vec<StageOutcome>,
    problems: Vec<Problem>,
}

impl Run<'_> {
    /// The folder of a stage.
    fn folder(&self, stage: Stage) -> PathBuf {
        self.config.output.join(stage.folder())
    }

    /// Does the work of one stage unless it is finished.
    fn stage(
        &mut self,
        inputs: Inputs,
        work: impl FnOnce(&Config, &Path, &mut Monitor<'_>) -> Result<()>,
    ) -> Result<Manifest> {
        let stage = inputs.stage;
        let mut monitor = Monitor::new(stage, self.progress, self.stop);
        monitor.check()?;
        let (manifest, skipped) = match StageFolder::open(&self.config.output, inputs)? {
            StageFolder::Finished(manifest) => {
                monitor.skip(self.config.output.join(stage.folder()));
                (*manifest, true)
            }
            StageFolder::Open(open) => {
                monitor.start();
                work(self.config, open.folder(), &mut monitor)?;
                let seconds = monitor.elapsed().as_secs_f64();
                let manifest = open.finish(self.config.seed, seconds, monitor.problems())?;
                monitor.finish();
                (manifest, false)
            }
        };
        let took = Duration::try_from_secs_f64(manifest.duration_s).unwrap_or_default();
        self.stages.push(StageOutcome { stage, skipped, took });
        self.problems.extend(manifest.problems.iter().cloned());
        Ok(manifest)
    }
}
