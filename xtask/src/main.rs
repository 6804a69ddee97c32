//! The workspace's own commands: `cargo xtask help` lists them.
//!
//! Standard library only, so that the first command of a fresh clone compiles in a second.

mod checks;
mod demo;
mod failure;
mod fetch;
mod libtorch;
mod steps;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::{Failure, Result};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo [ARGS]   The main job on the sample captures: new captures and a report. ARGS go to
                `torchlight run`, for example --force
  test          Everything that must hold: formatting, clippy, tests, documentation, benches
                in test mode, the library examples
  test --fast   Only what needs no libtorch: codec, images, repair, evaluation,
                edges, the program without training and generation
  libtorch      Fetch and verify libtorch, or check the one that LIBTORCH names
  base [ARGS]   Train the embedded base model again; the same command resumes. ARGS go to
                `torchlight train base`
  help          This text

libtorch (torch 2.11, CPU, 544 MB) is fetched into .libtorch by the commands that need it.
To use another torch 2.11, CPU or CUDA: LIBTORCH=FOLDER (with lib/ and include/) or
LIBTORCH_USE_PYTORCH=1 (the torch of the python3 in PATH).
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let root = root();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["help" | "--help" | "-h"] => help(),
        ["demo", rest @ ..] => demo::demo(&root, rest),
        ["base", rest @ ..] => demo::base(&root, rest),
        ["libtorch"] => libtorch::ensure(&root).map(drop),
        ["test"] => checks::all(&root),
        ["test", "--fast"] => checks::fast(&root),
        [] => Err(Failure::Usage { given: "no command".into() }),
        other => Err(Failure::Usage { given: format!("`{}`", other.join(" ")) }),
    }
}

fn help() -> Result<()> {
    let written = std::io::stdout().write_all(HELP.as_bytes());
    written.map_err(|source| Failure::Io { what: "write", path: "stdout".into(), source })
}

/// The workspace root: the parent of this package.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}
