//! Classifiers against scikit-learn (`tests/golden/metrics/clf_*`).

mod common;

use common::{Table, files_like, metrics_folder, read_npy, read_table};
use std::collections::BTreeMap;
use std::path::Path;
use trace_eval::classify::{
    DecisionTree, FeatureMatrix, Forest, ForestConfig, LinearSvm, Scores, SvmConfig, TreeConfig,
    stratified_folds,
};
use trace_eval::distance::Planes;

/// One `PREFIX_X.npy` with its tables; ours is `clf`.
struct Case {
    prefix: String,
    x: FeatureMatrix,
    labels: Vec<usize>,
    train: Vec<usize>,
    samples: Table,
    predictions: Table,
    scores: Table,
}

fn cases() -> Vec<Case> {
    let folder = metrics_folder();
    let cases: Vec<Case> = files_like(&folder, "", "_X.npy")
        .into_iter()
        .map(|(prefix, path)| {
            let array = read_npy(&path);
            let planes = Planes::from_cells(array.columns, &array.cells).expect("ternary cells");
            let table = |name: &str| read_table(&folder.join(format!("{prefix}_{name}")));
            let samples = table("samples.csv");
            let numbers = |name| samples.numbers(name).iter().map(|v| *v as usize).collect();
            let (labels, flags): (Vec<usize>, Vec<usize>) = (numbers("label"), numbers("is_train"));
            let train = (0..flags.len()).filter(|i| flags[*i] == 1).collect();
            let (predictions, scores) = (table("predictions.csv"), table("scores.tsv"));
            let x = FeatureMatrix::from_planes(&planes);
            Case { prefix, x, labels, train, samples, predictions, scores }
        })
        .collect();
    assert!(!cases.is_empty(), "no *_X.npy in {}", folder.display());
    cases
}

impl Case {
    fn test(&self) -> Vec<usize> {
        self.predictions.numbers("i").iter().map(|i| *i as usize).collect()
    }

    fn models(&self, prefix: &str) -> Vec<(String, String)> {
        let names = self.predictions.header.iter();
        names.filter_map(|h| Some((h.clone(), h.strip_prefix(prefix)?.to_owned()))).collect()
    }

    fn expected(&self, model: &str) -> BTreeMap<&str, &str> {
        let rows = self.scores.rows.iter().filter(|r| r[0] == model);
        rows.map(|r| (r[1].as_str(), r[2].as_str())).collect()
    }

    fn check_predictions(&self, model: &str, found: &[usize]) {
        let expected: Vec<usize> =
            self.predictions.numbers(model).iter().map(|p| *p as usize).collect();
        assert_eq!(found, expected, "{model}");
        let classes = self.labels.iter().max().expect("labels") + 1;
        let truth: Vec<usize> = self.test().iter().map(|s| self.labels[*s]).collect();
        let scores = Scores::of(&truth, found, classes).expect("test samples");
        for (metric, expected) in self.expected(model) {
            let value = match metric {
                "accuracy" => scores.accuracy,
                "balanced_accuracy" => scores.balanced_accuracy,
                "macro_f1" => scores.macro_f1,
                "weighted_f1" => scores.weighted_f1,
                "macro_precision" => scores.macro_precision,
                "macro_recall" => scores.macro_recall,
                "cohen_kappa" => scores.cohen_kappa,
                "mcc" => scores.matthews_correlation,
                "confusion_rows_true" => {
                    assert_eq!(format!("{:?}", scores.confusion), expected, "{model}");
                    continue;
                }
                "n_support" => continue, // depends on where a solver stops
                other => panic!("scores.tsv has a metric {other} that nothing answers to"),
            };
            let expected: f64 = expected.parse().expect("a number");
            assert!((value - expected).abs() < 1e-12, "{model} {metric}: {value}, not {expected}");
        }
    }
}

#[test]
fn golden_tree() {
    for case in cases() {
        for (model, depth) in case.models("tree_depth") {
            let depth = depth.parse().expect("tree_depthN");
            let config = TreeConfig { max_depth: Some(depth), ..TreeConfig::default() };
            let tree = DecisionTree::fit(&case.x, &case.labels, &case.train, &config).expect("fit");
            case.check_predictions(&model, &tree.predict(&case.x, &case.test()));
            let path = metrics_folder().join(format!("{}_tree_depth{depth}.csv", case.prefix));
            check_nodes(&tree, &path);
        }
    }
}

