//! Drawn times of captures that no model was fitted on, beside how far real captures are from each other.

#[path = "../examples/timing_quality/distances.rs"]
mod distances;

use distances::{Distances, Gaps, apart};
use nprint_codec::{Layout, RowPolicy, SoftMatrix, Trace, dissect, encode, read_capture};
use protocol_repair::{RepairConfig, Timing, TimingModel, repair};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Packets of an image.
const ROWS: usize = 1024;
/// Of [`Distances`]: of `log10` of the gaps, of the gaps.
const WASSERSTEIN: [usize; 2] = [0, 2];
const AUTOCORRELATION: [usize; 2] = [3, 4];

struct Capture {
    /// The kind of tunnel that its name says.
    label: String,
    trace: Trace,
}

/// The IP packets of the captures of a folder, in the order of their names; at most an image of each.
fn captures(folder: &Path) -> Vec<Capture> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.to_string_lossy().contains(".pcap"));
    paths.sort();
    let capture = |path: &std::path::PathBuf| {
        let whole = read_capture(path).expect("a capture");
        let ip = whole.iter().filter(|p| dissect(whole.link_type(), p.bytes).is_some());
        let mut trace = Trace::new(whole.link_type());
        for packet in ip.take(ROWS) {
            trace.push(packet.time_ns, packet.bytes, packet.original_length);
        }
        let name = path.to_string_lossy();
        let rest = name.split_once("torchlight-").map_or("", |(_, rest)| rest);
        let label = rest.split_once("-a-").map_or("", |(label, _)| label).to_owned();
        Capture { label, trace }
    };
    paths.iter().map(capture).collect()
}

/// The capture repaired with times of a model.
fn drawn(trace: &Trace, model: &TimingModel, label: Option<&str>, seed: u64) -> Trace {
    let cells = encode(trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    let timing = Timing::Model { model: model.clone(), label: label.map(str::to_owned) };
    let config = RepairConfig { timing, seed, ..RepairConfig::default() };
    let (made, _) = repair(&SoftMatrix::certain(cells), &config).expect("a capture");
    assert_eq!(made.len(), trace.len());
    let times: Vec<i64> = made.iter().map(|packet| packet.time_ns).collect();
    assert!(times.is_sorted(), "time stamps fall");
    made
}

/// The packets of a trace with other gaps.
fn with_gaps(trace: &Trace, gaps: &[i64]) -> Trace {
    let mut out = Trace::new(trace.link_type());
    let mut now = 0;
    for (packet, gap) in trace.iter().zip(std::iter::once(&0).chain(gaps)) {
        now += gap;
        out.push(now, packet.bytes, packet.original_length);
    }
    out
}

fn gaps_ns(trace: &Trace) -> Vec<i64> {
    let times: Vec<i64> = trace.iter().map(|packet| packet.time_ns).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// How far the sets are from themselves with other times, in the mean.
fn off(sets: &[&[Capture]; 2], mut times: impl FnMut(&Capture) -> Trace) -> Distances {
    let mut sum = [0.0; 5];
    for set in sets {
        let real: Vec<Gaps> = set.iter().map(|c| Gaps::of(&c.trace)).collect();
        let other: Vec<Gaps> =
            set.iter().zip(&real).map(|(c, real)| real.with_times_of(&times(c))).collect();
        let found = apart(&other, &real);
        sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found / sets.len() as f64);
    }
    sum
}

fn assert_within(which: &[usize], found: Distances, times: f64, floor: Distances) {
    let within = which.iter().all(|i| found[*i] <= times * floor[*i]);
    assert!(within, "{found:.3?} is more than {times} times {floor:.3?} somewhere in {which:?}");
}

/// The model that comes with the crate, on 48 captures of seven kinds of video streams that it was not fitted
/// on (roles `sample` and `held-out-demo` of `data-samples/split.csv`): the floor is how far those of
/// one role are from those of the other.
#[test]
fn times_of_captures_that_the_model_has_not_seen() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data-samples");
    let (one, other) = (captures(&samples.join("captures")), captures(&samples.join("held-out")));
    if one.is_empty() {
        eprintln!("no data-samples beside this crate: nothing to draw times for");
        return;
    }
    let sets = [one.as_slice(), &other];
    let all = |set: &[Capture]| set.iter().map(|c| Gaps::of(&c.trace)).collect::<Vec<_>>();
    let floor = apart(&all(&one), &all(&other));

    let model = TimingModel::default();
    let unlabelled = off(&sets, |c| drawn(&c.trace, &model, None, 1));
    let labelled = off(&sets, |c| drawn(&c.trace, &model, Some(&c.label), 1));
    for found in [unlabelled, labelled] {
        assert_within(&WASSERSTEIN, found, 1.5, floor);
        assert_within(&AUTOCORRELATION, found, 1.5, floor);
    }

    // What this test would not let pass: gaps in any order, the same gap everywhere, and another kind's gaps.
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let shuffled = off(&sets, |c| {
        let mut gaps = gaps_ns(&c.trace);
        gaps.shuffle(&mut random);
        with_gaps(&c.trace, &gaps)
    });
    assert!(AUTOCORRELATION.iter().all(|i| shuffled[*i] > 3.0 * floor[*i]), "{shuffled:.3?}");
    let constant = off(&sets, |c| {
        let gaps = gaps_ns(&c.trace);
        let mean = gaps.iter().sum::<i64>().div_euclid(gaps.len() as i64);
        with_gaps(&c.trace, &vec![mean; gaps.len()])
    });
    assert!(
        constant.iter().zip(floor).all(|(found, floor)| *found > 1.5 * floor),
        "{constant:.3?}"
    );
    let ssh = off(&sets, |c| drawn(&c.trace, &model, Some("ssh"), 1));
    assert!(WASSERSTEIN.iter().all(|i| ssh[*i] > 3.0 * floor[*i]), "{ssh:.3?}");
}

