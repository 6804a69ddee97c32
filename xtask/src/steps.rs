//! Commands that run one after the other, with their times and the tests they counted.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// Cargo in the workspace root, the same one that runs this.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command that speaks for itself.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|source| not_started(command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Step { name: name.into(), exit: status.code() })
}

fn not_started(command: &Command, source: std::io::Error) -> Failure {
    Failure::Io { what: "start", path: command.get_program().into(), source }
}

/// What `cargo test` said in its `test result:` lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
}

impl Counts {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; other lines
    /// count nothing.
    fn add_line(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = rest.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1].trim_end_matches(';') {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// The steps so far; the first that fails ends the run.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(String, Duration, bool)>,
    counts: Counts,
}

impl Steps {
    /// One step that is a function of ours.
    pub fn call(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.timed(name, |_| work())
    }

    /// One step that is a command; its tests are counted.
    pub fn command(&mut self, name: &str, command: &mut Command) -> Result<()> {
        self.timed(name, |counts| counted(name, command, counts))
    }

    fn timed(&mut self, name: &str, work: impl FnOnce(&mut Counts) -> Result<()>) -> Result<()> {
        eprintln!("\n── {name}");
        let start = Instant::now();
        let result = work(&mut self.counts);
        self.done.push((name.into(), start.elapsed(), result.is_ok()));
        result
    }

    /// The table of steps, then one line with the sums.
    pub fn summary(&self) -> String {
        let row = |(name, time, ok): &(String, Duration, bool)| {
            format!(
                "{:>8.1} s  {}  {name}\n",
                time.as_secs_f64(),
                if *ok { "ok    " } else { "FAILED" }
            )
        };
        let failed = self.done.iter().filter(|step| !step.2).count();
        let Counts { passed, failed: tests_failed, ignored } = self.counts;
        format!(
            "\n{}steps: {} passed, {failed} failed; tests: {passed} passed, {tests_failed} failed, {ignored} ignored",
            self.done.iter().map(row).collect::<String>(),
            self.done.len() - failed,
        )
    }
}

/// Runs a command, hands its output on line by line, and counts tests in it.
fn counted(name: &str, command: &mut Command, counts: &mut Counts) -> Result<()> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|source| not_started(command, source))?;
    let mut stdout = std::io::stdout();
    for line in child.stdout.take().into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')) {
        let line = line.map_err(|source| not_started(command, source))?;
        counts.add_line(&String::from_utf8_lossy(&line));
        // Whoever reads our output may stop reading; the tests go on.
        stdout.write_all(&[&line[..], b"\n"].concat()).unwrap_or_default();
    }
    let status = child.wait().map_err(|source| not_started(command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Step { name: name.into(), exit: status.code() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_lines_of_cargo_test() {
        let mut counts = Counts::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test 9 passed ... ok",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out",
        ] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts { passed: 13, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_failed_step_is_in_the_summary() {
        let mut steps = Steps::default();
        steps.call("good", || Ok(())).expect("the step is good");
        let failure = Failure::Step { name: "bad".into(), exit: Some(101) };
        steps.call("bad", || Err(failure)).expect_err("the step is bad");
        let summary = steps.summary();
        assert!(summary.contains("ok      good") && summary.contains("FAILED  bad"), "{summary}");
        assert!(summary.contains("steps: 1 passed, 1 failed"), "{summary}");
    }
}
