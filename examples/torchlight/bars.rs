//! Progress on standard error: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use torchlight::{Event, Progress, Stage};

use crate::summary::Common;

/// Time between plain lines of one stage.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows what a run tells.
#[derive(Debug)]
pub enum Bars {
    /// `--quiet`.
    Nothing,
    /// Not a terminal.
    Lines {
        /// When the last line was written.
        last: Instant,
    },
    /// A terminal.
    Bar(Option<ProgressBar>),
}

impl Bars {
    /// As the flags and standard error want it.
    pub fn new(common: &Common) -> Self {
        if common.quiet {
            Self::Nothing
        } else if std::io::stderr().is_terminal() {
            Self::Bar(None)
        } else {
            Self::Lines { last: Instant::now() }
        }
    }

    fn say(&self, line: &str) {
        match self {
            Self::Nothing => {}
            Self::Bar(Some(bar)) => bar.suspend(|| eprintln!("{line}")),
            Self::Bar(None) | Self::Lines { .. } => eprintln!("{line}"),
        }
    }

    fn advance(
        &mut self,
        stage: Stage,
        (done, total): (usize, usize),
        remaining: Option<Duration>,
        loss: Option<f64>,
    ) {
        let loss = loss.map(|loss| format!(", loss {loss:.4}")).unwrap_or_default();
        let left = remaining.map(|time| format!(", {} left", clock(time))).unwrap_or_default();
        let unit = stage.unit();
        match self {
            Self::Nothing => {}
            Self::Lines { last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    eprintln!("{stage}: {done} of {total} {unit}{loss}{left}");
                }
            }
            Self::Bar(slot) => {
                let bar = slot.get_or_insert_with(|| {
                    let style =
                        ProgressStyle::with_template("{prefix:>11} {wide_bar} {pos}/{len} {msg}");
                    let bar = ProgressBar::new(total as u64).with_prefix(stage.to_string());
                    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                });
                bar.set_length(total as u64);
                bar.set_message(format!("{unit}{loss}{left}"));
                bar.set_position(done as u64);
            }
        }
    }
}

/// Counts files on a terminal where there are several.
pub fn files(total: usize, common: &Common) -> ProgressBar {
    if common.quiet || total < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} files");
    let bar = ProgressBar::new(total as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Progress for Bars {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { stage } => {
                if let Self::Lines { last } = self {
                    *last = Instant::now();
                }
                self.say(&format!("{stage}: begins"));
            }
            Event::Skipped { stage, folder } => {
                self.say(&format!("{stage}: done before, inputs unchanged ({})", folder.display()));
            }
            Event::Advanced { stage, done, total, remaining, loss } => {
                self.advance(*stage, (*done, *total), *remaining, *loss);
            }
            Event::Finished { stage, took } => {
                if let Self::Bar(bar) = self
                    && let Some(bar) = bar.take()
                {
                    bar.finish_and_clear();
                }
                self.say(&format!("{stage}: done in {}", clock(*took)));
            }
            Event::Problem(problem) => self.say(&format!("cannot use {problem}")),
            _ => {}
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Self::Bar(Some(bar)) = self {
            bar.abandon();
        }
    }
}

/// `1 min 05 s`, or `4.2 s`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds.div_euclid(60), seconds.rem_euclid(60))
    }
}
