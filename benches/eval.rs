//! The learners at the seeds' size, 342 captures, and distances of one pair of captures, in CPU time:
//! `cargo bench --bench eval`. `eval/learners.py` sets the learners beside scikit-learn's.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod cpu_time;

use cpu_time::CpuTime;
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
use trace_eval::distance::{ColumnCounts, Planes, compare, mean_js_distance};

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

/// CPU time of one thread: the learners' parallel loops run on this one.
fn one_thread() -> Criterion<CpuTime> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("no other pool before this one");
    Criterion::default().with_measurement(CpuTime)
}

fn learners(c: &mut Criterion<CpuTime>) {
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
    group.bench_function(format!("matrix/{size}"), |b| b.iter(build));
    group.bench_function(format!("gram/{size}"), |b| b.iter(|| black_box(&x).gram(&[])));
    group.bench_function(format!("tree/{size}"), |b| {
        let config = TreeConfig::default();
        b.iter(|| DecisionTree::fit(black_box(&x), &labels, &train, &config).expect("classes"));
    });
    let forest = || {
        let config = ForestConfig::default();
        Forest::fit(black_box(&x), &labels, &train, &config).expect("classes")
    };
    group.bench_function(format!("forest/{size}"), |b| b.iter(forest));
    group.bench_function(format!("importances/{size}"), |b| b.iter(|| forest().importances()));
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

fn distances(c: &mut Criterion<CpuTime>) {
    let (matrices, _) = data();
    let (a, b) = (Planes::of(&matrices[0]), Planes::of(&matrices[1]));
    let mut group = c.benchmark_group("distance");
    group.bench_function(format!("counts/{SIZE}"), |bench| {
        bench.iter(|| ColumnCounts::of(black_box(&a)));
    });
    let (p, q) = (ColumnCounts::of(&a), ColumnCounts::of(&b));
    group.bench_function("mean-js-distance/1088", |bench| {
        bench.iter(|| mean_js_distance(black_box(&p), black_box(&q)).expect("one layout"));
    });
    group.bench_function(format!("all-measures/{SIZE}"), |bench| {
        bench.iter(|| compare(black_box(&a), black_box(&b)).expect("one layout"));
    });
    group.finish();
}

criterion_group! { name = group; config = one_thread(); targets = learners, distances }
criterion_main!(group);