/// A model of the first halves of ten short captures gives times to the second halves: the floor is how far halves
/// are from each other, one capture after the other.
#[test]
fn times_of_second_halves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let whole = captures(&folder);
    assert!(whole.len() >= 10);
    let part = |trace: &Trace, from: usize, to: usize| {
        let mut out = Trace::new(trace.link_type());
        for packet in trace.iter().take(to).skip(from) {
            out.push(packet.time_ns, packet.bytes, packet.original_length);
        }
        out
    };
    let halves: Vec<[Trace; 2]> = whole
        .iter()
        .map(|c| {
            let middle = c.trace.len() >> 1;
            [part(&c.trace, 0, middle), part(&c.trace, middle, c.trace.len())]
        })
        .collect();
    let model =
        TimingModel::fit(&halves.iter().map(|[first, _]| first.clone()).collect::<Vec<_>>());
    let [mut found, mut floor, mut constant] = [[0.0; 5]; 3];
    for [first, second] in &halves {
        let real = Gaps::of(second);
        let made = real.with_times_of(&drawn(second, &model, None, 1));
        let (made, real) = ([made], [real]);
        let add = |to: &mut Distances, more: Distances| {
            to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
        };
        add(&mut found, apart(&made, &real));
        add(&mut floor, apart(&[Gaps::of(first)], &real));
        let gaps = gaps_ns(first);
        let mean = gaps.iter().sum::<i64>().div_euclid(gaps.len() as i64);
        let same = with_gaps(second, &vec![mean; second.len()]);
        add(&mut constant, apart(&[real[0].with_times_of(&same)], &real));
    }
    assert_within(&WASSERSTEIN, found, 1.5, floor);
    assert_within(&AUTOCORRELATION, found, 1.5, floor);
    assert!(constant[WASSERSTEIN[0]] > 2.0 * floor[WASSERSTEIN[0]], "{constant:.3?}");
}
