//! Every learner on input that is too small, uneven or odd.

use trace_eval::Error;
use trace_eval::classify::{
    Boosting, BoostingConfig, DecisionTree, FeatureMatrix, Forest, ForestConfig, LinearSvm,
    NearestConfig, NearestNeighbours, SvmConfig, TreeConfig,
};
use trace_eval::distance::Planes;

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

#[test]
fn one_class_or_none_is_an_error() {
    let x = planes(2, &[0, 1, 1, 0, -1, 0]);
    for (labels, train) in
        [([0, 0, 0], vec![0, 1, 2]), ([0, 1, 1], vec![1, 2]), ([0, 1, 2], vec![])]
    {
        for (name, found) in all_learners(&x, &labels, &train) {
            assert!(matches!(found, Err(Error::TooFewClasses { .. })), "{name} {found:?}");
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