fn check_nodes(tree: &DecisionTree, path: &Path) {
    let table = read_table(path);
    assert_eq!(tree.nodes().len(), table.rows.len());
    let column = |name: &str| table.numbers(name);
    let (feature, threshold) = (column("feature"), column("threshold"));
    let (left, right, impurity) = (column("left"), column("right"), column("impurity"));
    let size = column("n_node_samples");
    for (i, node) in tree.nodes().iter().enumerate() {
        assert!((node.impurity - impurity[i]).abs() < 1e-12, "node {i}");
        assert!((node.counts.iter().sum::<u64>() as f64 - size[i]).abs() < 0.5, "node {i}");
        for (class, count) in node.counts.iter().enumerate() {
            let expected = column(&format!("class{class}"))[i];
            assert!((*count as f64 - expected).abs() < 0.5, "node {i} class {class}");
        }
        match node.split {
            None => assert!(feature[i] < 0.0, "node {i} is a leaf"),
            Some(s) => {
                assert!((f64::from(s.feature) - feature[i]).abs() < 0.5, "node {i}: {s:?}");
                assert!((s.threshold - threshold[i]).abs() < 1e-12, "node {i}: {s:?}");
                assert_eq!((s.left, s.right), (left[i] as usize, right[i] as usize), "node {i}");
            }
        }
    }
}

#[test]
fn golden_tree_importance() {
    for case in cases() {
        let Some((_, depth)) = case.models("tree_depth").pop() else { continue };
        let config = TreeConfig { max_depth: depth.parse().ok(), ..TreeConfig::default() };
        let tree = DecisionTree::fit(&case.x, &case.labels, &case.train, &config).expect("fit");
        let table =
            read_table(&metrics_folder().join(format!("{}_tree_importance.csv", case.prefix)));
        let expected: BTreeMap<u32, f64> = table
            .numbers("feature")
            .into_iter()
            .map(|f| f as u32)
            .zip(table.numbers("importance"))
            .collect();
        let found: Vec<(u32, f64)> =
            tree.importances().iter().filter(|(_, v)| **v > 0.0).map(|(f, v)| (*f, *v)).collect();
        assert_eq!(found.len(), expected.len());
        for (feature, value) in found {
            assert!((value - expected[&feature]).abs() < 1e-12, "feature {feature}");
        }
    }
}

#[test]
fn golden_svm() {
    let mut largest = 0.0_f64;
    for case in cases() {
        let test = case.test();
        for (model, c) in case.models("svc_linear_C") {
            let config = SvmConfig { c: c.parse().expect("svc_linear_CX"), ..SvmConfig::default() };
            let (svm, gram) =
                LinearSvm::fit(&case.x, &case.labels, &case.train, &config).expect("fit");
            assert!(svm.converged());
            case.check_predictions(&model, &svm.predict(&gram, &test));
            let classes = case.labels.iter().max().expect("labels") + 1;
            let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
            for (at, (i, j)) in pairs.enumerate() {
                let expected = case.predictions.numbers(&format!("dec{i}{j}"));
                for (sample, expected) in test.iter().zip(expected) {
                    let error = (svm.decisions(&gram, *sample)[at] - expected).abs();
                    assert!(error <= 5e-3, "sample {sample} pair {i}-{j}: off by {error}");
                    largest = largest.max(error);
                }
            }
        }
    }
    eprintln!("golden_svm: largest error of a decision value {largest:e}");
}

