//! The program from the outside: what it prints, what it writes, how it ends.

mod decode;
mod encode;
mod inspect;
mod nprint;
mod stages;
#[cfg(feature = "diffusion")]
mod tensors;
#[cfg(not(feature = "diffusion"))]
mod without_tensors;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use torchlight::nprint_codec::{LinkType, Trace, write_capture};

/// The program, which cargo builds before the tests of its package.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().expect("this test is a program");
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("torchlight{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{}: cargo build --example torchlight makes it", path.display());
    path
}

fn torchlight(folder: &Path, words: &[&str]) -> Output {
    Command::new(program()).args(words).current_dir(folder).output().expect("the program starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Twenty UDP packets between two hosts, checksums left out.
fn capture(folder: &Path, name: &str) -> PathBuf {
    let mut trace = Trace::new(LinkType::RawIp);
    for i in 0..20_u8 {
        let mut bytes = vec![0x45, 0, 0, 60, 0, i, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0x9c, 0x40, 0xca, 0x6c, 0, 40, 0, 0]);
        bytes.resize(60, i);
        trace.push(1_700_000_000_000_000_000 + i64::from(i) * 1_000_000, &bytes, 60);
    }
    let path = folder.join(name);
    write_capture(&path, &trace).expect("a capture");
    path
}

#[test]
fn wrong_usage_and_missing_features_say_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    assert_eq!(code(&torchlight(folder.path(), &["encode"])), 2);
    assert_eq!(code(&torchlight(folder.path(), &["no-such-command"])), 2);
    assert_eq!(code(&torchlight(folder.path(), &["nprint", "-Q"])), 2);
    let parquet = torchlight(folder.path(), &["encode", "a.pcap", "--format", "parquet"]);
    std::fs::write(folder.path().join("b.parquet"), "PAR1").expect("written");
    let refused = ["decode b.parquet -o b.pcap", "inspect b.parquet"].map(|words| {
        let words: Vec<&str> = words.split(' ').collect();
        torchlight(folder.path(), &words)
    });
    if cfg!(feature = "polars") {
        assert_eq!((code(&parquet), &parquet.stdout[..4]), (0, &b"PAR1"[..]));
        assert_eq!(refused.each_ref().map(code), [3, 3]);
    } else {
        for refused in [&parquet].into_iter().chain(&refused) {
            assert_eq!(code(refused), 3);
            assert!(text(&refused.stderr).contains("feature polars"), "{}", text(&refused.stderr));
        }
    }
    for command in
        ["encode", "decode", "inspect", "dataset", "canny", "repair", "check", "evaluate"]
    {
        let help = torchlight(folder.path(), &[command, "--help"]);
        assert_eq!(code(&help), 0);
        assert!(text(&help.stdout).contains("Example: torchlight"), "{command}");
    }
}
