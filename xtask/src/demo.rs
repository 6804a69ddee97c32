//! The long jobs, through the command line program.

use std::path::Path;

use crate::failure::Result;
use crate::libtorch;
use crate::steps::{cargo, run};

const PROGRAM: [&str; 7] =
    ["run", "--release", "--package", "torchlight-examples", "--example", "torchlight", "--"];

/// The main job on the sample captures.
pub fn demo(root: &Path, rest: &[&str]) -> Result<()> {
    program(root, "demo", &["run", "data-samples/torchlight.toml"], rest)
}

/// The embedded base, trained again; finished parts are not redone.
pub fn base(root: &Path, rest: &[&str]) -> Result<()> {
    program(root, "base", &["train", "base"], rest)
}

fn program(root: &Path, name: &str, command: &[&str], rest: &[&str]) -> Result<()> {
    libtorch::ensure(root)?;
    eprintln!("{name}: building the torchlight program (some minutes the first time)");
    run(name, cargo(root).args(PROGRAM).args(command).args(rest))
}
