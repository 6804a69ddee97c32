//! The longer utility tests on captures whose classes are known.

#[path = "common/toy.rs"]
mod toy;

use nprint_codec::Labels;
use toy::{children, connection, real, sample};
use trace_eval::utility::{Filling, StudyConfig, study};
use trace_eval::{Classifier, Error, EvalConfig, Sample, View};

fn quick() -> EvalConfig {
    EvalConfig {
        rows: 48,
        runs: 2,
        trees: 20,
        classifiers: vec![Classifier::Forest, Classifier::Boosting, Classifier::Nearest],
        views: vec![View::Bits, View::Sequence],
        ..EvalConfig::default()
    }
}

fn brief() -> StudyConfig {
    StudyConfig { mixing_shares: vec![0.1, 0.9], importance_runs: 4, ..StudyConfig::default() }
}

#[test]
fn good_children_stand_in_for_their_parents() {
    let real = real(10, 0);
    let found = study(&real, &[], &children(&real), &quick(), &brief()).expect("a study");
    assert_eq!(found.mixing.len(), 2 * 3 * 2, "views, classifiers, shares");
    for row in &found.mixing {
        assert!(row.accuracy.mean > 0.85, "{row:?}");
        assert!(row.macro_f1.low <= row.macro_f1.mean && row.macro_f1.mean <= row.macro_f1.high);
        assert!((row.trained - 24.0).abs() < 1.5, "{row:?}");
    }
    // Balancing is tested in the view of bits: four fillings, three classifiers.
    assert_eq!(found.balancing.len(), 12);
    let forest = |filling: Filling| {
        let mut rows = found.balancing.iter();
        let row = rows.find(|r| r.filling == filling && r.classifier == Classifier::Forest);
        row.expect("a row").macro_f1.mean
    };
    assert!(forest(Filling::Synthetic) > 0.85, "{:?}", found.balancing);
    assert!(forest(Filling::Synthetic) >= forest(Filling::Nothing) - 0.05);
    let [importances] = &found.importances[..] else { panic!("one category") };
    assert!(!importances.top.is_empty() && importances.top.len() <= 20);
    // Classes differ in the length and the TTL of the answers.
    let informative = ["ipv4_tl", "ipv4_ttl"];
    let first = &importances.top[0].name.field;
    assert!(informative.contains(&first.as_str()), "{:?}", importances.top);
    assert!(importances.fields.rank_correlation.expect("ranks") > 0.3, "{importances:?}");
    assert!(importances.fields.top_overlap >= 0.4, "{importances:?}");
}

#[test]
fn mislabelled_children_spoil_the_mixture() {
    let real = real(10, 0);
    let mut wrong = children(&real);
    for (i, child) in wrong.iter_mut().enumerate() {
        child.labels.set("service", format!("class{}", (i + 1) % 3));
    }
    let config = EvalConfig { views: vec![View::Bits], ..quick() };
    let settings = StudyConfig { smote_neighbours: 0, importance_runs: 0, ..brief() };
    let found = study(&real, &[], &wrong, &config, &settings).expect("a study");
    assert!(found.balancing.is_empty() && found.importances.is_empty());
    let forest = |share: f64| {
        let mut rows = found.mixing.iter();
        let row = rows.find(|r| {
            r.classifier == Classifier::Forest && (r.synthetic_share - share).abs() < 1e-9
        });
        row.expect("a row").accuracy.mean
    };
    assert!(forest(0.1) > 0.8, "{}", forest(0.1));
    assert!(forest(0.9) < 0.3, "{}", forest(0.9));
}

/// Children that copy their parents bit for bit help only a test that trains on them.
#[test]
fn children_of_a_tested_parent_are_never_trained_on() {
    // Noise without any class: nothing but a leak could be learned.
    let mut noise = real(10, 0);
    for (i, s) in noise.iter_mut().enumerate() {
        s.labels.set("service", format!("class{}", (i * 7 + i.div_euclid(5)) % 2));
    }
    let copies: Vec<Sample> = noise
        .iter()
        .map(|s| Sample {
            name: format!("{}.child", s.name),
            parent: Some(s.name.clone()),
            ..s.clone()
        })
        .collect();
    let config = EvalConfig { classifiers: vec![Classifier::Nearest], runs: 4, ..quick() };
    let settings = StudyConfig {
        mixing_shares: vec![0.5],
        importance_runs: 0,
        smote_neighbours: 0,
        ..StudyConfig::default()
    };
    let accuracy = |samples: &[Sample]| {
        let found = study(&noise, &[], samples, &config, &settings).expect("a study");
        found.mixing.iter().map(|r| r.accuracy.mean).fold(0.0, f64::max)
    };
    assert!(accuracy(&copies) < 0.75, "{}", accuracy(&copies));
    // The same copies under no parent's name: the leak that must not be.
    let orphans: Vec<Sample> =
        copies.iter().map(|s| Sample { parent: None, ..s.clone() }).collect();
    let one = EvalConfig { classifiers: vec![Classifier::Tree], ..config.clone() };
    let found = study(&noise, &[], &orphans, &one, &settings).expect("a study");
    let leaked = found.mixing.iter().map(|r| r.accuracy.mean).fold(0.0, f64::max);
    assert!(leaked > accuracy(&copies), "{leaked}");
}

#[test]
fn small_and_odd_sets_are_left_out_with_a_note() {
    let config = quick();
    // One class only.
    let mut one = real(2, 0);
    let mut child = children(&one);
    for s in one.iter_mut().chain(&mut child) {
        s.labels.set("service", "only");
    }
    let found = study(&one, &[], &child, &config, &brief()).expect("a study");
    assert!(found.mixing.is_empty() && found.balancing.is_empty() && found.importances.is_empty());
    assert!(found.notes.iter().any(|n| n.starts_with("service")), "{:?}", found.notes);

    // Two captures a class, a class that only synthetic captures have, a single packet beside many.
    let mut few = real(2, 0);
    few[0].trace.truncate(1);
    few[0].matrix.truncate(1);
    let mut child = children(&few);
    child[1].labels.set("service", "never seen");
    child.push(sample("long", 0, connection(0, 3, 200), None));
    child.push(Sample { labels: Labels::new(), ..sample("bare", 0, connection(0, 4, 2), None) });
    let found = study(&few, &[], &child, &config, &brief()).expect("a study");
    for row in &found.mixing {
        assert!((0.0..=1.0).contains(&row.accuracy.mean) && row.accuracy.mean.is_finite());
    }

    // No labelled child: mixtures are of real captures alone, and importances cannot be compared.
    let real = real(3, 0);
    let mut bare = children(&real);
    for child in &mut bare {
        child.labels = Labels::new();
    }
    let found = study(&real, &[], &bare, &config, &brief()).expect("a study");
    assert!(found.importances.is_empty());
    assert!(found.notes.iter().any(|n| n.contains("no importances")), "{:?}", found.notes);

    let bad = StudyConfig { mixing_shares: vec![1.5], ..brief() };
    let error = study(&real, &[], &bare, &config, &bad);
    assert!(matches!(error, Err(Error::Setting { setting: "mixing share", .. })));
    let bad = StudyConfig { thinned_share: f64::NAN, ..brief() };
    assert!(matches!(study(&real, &[], &bare, &config, &bad), Err(Error::Setting { .. })));
}

#[test]
fn same_seed_same_study() {
    let real = real(4, 0);
    let synthetic = children(&real);
    let json = || {
        let found = study(&real, &[], &synthetic, &quick(), &brief()).expect("a study");
        serde_json::to_string(&found).expect("JSON")
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(json(), one_thread.install(json));
}
