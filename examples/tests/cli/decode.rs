//! `decode`, and there and back.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use torchlight::nprint_codec::{Layout, RowPolicy, Trace, encode, read_capture};

use super::{capture, code, program, text, torchlight};

#[test]
fn encode_decode_and_stdin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = capture(folder.path(), "a.pcap");
    let csv = torchlight(folder.path(), &["encode", "a.pcap"]);
    assert_eq!(code(&csv), 0, "{}", text(&csv.stderr));
    assert_eq!(text(&csv.stdout).lines().count(), 21);
    let tool = torchlight(folder.path(), &["nprint", "-P", "a.pcap", "-4", "-6", "-t", "-u", "-i"]);
    assert_eq!(text(&tool.stdout).lines().count(), 21);

    let mut child = Command::new(program())
        .args(["encode", "-", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&fs::read(&path).expect("readable")).expect("taken");
    drop(stdin);
    assert_eq!(child.wait_with_output().expect("an end").stdout, csv.stdout);

    let matrix = |path: &Path| {
        let trace = read_capture(path).expect("a capture");
        encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket)
    };
    let tables: &[&str] = if cfg!(feature = "polars") { &["parquet"] } else { &[] };
    for &format in ["csv", "npy", "png"].iter().chain(tables) {
        let (rows, back) = (format!("rows.{format}"), format!("{format}.pcap"));
        let done =
            torchlight(folder.path(), &["encode", "a.pcap", "--format", format, "-o", &rows]);
        assert_eq!(code(&done), 0, "{}", text(&done.stderr));
        let done = torchlight(folder.path(), &["decode", &rows, "-o", &back]);
        assert_eq!(code(&done), 0, "{}", text(&done.stderr));
        assert_eq!(matrix(&folder.path().join(&back)), matrix(&path), "{format}");
        let again = torchlight(folder.path(), &["decode", &rows, "-o", &back]);
        assert_eq!(code(&again), 3, "what exists is not replaced");
        assert!(text(&again.stderr).contains("--force"));
    }
}

#[test]
fn decode_fills_payload() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    torchlight(folder.path(), &["encode", "a.pcap", "--time", "absolute", "-o", "a.csv"]);
    let decoded = |payload: &str, seed: &str| {
        let words =
            ["decode", "a.csv", "-o", "b.pcap", "--force", "--payload", payload, "--seed", seed];
        let done = torchlight(folder.path(), &words);
        assert_eq!(code(&done), 0, "{}", text(&done.stderr));
        read_capture(folder.path().join("b.pcap")).expect("a capture")
    };
    let (zero, pattern, random) =
        (decoded("zero", "1"), decoded("pattern", "1"), decoded("random", "1"));
    assert_eq!(zero.packet(3).time_ns, 1_700_000_000_003_000_000);
    assert_eq!(zero.packet(3).bytes[28..], [0; 32]);
    assert_eq!(pattern.packet(3).bytes[28..34], [0, 1, 2, 3, 4, 5]);
    assert_ne!(random.packet(3).bytes[28..], random.packet(4).bytes[28..]);
    assert_eq!(random, decoded("random", "1"));
    assert_ne!(random, decoded("random", "2"));
    let piped = torchlight(folder.path(), &["decode", "a.csv", "-o", "-"]).stdout;
    torchlight(folder.path(), &["decode", "a.csv", "-o", "c.pcap"]);
    assert_eq!(piped, fs::read(folder.path().join("c.pcap")).expect("readable"));
}

#[test]
fn decode_takes_several_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = capture(folder.path(), "a.pcap");
    for name in ["a.csv", "b.npy", "c.png"] {
        let format = &name[2..];
        torchlight(folder.path(), &["encode", "a.pcap", "--format", format, "-o", name]);
    }
    fs::write(folder.path().join("d.csv"), "no rows").expect("written");
    let files = ["a.csv", "b.npy", "c.png", "d.csv"];
    let done =
        torchlight(folder.path(), &[&["decode", "-o", "back", "--json"], &files[..]].concat());
    assert_eq!(code(&done), 1, "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("failed: d.csv: "), "{}", text(&done.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((summary["done"].as_u64(), summary["packets"].as_u64()), (Some(3), Some(60)));
    let bytes = |trace: &Trace| trace.iter().map(|p| p.bytes.len()).collect::<Vec<_>>();
    let trace = read_capture(&path).expect("a capture");
    for name in ["a", "b", "c"] {
        let back = folder.path().join("back").join(format!("{name}.pcap"));
        assert_eq!(bytes(&read_capture(back).expect("a capture")), bytes(&trace), "{name}");
    }
    assert!(!folder.path().join("back/d.pcap").exists());

    // Nothing is begun where two results would have one name, or without a folder for them.
    fs::create_dir_all(folder.path().join("other")).expect("a folder");
    fs::copy(folder.path().join("a.csv"), folder.path().join("other/a.csv")).expect("copied");
    for words in ["decode a.csv other/a.csv -o twice", "decode a.csv b.npy -o -"] {
        let words: Vec<&str> = words.split(' ').collect();
        let done = torchlight(folder.path(), &words);
        assert_eq!((code(&done), done.stdout.len()), (3, 0), "{words:?}");
    }
    assert!(!folder.path().join("twice/a.pcap").exists());
}
