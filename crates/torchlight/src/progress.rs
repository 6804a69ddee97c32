//! What a run tells while it goes, and how it is stopped.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A step of the run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Captures become images with captions.
    Dataset,
    /// An adapter is fine-tuned on them.
    TrainLora,
    /// The edges of the parents.
    Edges,
    /// Children of the parents are drawn.
    Generate,
    /// Children become protocol-correct captures.
    Repair,
    /// The children's quality is measured.
    Evaluate,
    /// A control network is trained; no part of a run.
    TrainControl,
    /// A base's autoencoder is trained; no part of a run.
    TrainAutoencoder,
    /// A base's reader of edges is fitted; no part of a run.
    TrainEdgeReader,
    /// A base's denoiser is trained; no part of a run.
    TrainDenoiser,
}

impl Stage {
    /// Every stage of a run, in order.
    pub const ALL: [Self; 6] =
        [Self::Dataset, Self::TrainLora, Self::Edges, Self::Generate, Self::Repair, Self::Evaluate];

    /// The stage's folder inside a run's output folder; for the others, its name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Dataset => "01-dataset",
            Self::TrainLora => "02-lora",
            Self::Edges => "03-edges",
            Self::Generate => "04-generate",
            Self::Repair => "05-repair",
            Self::Evaluate => "06-evaluate",
            Self::TrainControl => "train-control",
            Self::TrainAutoencoder => "train-autoencoder",
            Self::TrainEdgeReader => "train-edge-reader",
            Self::TrainDenoiser => "train-denoiser",
        }
    }

    /// What a unit of its progress is.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Dataset => "captures",
            Self::TrainLora
            | Self::TrainControl
            | Self::TrainAutoencoder
            | Self::TrainEdgeReader
            | Self::TrainDenoiser => "steps",
            Self::Edges => "images",
            Self::Generate => "denoising steps",
            Self::Repair => "children",
            Self::Evaluate => "parts",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dataset => "dataset",
            Self::TrainLora => "train-lora",
            Self::Edges => "edges",
            Self::Generate => "generate",
            Self::Repair => "repair",
            Self::Evaluate => "evaluate",
            Self::TrainControl => "train-control",
            Self::TrainAutoencoder => "train-autoencoder",
            Self::TrainEdgeReader => "train-edge-reader",
            Self::TrainDenoiser => "train-denoiser",
        })
    }
}

/// An input that could not be used. The others were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, by name.
    pub input: String,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.input, self.reason)
    }
}

/// Something that a run tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage begins.
    Started {
        /// The stage.
        stage: Stage,
    },
    /// A stage is finished from an earlier run and its inputs are the same.
    Skipped {
        /// The stage.
        stage: Stage,
        /// Where its results lie.
        folder: PathBuf,
    },
    /// A part of a stage is done.
    Advanced {
        /// The stage.
        stage: Stage,
        /// Units done.
        done: usize,
        /// Units in all.
        total: usize,
        /// Expected time to the stage's end, once there is something to go by.
        remaining: Option<Duration>,
        /// The loss, in training.
        loss: Option<f64>,
    },
    /// A stage is finished.
    Finished {
        /// The stage.
        stage: Stage,
        /// How long it took.
        took: Duration,
    },
    /// An input could not be used.
    Problem(Problem),
}

/// Takes what a run tells. A closure `FnMut(&Event)` is one; [`Quiet`] says nothing.
pub trait Progress {
    /// Takes one event.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Progress for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// A [`Progress`] that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&mut self, _: &Event) {}
}

/// Asks a run to stop at the next safe place; clones are the same flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is up.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One stage's view of the run that it is part of: it tells progress and asks whether to stop.
pub struct Monitor<'a> {
    progress: &'a mut dyn Progress,
    stop: StopFlag,
    stage: Stage,
    started: Instant,
    /// When the first unit was done, and how many were done then: what is left of an earlier run
    /// says nothing about speed.
    first: Option<(Instant, usize)>,
    problems: Vec<Problem>,
}