#[test]
fn golden_gram() {
    for case in cases() {
        let n = case.x.samples();
        let gram = case.x.gram(&[]);
        let of = |samples: &[usize]| {
            let mut found = BTreeMap::from([("trace", 0.0), ("sum", 0.0), ("frobenius_sq", 0.0)]);
            for a in samples {
                *found.entry("trace").or_default() += gram.at(*a, *a);
                for b in samples {
                    *found.entry("sum").or_default() += gram.at(*a, *b);
                    *found.entry("frobenius_sq").or_default() += gram.at(*a, *b).powi(2);
                }
            }
            found
        };
        let expected = case.expected("gram");
        assert!(!expected.is_empty());
        let found = of(&(0..n).collect::<Vec<_>>());
        let train = of(&case.train);
        for (metric, value) in expected {
            let value: f64 = value.parse().expect("a number");
            let hit = (found[metric] - value).abs() < 0.5 || (train[metric] - value).abs() < 0.5;
            assert!(hit, "{metric}: {} or {} instead of {value}", found[metric], train[metric]);
        }
    }
}

/// A row `rfN accuracy_Sseeds_min_mean_max` says how S forests of the reference did. Ours draw other
/// numbers, so accuracies are compared as distributions: the two means must agree within four standard
/// errors of their difference, and no more of ours may lie outside the band than four standard errors
/// above what a band of S seeds leaves out (a beta distribution). The standard deviation of accuracies between `min` and `max`
/// is at most half that range (Popoviciu).
#[test]
fn golden_forest_band() {
    const SEEDS: u64 = 120;
    for case in cases() {
        let models: Vec<&Vec<String>> =
            case.scores.rows.iter().filter(|r| r[0].starts_with("rf")).collect();
        for row in models {
            let trees = row[0][2..].parse().expect("rfN");
            let name =
                row[1].strip_prefix("accuracy_").and_then(|n| n.strip_suffix("seeds_min_mean_max"));
            let theirs: f64 =
                name.and_then(|n| n.parse().ok()).expect("accuracy_Nseeds_min_mean_max");
            let band: Vec<f64> = row[2].split(',').map(|v| v.parse().expect("a number")).collect();
            let [least, expected, most] = band[..] else { panic!("min, mean, max: {band:?}") };
            let test = case.test();
            let accuracy = |seed: u64| {
                let config = ForestConfig { trees, seed, ..ForestConfig::default() };
                let forest = Forest::fit(&case.x, &case.labels, &case.train, &config).expect("fit");
                let found = forest.predict(&case.x, &test);
                let hits = found.iter().zip(&test).filter(|(p, s)| **p == case.labels[**s]).count();
                hits as f64 / test.len() as f64
            };
            let found: Vec<f64> = (0..SEEDS).map(accuracy).collect();
            let ours = found.len() as f64;
            let mean = found.iter().sum::<f64>() / ours;
            // Not less than half a sample, where all S did alike. 1e-4: the row has four digits.
            let deviation = (0.5 * (most - least)).max(0.5 / test.len() as f64);
            let error = deviation * (1.0 / ours + 1.0 / theirs).sqrt();
            let outside =
                found.iter().filter(|a| **a < least - 1e-4 || **a > most + 1e-4).count() as f64;
            // A further seed of the reference itself is below or above S others with chance 2 / (S + 1).
            let chance = 2.0 / (theirs + 1.0);
            let spread = chance * (1.0 - chance) * (1.0 / ours + 1.0 / (theirs + 2.0));
            let allowed = chance + 4.0 * spread.sqrt();
            eprintln!(
                "golden_forest_band: mean {mean:.4}, {outside} of {ours} outside; reference {band:?}, standard error {error:.4}"
            );
            assert!((mean - expected).abs() <= 4.0 * error + 1e-4, "{mean}, not {expected}");
            assert!(outside <= allowed * ours, "{outside} of {ours} outside {band:?}");
        }
    }
}

#[test]
fn golden_folds() {
    let mut checked = 0;
    for case in cases() {
        for name in &case.samples.header {
            let Some(folds) =
                name.strip_prefix("stratifiedkfold").and_then(|n| n.strip_suffix("_noshuffle"))
            else {
                continue;
            };
            let found = stratified_folds(&case.labels, folds.parse().expect("a number"), None);
            let expected: Vec<usize> =
                case.samples.numbers(name).iter().map(|f| *f as usize).collect();
            assert_eq!(found.expect("folds"), expected);
            checked += 1;
        }
    }
    assert!(checked > 0);
}
