//! The program from the outside: what it prints, what it writes, how it ends.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use torchlight::nprint_codec::{
    Layout, LinkType, RowPolicy, Trace, encode, read_capture, write_capture,
};

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
    for format in ["csv", "npy", "png"] {
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
fn nprint_takes_the_flags_of_the_tool() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = capture(folder.path(), "a.pcap");
    let nprint = |words: &str| {
        let words: Vec<&str> = std::iter::once("nprint").chain(words.split(' ')).collect();
        torchlight(folder.path(), &words)
    };
    let all = nprint("-P a.pcap -u -S");
    assert_eq!((code(&all), text(&all.stdout).lines().count()), (0, 21));
    assert!(text(&all.stderr).contains("  UDP:                       20 (100.00%)"));
    let none = nprint("-P a.pcap -u -f tcp -x (?!udp_len).*");
    assert_eq!(text(&none.stdout).split(',').count(), 17);
    assert_eq!(text(&none.stdout).lines().count(), 1);
    let wrong = nprint("-P a.pcap -f prot");
    assert_eq!(code(&wrong), 2);
    assert!(text(&wrong.stderr).contains("column 1"), "{}", text(&wrong.stderr));
    assert_eq!(code(&nprint("-P a.pcap -N x.npt -W y")), 2);
    assert_eq!(code(&nprint("-N x.npt")), 2);
    assert_eq!(code(&nprint("-P none.pcap -4")), 3);
    let live = nprint("-d eth0");
    assert!(text(&live.stderr).contains("live capture is not built in"));
    assert!(text(&nprint("-h").stdout).contains("wlan_rx_addr_0 .. wlan_rx_addr_47\n"));

    // Damage: what came before is written, and said.
    let bytes = fs::read(&path).expect("readable");
    fs::write(folder.path().join("cut.pcap"), &bytes[..bytes.len() - 5]).expect("written");
    let cut = nprint("-P cut.pcap -u");
    assert_eq!((code(&cut), text(&cut.stdout).lines().count()), (1, 20));
    assert!(text(&cut.stderr).contains("cut.pcap, packet 20, byte "), "{}", text(&cut.stderr));

    // Hexadecimal digits, and there and back.
    let hex = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    let digits: String = bytes[40..100].iter().flat_map(hex).flatten().collect();
    fs::write(folder.path().join("a.csv"), format!("a,b,c\n1,2,{digits}\n3,4,xx\n"))
        .expect("written");
    let hex = nprint("-C a.csv -4 -u");
    assert_eq!((code(&hex), text(&hex.stdout).lines().count()), (1, 2));
    assert!(text(&hex.stderr).contains("a.csv, line 3: 'x'"), "{}", text(&hex.stderr));
    assert_eq!(code(&nprint("-P a.pcap -4 -u -p 40 -A -W rows.npt")), 0);
    assert_eq!(code(&nprint("-N rows.npt -W back.pcapng")), 0);
    let back = read_capture(folder.path().join("back.pcapng")).expect("a capture");
    assert_eq!(back, read_capture(&path).expect("a capture"));
}

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

    // A device is written to, never replaced.
    #[cfg(unix)]
    for format in ["csv", "npy"] {
        let words = ["encode", "captures/a.pcap", "--format", format, "-o", "/dev/null"];
        assert_eq!(code(&torchlight(folder.path(), &words)), 0);
        assert!(!Path::new("/dev/null").is_file());
    }
    #[cfg(unix)]
    for words in ["decode rows/a.csv -o /dev/null", "nprint -N rows/a.csv -W /dev/null"] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(code(&torchlight(folder.path(), &words)), 0);
        assert!(!Path::new("/dev/null").is_file());
    }
    // An array on a pipe is the one in a file.
    let words = ["encode", "captures/a.pcap", "--format", "npy"];
    let piped = torchlight(folder.path(), &words).stdout;
    torchlight(folder.path(), &[&words[..], &["-o", "a.npy"]].concat());
    assert_eq!(piped, fs::read(folder.path().join("a.npy")).expect("readable"));
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
fn wrong_usage_and_missing_features_say_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    assert_eq!(code(&torchlight(folder.path(), &["encode"])), 2);
    assert_eq!(code(&torchlight(folder.path(), &["no-such-command"])), 2);
    assert_eq!(code(&torchlight(folder.path(), &["nprint", "-Q"])), 2);
    let parquet = torchlight(folder.path(), &["encode", "a.pcap", "--format", "parquet"]);
    if cfg!(feature = "polars") {
        assert_eq!((code(&parquet), &parquet.stdout[..4]), (0, &b"PAR1"[..]));
    } else {
        assert_eq!(code(&parquet), 3);
        assert!(text(&parquet.stderr).contains("feature polars"));
    }
    for command in [
        "encode", "decode", "inspect", "dataset", "canny", "generate", "repair", "check",
        "evaluate", "run",
    ] {
        let help = torchlight(folder.path(), &[command, "--help"]);
        assert_eq!(code(&help), 0);
        assert!(text(&help.stdout).contains("Example: torchlight"), "{command}");
    }
}

