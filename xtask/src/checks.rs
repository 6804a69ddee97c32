//! `cargo xtask test`: what must hold before a change goes in.

use std::path::Path;
use std::process::Command;

use crate::failure::Result;
use crate::libtorch;
use crate::steps::{Steps, cargo};

/// The crates that know nothing of tensors.
const FREE: [&str; 4] = ["nprint-codec", "trace-image", "protocol-repair", "trace-eval"];
/// The packages that only hold benchmarks.
const BENCHES: [&str; 3] =
    ["torchlight-benches", "torchlight-canny-benches", "torchlight-diffusion-benches"];
/// The crates that reach libtorch through a feature, without it.
const WITHOUT_FEATURES: [&str; 7] = [
    "--package",
    "controlnet-canny",
    "--package",
    "torchlight",
    "--package",
    "torchlight-examples",
    "--no-default-features",
];
/// The program without libtorch.
const LIGHT: [&str; 3] = ["--package", "torchlight-examples", "--no-default-features"];
/// What has tables, with what it needs for Parquet: minutes to build, so apart from the rest, and
/// always these packages together, so that they share one build of it.
const TABLES: [&str; 9] = [
    "--package",
    "nprint-codec",
    "--package",
    "trace-eval",
    "--package",
    "torchlight-examples",
    "--no-default-features",
    "--features",
    "torchlight-examples/polars",
];
const DENY: [&str; 3] = ["--", "-D", "warnings"];

/// Everything.
pub fn all(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    finish(everything(root, &mut steps), &steps)
}

/// Only what builds without libtorch.
pub fn fast(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    finish(without_libtorch(root, &mut steps), &steps)
}

fn finish(result: Result<()>, steps: &Steps) -> Result<()> {
    eprintln!("{}", steps.summary());
    result
}

fn everything(root: &Path, steps: &mut Steps) -> Result<()> {
    format(root, steps)?;
    steps.call("libtorch", || libtorch::ensure(root))?;
    free_tests(root, steps)?;
    let every = ["--workspace"];
    steps.command("clippy, all packages", &mut clippy(root, &every))?;
    steps.command("clippy, without features", &mut clippy(root, &WITHOUT_FEATURES))?;
    let rest = FREE.iter().flat_map(|package| ["--exclude", package]);
    steps.command(
        "tests, all other packages",
        tests(root).args(["--workspace", "--no-fail-fast"]).args(rest),
    )?;
    steps.command("tests, the program without libtorch", tests(root).args(LIGHT))?;
    let program = ["--example", "torchlight"];
    steps
        .command("the program with tables", cargo(root).arg("build").args(TABLES).args(program))?;
    let targets = ["--lib", "--test", "tables", "--test", "cli"];
    steps.command("tests, tables", tests(root).args(TABLES).args(targets))?;
    steps.command(
        "documentation",
        cargo(root)
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    // Without `--bench` on its command line a benchmark runs each of its bodies once.
    steps.command("benches, once each", tests(root).arg("--benches").args(packages(&BENCHES)))?;
    for example in library_examples(root)? {
        let mut command = one_thread(cargo(root));
        command.args(["run", "--quiet", "--package", "torchlight-examples", "--example", &example]);
        steps.command(&format!("example {example}"), &mut command)?;
    }
    Ok(())
}

fn without_libtorch(root: &Path, steps: &mut Steps) -> Result<()> {
    format(root, steps)?;
    free_tests(root, steps)?;
    let canny = ["--package", "controlnet-canny", "--no-default-features"];
    steps.command("tests, edges", tests(root).args(canny))?;
    steps.command("tests, the program without libtorch", tests(root).args(LIGHT))?;
    let free: Vec<&str> = packages(&FREE).collect();
    steps.command("clippy, packages without libtorch", &mut clippy(root, &free))?;
    steps.command("clippy, without features", &mut clippy(root, &WITHOUT_FEATURES))
}

fn clippy(root: &Path, packages: &[&str]) -> Command {
    let mut command = cargo(root);
    command.args(["clippy", "--all-targets"]).args(packages).args(DENY);
    command
}

fn format(root: &Path, steps: &mut Steps) -> Result<()> {
    steps.command("formatting", cargo(root).args(["fmt", "--all", "--check"]))
}

fn free_tests(root: &Path, steps: &mut Steps) -> Result<()> {
    let name = "tests, packages without libtorch";
    steps.command(name, tests(root).arg("--no-fail-fast").args(packages(&FREE)))
}

fn packages<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(|name| ["--package", name])
}

fn tests(root: &Path) -> Command {
    let mut command = one_thread(cargo(root));
    command.arg("test");
    command
}

/// Tests run side by side: on a loaded machine more threads of libtorch make each of them slower.
fn one_thread(mut command: Command) -> Command {
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", "1");
    }
    command
}

/// The numbered examples, in order; each runs without arguments on the sample data.
fn library_examples(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("examples");
    let entries = std::fs::read_dir(&folder).map_err(libtorch::io("list", &folder))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    names.sort();
    Ok(names)
}
