//! The program in a build without libtorch.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{capture, code, program, text, torchlight};

#[test]
fn what_needs_libtorch_says_which_build_has_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in ["train lora --data x", "generate --help", "run", "run x.toml --seed 1"] {
        let words: Vec<&str> = command.split(' ').collect();
        let done = torchlight(folder.path(), &words);
        let said = text(&done.stderr);
        assert_eq!((code(&done), done.stdout.len(), said.lines().count()), (3, 0, 1), "{said}");
        let asked = format!("cargo run --release --example torchlight -- {command}");
        assert!(said.contains(&asked), "{said}");
    }
    let help = text(&torchlight(folder.path(), &["--help"]).stdout);
    for absent in ["train", "generate", "run"] {
        assert!(!help.lines().any(|line| line.trim_start().starts_with(absent)), "{help}");
    }
}

/// Peak of a program's memory so far, as the kernel counts it. Units: KiB.
fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// `times` times `part` behind `head` into the program's standard input, and the peak before its
/// end.
fn peak_of(folder: &Path, words: &str, (head, part): (&[u8], &[u8]), times: usize) -> u64 {
    let mut child = Command::new(program())
        .args(words.split(' '))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(head).expect("taken");
    for _ in 0..times {
        stdin.write_all(part).expect("taken");
    }
    let peak = peak_kib(child.id());
    drop(stdin);
    assert!(child.wait().expect("an end").success(), "{words}");
    peak
}

/// 64 MiB of input, and less than that in memory: captures and rows pass through.
#[cfg(target_os = "linux")]
#[test]
fn long_inputs_are_not_held() {
    const INPUT_BYTES: usize = 64 << 20;
    const MOST_KIB: u64 = 32 << 10;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink("/dev/null", folder.path().join("null")).expect("a link");
    let bytes = fs::read(capture(folder.path(), "a.pcap")).expect("readable");
    let pcap = bytes.split_at(24);
    let csv = torchlight(folder.path(), &["encode", "a.pcap", "--headers", "udp"]).stdout;
    let first_row = csv.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
    for (words, input) in [
        ("nprint -P - -u -W null", pcap),
        ("encode - --headers udp -o null", pcap),
        ("encode - --headers udp --format npy -o null", pcap),
        ("decode - -o null", csv.split_at(first_row)),
    ] {
        let peak = peak_of(folder.path(), words, input, INPUT_BYTES.div_ceil(input.1.len()));
        assert!(peak < MOST_KIB, "{words}: {peak} KiB");
    }
}
