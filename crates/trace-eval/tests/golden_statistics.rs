//! Statistics against NumPy, SciPy and scikit-learn (`tests/golden/statistics`).

mod common;

use serde_json::Value;
use std::collections::BTreeMap;
use trace_eval::distance::{
    DistanceMatrix, ValueCounts, manifold, mmd, mutual_information, number_distances,
    value_distances, vendi_score,
};
use trace_eval::features::{CICFLOW_NAMES, Flow, FlowPacket, autocorrelation, cicflow_features};

const TOLERANCE: f64 = 1e-9;

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn points(v: &Value) -> Vec<Vec<f64>> {
    v.as_array().expect("a list").iter().map(numbers).collect()
}

fn values(v: &Value) -> ValueCounts {
    v.as_array().expect("a list").iter().map(|x| x.as_u64().expect("a value")).collect()
}

fn flow(v: &Value) -> Flow {
    let list = |name: &str| numbers(&v[name]);
    let (payload, header, flags) = (list("payload_bytes"), list("header_bytes"), list("flags"));
    let window = list("window");
    let packets = (0..payload.len()).map(|i| FlowPacket {
        time_ns: v["time_ns"][i].as_i64().expect("a time"),
        forward: v["forward"][i].as_bool().expect("a direction"),
        ip_bytes: 20 + header[i] as u32 + payload[i] as u32,
        payload_bytes: payload[i] as u32,
        header_bytes: header[i] as u32,
        flags: flags[i] as u8,
        window: window[i] as u16,
        ttl: 64,
    });
    let port = |name: &str| v[name].as_u64().expect("a port") as u16;
    let (source_port, destination_port) = (port("source_port"), port("destination_port"));
    Flow { protocol: 6, source_port, destination_port, packets: packets.collect() }
}

/// The points of both sets, and which are whose.
fn two_sets(v: &Value) -> (DistanceMatrix, Vec<usize>, Vec<usize>) {
    let (a, b) = (points(&v["a"]), points(&v["b"]));
    let (m, n) = (a.len(), b.len());
    (DistanceMatrix::of(&[a, b].concat()), (0..m).collect(), (m..m + n).collect())
}

/// What we find, by name.
fn found(measure: &str, v: &Value) -> BTreeMap<String, f64> {
    let one = |x: Option<f64>| vec![(String::new(), x.expect("defined"))];
    let named = |list: &[(&str, f64)]| list.iter().map(|(n, x)| ((*n).to_owned(), *x)).collect();
    let found: Vec<(String, f64)> = match measure {
        "numbers" => {
            let d = number_distances(&numbers(&v["a"]), &numbers(&v["b"])).expect("samples");
            named(&[("wasserstein", d.wasserstein), ("kolmogorov_smirnov", d.kolmogorov_smirnov)])
        }
        "values" => {
            let d = value_distances(&values(&v["a"]), &values(&v["b"])).expect("histograms");
            named(&[
                ("js_distance", d.js_distance),
                ("total_variation", d.total_variation),
                ("hellinger", d.hellinger),
            ])
        }
        "autocorrelation" => {
            let found = autocorrelation(&numbers(&v["values"]), 7);
            found.into_iter().enumerate().map(|(i, x)| (i.to_string(), x)).collect()
        }
        "mutual_information" => {
            let joint: Vec<u64> = numbers(&v["joint"]).into_iter().map(|x| x as u64).collect();
            one(mutual_information(&joint, v["columns"].as_u64().expect("a number") as usize))
        }
        "mmd" => {
            let (d, a, b) = two_sets(v);
            one(mmd(&d, &a, &b, 9, 1).map(|m| m.squared))
        }
        "manifold" => {
            let (d, a, b) = two_sets(v);
            let k = v["k"].as_u64().expect("a number") as usize;
            let m = manifold(&d, &a, &b, k).expect("enough points");
            named(&[
                ("precision", m.precision),
                ("recall", m.recall),
                ("density", m.density),
                ("coverage", m.coverage),
            ])
        }
        "vendi" => {
            let d = DistanceMatrix::of(&points(&v["points"]));
            let all: Vec<usize> = (0..d.points()).collect();
            one(vendi_score(&d, &all, v["width"].as_f64().expect("a width")))
        }
        "flow" => {
            let found = cicflow_features(&flow(v));
            CICFLOW_NAMES.iter().map(|n| (*n).to_owned()).zip(found).collect()
        }
        other => panic!("cases.json has a measure {other} that no function answers to"),
    };
    found.into_iter().collect()
}

fn expected(v: &Value) -> BTreeMap<String, f64> {
    match v {
        Value::Object(map) => {
            map.iter().map(|(n, x)| (n.clone(), x.as_f64().expect("a number"))).collect()
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(i, x)| (i.to_string(), x.as_f64().expect("a number")))
            .collect(),
        other => [(String::new(), other.as_f64().expect("a number"))].into(),
    }
}

#[test]
fn golden_statistics() {
    let path = common::statistics_folder().join("cases.json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_slice(&text).expect("JSON");
    let cases = file["cases"].as_array().expect("a list of cases");
    assert!(!cases.is_empty(), "cases.json has no cases");
    let mut checked: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let measure = case["measure"].as_str().expect("a name");
        let (found, expected) = (found(measure, &case["input"]), expected(&case["expected"]));
        let names = |m: &BTreeMap<String, f64>| m.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "case {number}, {measure}");
        for (name, value) in &expected {
            let error = (found[name] - value).abs() / value.abs().max(1.0);
            let place = format!("case {number}, {measure} {name}");
            assert!(error <= TOLERANCE, "{place}: {} instead of {value}", found[name]);
            let entry = checked.entry(measure.to_owned()).or_default();
            *entry = (entry.0 + 1, entry.1.max(error));
        }
    }
    for (measure, (values, error)) in checked {
        eprintln!("{measure}: {values} values, largest error {error:e}");
    }
}
