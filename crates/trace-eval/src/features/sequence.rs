//! Numbers that describe how a capture runs: lengths, directions, times, bursts, header stacks.

use super::autocorrelation::autocorrelation;
use crate::packet::{Facts, facts, flag};
use nprint_codec::{IpVersion, Trace, TransportKind};

/// Names and values of the features of one capture; the names are the same for every capture.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceFeatures {
    /// Name of each feature, with its unit.
    pub names: Vec<String>,
    /// Value of each feature; always finite.
    pub values: Vec<f64>,
}

/// Silences that end a burst, in milliseconds (for names) and nanoseconds.
const BURST_PAUSES: [(u32, i64); 4] =
    [(10, 10_000_000), (50, 50_000_000), (200, 200_000_000), (1000, 1_000_000_000)];
/// Equal slices that the time of a capture is cut into.
const SLICES: usize = 16;
/// Width of a length bucket; the last one holds everything longer. Units: bytes.
const BUCKET_BYTES: u32 = 64;
const BUCKETS: usize = 25;
const QUANTILES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// Features of the first `packets` IP packets. A capture without packets has all features 0.
///
/// No address, port, identifier or sequence number enters; TTLs do. Times enter on a logarithmic scale.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use trace_eval::features::sequence_features;
/// let none = sequence_features(&Trace::new(LinkType::RawIp), 1024);
/// assert!(none.values.iter().all(|v| *v == 0.0));
/// assert_eq!(none.names.len(), none.values.len());
/// ```
pub fn sequence_features(trace: &Trace, packets: usize) -> SequenceFeatures {
    let (mut facts, _) = facts(trace);
    facts.truncate(packets);
    let mut out = SequenceFeatures { names: Vec::new(), values: Vec::new() };
    out.lengths(&facts);
    out.directions(&facts);
    out.times(&facts);
    out.bursts(&facts);
    out.slices(&facts);
    out.stacks(&facts);
    out
}

impl SequenceFeatures {
    fn push(&mut self, name: impl Into<String>, value: f64) {
        self.names.push(name.into());
        self.values.push(if value.is_finite() { value } else { 0.0 });
    }

    fn moments(&mut self, name: &str, values: &mut [f64]) {
        values.sort_by(f64::total_cmp);
        let (mean, deviation) = mean_deviation(values);
        self.push(format!("{name} mean"), mean);
        self.push(format!("{name} deviation"), deviation);
        for q in QUANTILES {
            let at = (q * values.len().saturating_sub(1) as f64).round() as usize;
            self.push(
                format!("{name} q{:02.0}", 100.0 * q),
                values.get(at).copied().unwrap_or(0.0),
            );
        }
    }

    fn lengths(&mut self, facts: &[Facts]) {
        for (way, up) in [("up", Some(true)), ("down", Some(false)), ("all", None)] {
            let of: Vec<u32> =
                facts.iter().filter(|f| up.is_none_or(|u| u == f.up)).map(|f| f.ip_bytes).collect();
            let mut values: Vec<f64> = of.iter().map(|l| f64::from(*l)).collect();
            self.moments(&format!("length {way} bytes"), &mut values);
            if up.is_some() {
                let mut buckets = [0_usize; BUCKETS];
                for length in &of {
                    buckets[(length.div_euclid(BUCKET_BYTES) as usize).min(BUCKETS - 1)] += 1;
                }
                for (i, count) in buckets.iter().enumerate() {
                    self.push(format!("length {way} bucket {i} share"), share(*count, facts.len()));
                }
            }
            let mut distinct = of.clone();
            distinct.sort_unstable();
            let most = distinct.chunk_by(u32::eq).map(<[u32]>::len).max().unwrap_or(0);
            self.push(format!("length {way} commonest share"), share(most, of.len()));
            distinct.dedup();
            self.push(format!("length {way} distinct"), distinct.len() as f64);
        }
        let values: Vec<f64> = facts.iter().map(|f| f64::from(f.ip_bytes)).collect();
        for (lag, value) in (1..=2).zip(autocorrelation(&values, 2)) {
            self.push(format!("length autocorrelation {lag}"), value);
        }
    }

