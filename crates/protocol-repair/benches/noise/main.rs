//! How much of a capture repair gives back, by field, kind and strength of noise.
//!
//! ```text
//! cargo bench -p protocol-repair --bench noise -- [--sample N] [--only KIND] [--by-capture]
//!     [--docs FOLDER] [FOLDER or CAPTURE…]
//! ```
//! Without paths: the captures of the tests. `--sample` draws N captures by a fixed seed, each
//! folder with its natural share. Prints Markdown for each folder and for all: the share of packets
//! whose fields equal the truth when bits are taken as they are, after repair, and with the decoders
//! of [`reference`]; then cells changed, findings of `check`, and packets lost or invented.
//! `--docs` also writes `repair-noise.md` and its plots.
#![allow(clippy::print_stdout, clippy::unnecessary_wraps)]

#[path = "../../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;
mod page;
mod plot;
mod population;
mod reference;
mod table;

use common::captures;
use common::noise::Disturbance;
use population::{Member, population};
use std::error::Error;
use table::Table;

/// Kinds of noise, and how the tables call them.
pub const KINDS: [(&str, Disturbance); 11] = [
    ("1 %", Disturbance::Flips(0.01)),
    ("2 %", Disturbance::Flips(0.02)),
    ("5 %", Disturbance::Flips(0.05)),
    ("10 %", Disturbance::Flips(0.1)),
    ("1 % in runs", Disturbance::Clusters(0.01)),
    ("2 % in runs", Disturbance::Clusters(0.02)),
    ("5 % in runs", Disturbance::Clusters(0.05)),
    ("10 % in runs", Disturbance::Clusters(0.1)),
    ("colour σ 40", Disturbance::Colour(40.0)),
    ("colour σ 70", Disturbance::Colour(70.0)),
    ("colour σ 100", Disturbance::Colour(100.0)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let (mut sample, mut only, mut docs, mut by_capture) = (None, None, None, false);
    let mut paths = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--sample" => sample = arguments.next().map(|n| n.parse()).transpose()?,
            "--only" => only = arguments.next(),
            "--docs" => docs = arguments.next(),
            "--by-capture" => by_capture = true,
            flag if flag.starts_with("--") => {}
            _ => paths.push(argument),
        }
    }
    let members = if paths.is_empty() {
        let member = |(name, trace)| Member { folder: "tests".to_owned(), name, trace };
        captures().into_iter().map(member).collect()
    } else {
        population(&paths, sample)?
    };
    let kinds: Vec<_> =
        KINDS.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|o| o == *name)).collect();
    let mut folders: Vec<&str> = members.iter().map(|m| m.folder.as_str()).collect();
    folders.dedup();
    let (tables, all) = table::measure(&members, &kinds, by_capture)?;
    for (folder, table) in folders.iter().zip(&tables) {
        println!("\n{folder}: {} captures\n\n{}", table.captures, table.markdown());
    }
    if tables.len() > 1 {
        println!("\nall: {} captures\n\n{}", all.captures, all.markdown());
    }
    if let Some(folder) = docs {
        let parts: Vec<(&str, &Table)> = folders.into_iter().zip(&tables).collect();
        page::write(folder.as_ref(), &parts, &all)?;
    }
    Ok(())
}
