//! The commands that the documents tell a reader to type are there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use torchlight_tests::{cargo, root};

/// README.md, CONTRIBUTING.md and what lies in docs/.
fn documents() -> Vec<(PathBuf, String)> {
    let in_folder = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).expect("a readable folder");
        entries.map(|entry| entry.expect("a readable entry").path())
    };
    let mut paths: Vec<PathBuf> = in_folder(root()).chain(in_folder(root().join("docs"))).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable document");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The word after each occurrence of `before`, where it is a name and not a placeholder.
fn words_after(before: &str, text: &str) -> BTreeSet<String> {
    let rests = text.split(before).skip(1);
    let word = |rest: &str| {
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        rest.chars().take_while(|c| name(*c)).collect::<String>()
    };
    rests.map(word).filter(|word| !word.is_empty()).collect()
}

#[test]
fn words_are_found() {
    let text = "`cargo xtask demo`, `cargo xtask test --fast`, `cargo xtask COMMAND`";
    assert_eq!(words_after("cargo xtask ", text), ["demo", "test"].map(String::from).into());
}

#[test]
fn xtask_has_every_command_that_is_named() {
    let help = cargo(&["run", "--quiet", "--package", "xtask", "--", "help"]).expect("xtask help");
    let has = |name: &String| {
        help.lines()
            .any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(name))
    };
    let mut named = BTreeSet::new();
    for (path, text) in documents() {
        for name in words_after("cargo xtask ", &text) {
            assert!(has(&name), "{}: `cargo xtask {name}` does not exist", path.display());
            named.insert(name);
        }
    }
    for first in ["demo", "test"] {
        assert!(named.contains(first), "no document says `cargo xtask {first}`");
    }
}

#[test]
fn every_example_and_bench_that_is_named_exists() {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"]).expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
    let targets: BTreeSet<(&str, &str)> = targets
        .filter_map(|target| Some((target["kind"][0].as_str()?, target["name"].as_str()?)))
        .collect();
    for (path, text) in documents() {
        for kind in ["example", "bench"] {
            for name in words_after(&format!("--{kind} "), &text) {
                let there = targets.contains(&(kind, name.as_str()));
                assert!(there, "{}: there is no {kind} `{name}`", path.display());
            }
        }
    }
}
