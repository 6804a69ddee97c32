//! The whole evaluation on captures whose faults are known.

#[path = "common/toy.rs"]
mod toy;

use nprint_codec::{Labels, Layout, LinkType, TernaryMatrix, Trace};
use toy::{children, connection, real, sample};
use trace_eval::compliance::{Rule, audit};
use trace_eval::report::{
    Curve, ExtraTable, Extras, Picture, PictureRow, Scenario, Score, Table, to_html,
};
use trace_eval::utility::{StudyConfig, study};
use trace_eval::{Classifier, Error, EvalConfig, Report, Sample, View, evaluate};

fn quick() -> EvalConfig {
    EvalConfig { rows: 64, runs: 2, trees: 20, floor_splits: 4, ..EvalConfig::default() }
}

fn score<'a>(report: &'a Report, metric: &str) -> &'a Score {
    let found = report.scores.iter().find(|s| s.metric.starts_with(metric));
    found.unwrap_or_else(|| panic!("no score {metric}"))
}

fn accuracy(report: &Report, scenario: Scenario, view: View) -> f64 {
    let row = report
        .utility
        .iter()
        .find(|u| u.scenario == scenario && u.view == view && u.classifier == Classifier::Forest);
    row.unwrap_or_else(|| panic!("no row {scenario:?} {view:?}")).accuracy.mean
}

/// Real captures with the sample at `index` changed by `fault`.
fn audit_with(fault: impl Fn(usize, &[u8]) -> Vec<u8>) -> trace_eval::compliance::Audit {
    let good = connection(1, 5, 10);
    let mut bad = Trace::new(LinkType::RawIp);
    for (i, packet) in good.iter().enumerate() {
        bad.push(packet.time_ns, &fault(i, packet.bytes), packet.original_length);
    }
    audit(&bad)
}

