//! What needs libtorch.

use std::fs;

use super::{code, text, torchlight};

#[test]
fn every_command_has_an_example() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for words in ["generate --help", "run --help", "train lora --help"] {
        let words: Vec<&str> = words.split(' ').collect();
        let help = torchlight(folder.path(), &words);
        assert_eq!(code(&help), 0);
        assert!(text(&help.stdout).contains("Example: torchlight"), "{words:?}");
    }
}

#[test]
fn a_run_without_captures_or_config_fails_clearly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(code(&torchlight(folder.path(), &["run", "none.toml"])), 3);
    fs::write(folder.path().join("bad.toml"), "[lora]\nrnak = 4\n").expect("written");
    let bad = torchlight(folder.path(), &["run", "bad.toml"]);
    assert_eq!(code(&bad), 3);
    assert!(text(&bad.stderr).contains("rnak"), "{}", text(&bad.stderr));
}
