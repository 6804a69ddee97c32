//! The stages that need no libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use torchlight::nprint_codec::{LinkType, Trace, read_capture, write_capture};

use super::{capture, code, text, torchlight};

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
