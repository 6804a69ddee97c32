//! Many files in, one file out for each: side by side, told in order, every failure named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use torchlight::{Problem, StopFlag};

use crate::bars;
use crate::files::{self, shown};
use crate::summary::{Common, Summary};

/// Inputs, and where the result of each goes.
#[derive(Debug)]
pub struct Batch {
    jobs: Vec<(PathBuf, PathBuf)>,
    output: PathBuf,
}

/// What came of one input.
#[derive(Debug)]
pub struct Outcome {
    /// Rows or packets that were written.
    pub written: usize,
    /// What is missing among them, where the input is damaged.
    pub missing: Option<String>,
}

/// What came of all.
#[derive(Debug)]
pub struct Outcomes {
    /// Rows or packets that were written.
    pub written: usize,
    done: usize,
    problems: Vec<Problem>,
    output: PathBuf,
}

impl Batch {
    /// `output` is the one input's result; for `several` it is the folder of what `name` calls
    /// them. Nothing is begun where a result would be written over another, or over what exists.
    pub fn plan(
        inputs: Vec<PathBuf>,
        name: impl Fn(&Path) -> String,
        output: &Path,
        several: bool,
        common: &Common,
    ) -> anyhow::Result<Self> {
        if several && files::is_dash(output) {
            bail!("several inputs need a folder to write to: -o FOLDER");
        }
        if several {
            std::fs::create_dir_all(output).with_context(|| output.display().to_string())?;
        }
        let (mut taken, mut jobs) = (BTreeSet::new(), Vec::with_capacity(inputs.len()));
        for input in inputs {
            let result = if several { output.join(name(&input)) } else { output.to_owned() };
            files::may_write(&result, common)?;
            if !taken.insert(result.clone()) {
                bail!("{}: another input has the same output {}", shown(&input), result.display());
            }
            jobs.push((input, result));
        }
        Ok(Self { jobs, output: output.to_owned() })
    }

    /// Does `work` on each input and its output, on any core, until the user wants an end.
    pub fn run(
        self,
        common: &Common,
        stop: &StopFlag,
        work: impl Fn(&Path, &Path) -> anyhow::Result<Outcome> + Sync,
    ) -> anyhow::Result<Outcomes> {
        let bar = bars::files(self.jobs.len(), common);
        let one = |(input, output): &(PathBuf, PathBuf)| {
            let result = work(input, output);
            bar.inc(1);
            result
        };
        let results: Vec<_> = self.jobs.par_iter().map(one).collect();
        bar.finish_and_clear();
        let finished = results.iter().filter(|result| result.is_ok()).count();
        if stop.is_raised() && finished < results.len() {
            bail!("stopped; {finished} of {} inputs are finished", results.len());
        }
        let (mut problems, mut written, mut done) = (Vec::new(), 0, 0);
        for ((input, _), result) in self.jobs.iter().zip(results) {
            let reason = match result {
                Ok(outcome) => {
                    written += outcome.written;
                    done += 1;
                    outcome.missing
                }
                Err(error) if files::is_broken_pipe(&error) => return Err(error),
                Err(error) => Some(format!("{error:#}")),
            };
            problems.extend(reason.map(|reason| Problem { input: shown(input), reason }));
        }
        Ok(Outcomes { written, done, problems, output: self.output })
    }
}

impl Outcomes {
    /// The command's summary, with what it has to say itself first.
    pub fn summary(self, facts: impl FnOnce(Summary) -> Summary) -> Summary {
        let mut summary = facts(Summary::of(self.done))
            .fact("output", self.output.display().to_string())
            .problems(&self.problems);
        summary.data_on_stdout = files::is_dash(&self.output);
        summary
    }
}
