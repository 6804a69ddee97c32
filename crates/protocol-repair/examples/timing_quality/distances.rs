//! How far sets of gaps are from each other.

use nprint_codec::{IpVersion, Trace, TransportKind, dissect};

const LAGS: usize = 20;
const CONTEXTS: usize = 8;

/// Wasserstein-1 of `log10` of the gaps, the same within contexts, of the gaps in milliseconds;
/// autocorrelation of `log10` of the gaps, and of the gaps.
pub(crate) type Distances = [f64; 5];

/// Gaps of a capture in seconds, a microsecond at least, and the contexts of their packets.
#[derive(Clone)]
pub(crate) struct Gaps {
    seconds: Vec<f64>,
    contexts: Vec<usize>,
}

impl Gaps {
    /// A context is whether the sender is another one, and no payload or the size.
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut contexts = Vec::new();
        let mut last: Option<&[u8]> = None;
        for packet in trace.iter() {
            let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
            let sender = if d.version == IpVersion::V4 { &d.ip[12..16] } else { &d.ip[8..24] };
            if let Some(before) = last {
                let bytes = packet.original_length - d.link.len() as u32;
                let payload = d.payload_length > 0 || d.kind == TransportKind::LaterFragment;
                let size = 1 + [256, 1000].iter().filter(|end| bytes > **end).count();
                contexts.push(4 * usize::from(sender != before) + if payload { size } else { 0 });
            }
            last = Some(sender);
        }
        Self { seconds: seconds(trace), contexts }
    }

    /// These packets at another trace's times.
    pub(crate) fn with_times_of(&self, trace: &Trace) -> Self {
        Self { seconds: seconds(trace), contexts: self.contexts.clone() }
    }

    fn logarithms(&self) -> Vec<f64> {
        self.seconds.iter().map(|gap| gap.log10()).collect()
    }
}

fn seconds(trace: &Trace) -> Vec<f64> {
    let times: Vec<i64> = trace.iter().map(|packet| packet.time_ns).collect();
    times.windows(2).map(|pair| ((pair[1] - pair[0]) as f64 * 1e-9).max(1e-6)).collect()
}

/// How far one set is from another.
pub(crate) fn apart(x: &[Gaps], b: &[Gaps]) -> Distances {
    let all = |set: &[Gaps], context: Option<usize>| -> Vec<f64> {
        let pairs = set.iter().flat_map(|gaps| gaps.seconds.iter().zip(&gaps.contexts));
        pairs.filter(|(_, c)| context.is_none_or(|own| own == **c)).map(|(gap, _)| *gap).collect()
    };
    let (whole_x, whole_b) = (all(x, None), all(b, None));
    let within = (0..CONTEXTS).map(|context| {
        let (x, b) = (all(x, Some(context)), all(b, Some(context)));
        let share = b.len() as f64 / whole_b.len() as f64;
        if x.is_empty() || b.is_empty() { 0.0 } else { share * wasserstein(&x, &b, f64::log10) }
    });
    [
        wasserstein(&whole_x, &whole_b, f64::log10),
        within.sum(),
        wasserstein(&whole_x, &whole_b, |gap| 1e3 * gap),
        autocorrelations_apart(x, b, Gaps::logarithms),
        autocorrelations_apart(x, b, |gaps| gaps.seconds.clone()),
    ]
}

/// Area between the distribution functions of the gaps on a scale, which rises.
fn wasserstein(a: &[f64], b: &[f64], scale: impl Fn(f64) -> f64) -> f64 {
    let values = |set: &[f64], step: f64| -> Vec<(f64, f64)> {
        set.iter().map(|gap| (scale(*gap), step / set.len() as f64)).collect()
    };
    let mut steps = [values(a, 1.0), values(b, -1.0)].concat();
    steps.sort_by(|x, y| x.0.total_cmp(&y.0));
    let mut difference = 0.0;
    let mut area = 0.0;
    for pair in steps.windows(2) {
        difference += pair[0].1;
        area += f64::abs(difference) * (pair[1].0 - pair[0].0);
    }
    area
}

fn autocorrelations_apart(x: &[Gaps], b: &[Gaps], of: impl Fn(&Gaps) -> Vec<f64>) -> f64 {
    let curve = |set: &[Gaps]| -> Vec<f64> {
        let all: Vec<[f64; LAGS]> = set.iter().map(|gaps| autocorrelation(&of(gaps))).collect();
        let mean = |lag: usize| all.iter().map(|curve| curve[lag]).sum::<f64>() / all.len() as f64;
        (0..LAGS).map(mean).collect()
    };
    let lags = curve(x).into_iter().zip(curve(b));
    lags.map(|(x, b)| (x - b).abs()).sum::<f64>() / LAGS as f64
}

/// At lags 1 to [`LAGS`]; 0 where the values do not differ.
fn autocorrelation(values: &[f64]) -> [f64; LAGS] {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    std::array::from_fn(|lag| {
        let later = values.get(lag + 1..).unwrap_or_default();
        let sum: f64 = values.iter().zip(later).map(|(a, b)| (a - mean) * (b - mean)).sum();
        if square > 1e-18 { sum / square } else { 0.0 }
    })
}