#[test]
fn good_children_stand_at_the_floor() {
    let real = real(8, 0);
    let report = evaluate(&real, &[], &children(&real), &quick()).expect("a report");
    let bits = score(&report, "Jensen-Shannon distance, set");
    let (s, floor) = (bits.synthetic.expect("sets"), bits.noise_floor.expect("halves"));
    let (wrong, random) = (bits.wrong_class.expect("classes"), bits.random.expect("controls"));
    assert!(s < floor * 1.5 && floor < wrong && wrong < random, "{bits:?}");
    // The heat maps show the columns that the score is the mean of.
    let fields = || report.headers.iter().flat_map(|h| &h.fields);
    for (score, of) in [(s, 0), (floor, 1)] {
        let values: Vec<f64> =
            fields().flat_map(|f| [&f.synthetic, &f.noise_floor][of].iter().copied()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert_eq!(values.len(), Layout::reference().columns());
        assert!((mean - score).abs() < 1e-12, "{mean} {score}");
    }
    assert!(accuracy(&report, Scenario::RealReal, View::Sequence) > 0.95);
    assert!(accuracy(&report, Scenario::SyntheticReal, View::Bits) > 0.9);
    assert!(accuracy(&report, Scenario::RealSynthetic, View::Bits) > 0.9);
    assert!(accuracy(&report, Scenario::ShuffledLabels, View::Bits) < 0.8);
    for view in [View::Bits, View::Sequence] {
        let auc = score(&report, &format!("real-vs-synthetic AUC, {}", view.name()));
        let value = auc.synthetic.expect("both kinds");
        assert!((0.15..0.85).contains(&value), "{value}");
        assert!(auc.random.expect("controls") > 0.9, "{auc:?}");
    }
    assert_eq!(score(&report, "captures that copy").synthetic, Some(0.0));
    assert_eq!(report.pairs.len(), real.len());
    assert!(report.compliance.iter().all(|r| r.synthetic.broken == 0), "{:?}", report.compliance);
    let handshakes = report.compliance.iter().find(|r| r.rule == "tcp.handshake").expect("a rule");
    assert_eq!(handshakes.synthetic.checked, real.len() as u64);
}

#[test]
fn faults_are_caught_by_the_measure_meant_for_them() {
    let real = real(8, 0);
    let good = evaluate(&real, &[], &children(&real), &quick()).expect("a report");

    // Packets in another order: distributions stay, the sequence does not.
    let mut shuffled = children(&real);
    for child in &mut shuffled {
        let old = child.trace.clone();
        let mut trace = Trace::new(old.link_type());
        for i in 0..old.len() {
            let from = old.packet((i * 37) % old.len());
            trace.push(old.packet(i).time_ns, from.bytes, from.original_length);
        }
        *child = sample(&child.name.clone(), 0, trace, child.parent.clone().as_deref());
    }
    let bad = evaluate(&real, &[], &shuffled, &quick()).expect("a report");
    let auc = |r: &Report| score(r, "real-vs-synthetic AUC, sequence").synthetic.expect("both");
    assert!(auc(&bad) > 0.95 && auc(&bad) > auc(&good), "{} {}", auc(&bad), auc(&good));
    let broken = |r: &Report, rule: &str| {
        r.compliance.iter().find(|c| c.rule == rule).expect("a rule").synthetic.broken
    };
    assert!(broken(&bad, "tcp.handshake") + broken(&bad, "tcp.state") > 0);

    // A constant field: the bits tell.
    let mut constant = children(&real);
    for child in &mut constant {
        for row in 0..child.matrix.rows() {
            child.matrix.row_mut(row).set(nprint_codec::ipv4::TTL, 7);
        }
    }
    let bad = evaluate(&real, &[], &constant, &quick()).expect("a report");
    let js = |r: &Report| score(r, "Jensen-Shannon distance, set").synthetic.expect("sets");
    assert!(js(&bad) > js(&good));
    let ttl = bad.headers[0].fields.iter().find(|f| f.field == "ipv4_ttl").expect("TTL");
    assert!(ttl.synthetic.iter().sum::<f64>() > 2.0 * ttl.noise_floor.iter().sum::<f64>());
    assert!(score(&bad, "real-vs-synthetic AUC, bits, leak").synthetic.expect("both") > 0.95);

    // Replayed captures: nothing new.
    let mut copies = children(&real);
    for (child, parent) in copies.iter_mut().zip(&real) {
        (child.trace, child.matrix) = (parent.trace.clone(), parent.matrix.clone());
    }
    let bad = evaluate(&real, &[], &copies, &quick()).expect("a report");
    assert_eq!(score(&bad, "captures that copy").synthetic, Some(1.0));

    // Wrong labels: useless for training.
    let mut mislabelled = children(&real);
    for (i, child) in mislabelled.iter_mut().enumerate() {
        child.labels.set("service", format!("class{}", (i + 1) % 3));
    }
    let bad = evaluate(&real, &[], &mislabelled, &quick()).expect("a report");
    assert!(accuracy(&bad, Scenario::SyntheticReal, View::Bits) < 0.2);
}

/// Damage to the bytes of one packet.
type Fault = fn(&mut [u8]);

#[test]
fn audits_name_the_broken_rule() {
    let clean = audit_with(|_, bytes| bytes.to_vec());
    assert_eq!(clean.errors(), 0, "{:?}", clean.violations());
    assert_eq!(clean.count(Rule::TcpHandshake).checked, 1);
    assert_eq!(clean.count(Rule::TcpAckExact).broken, 0);
    let faults: [(Rule, usize, Fault); 8] = [
        (Rule::Ipv4Checksum, 5, |b| b[10] ^= 1),
        (Rule::TcpChecksum, 5, |b| b[36] ^= 1),
        (Rule::TtlNotZero, 5, |b| b[8] = 0),
        (Rule::IpLength, 5, |b| b[3] ^= 1),
        (Rule::TcpFlags, 5, |b| b[33] = 0x03),
        (Rule::TcpHeader, 5, |b| b[32] = 0x40),
        (Rule::TcpHandshake, 1, |b| b[31] ^= 1),
        (Rule::TcpState, 8, |b| b[33] = 0x02),
    ];
    for (rule, at, fault) in faults {
        let found = audit_with(|i, bytes| {
            let mut bytes = bytes.to_vec();
            if i == at {
                fault(&mut bytes);
            }
            bytes
        });
        assert!(found.count(rule).broken > 0, "{rule:?}");
        assert!(found.violations().iter().any(|v| v.rule == rule), "{rule:?}");
    }
    let mut late = Trace::new(LinkType::RawIp);
    let good = connection(0, 1, 2);
    for (i, p) in good.iter().enumerate() {
        late.push(if i == 4 { 1 } else { p.time_ns }, p.bytes, p.original_length);
    }
    assert_eq!(audit(&late).count(Rule::TimeOrder).broken, 1);
}

#[test]
fn same_seed_same_bytes() {
    let real = real(4, 0);
    let synthetic = children(&real);
    let json = || {
        let report = evaluate(&real, &[], &synthetic, &quick()).expect("a report");
        serde_json::to_string(&report).expect("JSON")
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(json(), one_thread.install(json));
}

#[test]
fn held_out_captures_are_tested_and_their_children_not_trained_on() {
    let (seen, held_out) = (real(4, 0), real(4, 500));
    let report = evaluate(&seen, &held_out, &children(&held_out), &quick()).expect("a report");
    let row = report.utility.iter().find(|u| u.scenario == Scenario::SyntheticReal).expect("a row");
    assert_eq!((row.tested, row.classes), (12, 3));
}

#[test]
fn poor_input_is_a_message_or_a_defined_value() {
    let config = quick();
    let three = real(1, 0);
    let none: [Sample; 0] = [];
    assert!(matches!(
        evaluate(&none, &[], &three, &config),
        Err(Error::EmptySet { set: "real", .. })
    ));
    assert!(matches!(
        evaluate(&three, &[], &none, &config),
        Err(Error::EmptySet { set: "synthetic", .. })
    ));
    let mut orphan = children(&three);
    orphan[0].parent = Some("nobody".to_owned());
    assert!(matches!(evaluate(&three, &[], &orphan, &config), Err(Error::UnknownParent { .. })));
    let mut empty = children(&three);
    empty[1].matrix.truncate(0);
    assert!(matches!(evaluate(&three, &[], &empty, &config), Err(Error::EmptySample { .. })));
    let mut other = children(&three);
    other[2].matrix =
        TernaryMatrix::vacant(Layout::of_headers(&[nprint_codec::Header::Udp]).into(), 3);
    assert!(matches!(evaluate(&three, &[], &other, &config), Err(Error::LayoutMismatch { .. })));
    assert!(matches!(
        evaluate(&three, &three, &children(&three), &config),
        Err(Error::DuplicateName { .. })
    ));
    let no_runs = EvalConfig { runs: 0, ..quick() };
    assert!(matches!(evaluate(&three, &[], &three, &no_runs), Err(Error::Setting { .. })));
}

#[test]
fn small_sets_leave_tests_out_and_say_so() {
    // One real capture, one child, no labels, one packet.
    let mut lone = real(1, 0);
    lone.truncate(1);
    lone[0].labels = Labels::new();
    lone[0].trace.truncate(1);
    lone[0].matrix.truncate(1);
    let mut child = children(&lone);
    child[0].labels = Labels::new();
    let report = evaluate(&lone, &[], &child, &quick()).expect("a report");
    assert!(report.utility.is_empty() && !report.notes.is_empty());
    assert_eq!(score(&report, "Jensen-Shannon distance, set").noise_floor, None);
    assert!(score(&report, "Jensen-Shannon distance, set").synthetic.is_some());
    assert!(to_html(&report, &Extras::default()).contains("no reference"));

    // One class, and a class with one capture; children without a label.
    let mut uneven = real(2, 0);
    for (i, s) in uneven.iter_mut().enumerate() {
        s.labels.set("service", "only");
        s.labels.set("other", if i == 0 { "rare" } else { "common" });
    }
    let mut child = children(&uneven);
    for c in &mut child {
        c.labels = Labels::new();
    }
    let report = evaluate(&uneven, &[], &child, &quick()).expect("a report");
    assert!(report.utility.is_empty());
    assert!(report.notes.iter().any(|n| n.starts_with("service")), "{:?}", report.notes);

    // Labels on real captures only: nothing synthetic to train or test on.
    let real = real(3, 0);
    let mut child = children(&real);
    for c in &mut child {
        c.labels = Labels::new();
    }
    let report = evaluate(&real, &[], &child, &quick()).expect("a report");
    assert!(report.utility.iter().all(|u| u.scenario != Scenario::SyntheticReal));
    assert!(
        report.notes.iter().any(|n| n.contains("synthetic → real left out")),
        "{:?}",
        report.notes
    );

    // A single child of many packets beside short captures.
    let long = vec![sample("long", 0, connection(0, 3, 700), None)];
    assert!(evaluate(&real, &[], &long, &quick()).is_ok());
}

/// With `TORCHLIGHT_KEEP_REPORT=FOLDER` the page stays for a look.
#[test]
fn the_page_stands_alone() {
    let real = real(4, 0);
    let report = evaluate(&real, &[], &children(&real), &quick()).expect("a report");
    // A one-pixel PNG.
    let png: Vec<u8> = [
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de",
        "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082",
    ]
    .concat()
    .as_bytes()
    .chunks(2)
    .map(|h| u8::from_str_radix(std::str::from_utf8(h).expect("hex"), 16).expect("hex"))
    .collect();
    let picture = |caption: &str| Picture { caption: caption.to_owned(), png: png.clone() };
    let extras = Extras {
        title: "Title <&> here".to_owned(),
        pictures: vec![PictureRow {
            title: "a parent".to_owned(),
            pictures: ["parent", "edges", "raw", "repaired"].map(picture).to_vec(),
        }],
        curves: vec![Curve {
            name: "training loss".to_owned(),
            points: (0..200)
                .map(|i| (f64::from(i), 1.0 / (1.0 + f64::from(i))))
                .chain([(200.0, f64::NAN)])
                .collect(),
        }],
        tables: vec![ExtraTable {
            title: "Cells changed by repair".to_owned(),
            columns: vec!["field".to_owned(), "cells".to_owned()],
            rows: vec![vec!["tcp_cksum".to_owned(), "16".to_owned()], vec!["short row".to_owned()]],
            ..ExtraTable::default()
        }],
        facts: vec![("time".to_owned(), "1 s".to_owned())],
        ..Extras::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = std::env::var_os("TORCHLIGHT_KEEP_REPORT").map(std::path::PathBuf::from);
    let out = kept.as_deref().unwrap_or(folder.path());
    let paths = report.write(out, &extras).expect("files");
    assert!(paths.iter().all(|p| p.metadata().is_ok_and(|m| m.len() > 0)));
    let page = std::fs::read_to_string(&paths[0]).expect("a page");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<link"));
    assert!(page.contains("Title &lt;&amp;&gt; here") && page.contains("<script>"));
    let (body, _) = page.split_once("<script>").expect("a script");
    assert!(!body.contains("NaN") && !body.contains(">inf") && !body.contains("=inf"));
    assert!(page.contains("data:image/png;base64,iVBORw0KGgo"));
    assert!(page.contains("aria-label=\"Distance of two captures\""), "a violin");
    assert!(page.matches("aria-label=\"service: real → real, %\"").count() == 1, "a confusion");

    // The plots of the page alone: as many, each a document of its own, the same again.
    let svg: Vec<&std::path::PathBuf> =
        paths.iter().filter(|p| p.extension().is_some_and(|e| e == "svg")).collect();
    assert_eq!(svg.len(), page.matches("<svg class=\"plot\"").count());
    let again = tempfile::tempdir().expect("a folder");
    let paths_again = report.write(again.path(), &extras).expect("files");
    assert_eq!(paths.len(), paths_again.len());
    for (first, second) in paths.iter().zip(&paths_again) {
        let read = |path| std::fs::read(path).expect("a file");
        assert!(read(first) == read(second), "{}", first.display());
    }
    for path in svg {
        let text = std::fs::read_to_string(path).expect("text");
        let name = path.display();
        assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{name}");
        assert!(
            !text.contains("var(") && !text.contains("NaN") && !text.contains("=inf"),
            "{name}"
        );
        assert!(!text.contains("href") && !text.contains("url("), "{name}");
        // Every attribute in quotes, every element closed: what XML asks for and HTML does not.
        let opened = text.matches('<').count() - text.matches("</").count();
        assert_eq!(opened, text.matches("/>").count() + text.matches("</").count(), "{name}");
        assert!(!text.split('=').skip(1).any(|after| !after.starts_with('"')), "{name}");
    }
    let heat = std::fs::read(out.join("plots/heat-map-tcp.png")).expect("a heat map");
    assert_eq!(heat[16..24], [0, 0, 7, 128, 0, 0, 0, 48], "480 bits of 4 pixels, 2 rows of 24");
    assert!(out.join("plots/picture-1-4-repaired.png").is_file());
    let scores = std::fs::read_to_string(out.join("scores.csv")).expect("a table");
    assert_eq!(scores.lines().count(), report.scores.len() + 1);
    assert!(scores.starts_with("group,metric,synthetic,noise_floor,wrong_class,random\n"));

    let json = std::fs::read(&paths[1]).expect("JSON");
    let read: Report = serde_json::from_slice(&json).expect("the report's own form");
    assert_eq!(read.scores.len(), report.scores.len());
}

#[test]
fn a_study_comes_with_the_report_where_it_is_asked_for() {
    let real = real(5, 0);
    let children = children(&real);
    let without = evaluate(&real, &[], &children, &quick()).expect("a report");
    assert!(without.study.is_none());
    assert!(!to_html(&without, &Extras::default()).contains("id=study"));
    let json = serde_json::to_string(&without.config).expect("JSON");
    assert!(!json.contains("study"), "{json}");

    let brief = StudyConfig {
        mixing_shares: vec![0.2, 0.5, 0.8],
        importance_runs: 3,
        ..StudyConfig::default()
    };
    let config = EvalConfig { study: Some(brief.clone()), views: vec![View::Bits], ..quick() };
    let report = evaluate(&real, &[], &children, &config).expect("a report");
    let alone = study(&real, &[], &children, &config, &brief).expect("a study");
    let found = report.study.as_ref().expect("a study");
    assert_eq!((&found.mixing, &found.balancing), (&alone.mixing, &alone.balancing));
    assert_eq!(found.importances, alone.importances);

    let page = to_html(&report, &Extras::default());
    assert!(
        page.contains("id=study")
            && page.contains("aria-label=\"service: bits, leak-prone removed\"")
    );
    assert!(page.contains("Small classes filled up") && page.contains("top-10 overlap"));
    assert!(page.contains("Most important bits for service"));
    let tables = report.tables();
    let rows = |name: &str| tables.iter().find(|t| t.name == name).map(Table::rows);
    assert_eq!(rows("mixing"), Some(9), "three classifiers, three shares");
    assert_eq!(rows("balancing"), Some(12), "three classifiers, four fillings");
    assert_eq!(rows("importance_agreement"), Some(2));
    assert_eq!(rows("importances"), Some(found.importances[0].top.len()));
    for table in &tables {
        assert!(table.columns.iter().all(|c| c.values.len() == table.rows()), "{}", table.name);
    }

    // What the study had to leave out stands among the page's notes.
    let mut bare = children.clone();
    for child in &mut bare {
        child.labels = Labels::new();
    }
    let left_out = evaluate(&real, &[], &bare, &config).expect("a report");
    assert!(to_html(&left_out, &Extras::default()).contains("no importances"));

    let wrong = StudyConfig { mixing_shares: vec![2.0], ..brief };
    let wrong = EvalConfig { study: Some(wrong), ..quick() };
    let error = evaluate(&real, &[], &children, &wrong);
    assert!(matches!(error, Err(Error::Setting { setting: "mixing share", .. })));
}
