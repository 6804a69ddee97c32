//! Each planted fault is caught by the measure meant for it, and reference points are ordered as they
//! must be on real captures.

#[path = "common/toy.rs"]
mod toy;

use nprint_codec::{Layout, LinkType, RowPolicy, Trace, encode, ipv4, read_capture};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use trace_eval::report::{Better, Score};
use trace_eval::{Classifier, EvalConfig, Report, Sample, View, evaluate};

/// Utility is not what is tested here.
fn quick() -> EvalConfig {
    EvalConfig {
        rows: 32,
        packets: 256,
        runs: 1,
        trees: 5,
        floor_splits: 5,
        classifiers: vec![Classifier::Tree],
        views: vec![View::Sequence],
        ..EvalConfig::default()
    }
}

fn score<'a>(report: &'a Report, metric: &str) -> &'a Score {
    let found = report.scores.iter().find(|s| s.metric.starts_with(metric));
    found.unwrap_or_else(|| panic!("no score {metric}"))
}

fn synthetic(report: &Report, metric: &str) -> f64 {
    score(report, metric).synthetic.unwrap_or_else(|| panic!("{metric} has no value"))
}

fn broken(report: &Report, rule: &str) -> u64 {
    report.compliance.iter().find(|c| c.rule == rule).expect("a rule").synthetic.broken
}

/// A training set, captures that were held out, and children of the training set. Every capture
/// has a client and a client port of its own.
struct Sets {
    real: Vec<Sample>,
    held_out: Vec<Sample>,
    children: Vec<Sample>,
}

impl Sets {
    fn new() -> Self {
        let (mut real, mut held_out) = (toy::real(6, 0), toy::real(4, 500));
        let mut children = toy::children(&real);
        let sets = [&mut real, &mut held_out, &mut children];
        for (set, samples) in sets.into_iter().enumerate() {
            for (i, sample) in samples.iter_mut().enumerate() {
                rewrite(sample, |_, b| give_client(b, [10, set as u8, i as u8, 9], i as u16));
            }
        }
        Self { real, held_out, children }
    }

    fn report(&self) -> Report {
        evaluate(&self.real, &self.held_out, &self.children, &quick()).expect("a report")
    }
}

/// Puts a client of its own into a packet of the toy captures, and its port; checksums stay right.
fn give_client(b: &mut [u8], client: [u8; 4], port: u16) {
    let (address, at) = if b[12..16] == [10, 0, 0, 2] { (12, 20) } else { (16, 22) };
    b[address..address + 4].copy_from_slice(&client);
    b[at..at + 2].copy_from_slice(&(50_000 + port).to_be_bytes());
    repair_checksums(b);
}

fn repair_checksums(b: &mut [u8]) {
    b[10..12].fill(0);
    let sum = nprint_codec::Checksum::new().with(&b[..20]).finish();
    b[10..12].copy_from_slice(&sum.to_be_bytes());
    b[36..38].fill(0);
    let bytes = (b.len() - 20) as u32;
    let sum = nprint_codec::Checksum::new()
        .with_pseudo_header(&b[12..16], &b[16..20], 6, bytes)
        .with(&b[20..])
        .finish();
    b[36..38].copy_from_slice(&sum.to_be_bytes());
}

/// Changes the bytes of every packet of a sample.
fn rewrite(sample: &mut Sample, change: impl Fn(usize, &mut [u8])) {
    let mut trace = Trace::new(sample.trace.link_type());
    for (i, packet) in sample.trace.iter().enumerate() {
        let mut bytes = packet.bytes.to_vec();
        change(i, &mut bytes);
        trace.push(packet.time_ns, &bytes, packet.original_length);
    }
    replace_trace(sample, trace);
}

fn replace_trace(sample: &mut Sample, trace: Trace) {
    sample.matrix = encode(&trace, &Layout::reference(), RowPolicy::default());
    sample.trace = trace;
}

