//! The command line program: thin over the `torchlight` library.
//!
//! Results go to files or standard output, everything else to standard error. Exit status: 0 all
//! done, 1 some inputs failed (named), 2 wrong usage, 3 nothing could be done, 130 stopped with
//! Ctrl-C (what was finished is kept; the stages' commands go on from there).
//!
//! Without feature `diffusion` it holds no libtorch: everything but `train`, `generate` and `run`.

mod bars;
mod batch;
mod columns;
mod commands;
mod files;
mod moment;
mod nprint;
mod summary;
#[cfg(feature = "polars")]
mod tables;
#[cfg(not(feature = "polars"))]
#[path = "without_tables.rs"]
mod tables;
mod weights;

use std::process::ExitCode;

use clap::Parser;
use torchlight::StopFlag;

use commands::Command;
use summary::Common;

/// From labelled packet captures to new, protocol-correct ones.
#[derive(Debug, Parser)]
#[command(name = "torchlight", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const STOPPED: u8 = 130;
const NOTHING_DONE: u8 = 3;

fn main() -> ExitCode {
    let stop = stop_on_interrupt();
    // nPrint's own flags are not ours to read.
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("nprint") {
        return finish(nprint::run(words, &stop), &stop);
    }
    let Arguments { common, command } = Arguments::parse();
    log(common.verbose);
    finish(command.run(&common, &stop).and_then(|summary| summary.print(&common)), &stop)
}

fn finish(result: anyhow::Result<ExitCode>, stop: &StopFlag) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if files::is_broken_pipe(&error) {
        // The reader of our output has seen enough.
        return ExitCode::SUCCESS;
    }
    eprintln!("torchlight: {error:#}");
    ExitCode::from(if stop.is_raised() { STOPPED } else { NOTHING_DONE })
}

/// The first Ctrl-C asks to stop at the next safe place, the second one ends at once.
fn stop_on_interrupt() -> StopFlag {
    let stop = StopFlag::new();
    let flag = stop.clone();
    let handler = move || {
        if flag.is_raised() {
            std::process::exit(i32::from(STOPPED));
        }
        flag.stop();
        eprintln!("stopping at the next safe place; once more to end at once");
    };
    if ctrlc::set_handler(handler).is_err() {
        eprintln!("torchlight: Ctrl-C ends the program at once; what is done is kept");
    }
    stop
}

fn log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
