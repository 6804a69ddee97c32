//! Every learner on input that is too small, uneven or odd.

#[path = "common/toy.rs"]
mod toy;

use nprint_codec::{Header, Layout, TernaryMatrix, ipv4};
use toy::{children, connection, real, sample};
use trace_eval::classify::{
    Boosting, BoostingConfig, DecisionTree, FeatureMatrix, Forest, ForestConfig, LinearSvm,
    NearestConfig, NearestNeighbours, SvmConfig, TreeConfig,
};
use trace_eval::distance::Planes;
use trace_eval::report::Scenario;
use trace_eval::{Classifier, Error, EvalConfig, Sample, View, evaluate};

type Predictions = Result<Vec<usize>, Error>;

/// What each learner predicts for all samples after training on `train`.
fn all_learners(
    x: &FeatureMatrix,
    labels: &[usize],
    train: &[usize],
) -> [(&'static str, Predictions); 5] {
    let every: Vec<usize> = (0..x.samples()).collect();
    let gram = x.gram(train);
    let forest = ForestConfig { trees: 30, ..ForestConfig::default() };
    [
        (
            "tree",
            DecisionTree::fit(x, labels, train, &TreeConfig::default())
                .map(|m| m.predict(x, &every)),
        ),
        ("forest", Forest::fit(x, labels, train, &forest).map(|m| m.predict(x, &every))),
        (
            "svm",
            LinearSvm::fit_gram(&gram, labels, train, &SvmConfig::default())
                .map(|m| m.predict(&gram, &every)),
        ),
        (
            "boosting",
            Boosting::fit(x, labels, train, &BoostingConfig::default())
                .map(|m| m.predict(x, &every)),
        ),
        (
            "nearest",
            NearestNeighbours::fit(&gram, labels, train, &NearestConfig::default())
                .map(|m| m.predict(&gram, &every)),
        ),
    ]
}

fn planes(columns: usize, cells: &[i8]) -> FeatureMatrix {
    FeatureMatrix::from_planes(&Planes::from_cells(columns, cells).expect("ternary"))
}

fn numbers(rows: &[[f64; 2]]) -> FeatureMatrix {
    let names = ["gap".to_owned(), "size".to_owned()];
    let rows: Vec<Vec<f64>> = rows.iter().map(|r| r.to_vec()).collect();
    FeatureMatrix::from_numbers(&names, &rows).expect("finite")
}

#[test]
fn one_class_or_none_is_an_error() {
    let x = planes(2, &[0, 1, 1, 0, -1, 0]);
    let y = numbers(&[[0.5, 1.0], [0.1, 2.0], [7.0, 1.0]]);
    for (labels, train) in
        [([0, 0, 0], vec![0, 1, 2]), ([0, 1, 1], vec![1, 2]), ([0, 1, 2], vec![])]
    {
        for (name, found) in
            all_learners(&x, &labels, &train).into_iter().chain(all_learners(&y, &labels, &train))
        {
            let Err(Error::TooFewClasses { samples, classes }) = found else {
                panic!("{name} {found:?}")
            };
            assert_eq!((samples, classes), (train.len(), usize::from(!train.is_empty())));
        }
    }
    for (labels, train) in [(vec![0, 1], vec![0, 1]), (vec![0, 1, 1], vec![0, 3])] {
        let tree = DecisionTree::fit(&x, &labels, &train, &TreeConfig::default());
        assert!(matches!(tree, Err(Error::OutOfRange { .. })));
    }
}

#[test]
fn features_that_say_nothing_give_the_commonest_class() {
    let x = planes(3, &[1; 15]);
    assert_eq!(x.live_columns(), 0);
    for (name, found) in all_learners(&x, &[1, 1, 1, 0, 0], &[0, 1, 2, 3, 4]) {
        assert_eq!(found.expect("fit"), vec![1; 5], "{name}");
    }
    // Numbers without a spread, and none that differ among the training samples.
    let flat = numbers(&[[2.0, 5.0]; 5]);
    let later = numbers(&[[2.0, 5.0], [2.0, 5.0], [2.0, 5.0], [2.0, 9.0], [3.0, 5.0]]);
    for x in [flat, later] {
        for (name, found) in all_learners(&x, &[1, 1, 0, 0, 0], &[0, 1, 2]) {
            assert_eq!(found.expect("fit"), vec![1; 5], "{name}");
        }
    }
}

#[test]
fn equal_samples_of_two_classes_go_to_the_commoner_one() {
    // 2000 features tell two groups apart, but not the classes within one.
    let cells: Vec<i8> = (0..6 * 2000).map(|i| i8::from(i < 3 * 2000)).collect();
    let x = planes(2000, &cells);
    for (name, found) in all_learners(&x, &[0, 0, 1, 1, 1, 0], &[0, 1, 2, 3, 4, 5]) {
        // Five neighbours of six samples are more than a group.
        if name != "nearest" {
            assert_eq!(found.expect("fit"), vec![0, 0, 0, 1, 1, 1], "{name}");
        }
    }
}

#[test]
fn numbers_that_are_none_are_named() {
    let names = ["gap".to_owned(), "size".to_owned()];
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let rows = [vec![1.0, 2.0], vec![3.0, bad]];
        let error = FeatureMatrix::from_numbers(&names, &rows).expect_err("not finite");
        let text = error.to_string();
        assert!(text.contains("feature size of sample 1"), "{text}");
    }
    let ragged = FeatureMatrix::from_numbers(&names, &[vec![1.0, 2.0], vec![3.0]]);
    assert!(matches!(ragged, Err(Error::FeatureCount { sample: 1, expected: 2, found: 1 })));
}