/// The packets of a capture in random order; times stay in place.
fn shuffled(trace: &Trace, seed: u64) -> Trace {
    let mut order: Vec<usize> = (0..trace.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut out = Trace::new(trace.link_type());
    for (place, from) in order.into_iter().enumerate() {
        let packet = trace.packet(from);
        out.push(trace.packet(place).time_ns, packet.bytes, packet.original_length);
    }
    out
}

#[test]
fn faults_are_caught() {
    let sets = Sets::new();
    let good = sets.report();
    let floor = |metric: &str| score(&good, metric).noise_floor.expect("halves");

    // Nothing planted: nothing found.
    assert_eq!(score(&good, "captures that copy a real").synthetic, Some(0.0));
    assert_eq!(score(&good, "captures that copy another").synthetic, Some(0.0));
    assert_eq!(score(&good, "packets in copied runs").synthetic, Some(0.0));
    assert!(good.compliance.iter().all(|r| r.synthetic.broken == 0), "{:?}", good.compliance);
    let auc = synthetic(&good, "membership inference");
    assert!((0.2..0.8).contains(&auc), "{auc}");
    for metric in ["words of 3", "Jensen-Shannon distance of field", "NetFlow", "CICFlowMeter"] {
        let s = score(&good, metric);
        let (found, floor) = (s.synthetic.expect("sets"), s.noise_floor.expect("halves"));
        assert!(found < 2.0 * floor + 0.05, "{metric}: {found} beside {floor}");
    }
    let states = score(&good, "connection state");
    assert_eq!((states.synthetic, states.noise_floor), (Some(0.0), Some(0.0)));

    // Packets in another order.
    let mut sets = Sets::new();
    for (i, child) in sets.children.iter_mut().enumerate() {
        let trace = shuffled(&child.trace, i as u64);
        replace_trace(child, trace);
    }
    let bad = sets.report();
    for metric in ["words of 3", "autocorrelation of lengths", "connection history"] {
        let (found, floor) = (synthetic(&bad, metric), floor(metric));
        assert!(found > 1.5 * floor + 0.02, "{metric}: {found} beside {floor}");
    }
    let (words, before) = (synthetic(&bad, "words of 1"), synthetic(&good, "words of 1"));
    assert!((words - before).abs() < 1e-9, "single packets are the same: {words} {before}");
    assert!(broken(&bad, "tcp.state") + broken(&bad, "tcp.handshake") > 0);

    // Wrong checksums.
    let mut sets = Sets::new();
    sets.children.iter_mut().for_each(|c| rewrite(c, |_, b| b[37] ^= 0x55));
    let bad = sets.report();
    let packets: usize = sets.children.iter().map(|c| c.trace.len()).sum();
    assert_eq!(broken(&bad, "tcp.checksum"), packets as u64);
    assert_eq!(broken(&bad, "ipv4.checksum"), 0);

    // A constant field.
    let mut sets = Sets::new();
    sets.children.iter_mut().for_each(|c| {
        rewrite(c, |_, b| {
            b[8] = 60;
            repair_checksums(b);
        });
    });
    let bad = sets.report();
    let ttl = |r: &Report| {
        let row = r.fields.iter().find(|f| f.field == ipv4::TTL.name).expect("TTL");
        (row.js_distance.synthetic.expect("sets"), row.js_distance.noise_floor.expect("halves"))
    };
    let ((found, floor_ttl), (before, _)) = (ttl(&bad), ttl(&good));
    assert!(found > 0.5 && found > 3.0 * floor_ttl && found > 3.0 * before, "{found} {floor_ttl}");
    let others = bad.fields.iter().filter(|f| f.field == "tcp_wsize" || f.field == "ipv4_proto");
    assert!(others.into_iter().all(|f| f.js_distance.synthetic == Some(0.0)));
    let dependence = "mutual information of two fields";
    assert!(synthetic(&bad, dependence) > 2.0 * synthetic(&good, dependence));

    // Captures replayed from the training set, and one capture given out again and again.
    let mut sets = Sets::new();
    for (child, parent) in sets.children.iter_mut().zip(&sets.real) {
        replace_trace(child, parent.trace.clone());
    }
    let bad = sets.report();
    assert_eq!(score(&bad, "captures that copy a real").synthetic, Some(1.0));
    assert_eq!(score(&bad, "packets in copied runs").synthetic, Some(1.0));
    assert_eq!(score(&bad, "distance to closest record, median").synthetic, Some(0.0));
    assert_eq!(score(&bad, "membership inference").synthetic, Some(1.0));
    assert!(bad.closest.iter().all(|c| c.is_parent && c.distance < 1e-12));
    let mut sets = Sets::new();
    let one = sets.children[0].trace.clone();
    sets.children.iter_mut().for_each(|c| replace_trace(c, one.clone()));
    let bad = sets.report();
    assert!(synthetic(&bad, "captures that copy another") > 0.9);
    for metric in ["diversity: distance", "diversity: effective", "diversity: share", "recall"] {
        let (found, floor) = (synthetic(&bad, metric), floor(metric));
        assert!(found < 0.5 * floor, "{metric}: {found} beside {floor}");
    }

    // An address of the training set.
    let clean = good.identifiers.iter().map(|i| i.identifier.as_str());
    assert_eq!(clean.collect::<Vec<_>>(), ["10.0.0.1"], "only the server that all share");
    let mut sets = Sets::new();
    rewrite(&mut sets.children[3], |_, b| give_client_again(b, [10, 0, 2, 9]));
    let bad = sets.report();
    let leaked = bad.identifiers.iter().find(|i| i.identifier == "10.0.2.9").expect("the address");
    assert_eq!((leaked.real, leaked.synthetic), (1, 1));
    let ports = "packets with a training set's connection";
    assert_eq!(score(&good, ports).synthetic, Some(0.0), "no child has the connection of a parent");
    let mut sets = Sets::new();
    let client = [10, 0, 3, 9];
    rewrite(&mut sets.children[3], |_, b| give_client_again(b, client));
    assert!(synthetic(&sets.report(), ports) > 0.0, "address and port of the parent");

    // The same where no child meets the server that all real captures share.
    let hosts = "packets with a training set's IP address";
    let mut sets = Sets::new();
    sets.children.iter_mut().for_each(|c| rewrite(c, |_, b| give_server(b, [10, 9, 9, 9])));
    let apart = sets.report();
    assert_eq!(score(&apart, hosts).synthetic, Some(0.0));
    assert!(apart.identifiers.is_empty(), "{:?}", apart.identifiers);
    rewrite(&mut sets.children[3], |i, b| {
        if i == 4 {
            give_server(b, [10, 0, 0, 1]);
        }
    });
    let bad = sets.report();
    let packets: usize = sets.children.iter().map(|c| c.trace.len()).sum();
    let leaked = synthetic(&bad, hosts) * packets as f64;
    assert!((leaked - 1.0).abs() < 1e-9, "one packet carries it: {leaked}");
    assert_eq!(bad.identifiers.len(), 1);
}

/// Puts another server address into a packet of the toy captures.
fn give_server(b: &mut [u8], server: [u8; 4]) {
    let upwards = b[22..24] == 443_u16.to_be_bytes();
    let at = if upwards { 16 } else { 12 };
    b[at..at + 4].copy_from_slice(&server);
    repair_checksums(b);
}

/// Puts another client address into a packet whose server is 10.0.0.1.
fn give_client_again(b: &mut [u8], client: [u8; 4]) {
    let at = if b[12..16] == [10, 0, 0, 1] { 16 } else { 12 };
    b[at..at + 4].copy_from_slice(&client);
    repair_checksums(b);
}

/// The sample captures of the workspace in `folder`; `None` where the crate stands alone.
fn sample_captures(folder: &str) -> Option<Vec<Sample>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data-samples").join(folder);
    let table = std::fs::read_to_string(folder.join("labels.csv")).ok()?;
    let mut lines = table.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let header = lines.next()?;
    let samples = lines.map(|line| {
        let path: PathBuf = folder.join(line[0]);
        let mut trace = read_capture(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        trace.truncate(quick().packets);
        let matrix = encode(&trace, &Layout::reference(), RowPolicy::default());
        // The kind of tunnel alone: classes of several captures.
        let labels = header.iter().zip(&line).take(2).skip(1);
        let labels = labels.map(|(c, v)| (*c, *v)).collect();
        Sample { name: line[0].to_owned(), trace, matrix, labels, parent: None }
    });
    Some(samples.collect())
}

/// Metrics whose reference points need not stand in the order floor, wrong class, random: what must
/// hold instead, and why.
const OTHER_ORDERS: [(&str, Order, &str); 9] = [
    ("TCP window", Order::FloorBeforeRandom, "one class alone has TCP here: no wrong class"),
    (
        "packets of a length never seen",
        Order::FloorBeforeRandom,
        "the wrong class is read against all other captures, and more captures know more lengths",
    ),
    (
        "same packet length",
        Order::FloorBeforeClass,
        "random is the parent's own packets in another order",
    ),
    ("captures that copy", Order::Nothing, "no real capture copies another"),
    ("packets in copied runs", Order::Nothing, "identifiers and checksums differ between captures"),
    ("membership inference", Order::Free, "the attacker's guess is chance in all three"),
    (
        "packets with a training set's",
        Order::Free,
        "shared hosts are what captures happen to share",
    ),
    (
        "diversity: effective",
        Order::FloorFirst,
        "random captures are varied too; a single class is a set of another size",
    ),
    ("diversity: share", Order::FloorFirst, "random captures lie near many, a class near few"),
];

/// How reference points stand to each other.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    FloorFirst,
    FloorBeforeClass,
    FloorBeforeRandom,
    Nothing,
    Free,
}