    fn directions(&mut self, facts: &[Facts]) {
        let up = facts.iter().filter(|f| f.up).count();
        self.push("up packets share", share(up, facts.len()));
        let bytes = |up: bool| -> f64 {
            facts.iter().filter(|f| f.up == up).map(|f| f64::from(f.ip_bytes)).sum()
        };
        self.push("up bytes share", bytes(true) / (bytes(true) + bytes(false)));
        let runs: Vec<(bool, usize)> =
            facts.chunk_by(|a, b| a.up == b.up).map(|run| (run[0].up, run.len())).collect();
        self.push("direction changes per packet", share(runs.len(), facts.len()));
        for (way, up) in [("up", true), ("down", false)] {
            let lengths: Vec<f64> = runs.iter().filter(|r| r.0 == up).map(|r| r.1 as f64).collect();
            let (mean, deviation) = mean_deviation(&lengths);
            self.push(format!("run {way} packets mean"), mean);
            self.push(format!("run {way} packets deviation"), deviation);
            self.push(
                format!("run {way} packets most"),
                lengths.iter().copied().fold(0.0, f64::max),
            );
        }
        let mut sizes = std::collections::BTreeMap::<usize, usize>::new();
        for f in facts {
            *sizes.entry(f.flow).or_insert(0) += 1;
        }
        self.push("flows", sizes.len() as f64);
        self.push(
            "largest flow share",
            share(sizes.values().copied().max().unwrap_or(0), facts.len()),
        );
    }

    fn times(&mut self, facts: &[Facts]) {
        let gap_s =
            |a: &Facts, b: &Facts| (b.time_ns.saturating_sub(a.time_ns) as f64 / 1e9).max(0.0);
        let mut gaps: Vec<f64> =
            facts.windows(2).map(|p| gap_s(&p[0], &p[1]).max(1e-6).log10()).collect();
        for (name, bound) in [("1 ms", -3.0), ("10 ms", -2.0), ("100 ms", -1.0), ("1 s", 0.0)] {
            let over = gaps.iter().filter(|g| **g > bound).count();
            self.push(format!("gaps over {name} share"), share(over, gaps.len()));
        }
        self.push("gap autocorrelation 1", autocorrelation(&gaps, 1)[0]);
        self.moments("gap log10 s", &mut gaps);
        let duration = facts.first().zip(facts.last()).map_or(0.0, |(a, b)| gap_s(a, b));
        self.push(
            "duration log10 s",
            if facts.is_empty() { 0.0 } else { duration.max(1e-6).log10() },
        );
        let bytes: f64 = facts.iter().map(|f| f64::from(f.ip_bytes)).sum();
        let rate = if duration > 0.0 { (bytes / duration).max(1.0).log10() } else { 0.0 };
        self.push("rate log10 bytes/s", rate);
        for part in [1_usize, 2, 3] {
            let at = (facts.len() * part) >> 2;
            let time = facts.first().zip(facts.get(at)).map_or(0.0, |(a, b)| gap_s(a, b));
            self.push(format!("time share after {part}/4 of packets"), time / duration);
            let sum: f64 = facts[..at].iter().map(|f| f64::from(f.ip_bytes)).sum();
            self.push(format!("bytes share after {part}/4 of packets"), sum / bytes);
        }
    }