#[test]
fn some_inputs_may_fail() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    fs::write(folder.path().join("b.pcap"), "no capture").expect("written");
    let some = torchlight(folder.path(), &["inspect", "a.pcap", "b.pcap", "--json"]);
    assert_eq!(code(&some), 1);
    let summary: serde_json::Value = serde_json::from_slice(&some.stdout).expect("JSON");
    assert_eq!(
        (summary["done"].as_u64(), summary["problems"][0]["input"].as_str()),
        (Some(1), Some("b.pcap"))
    );
    assert_eq!(code(&torchlight(folder.path(), &["inspect", "b.pcap"])), 3);

    // Folder of captures: one good, three bad, one without a label.
    let captures = folder.path().join("captures");
    fs::create_dir_all(&captures).expect("a folder");
    let good = fs::read(capture(&captures, "good.pcap")).expect("readable");
    capture(&captures, "stranger.pcap");
    fs::write(
        captures.join("labels.csv"),
        "file,service\ngood.pcap,x\ncut.pcap,x\nempty.pcap,x\nnotes.txt,x\n",
    )
    .expect("written");
    fs::write(captures.join("cut.pcap"), &good[..good.len() - 5]).expect("written");
    fs::write(captures.join("empty.pcap"), "").expect("written");
    fs::write(captures.join("notes.txt"), "notes").expect("written");
    let words = ["dataset", "captures", "-o", "images", "--rows", "32"];
    let done = torchlight(folder.path(), &words);
    assert_eq!(code(&done), 1);
    let said = text(&done.stderr);
    for name in ["cut.pcap", "empty.pcap", "notes.txt", "stranger.pcap"] {
        assert!(said.contains(&format!("failed: {name}: ")), "{name}: {said}");
    }
    assert!(folder.path().join("images/images/good.png").is_file());
    assert_eq!(code(&torchlight(folder.path(), &words)), 3, "a finished folder is not replaced");

    let edges = torchlight(
        folder.path(),
        &["canny", "images/images/good.png", "-o", "edges.png", "--json"],
    );
    assert_eq!(code(&edges), 0, "{}", text(&edges.stderr));
    let words = ["repair", "images", "-o", "repaired", "--addresses", "10.9.0.0/16", "--strict"];
    let repaired = torchlight(folder.path(), &words);
    assert_eq!(code(&repaired), 0, "{}", text(&repaired.stderr));
    let check = torchlight(folder.path(), &["check", "repaired/captures/good.pcap"]);
    assert_eq!(code(&check), 0, "{}{}", text(&check.stdout), text(&check.stderr));
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

