//! The sample data is what its hashes say, and small.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use torchlight_tests::root;

/// Where the embedded base model lies; it has a limit of its own.
const BASE: &str = "torchlight-base";
const MAX_SAMPLES_BYTES: u64 = 8_000_000;
const MAX_BASE_BYTES: u64 = 40_000_000;
fn samples() -> PathBuf {
    root().join("data-samples")
}

/// Every file below a folder, relative to it, with `/` between the parts.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("it lies below the folder");
                let parts = relative.iter().map(|part| part.to_string_lossy().into_owned());
                found.insert(parts.collect::<Vec<_>>().join("/"));
            }
        }
    }
    found
}

fn bytes<'a>(folder: &Path, files: impl Iterator<Item = &'a String>) -> u64 {
    files.map(|file| std::fs::metadata(folder.join(file)).expect("a readable file").len()).sum()
}

fn sha256(path: &Path) -> String {
    let hash = Sha256::digest(std::fs::read(path).expect("a readable file"));
    hash.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[test]
fn hashes_hold_and_cover_every_capture() {
    let folder = samples();
    let list = std::fs::read_to_string(folder.join("SHA256SUMS")).expect("SHA256SUMS is there");
    let mut covered = BTreeSet::new();
    for line in list.lines() {
        let (hash, file) = line.split_once("  ").expect("`hash  file` a line");
        assert_eq!(sha256(&folder.join(file)), hash, "{file}");
        covered.insert(file.to_owned());
    }
    // Every capture and table of labels lies in a folder of its set; what lies beside the folders
    // is written by hand or derived from them.
    let mut sets = files(&folder);
    sets.retain(|file| file.contains('/') && !file.starts_with(BASE));
    let uncovered: Vec<&String> = sets.difference(&covered).collect();
    assert!(uncovered.is_empty(), "SHA256SUMS does not have {uncovered:?}");
    assert!(covered.iter().filter(|file| file.starts_with("captures/")).count() >= 16);
}

#[test]
fn sizes_stay_small() {
    let folder = samples();
    let files = files(&folder);
    let (base, rest): (BTreeSet<&String>, BTreeSet<&String>) =
        files.iter().partition(|file| file.starts_with(BASE));
    let (base, rest) = (bytes(&folder, base.into_iter()), bytes(&folder, rest.into_iter()));
    assert!(rest <= MAX_SAMPLES_BYTES, "the samples have {rest} bytes");
    assert!(base <= MAX_BASE_BYTES, "the base model has {base} bytes");
}
