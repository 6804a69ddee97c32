//! The learners at full size, driven line by line: `cargo run --release -p trace-eval --example
//! learner_cost -- CAPTURES CATEGORY SAMPLES ROWS [X.npy]`.
//!
//! Captures are named as for `evaluate_folders`. Where the folder has fewer than SAMPLES, the rest are copies in
//! which every tenth packet is another one of the capture. X.npy receives the cells as int8 (samples ×
//! features, C order), with labels in X.labels. Each line of standard input is a job, answered by one line of JSON:
//! `matrix`, `gram`, `build` (both), `tree SEED`, `forest SEED`, `importances SEED`, `svm SEED`, `boosting SEED`, `nearest SEED`
//! (train on 4/5, test on 1/5), `folds SEED` (the test fold of each sample), `cross SEED` (mean accuracy of three
//! classifiers over 5 folds), `protocol RUNS` (mean of `cross` over the seeds 0 .. RUNS), `many RUNS` (importances,
//! 2-fold). `learners.py` in `benches/eval` drives it side by side with scikit-learn.

use nprint_codec::{Layout, RowPolicy, TernaryMatrix, Trace, encode, read_capture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::io::{BufRead, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use trace_eval::classify::{
    Boosting, BoostingConfig, DecisionTree, FeatureMatrix, Forest, ForestConfig, Gram, LinearSvm,
    NearestConfig, NearestNeighbours, SvmConfig, TreeConfig, stratified_folds,
};

struct Data {
    matrices: Vec<TernaryMatrix>,
    labels: Vec<usize>,
    rows: usize,
    x: FeatureMatrix,
    gram: Gram,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, category, samples, rows, npy @ ..] = &arguments[..] else {
        return Err("CAPTURES CATEGORY SAMPLES ROWS [X.npy]".into());
    };
    let (samples, rows) = (samples.parse()?, rows.parse()?);
    let (matrices, labels) = read(Path::new(folder), category, samples, rows)?;
    if let Some(path) = npy.first() {
        write_npy(Path::new(path), &matrices, &labels, rows)?;
    }
    let x = build(&matrices, rows)?;
    let (live, cuts) = (x.live_columns(), x.distinct_cuts());
    let gram = x.gram(&[]);
    let mut data = Data { matrices, labels, rows, x, gram };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{{\"features\":{},\"live\":{live},\"cuts\":{cuts}}}", data.x.features())?;
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", data.answer(&line?)?)?;
        out.flush()?;
    }
    Ok(())
}

impl Data {
    fn answer(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        let (job, number) = line.split_once(' ').unwrap_or((line, "0"));
        let number: u64 = number.parse()?;
        Ok(match job {
            "matrix" | "gram" | "build" => {
                if job != "gram" {
                    self.x = build(&self.matrices, self.rows)?;
                }
                if job != "matrix" {
                    self.gram = self.x.gram(&[]);
                }
                format!("{{\"live\":{}}}", self.x.live_columns())
            }
            "folds" => format!("{:?}", self.folds(5, number)?),
            "cross" => self.cross(number..number + 1)?,
            "protocol" => self.cross(0..number)?,
            "many" => {
                let mut nonzero = 0;
                for run in 0..number {
                    let fold_of = self.folds(2, run)?;
                    for fold in 0..2 {
                        nonzero += self.forest(&fold_of, fold, run)?.importances().len();
                    }
                }
                format!("{{\"nonzero\":{nonzero}}}")
            }
            _ => {
                let fold_of = self.folds(5, number)?;
                format!("{{\"accuracy\":{}}}", self.accuracy(job, &fold_of, 0, number)?)
            }
        })
    }

    /// Mean accuracies of three classifiers over 5 folds and some seeds.
    fn cross(&self, seeds: Range<u64>) -> Result<String, Box<dyn Error>> {
        let mut sums = [0.0; 3];
        for seed in seeds.clone() {
            let fold_of = self.folds(5, seed)?;
            for fold in 0..5 {
                for (sum, job) in sums.iter_mut().zip(["tree", "forest", "svm"]) {
                    *sum += self.accuracy(job, &fold_of, fold, seed)?;
                }
            }
        }
        let folds = 5.0 * seeds.count() as f64;
        let mean = sums.map(|s| s / folds);
        Ok(format!("{{\"tree\":{},\"forest\":{},\"svm\":{}}}", mean[0], mean[1], mean[2]))
    }

    fn folds(&self, folds: usize, seed: u64) -> Result<Vec<usize>, Box<dyn Error>> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        Ok(stratified_folds(&self.labels, folds, Some(rng))?)
    }

    fn forest(&self, fold_of: &[usize], fold: usize, seed: u64) -> Result<Forest, Box<dyn Error>> {
        let train: Vec<usize> = (0..fold_of.len()).filter(|s| fold_of[*s] != fold).collect();
        let config = ForestConfig { seed, ..ForestConfig::default() };
        Ok(Forest::fit(&self.x, &self.labels, &train, &config)?)
    }

    fn accuracy(
        &self,
        job: &str,
        fold_of: &[usize],
        fold: usize,
        seed: u64,
    ) -> Result<f64, Box<dyn Error>> {
        let part = |inside: bool| -> Vec<usize> {
            (0..fold_of.len()).filter(|s| (fold_of[*s] == fold) == inside).collect()
        };
        let (train, test, x, y) = (part(false), part(true), &self.x, &self.labels);
        let found = match job {
            "tree" => DecisionTree::fit(x, y, &train, &TreeConfig::default())?.predict(x, &test),
            "forest" => self.forest(fold_of, fold, seed)?.predict(x, &test),
            "importances" => {
                let forest = self.forest(fold_of, fold, seed)?;
                let _ = forest.importances();
                forest.predict(x, &test)
            }
            "svm" => LinearSvm::fit_gram(&self.gram, y, &train, &SvmConfig::default())?
                .predict(&self.gram, &test),
            "boosting" => {
                let config = BoostingConfig { seed, ..BoostingConfig::default() };
                Boosting::fit(x, y, &train, &config)?.predict(x, &test)
            }
            "nearest" => {
                let config = NearestConfig::default();
                NearestNeighbours::fit(&self.gram, y, &train, &config)?.predict(&self.gram, &test)
            }
            other => return Err(format!("no job {other}").into()),
        };
        let hits = found.iter().zip(&test).filter(|(p, s)| **p == y[**s]).count();
        Ok(hits as f64 / test.len() as f64)
    }
}

