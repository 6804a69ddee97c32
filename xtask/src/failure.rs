//! What can go wrong, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// The result of every command.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// Not a command.
    Usage { given: String },
    /// A file or folder could not be read or written.
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    /// A program that must be installed is not.
    Missing { program: String, needed_for: &'static str, provide: &'static str },
    /// There is no ready-made libtorch for this machine.
    Platform { os: &'static str, arch: &'static str },
    /// pip could not fetch the wheels.
    Download { said: String },
    /// A folder that should hold libtorch does not, or holds a damaged one.
    Broken { folder: PathBuf, problem: String },
    /// The torch that LIBTORCH or LIBTORCH_USE_PYTORCH names is not the one we need.
    Provided { variable: &'static str, problem: String },
    /// A step of a longer command failed; its own output says why.
    Step { name: String, exit: Option<i32> },
}

/// How to do without the download, for every message that ends in it.
const PROVIDE: &str = "\
What you can provide instead:
  - a folder with torch 2.11's lib/ and include/, CPU or CUDA: export LIBTORCH=FOLDER
  - a python3 whose `import torch` is 2.11:                    export LIBTORCH_USE_PYTORCH=1
  - the wheels, fetched on another machine and unpacked (they are zip files) into .libtorch:";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { given } => {
                write!(f, "xtask: {given} is not a command; `cargo xtask help` lists them")
            }
            Self::Io { what, path, source } => {
                write!(f, "cannot {what} {}: {source}", path.display())
            }
            Self::Missing { program, needed_for, provide } => {
                write!(f, "{program} was not found; it is needed {needed_for}. {provide}")
            }
            Self::Platform { os, arch } => {
                writeln!(
                    f,
                    "libtorch cannot be fetched for {os} on {arch}, only for Linux on x86_64."
                )?;
                provide(f)
            }
            Self::Download { said } => {
                writeln!(f, "libtorch could not be fetched. pip said:")?;
                said.lines().try_for_each(|line| writeln!(f, "  | {line}"))?;
                provide(f)
            }
            Self::Broken { folder, problem } => write!(
                f,
                "{} is not a whole libtorch: {problem}\nRemove the folder and run this again.",
                folder.display()
            ),
            Self::Provided { variable, problem } => {
                write!(f, "{variable} is set, but {problem}. Unset it to have libtorch fetched.")
            }
            Self::Step { name, exit: Some(code) } => write!(f, "{name} failed with exit {code}"),
            Self::Step { name, exit: None } => write!(f, "{name} was stopped by a signal"),
        }
    }
}

fn provide(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{PROVIDE}")?;
    crate::fetch::WHEELS.iter().try_for_each(|wheel| write!(f, "\n      {}", wheel.file))
}

impl Failure {
    /// A step's own exit code; 2 for wrong usage; else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Step { exit: Some(code), .. } => {
                u8::try_from(*code).ok().filter(|c| *c != 0).unwrap_or(1)
            }
            _ => 1,
        }
    }
}