#[test]
fn huge_numbers_stay_numbers() {
    let x = numbers(&[[1e150, 0.0], [1e150, 1.0], [-1e150, 0.0], [-1e150, 1.0]]);
    for (name, found) in all_learners(&x, &[0, 0, 1, 1], &[0, 1, 2, 3]) {
        let found = found.expect("fit");
        assert!(name == "nearest" || found == vec![0, 0, 1, 1], "{name}: {found:?}");
    }
}

/// Captures of 0, 1 and more packets: a packet that is not there is vacant, so a longer one is no more
/// than a shorter one with vacant rows.
#[test]
fn traces_of_different_lengths_are_padded() {
    let capture = |rows: usize, ttl: u32| {
        let mut m = TernaryMatrix::vacant(Layout::reference(), rows);
        for row in 0..rows {
            m.row_mut(row).set(ipv4::TTL, ttl);
        }
        m
    };
    let short: Vec<TernaryMatrix> =
        [(0, 0), (1, 64), (9, 64), (0, 0), (1, 128), (30, 128), (5, 64), (5, 128)]
            .map(|(rows, ttl)| capture(rows, ttl))
            .into();
    let padded: Vec<TernaryMatrix> = short
        .iter()
        .map(|m| {
            let mut out = capture(20, 0);
            for row in 0..20 {
                if row < m.rows() {
                    let from = m.row(row);
                    out.row_mut(row).set_words(from.present_words(), from.value_words());
                } else {
                    out.row_mut(row).clear(Header::Ipv4);
                }
            }
            out
        })
        .collect();
    let matrix = |all: &[TernaryMatrix]| {
        let all: Vec<&TernaryMatrix> = all.iter().collect();
        FeatureMatrix::from_ternary(&all, 20, &[true; 1088]).expect("one layout")
    };
    let (x, y) = (matrix(&short), matrix(&padded));
    let (labels, train) = ([0, 0, 0, 1, 1, 1, 0, 1], [0, 1, 2, 4, 5]);
    for ((name, a), (_, b)) in
        all_learners(&x, &labels, &train).into_iter().zip(all_learners(&y, &labels, &train))
    {
        let a = a.expect("fit");
        assert_eq!(a, b.expect("fit"), "{name}");
        assert_eq!(a.len(), 8, "{name}");
        // Five packets of one TTL beside nine and thirty.
        if name == "tree" || name == "svm" {
            assert_eq!(a[6..], [0, 1], "{name}");
        }
    }
    // Nothing but empty captures.
    let x = matrix(&[capture(0, 0), capture(0, 0), capture(0, 0)]);
    for (name, found) in all_learners(&x, &[0, 1, 1], &[0, 1, 2]) {
        assert_eq!(found.expect("fit"), vec![1; 3], "{name}");
    }
}