    fn bursts(&mut self, facts: &[Facts]) {
        for (pause_ms, pause_ns) in BURST_PAUSES {
            let bursts: Vec<&[Facts]> =
                facts.chunk_by(|a, b| b.time_ns.saturating_sub(a.time_ns) < pause_ns).collect();
            let name = format!("burst ({pause_ms} ms)");
            self.push(format!("{name} per packet"), share(bursts.len(), facts.len()));
            let each =
                |f: &dyn Fn(&[Facts]) -> f64| bursts.iter().map(|b| f(b)).collect::<Vec<f64>>();
            self.moments(&format!("{name} packets"), &mut each(&|b| b.len() as f64));
            let bytes = |b: &[Facts]| b.iter().map(|f| f64::from(f.ip_bytes)).sum::<f64>();
            self.moments(&format!("{name} log10 bytes"), &mut each(&|b| bytes(b).max(1.0).log10()));
            let largest = each(&bytes).into_iter().fold(0.0, f64::max);
            self.push(format!("{name} largest log10 bytes"), largest.max(1.0).log10());
            let seconds = |b: &[Facts]| {
                let ends = b.first().zip(b.last());
                ends.map_or(0.0, |(a, z)| z.time_ns.saturating_sub(a.time_ns) as f64 / 1e9)
            };
            self.moments(&format!("{name} s"), &mut each(&seconds));
            let mut pauses: Vec<f64> = bursts
                .windows(2)
                .filter_map(|p| Some(p[1].first()?.time_ns.saturating_sub(p[0].last()?.time_ns)))
                .map(|ns| (ns as f64 / 1e9).max(1e-6).log10())
                .collect();
            self.moments(&format!("{name} pause log10 s"), &mut pauses);
        }
    }

    /// Packets in equal slices of time, as shares, in order and sorted: how even the capture runs.
    fn slices(&mut self, facts: &[Facts]) {
        let mut slices = [0_usize; SLICES];
        if let (Some(first), Some(last)) = (facts.first(), facts.last()) {
            let span = last.time_ns.saturating_sub(first.time_ns).max(1) as f64;
            for f in facts {
                let part = f.time_ns.saturating_sub(first.time_ns) as f64 / span;
                slices[((part.max(0.0) * SLICES as f64) as usize).min(SLICES - 1)] += 1;
            }
        }
        for (i, count) in slices.iter().enumerate() {
            self.push(format!("packets in time slice {i} share"), share(*count, facts.len()));
        }
        slices.sort_unstable();
        for (i, count) in slices.iter().enumerate() {
            self.push(format!("packets in sorted slice {i} share"), share(*count, facts.len()));
        }
    }

    fn stacks(&mut self, facts: &[Facts]) {
        let mut part = |name: &str, test: &dyn Fn(&Facts) -> bool| {
            self.push(
                format!("{name} share"),
                share(facts.iter().filter(|f| test(f)).count(), facts.len()),
            );
        };
        part("ipv6", &|f| f.version == IpVersion::V6);
        part("tcp", &|f| f.kind == TransportKind::Tcp);
        part("udp", &|f| f.kind == TransportKind::Udp);
        part("icmp", &|f| matches!(f.kind, TransportKind::Icmp | TransportKind::Icmpv6));
        part("later fragment", &|f| f.kind == TransportKind::LaterFragment);
        part("syn", &|f| f.flags & flag::SYN != 0);
        part("fin", &|f| f.flags & flag::FIN != 0);
        part("rst", &|f| f.flags & flag::RST != 0);
        part("psh", &|f| f.flags & flag::PSH != 0);
        part("no payload", &|f| f.payload_bytes == 0);
        for (way, up) in [("up", true), ("down", false)] {
            let mut ttl: Vec<f64> =
                facts.iter().filter(|f| f.up == up).map(|f| f64::from(f.ttl)).collect();
            ttl.sort_by(f64::total_cmp);
            let (mean, _) = mean_deviation(&ttl);
            self.push(format!("ttl {way} mean"), mean);
            self.push(format!("ttl {way} median"), ttl.get(ttl.len() >> 1).copied().unwrap_or(0.0));
            ttl.dedup();
            self.push(format!("ttl {way} distinct"), ttl.len() as f64);
        }
    }
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

pub(super) fn mean_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}
