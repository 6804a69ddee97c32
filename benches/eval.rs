//! The learners at the seeds' size, 342 captures: `cargo bench --bench eval`. `eval/learners.py` sets them beside
//! scikit-learn's.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use nprint_codec::{Layout, RowPolicy, TernaryMatrix, encode, read_capture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use torchlight_benches::{SIZE, captures};
use trace_eval::classify::{
    Boosting, BoostingConfig, DecisionTree, FeatureMatrix, Forest, ForestConfig, LinearSvm,
    NearestConfig, NearestNeighbours, SvmConfig, TreeConfig,
};

const SAMPLES: usize = 342;
const CLASSES: usize = 4;
const ROWS: usize = 1024;

/// The sample captures over and over, with every tenth row another one of the capture, so that no two
/// are equal; the class is the capture's place in the folder.
fn data() -> (Vec<TernaryMatrix>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let originals: Vec<TernaryMatrix> = captures()
        .expect("the captures are in the repository")
        .iter()
        .map(|path| {
            let trace = read_capture(path).expect("a valid capture");
            encode(&trace, &Layout::reference(), RowPolicy::default())
        })
        .collect();
    let varied = |i: usize| {
        let original = &originals[i % originals.len()];
        let mut out = TernaryMatrix::vacant(Layout::reference(), ROWS.min(original.rows()));
        for row in 0..out.rows() {
            let other = rng.random_range(0..original.rows());
            let from = original.row(if rng.random_bool(0.1) { other } else { row });
            out.row_mut(row).set_words(from.present_words(), from.value_words());
        }
        out
    };
    let labels = (0..SAMPLES).map(|i| (i % originals.len()) % CLASSES).collect();
    ((0..SAMPLES).map(varied).collect(), labels)
}

fn benches(c: &mut Criterion) {
    let (matrices, labels) = data();
    let all: Vec<&TernaryMatrix> = matrices.iter().collect();
    let keep = vec![true; matrices[0].columns()];
    let build = || FeatureMatrix::from_ternary(&all, ROWS, &keep).expect("one layout");
    let x = build();
    let gram = x.gram(&[]);
    let (train, test): (Vec<usize>, Vec<usize>) = (0..SAMPLES).partition(|s| s % 5 > 0);
    let mut group = c.benchmark_group("classify");
    group.sample_size(10);
    let size = format!("{SAMPLES}x{SIZE}");
    group.bench_function(format!("matrix-and-gram/{size}"), |b| b.iter(build));
    group.bench_function(format!("tree/{size}"), |b| {
        let config = TreeConfig::default();
        b.iter(|| DecisionTree::fit(black_box(&x), &labels, &train, &config).expect("classes"));
    });
    group.bench_function(format!("forest/{size}"), |b| {
        let config = ForestConfig::default();
        b.iter(|| Forest::fit(black_box(&x), &labels, &train, &config).expect("classes"));
    });
    group.bench_function(format!("svm/{size}"), |b| {
        let config = SvmConfig::default();
        b.iter(|| {
            LinearSvm::fit_gram(black_box(&gram), &labels, &train, &config).expect("classes")
        });
    });
    group.bench_function(format!("boosting/{size}"), |b| {
        let config = BoostingConfig::default();
        b.iter(|| Boosting::fit(black_box(&x), &labels, &train, &config).expect("classes"));
    });
    group.bench_function(format!("nearest/{size}"), |b| {
        let config = NearestConfig::default();
        let model = NearestNeighbours::fit(&gram, &labels, &train, &config).expect("classes");
        b.iter(|| model.predict(black_box(&gram), &test));
    });
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