/// How far a value is from perfect.
fn badness(s: &Score, value: f64) -> f64 {
    match s.better {
        Better::Lower => value,
        Better::Higher => -value,
        Better::Half => (value - 0.5).abs(),
        Better::Floor => (value - s.noise_floor.expect("halves")).abs(),
    }
}

#[test]
fn reference_points_of_every_metric_are_ordered_on_real_captures() {
    let (Some(real), Some(mut held_out)) =
        (sample_captures("captures"), sample_captures("held-out"))
    else {
        eprintln!("no data-samples beside this crate: nothing to order");
        return;
    };
    // Some real captures play the synthetic ones: reference points do not depend on them.
    let mut others = held_out.split_off(held_out.len().div_euclid(2));
    for (other, parent) in others.iter_mut().zip(&real) {
        other.parent = Some(parent.name.clone());
    }
    let views = vec![View::Bits, View::BitsWithLeaks, View::Sequence];
    let config = EvalConfig { views, trees: 20, ..quick() };
    let report = evaluate(&real, &held_out, &others, &config).expect("a report");
    let mut wrong = Vec::new();
    for s in &report.scores {
        let points = [s.synthetic, s.noise_floor, s.wrong_class, s.random];
        assert!(points.iter().flatten().all(|v| v.is_finite()), "{s:?}");
        let at = |v: Option<f64>| v.map_or(f64::NAN, |v| badness(s, v));
        let [_, floor, class, random] = points.map(at);
        let other = OTHER_ORDERS.iter().find(|o| s.metric.starts_with(o.0));
        let ordered = match other.map(|o| o.1) {
            None => floor < class && class < random,
            Some(Order::FloorFirst) => floor < class && floor < random,
            Some(Order::FloorBeforeClass) => floor < class,
            Some(Order::FloorBeforeRandom) => floor < random,
            Some(Order::Nothing) => [floor, class, random].iter().all(|v| v.abs() < 1e-12),
            Some(Order::Free) => true,
        };
        let why = other.map_or("", |o| o.2);
        if !ordered {
            wrong.push(format!("{}: {floor} {class} {random} {why}", s.metric));
        }
        eprintln!("{:60} {floor:9.4} {class:9.4} {random:9.4} {why}", s.metric);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn empty_and_one_packet_captures_have_defined_values() {
    // Not IP at all, one packet, and many: no panic, only finite numbers.
    let mut odd = Trace::new(LinkType::RawIp);
    odd.push(0, &[0xff; 9], 9);
    let mut one = toy::connection(1, 7, 3);
    one.truncate(1);
    let whole = toy::connection(2, 8, 3);
    let all = |name: &str, shift: usize| -> Vec<Sample> {
        [&odd, &one, &whole]
            .into_iter()
            .enumerate()
            .map(|(i, trace)| {
                let mut s =
                    toy::sample(&format!("{name}{i}"), (i + shift) % 2, trace.clone(), None);
                if s.matrix.rows() == 0 {
                    s.matrix = nprint_codec::TernaryMatrix::vacant(Layout::reference(), 1);
                }
                s
            })
            .collect()
    };
    let config = EvalConfig { packets: 2, ..quick() };
    for config in [quick(), config] {
        for part in 1..=3 {
            let (real, synthetic) = (all("r", 0), all("s", 1));
            let report = evaluate(&real[..part], &[], &synthetic[3 - part..], &config);
            let report = report.expect("a report");
            for s in &report.scores {
                let points = [s.synthetic, s.noise_floor, s.wrong_class, s.random];
                assert!(points.iter().flatten().all(|v| v.is_finite()), "{s:?}");
            }
            let json = serde_json::to_string(&report).expect("JSON");
            assert!(!json.contains("NaN"));
        }
    }
}