/// Captures of any make in three formats, none with a label in its name; `n` of them.
fn strangers(folder: &Path, n: usize) {
    fs::create_dir_all(folder).expect("a folder");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-samples/held-out");
    let entries = fs::read_dir(samples).expect("the sample captures");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "gz"));
    paths.sort();
    let ending = |i: usize| ["pcap.gz", "pcapng", "cap"][i % 3];
    for (i, path) in paths.iter().take(n).enumerate() {
        let to = folder.join(format!("capture {i}.{}", ending(i)));
        if i % 3 == 0 {
            fs::copy(path, to).expect("copied");
        } else {
            let mut trace = read_capture(path).expect("a sample capture");
            trace.truncate(200);
            write_capture(&to, &trace).expect("a capture");
        }
    }
}

#[test]
fn evaluate_takes_captures_from_anywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let evaluate = |real: &str, synthetic: &str, out: &str| {
        let words = ["evaluate", "--real", real, "--synthetic", synthetic, "-o", out];
        let tail = ["--packets", "200", "--runs", "1", "--json"];
        torchlight(folder.path(), &[&words[..], &tail[..]].concat())
    };
    let report = |out: &str| -> serde_json::Value {
        let bytes = fs::read(at(out).join("report.json")).expect("a report");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let notes = |out: &str| report(out)["notes"].to_string();
    strangers(&at("a"), 6);
    strangers(&at("b"), 3);

    // No labels anywhere, three formats: everything but the utility tests.
    let done = evaluate("a", "b", "plain");
    assert_eq!(code(&done), 0, "{}", text(&done.stderr));
    assert!(notes("plain").contains("no labels"), "{}", notes("plain"));
    let found = report("plain");
    let scores = found["scores"].as_array().expect("scores");
    let bits = scores.iter().find(|s| s["group"] == "Header bits").expect("a score");
    assert!(bits["synthetic"].is_number() && bits["noise_floor"].is_number());
    assert!(bits["wrong_class"].is_null() && found["utility"] == serde_json::json!([]));
    // The same captures under other names: the copies are found.
    let copied = scores.iter().find(|s| s["metric"] == "captures that copy a real one");
    assert_eq!(copied.expect("a score")["synthetic"], 1.0);
    let page = fs::read_to_string(at("plain/report.html")).expect("a page");
    assert!(page.contains("alt=\"real\"") && page.contains("alt=\"synthetic\""));
    assert!(at("plain/plots/picture-1-1-real.png").is_file());

    // One capture a side, of one packet.
    for name in ["one", "other"] {
        fs::create_dir_all(at(name)).expect("a folder");
        let mut trace = read_capture(capture(&at(name), "c.pcap")).expect("a capture");
        trace.truncate(1);
        write_capture(at(name).join("c.pcap"), &trace).expect("a capture");
    }
    let done = evaluate("one", "other", "small");
    assert_eq!(code(&done), 0, "{}", text(&done.stderr));
    assert!(notes("small").contains("no noise floor"), "{}", notes("small"));

    // What is no capture is named, the rest is compared.
    fs::write(at("b/empty.pcap"), "").expect("written");
    fs::write(at("b/notes.txt"), "notes").expect("written");
    let mut odd = Trace::new(LinkType::RawIp);
    odd.push(1, &[0xff; 40], 40);
    write_capture(at("b/no-ip.pcap"), &odd).expect("a capture");
    let some = evaluate("a", "b", "some");
    assert_eq!(code(&some), 1);
    let said = text(&some.stderr);
    for name in ["empty.pcap", "notes.txt", "no-ip.pcap"] {
        assert!(said.contains(&format!("failed: {name}: ")), "{name}: {said}");
    }
    assert_eq!(report("some")["sets"][1]["captures"], 3);

    // Nothing left on one side, and a folder that is not there.
    fs::create_dir_all(at("none")).expect("a folder");
    fs::write(at("none/notes.txt"), "notes").expect("written");
    let none = evaluate("a", "none", "nothing");
    assert_eq!(code(&none), 3);
    let said = text(&none.stderr);
    assert!(said.contains("the synthetic set is empty"), "{said}");
    assert!(said.contains("failed: notes.txt: "), "{said}");
    assert!(!at("nothing/report.html").exists());
    assert_eq!(code(&evaluate("a", "missing", "nothing")), 3);
}