fn build(matrices: &[TernaryMatrix], rows: usize) -> Result<FeatureMatrix, Box<dyn Error>> {
    let all: Vec<&TernaryMatrix> = matrices.iter().collect();
    Ok(FeatureMatrix::from_ternary(&all, rows, &vec![true; matrices[0].columns()])?)
}

fn read(
    folder: &Path,
    category: &str,
    samples: usize,
    rows: usize,
) -> Result<(Vec<TernaryMatrix>, Vec<usize>), Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    paths.sort();
    let part = ["encryption", "device", "application", "resolution", "streaming", "transport"]
        .iter()
        .position(|c| c == &category)
        .ok_or("an unknown category")?;
    let (mut matrices, mut values): (Vec<TernaryMatrix>, Vec<String>) = (Vec::new(), Vec::new());
    for (i, path) in paths.iter().cycle().take(samples).enumerate() {
        let name = path.file_stem().and_then(|n| n.to_str()).ok_or("a name in UTF-8")?;
        let tail = name.split_once("torchlight-").ok_or("a labelled name")?.1;
        values.push(tail.split(['-', '.']).nth(part).ok_or("a labelled name")?.to_owned());
        let mut trace = read_capture(path)?;
        if i >= paths.len() {
            trace = perturbed(&trace, i as u64, rows);
        }
        trace.truncate(rows);
        matrices.push(encode(&trace, &Layout::reference(), RowPolicy::default()));
    }
    let mut classes = values.clone();
    classes.sort();
    classes.dedup();
    let class = |v: &String| classes.iter().position(|c| c == v).unwrap_or(0);
    Ok((matrices, values.iter().map(class).collect()))
}

fn perturbed(original: &Trace, seed: u64, packets: usize) -> Trace {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut trace = Trace::new(original.link_type());
    for (place, packet) in original.iter().take(packets).enumerate() {
        let from = if rng.random_bool(0.1) { rng.random_range(0..original.len()) } else { place };
        let other = original.packet(from);
        trace.push(packet.time_ns, other.bytes, other.original_length);
    }
    trace
}

fn write_npy(
    path: &Path,
    matrices: &[TernaryMatrix],
    labels: &[usize],
    rows: usize,
) -> Result<(), Box<dyn Error>> {
    let columns = matrices[0].columns();
    let shape = format!("({}, {})", matrices.len(), rows * columns);
    let mut header = format!("{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for m in matrices {
        let mut cells = vec![u8::MAX; rows * columns];
        let words = columns.div_ceil(64);
        for row in 0..rows.min(m.rows()) {
            for column in 0..columns {
                let (word, bit) = (row * words + (column >> 6), 63 - (column & 63));
                if (m.present_plane()[word] >> bit) & 1 == 1 {
                    cells[row * columns + column] = ((m.value_plane()[word] >> bit) & 1) as u8;
                }
            }
        }
        out.write_all(&cells)?;
    }
    let text: Vec<String> = labels.iter().map(ToString::to_string).collect();
    std::fs::write(path.with_extension("labels"), text.join("\n"))?;
    Ok(())
}
