//! What every command has in common: its flags, and what it says at the end.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use torchlight::Problem;

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print the summary as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress on standard error
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More on standard error; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Seed of everything random
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Replace what exists
    #[arg(long, global = true)]
    pub force: bool,
}

/// The seed where none is given; source: the reference work's fine-tuning command.
const DEFAULT_SEED: u64 = 1337;

impl Common {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(DEFAULT_SEED)
    }
}

/// What a command did. The lines for people are made from the value for machines.
#[derive(Debug, Default)]
pub struct Summary {
    /// Names and values, in order.
    pub facts: Vec<(&'static str, Value)>,
    /// Inputs that failed.
    pub problems: Vec<Problem>,
    /// How many inputs were done.
    pub done: usize,
    /// Whether standard output already has the data.
    pub data_on_stdout: bool,
}

impl Summary {
    /// A summary of `done` inputs.
    pub fn of(done: usize) -> Self {
        Self { done, ..Self::default() }
    }

    /// Adds a fact.
    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// Adds inputs that failed.
    pub fn problems(mut self, problems: &[Problem]) -> Self {
        self.problems.extend_from_slice(problems);
        self
    }

    /// Prints the summary and says how the program ends.
    pub fn print(self, common: &Common) -> anyhow::Result<ExitCode> {
        for problem in &self.problems {
            eprintln!("failed: {problem}");
        }
        let code = match (self.problems.len(), self.done) {
            (0, _) => 0,
            (_, 0) => 3,
            _ => 1,
        };
        let text = if common.json { self.machine()? } else { self.human() };
        if self.data_on_stdout {
            if common.json || !common.quiet {
                eprint!("{text}");
            }
        } else {
            std::io::stdout().lock().write_all(text.as_bytes())?;
        }
        Ok(ExitCode::from(code))
    }

    fn machine(&self) -> anyhow::Result<String> {
        let mut value: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        value.insert("done".to_owned(), json!(self.done));
        value.insert("problems".to_owned(), serde_json::to_value(&self.problems)?);
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }

    fn human(&self) -> String {
        let mut lines = Vec::new();
        for (name, value) in &self.facts {
            describe(&mut lines, 0, name, value);
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

/// One fact as lines: nested values are indented, lists of objects are tables in rows.
fn describe(lines: &mut Vec<String>, depth: usize, name: &str, value: &Value) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            lines.push(format!("{indent}{name}"));
            for (name, value) in fields {
                describe(lines, depth + 1, name, value);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            lines.push(format!("{indent}{name}"));
            lines.extend(items.iter().map(|item| format!("{indent}  {}", plain(item))));
        }
        other => lines.push(format!("{indent}{name}: {}", plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name} {}", plain(value)));
            pairs.collect::<Vec<_>>().join("  ")
        }
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}
