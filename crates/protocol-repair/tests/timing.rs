//! Drawn times: a model of one capture gives the capture its gaps' autocorrelation back, and time stamps
//! do not fall.

use nprint_codec::{Layout, RowPolicy, SoftMatrix, Trace, dissect, encode, read_capture};
use protocol_repair::{RepairConfig, Timing, TimingModel, repair};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const LAGS: usize = 20;

fn captures() -> Vec<Trace> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let entries = std::fs::read_dir(folder).expect("captures");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "pcap"));
    paths.sort();
    paths.iter().map(|path| read_capture(path).expect("a capture")).collect()
}

/// `log10` of the gaps in seconds.
fn gaps(trace: &Trace) -> Vec<f64> {
    let times: Vec<i64> = trace.iter().map(|p| p.time_ns).collect();
    assert!(times.is_sorted(), "time stamps fall");
    times.windows(2).map(|w| ((w[1] - w[0]) as f64 * 1e-9).max(1e-6).log10()).collect()
}

fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let at = |lag: usize| -> f64 {
        values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    (1..=LAGS).map(|lag| at(lag) / square).collect()
}

/// Mean over the lags of the difference between the mean autocorrelations of two sets.
fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let curve = |set: &[Vec<f64>]| -> Vec<f64> {
        let all: Vec<Vec<f64>> = set.iter().map(|gaps| autocorrelation(gaps)).collect();
        (0..LAGS).map(|lag| all.iter().map(|c| c[lag]).sum::<f64>() / all.len() as f64).collect()
    };
    let lags = curve(a).into_iter().zip(curve(b));
    lags.map(|(a, b)| (a - b).abs()).sum::<f64>() / LAGS as f64
}

#[test]
fn autocorrelation_of_gaps_comes_back() {
    let captures = captures();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let [mut drawn, mut real, mut shuffled, mut first, mut second] = [const { Vec::new() }; 5];
    for capture in &captures {
        let mut trace = Trace::new(capture.link_type());
        let ip = capture.iter().filter(|p| dissect(capture.link_type(), p.bytes).is_some());
        for packet in ip {
            trace.push(packet.time_ns, packet.bytes, packet.original_length);
        }
        let model = TimingModel::fit(std::slice::from_ref(capture));
        let cells = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
        let timing = Timing::Model { model, label: None };
        let config = RepairConfig { timing, seed: 5, ..RepairConfig::default() };
        let (made, _) = repair(&SoftMatrix::certain(cells), &config).expect("a capture");
        let own = gaps(&trace);
        let mut other = own.clone();
        other.shuffle(&mut random);
        let (start, end) = own.split_at(own.len() >> 1);
        first.push(start.to_vec());
        second.push(end.to_vec());
        shuffled.push(other);
        drawn.push(gaps(&made));
        real.push(own);
    }
    let floor = apart(&first, &second);
    let (drawn, shuffled) = (apart(&drawn, &real), apart(&shuffled, &real));
    assert!(drawn <= 1.5 * floor, "{drawn} of {floor}, {shuffled} in another order");
    assert!(drawn < 0.75 * shuffled, "{drawn} of {floor}, {shuffled} in another order");
}
