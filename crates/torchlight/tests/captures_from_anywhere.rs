//! The evaluation of folders that Torchlight did not make: no labels, several formats, files that are no
//! captures. It needs no libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use nprint_codec::{LinkType, Trace, read_capture, write_capture};
use torchlight::stages::{ReportSources, read_samples, write_report};
use torchlight::{
    DatasetConfig, EvaluateConfig, LabelSource, Monitor, Problem, Quiet, Stage, StopFlag,
    capture_files,
};
use trace_eval::{Classifier, EvalConfig, Report, Sample, View};

/// Packets of a capture that are compared.
const PACKETS: usize = 120;

/// `n` real captures in three formats, none with a label in its name.
fn strangers(folder: &Path, n: usize) {
    fs::create_dir_all(folder).expect("a folder");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data-samples/held-out");
    let entries = fs::read_dir(samples).expect("the sample captures");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "gz"));
    paths.sort();
    for (i, path) in paths.iter().take(n).enumerate() {
        let ending = ["pcap.gz", "pcapng", "cap"][i % 3];
        let to = folder.join(format!("capture {i}.{ending}"));
        if i % 3 == 0 {
            fs::copy(path, to).expect("copied");
        } else {
            write_capture(&to, &read_capture(path).expect("a sample capture")).expect("a capture");
        }
    }
}

/// What can be used of a folder, and what cannot.
fn samples(folder: &Path) -> (Vec<Sample>, Vec<Problem>) {
    let (mut observer, stop) = (Quiet, StopFlag::default());
    let mut monitor = Monitor::new(Stage::Evaluate, &mut observer, &stop);
    let labels = LabelSource::find(folder, None, None, &[]).expect("no table").lenient();
    let files = capture_files(folder).expect("a folder");
    let samples = read_samples(&files, &labels, PACKETS, &mut monitor).expect("not stopped");
    (samples, monitor.problems().to_vec())
}

fn evaluate(real: &[Sample], synthetic: &[Sample], out: &Path) -> torchlight::Result<Report> {
    let (mut observer, stop) = (Quiet, StopFlag::default());
    let mut monitor = Monitor::new(Stage::Evaluate, &mut observer, &stop);
    let settings = EvaluateConfig {
        metrics: EvalConfig {
            rows: 32,
            runs: 1,
            trees: 5,
            classifiers: vec![Classifier::Tree],
            views: vec![View::Sequence],
            ..EvalConfig::default()
        },
        ..EvaluateConfig::default()
    };
    let sources = ReportSources {
        real,
        held_out: &[],
        synthetic,
        settings: &settings,
        dataset: &DatasetConfig { rows: PACKETS, ..DatasetConfig::default() },
        parents: None,
        edges: None,
        children: None,
        curves: Vec::new(),
        reports: None,
        facts: Vec::new(),
    };
    write_report(&sources, out, &mut monitor)?;
    let bytes = fs::read(out.join("report.json")).expect("a report");
    Ok(serde_json::from_slice(&bytes).expect("its own form"))
}

#[test]
fn without_labels_in_three_formats() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    strangers(&at("a"), 6);
    strangers(&at("b"), 3);
    let ((real, none), (synthetic, nothing)) = (samples(&at("a")), samples(&at("b")));
    assert!(none.is_empty() && nothing.is_empty(), "{none:?} {nothing:?}");
    assert_eq!((real.len(), synthetic.len()), (6, 3));
    let report = evaluate(&real, &synthetic, &at("out")).expect("a report");

    assert!(report.notes.iter().any(|n| n.contains("no labels")), "{:?}", report.notes);
    assert!(report.utility.is_empty());
    let score = |metric: &str| report.scores.iter().find(|s| s.metric == metric).expect("a score");
    let bits = score("Jensen-Shannon distance, set against set");
    assert!(bits.synthetic.is_some() && bits.noise_floor.is_some() && bits.wrong_class.is_none());
    // The same captures under other names and in other formats: they are found out.
    assert_eq!(score("captures that copy a real one").synthetic, Some(1.0));
    // Real and synthetic pictures side by side, in the page and as files.
    let page = fs::read_to_string(at("out/report.html")).expect("a page");
    assert!(page.contains("alt=\"real\"") && page.contains("alt=\"synthetic\""));
    assert!(at("out/plots/picture-1-1-real.png").is_file());
}

#[test]
fn one_capture_of_one_packet_a_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    strangers(&at("a"), 1);
    let (mut real, _) = samples(&at("a"));
    real[0].trace.truncate(1);
    real[0].matrix.truncate(1);
    let synthetic = vec![Sample { name: "other".to_owned(), ..real[0].clone() }];
    let report = evaluate(&real, &synthetic, &at("out")).expect("a report");
    assert!(report.notes.iter().any(|n| n.contains("no noise floor")), "{:?}", report.notes);
    for s in &report.scores {
        let points = [s.synthetic, s.noise_floor, s.wrong_class, s.random];
        assert!(points.iter().flatten().all(|v| v.is_finite()), "{s:?}");
        assert!(s.noise_floor.is_none() || s.group == "Privacy", "{s:?}");
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    strangers(&at("a"), 2);
    fs::write(at("a/empty.pcap"), "").expect("written");
    fs::write(at("a/notes.txt"), "notes").expect("written");
    let bytes = fs::read(at("a/capture 1.pcapng")).expect("readable");
    fs::write(at("a/cut.pcapng"), &bytes[..bytes.len() - 5]).expect("written");
    fs::write(at("a/capture 1.pcap"), &bytes).expect("written");
    let mut odd = Trace::new(LinkType::RawIp);
    odd.push(1, &[0xff; 40], 40);
    write_capture(at("a/no-ip.pcap"), &odd).expect("a capture");
    let (found, problems) = samples(&at("a"));
    assert_eq!(found.len(), 2, "{problems:?}");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for (name, what) in [
        ("empty.pcap", "empty"),
        ("notes.txt", "capture"),
        ("cut.pcapng", "byte"),
        ("no-ip.pcap", "IP"),
        ("capture 1.pcap", "another capture"),
    ] {
        assert!(said.iter().any(|s| s.starts_with(name) && s.contains(what)), "{name}: {said:?}");
    }

    // Nothing on one side: an error with the set's name, and no report.
    let error = evaluate(&found, &[], &at("out")).expect_err("nothing to compare");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    assert!(text.contains("the synthetic set is empty"), "{text}");
    assert!(!at("out/report.html").exists());
}