impl fmt::Debug for Monitor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl<'a> Monitor<'a> {
    /// A monitor of `stage`.
    pub fn new(stage: Stage, progress: &'a mut dyn Progress, stop: &StopFlag) -> Self {
        let started = Instant::now();
        Self { progress, stop: stop.clone(), stage, started, first: None, problems: Vec::new() }
    }

    /// Says that the stage begins.
    pub(crate) fn start(&mut self) {
        self.progress.event(&Event::Started { stage: self.stage });
    }

    /// Goes over to another stage: one call may do several.
    pub fn enter(&mut self, stage: Stage) {
        (self.stage, self.started, self.first) = (stage, Instant::now(), None);
        self.start();
    }

    /// Says that the stage is finished.
    #[cfg(feature = "diffusion")]
    pub(crate) fn finish(&mut self) {
        let took = self.started.elapsed();
        self.progress.event(&Event::Finished { stage: self.stage, took });
    }

    /// Says that the stage need not be done.
    #[cfg(feature = "diffusion")]
    pub(crate) fn skip(&mut self, folder: PathBuf) {
        self.progress.event(&Event::Skipped { stage: self.stage, folder });
    }

    /// Time since the monitor was made.
    #[cfg(feature = "diffusion")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells how far the stage is; says whether it may go on.
    pub fn advance(&mut self, done: usize, total: usize) -> ControlFlow<()> {
        self.advance_with(done, total, None)
    }

    /// [`advance`](Self::advance) with the loss of a training step.
    pub fn advance_with(
        &mut self,
        done: usize,
        total: usize,
        loss: Option<f64>,
    ) -> ControlFlow<()> {
        let now = Instant::now();
        let (since, before) = *self.first.get_or_insert((now, done));
        let remaining = (done > before).then(|| {
            let each = now.duration_since(since).as_secs_f64() / (done - before) as f64;
            Duration::from_secs_f64(each * total.saturating_sub(done) as f64)
        });
        let stage = self.stage;
        self.progress.event(&Event::Advanced { stage, done, total, remaining, loss });
        if self.stop.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// [`advance`](Self::advance) as a result.
    ///
    /// # Errors
    /// [`Error::Stopped`] where the run is asked to stop.
    pub fn step(&mut self, done: usize, total: usize) -> Result<()> {
        match self.advance(done, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(self.stopped()),
        }
    }

    /// Asks whether the run may go on.
    ///
    /// # Errors
    /// [`Error::Stopped`] where it may not.
    pub fn check(&self) -> Result<()> {
        if self.stop.is_raised() { Err(self.stopped()) } else { Ok(()) }
    }

    /// The error that says where the run stopped.
    pub fn stopped(&self) -> Error {
        Error::Stopped { stage: self.stage }
    }

    /// Notes an input that could not be used.
    pub fn problem(&mut self, input: impl Into<String>, reason: impl fmt::Display) {
        let problem = Problem { input: input.into(), reason: reason.to_string() };
        self.progress.event(&Event::Problem(problem.clone()));
        self.problems.push(problem);
    }

    /// The problems so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_counts_only_this_run() {
        let mut seen = Vec::new();
        let mut note = |event: &Event| seen.push(event.clone());
        let stop = StopFlag::new();
        let mut monitor = Monitor::new(Stage::TrainLora, &mut note, &stop);
        assert!(monitor.advance(50, 52).is_continue());
        std::thread::sleep(Duration::from_millis(20));
        stop.stop();
        assert!(monitor.advance(51, 52).is_break());
        assert!(matches!(monitor.step(52, 52), Err(Error::Stopped { stage: Stage::TrainLora })));
        let remaining: Vec<_> = seen
            .iter()
            .map(|event| match event {
                Event::Advanced { remaining, .. } => *remaining,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((remaining[0], remaining[2]), (None, Some(Duration::ZERO)));
        assert!(remaining[1].is_some_and(|left| left >= Duration::from_millis(20)));
    }
}
