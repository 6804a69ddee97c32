//! `encode`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{capture, code, program, text, torchlight};

#[test]
fn encode_selects_packets_and_columns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    let words = [
        "encode",
        "a.pcap",
        "--headers",
        "ipv4,udp",
        "--select",
        "udp and dst port 51820",
        "--max-packets",
        "3",
        "--keep",
        "ipv4_.*",
        "--drop",
        "ipv4_opt_.*",
    ];
    let rows = torchlight(folder.path(), &words);
    assert_eq!(code(&rows), 0, "{}", text(&rows.stderr));
    let csv = text(&rows.stdout);
    let cells: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(cells, [161; 4]);
    assert_eq!(code(&torchlight(folder.path(), &["encode", "a.pcap", "--select", "port x"])), 2);
    let npy = ["encode", "a.pcap", "--format", "npy", "--drop", "x"];
    assert_eq!(code(&torchlight(folder.path(), &npy)), 3);
}

#[test]
fn encode_selects_a_time_window_and_a_flow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    let rows = |words: &[&str]| {
        let words = [&["encode", "a.pcap", "--headers", "ipv4"], words].concat();
        let rows = torchlight(folder.path(), &words);
        assert_eq!(code(&rows), 0, "{}", text(&rows.stderr));
        text(&rows.stdout).lines().count() - 1
    };
    // The packets come every millisecond from 2023-11-14T22:13:20 on.
    assert_eq!(rows(&["--from", "1700000000.005"]), 15);
    assert_eq!(rows(&["--from", "2023-11-14T22:13:20.005Z", "--to", "1700000000.0075"]), 3);
    assert_eq!(rows(&["--to", "2023-11-14"]), 0);
    assert_eq!(rows(&["--from", "2023-11-14", "--to", "2023-11-14T22:14"]), 20);
    let flow = "10.0.0.2_10.0.0.1_51820_40000_UDP";
    assert_eq!(rows(&["--flow", flow]), 20);
    assert_eq!(rows(&["--flow", flow, "--flow-timeout", "0.0005"]), 1);
    assert_eq!(rows(&["--flow", flow, "--flow-timeout", "1", "--max-packets", "7"]), 7);
    assert_eq!(rows(&["--flow", "10.0.0.2_10.0.0.1_51820_40000_TCP"]), 0);
    for wrong in [
        ["--from", "yesterday"],
        ["--from", "2023-02-29"],
        ["--to", "2023-11-14T25:00"],
        ["--flow", "10.0.0.2_10.0.0.1"],
        ["--flow-timeout", "1"],
    ] {
        let words = [&["encode", "a.pcap"], &wrong[..]].concat();
        assert_eq!(code(&torchlight(folder.path(), &words)), 2, "{wrong:?}");
    }
}

#[test]
fn encode_goes_on_behind_damage_where_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = capture(folder.path(), "a.pcap");
    let mut bytes = fs::read(&path).expect("readable");
    // The fifth record states another length.
    bytes[24 + 4 * 76 + 8..24 + 4 * 76 + 12].copy_from_slice(&[0xff; 4]);
    fs::write(folder.path().join("b.pcap"), &bytes).expect("written");
    for format in ["csv", "npy"] {
        let out = format!("b.{format}");
        let strict = ["encode", "b.pcap", "--format", format, "-o", &out];
        let done = torchlight(folder.path(), &strict);
        assert_eq!(code(&done), 3);
        assert!(
            text(&done.stderr).contains("b.pcap, packet 5, byte 328"),
            "{}",
            text(&done.stderr)
        );
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
        assert!(
            left.iter().all(|entry| !entry.path().to_string_lossy().contains(&out)),
            "{left:?}"
        );

        let done = torchlight(folder.path(), &[&strict[..], &["--lossy"]].concat());
        assert_eq!(code(&done), 1);
        let said = text(&done.stderr);
        assert!(
            said.contains("failed: b.pcap: damaged in 1 places, 76 bytes passed over"),
            "{said}"
        );
        assert!(text(&done.stdout).contains("rows: 19\n"), "{}", text(&done.stdout));
        let sound = ["encode", "a.pcap", "--format", format, "--lossy", "-o", "a.out", "--force"];
        assert_eq!(code(&torchlight(folder.path(), &sound)), 0);
    }
}

#[test]
fn encode_takes_folders_and_devices() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let captures = folder.path().join("captures");
    fs::create_dir_all(&captures).expect("a folder");
    for name in ["a.pcap", "b.pcapng", "c.pcap.gz"] {
        capture(&captures, name);
    }
    fs::write(captures.join("d.pcap"), "no capture").expect("written");
    let done = torchlight(folder.path(), &["encode", "captures", "-o", "rows", "--json"]);
    assert_eq!(code(&done), 1);
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((summary["done"].as_u64(), summary["rows"].as_u64()), (Some(3), Some(60)));
    let one = torchlight(folder.path(), &["encode", "captures/a.pcap"]).stdout;
    for name in ["a.csv", "b.csv", "c.csv"] {
        assert_eq!(fs::read(folder.path().join("rows").join(name)).expect("readable"), one);
    }
    assert!(!folder.path().join("rows/d.csv").exists());
    let twice = ["encode", "captures/a.pcap", "captures/a.pcap", "-o", "twice"];
    let done = torchlight(folder.path(), &twice);
    assert_eq!(code(&done), 3);
    assert!(text(&done.stderr).contains("the same output"), "{}", text(&done.stderr));

    // A device is written to, never replaced; through a link, so that no fault can hit the device.
    #[cfg(unix)]
    for words in [
        "encode captures/a.pcap --format csv -o null",
        "encode captures/a.pcap --format npy -o null",
        "decode rows/a.csv -o null",
        "nprint -N rows/a.csv -W null",
    ] {
        let link = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(code(&torchlight(folder.path(), &words)), 0);
        assert!(link.is_symlink() && !link.is_file(), "{words:?}");
        fs::remove_file(link).expect("removed");
    }
    // An array on a pipe is the one in a file.
    let words = ["encode", "captures/a.pcap", "--format", "npy"];
    let piped = torchlight(folder.path(), &words).stdout;
    torchlight(folder.path(), &[&words[..], &["-o", "a.npy"]].concat());
    assert_eq!(piped, fs::read(folder.path().join("a.npy")).expect("readable"));
}

/// The first Ctrl-C ends it between two reads, and nothing half written stays.
#[cfg(unix)]
#[test]
fn encode_stops_when_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = fs::read(capture(folder.path(), "a.pcap")).expect("readable");
    let mut child = Command::new(program())
        .args(["encode", "-", "-o", "a.csv"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&bytes).expect("taken");
    // What it says first shows that it heard; from then on reading fails.
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    while fs::read_dir(folder.path()).expect("a folder").count() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    let first = said.next().expect("a line").expect("text");
    assert!(first.contains("stopping at the next safe place"), "{first}");
    while stdin.write_all(&bytes[24..]).is_ok() {}
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    let last = said.last().expect("a line").expect("text");
    assert!(last.contains("stopped; 0 of 1 inputs are finished"), "{last}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