/// Each scenario with each learner in each view: finite scores, or a note that says what is missing.
#[test]
fn every_scenario_and_learner_has_a_value_or_a_note() {
    let config = EvalConfig {
        rows: 12,
        runs: 1,
        splits: 1,
        trees: 5,
        floor_splits: 2,
        permutations: 9,
        classifiers: vec![
            Classifier::Tree,
            Classifier::Forest,
            Classifier::Svm,
            Classifier::Boosting,
            Classifier::Nearest,
        ],
        views: vec![View::Bits, View::Sequence],
        ..EvalConfig::default()
    };
    let rows_of = |real: &[Sample], synthetic: &[Sample]| {
        let report = evaluate(real, &[], synthetic, &config).expect("a report");
        for row in &report.utility {
            for score in [row.accuracy, row.macro_f1] {
                assert!((0.0..=1.0).contains(&score.mean), "{row:?}");
                assert!(score.low <= score.mean && score.mean <= score.high, "{row:?}");
            }
        }
        let scenarios = [
            Scenario::RealReal,
            Scenario::SyntheticReal,
            Scenario::RealSynthetic,
            Scenario::ShuffledLabels,
        ];
        let counts =
            scenarios.map(|s| report.utility.iter().filter(|row| row.scenario == s).count());
        (counts, report.notes)
    };
    let all = config.classifiers.len() * config.views.len();

    // Two captures a class, of 1 to 90 packets.
    let mut few = real(2, 0);
    few[0].trace.truncate(1);
    few[0].matrix.truncate(1);
    few[1] = Sample { name: few[1].name.clone(), ..sample("long", 1, connection(1, 3, 40), None) };
    assert_eq!(rows_of(&few, &children(&few)).0, [all; 4]);

    // A class that only synthetic captures have: nothing real is of it, which is no reason to stop.
    let mut unseen = children(&few);
    for child in &mut unseen[..2] {
        child.labels.set("service", "never seen");
    }
    assert_eq!(rows_of(&few, &unseen).0, [all; 4]);

    // A class that no synthetic capture has.
    let mut missing = children(&few);
    missing.retain(|child| few[0].labels != child.labels);
    assert!(missing.len() < few.len());
    assert_eq!(rows_of(&few, &missing).0, [all; 4]);

    // One class on the synthetic side: it can be tested on, but not learned from.
    let mut single = children(&few);
    single.retain(|child| few[0].labels == child.labels);
    let (counts, notes) = rows_of(&few, &single);
    assert_eq!(counts, [all, 0, all, all]);
    assert!(notes.iter().any(|n| n.contains("synthetic → real left out")), "{notes:?}");

    // One class everywhere.
    let mut one = few.clone();
    for s in &mut one {
        s.labels.set("service", "only");
    }
    let (counts, notes) = rows_of(&one, &children(&one));
    assert_eq!(counts, [0; 4]);
    assert!(notes.iter().any(|n| n.starts_with("service")), "{notes:?}");
}

#[test]
fn two_samples_are_enough_and_a_missing_class_is_never_named() {
    // Class 1 has no sample at all, class 3 none in training.
    let x = planes(4, &[0, 0, 1, -1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0]);
    for (name, found) in all_learners(&x, &[0, 2, 0, 3], &[0, 1]) {
        let found = found.expect("fit");
        assert_eq!(found[..2].len(), 2, "{name}");
        assert!(found.iter().all(|c| [0, 2].contains(c)), "{name}: {found:?}");
        // Nearest neighbours let both samples vote, whatever their distance.
        if name != "nearest" && name != "forest" {
            assert_eq!(found[..2], [0, 2], "{name}");
        }
    }
}

#[test]
fn a_sample_listed_twice_weighs_twice() {
    // Equal features, so only weights decide.
    let x = planes(1, &[0, 0, 1]);
    let tree = DecisionTree::fit(&x, &[0, 1, 0], &[0, 1, 1, 2], &TreeConfig::default());
    assert_eq!(tree.expect("fit").predict(&x, &[0, 1, 2]), vec![1, 1, 0]);
}

/// scikit-learn 1.9.1, `KNeighborsClassifier(n_neighbors=3)`, fitted on the first six rows.
#[test]
fn neighbours_are_those_of_the_plain_distance() {
    let cells: [i8; 32] = [
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, -1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 0, 1, 0, -1, 0, 0, 1,
        0, 1, 1,
    ];
    let x = planes(4, &cells);
    let (labels, train) = ([0, 0, 0, 1, 1, 1, 0, 0], [0, 1, 2, 3, 4, 5]);
    let gram = x.gram(&[]);
    for a in 0..8 {
        for b in 0..8 {
            let naive: i32 = (0..4)
                .map(|c| (i32::from(cells[4 * a + c]) - i32::from(cells[4 * b + c])).pow(2))
                .sum();
            assert!((gram.squared_distance(a, b) - f64::from(naive)).abs() < 1e-9);
        }
    }
    let config = NearestConfig { neighbours: 3 };
    let model = NearestNeighbours::fit(&gram, &labels, &train, &config).expect("fit");
    assert_eq!(model.predict(&gram, &[6, 7]), vec![0, 1]);
    let none = NearestConfig { neighbours: 0 };
    assert!(NearestNeighbours::fit(&gram, &labels, &train, &none).is_err());
}
