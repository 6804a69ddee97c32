//! The long description of a flow that intrusion-detection data sets use.

use super::flow::{Flow, FlowPacket, seconds};
use crate::packet::flag;

/// Names of the features of [`cicflow_features`], in their order; as CICFlowMeter heads its columns.
pub const CICFLOW_NAMES: [&str; 78] = [
    "Dst Port",
    "Protocol",
    "Flow Duration",
    "Total Fwd Packet",
    "Total Bwd packets",
    "Total Length of Fwd Packet",
    "Total Length of Bwd Packet",
    "Fwd Packet Length Max",
    "Fwd Packet Length Min",
    "Fwd Packet Length Mean",
    "Fwd Packet Length Std",
    "Bwd Packet Length Max",
    "Bwd Packet Length Min",
    "Bwd Packet Length Mean",
    "Bwd Packet Length Std",
    "Flow Bytes/s",
    "Flow Packets/s",
    "Flow IAT Mean",
    "Flow IAT Std",
    "Flow IAT Max",
    "Flow IAT Min",
    "Fwd IAT Total",
    "Fwd IAT Mean",
    "Fwd IAT Std",
    "Fwd IAT Max",
    "Fwd IAT Min",
    "Bwd IAT Total",
    "Bwd IAT Mean",
    "Bwd IAT Std",
    "Bwd IAT Max",
    "Bwd IAT Min",
    "Fwd PSH Flags",
    "Bwd PSH Flags",
    "Fwd URG Flags",
    "Bwd URG Flags",
    "Fwd Header Length",
    "Bwd Header Length",
    "Fwd Packets/s",
    "Bwd Packets/s",
    "Packet Length Min",
    "Packet Length Max",
    "Packet Length Mean",
    "Packet Length Std",
    "Packet Length Variance",
    "FIN Flag Count",
    "SYN Flag Count",
    "RST Flag Count",
    "PSH Flag Count",
    "ACK Flag Count",
    "URG Flag Count",
    "CWR Flag Count",
    "ECE Flag Count",
    "Down/Up Ratio",
    "Average Packet Size",
    "Fwd Segment Size Avg",
    "Bwd Segment Size Avg",
    "Fwd Bytes/Bulk Avg",
    "Fwd Packet/Bulk Avg",
    "Fwd Bulk Rate Avg",
    "Bwd Bytes/Bulk Avg",
    "Bwd Packet/Bulk Avg",
    "Bwd Bulk Rate Avg",
    "Subflow Fwd Packets",
    "Subflow Fwd Bytes",
    "Subflow Bwd Packets",
    "Subflow Bwd Bytes",
    "FWD Init Win Bytes",
    "Bwd Init Win Bytes",
    "Fwd Act Data Pkts",
    "Fwd Seg Size Min",
    "Active Mean",
    "Active Std",
    "Active Max",
    "Active Min",
    "Idle Mean",
    "Idle Std",
    "Idle Max",
    "Idle Min",
];

/// A pause that ends a bulk and a subflow. Units: seconds.
const SUBFLOW_PAUSE_S: f64 = 1.0;
/// A pause in which a flow counts as idle. Units: seconds.
const IDLE_PAUSE_S: f64 = 5.0;
/// Fewest packets of a bulk.
const BULK_PACKETS: usize = 4;

/// The features of a flow, by [`CICFLOW_NAMES`]; always finite.
///
/// Packet lengths are payload bytes, times are in microseconds, rates a second, deviations those of a
/// sample (over n - 1; 0 for one value). Where a direction or a pause does not occur the value is 0; a
/// rate over no time is 0. Initial windows are 0 without TCP.
///
/// # Source
/// The feature list of CICFlowMeter 4 (Lashkari, Draper-Gil, Mamun, Ghorbani, "Characterization of
/// Tor traffic using time based features", 2017). Defined here from that list: a *bulk* is 4 or more
/// packets with payload in a row one way, no pause above 1 s; *subflows* are parted by pauses above
/// 1 s; *active* and *idle* periods by pauses above 5 s. A flow does not end at a FIN, see
/// [`flows`](super::flows).
pub fn cicflow_features(flow: &Flow) -> [f64; CICFLOW_NAMES.len()] {
    let duration_s = flow.duration_s();
    let per_second = |v: f64| if duration_s > 0.0 { v / duration_s } else { 0.0 };
    let ways = [true, false].map(|forward| Way::of(flow, forward));
    let [fwd, bwd] = &ways;
    let all = Moments::of(flow.packets.iter().map(|p| f64::from(p.payload_bytes)));
    let gaps = Moments::of(gaps_us(flow.packets.iter()).into_iter());
    let flags = |bit: u8| flow.packets.iter().filter(|p| p.flags & bit != 0).count() as f64;
    let subflows = 1.0
        + flow
            .packets
            .windows(2)
            .filter(|p| seconds(p[0].time_ns, p[1].time_ns) > SUBFLOW_PAUSE_S)
            .count() as f64;
    let (active, idle) = periods(flow);
    let count = fwd.packets + bwd.packets;
    let mut out = Vec::with_capacity(CICFLOW_NAMES.len());
    out.extend([f64::from(flow.destination_port), f64::from(flow.protocol), 1e6 * duration_s]);
    out.extend([fwd.packets, bwd.packets, fwd.length.sum, bwd.length.sum]);
    for way in &ways {
        out.extend([way.length.most, way.length.least, way.length.mean, way.length.deviation]);
    }
    out.extend([per_second(all.sum), per_second(count)]);
    out.extend([gaps.mean, gaps.deviation, gaps.most, gaps.least]);
    for way in &ways {
        let g = &way.gaps;
        out.extend([g.sum, g.mean, g.deviation, g.most, g.least]);
    }
    out.extend([fwd.psh, bwd.psh, fwd.urg, bwd.urg]);
    out.extend([fwd.header_bytes, bwd.header_bytes]);
    out.extend([per_second(fwd.packets), per_second(bwd.packets)]);
    out.extend([all.least, all.most, all.mean, all.deviation, all.deviation * all.deviation]);
    for bit in
        [flag::FIN, flag::SYN, flag::RST, flag::PSH, flag::ACK, flag::URG, flag::CWR, flag::ECE]
    {
        out.push(flags(bit));
    }
    out.push(ratio(bwd.packets, fwd.packets));
    out.extend([ratio(all.sum, count), fwd.length.mean, bwd.length.mean]);
    for way in &ways {
        let b = &way.bulk;
        out.extend([ratio(b.bytes, b.count), ratio(b.packets, b.count), ratio(b.bytes, b.seconds)]);
    }
    for way in &ways {
        out.extend([way.packets / subflows, way.length.sum / subflows]);
    }
    out.extend([fwd.first_window, bwd.first_window, fwd.with_payload, fwd.shortest_header]);
    for period in [active, idle] {
        let m = Moments::of(period.into_iter().map(|s| 1e6 * s));
        out.extend([m.mean, m.deviation, m.most, m.least]);
    }
    let mut values = [0.0; CICFLOW_NAMES.len()];
    for (slot, value) in values.iter_mut().zip(out) {
        *slot = if value.is_finite() { value } else { 0.0 };
    }
    values
}

/// What is said of one direction.
struct Way {
    packets: f64,
    length: Moments,
    gaps: Moments,
    psh: f64,
    urg: f64,
    header_bytes: f64,
    shortest_header: f64,
    with_payload: f64,
    first_window: f64,
    bulk: Bulk,
}

impl Way {
    fn of(flow: &Flow, forward: bool) -> Self {
        let flags = |bit: u8| flow.way(forward).filter(|p| p.flags & bit != 0).count() as f64;
        let headers = || flow.way(forward).map(|p| f64::from(p.header_bytes));
        Self {
            packets: flow.way(forward).count() as f64,
            length: Moments::of(flow.way(forward).map(|p| f64::from(p.payload_bytes))),
            gaps: Moments::of(gaps_us(flow.way(forward)).into_iter()),
            psh: flags(flag::PSH),
            urg: flags(flag::URG),
            header_bytes: headers().sum(),
            shortest_header: headers().reduce(f64::min).unwrap_or(0.0),
            with_payload: flow.way(forward).filter(|p| p.payload_bytes > 0).count() as f64,
            first_window: flow.way(forward).next().map_or(0.0, |p| f64::from(p.window)),
            bulk: Bulk::of(flow, forward),
        }
    }
}

/// The bulks of one direction together.
#[derive(Default)]
struct Bulk {
    count: f64,
    packets: f64,
    bytes: f64,
    seconds: f64,
}

impl Bulk {
    fn of(flow: &Flow, forward: bool) -> Self {
        let loaded: Vec<&FlowPacket> =
            flow.packets.iter().filter(|p| p.payload_bytes > 0).collect();
        let mut out = Self::default();
        for run in loaded.chunk_by(|a, b| {
            a.forward == b.forward && seconds(a.time_ns, b.time_ns) <= SUBFLOW_PAUSE_S
        }) {
            if run[0].forward == forward && run.len() >= BULK_PACKETS {
                out.count += 1.0;
                out.packets += run.len() as f64;
                out.bytes += run.iter().map(|p| f64::from(p.payload_bytes)).sum::<f64>();
                out.seconds += seconds(run[0].time_ns, run[run.len() - 1].time_ns);
            }
        }
        out
    }
}

/// Lengths of the active and idle periods. Units: seconds.
fn periods(flow: &Flow) -> (Vec<f64>, Vec<f64>) {
    let pause = |a: &FlowPacket, b: &FlowPacket| seconds(a.time_ns, b.time_ns);
    let runs = flow.packets.chunk_by(|a, b| pause(a, b) <= IDLE_PAUSE_S);
    let active = runs.map(|r| pause(&r[0], &r[r.len() - 1])).filter(|s| *s > 0.0).collect();
    let idle = flow.packets.windows(2).map(|p| pause(&p[0], &p[1]));
    (active, idle.filter(|s| *s > IDLE_PAUSE_S).collect())
}

fn gaps_us<'a>(packets: impl Iterator<Item = &'a FlowPacket>) -> Vec<f64> {
    let times: Vec<i64> = packets.map(|p| p.time_ns).collect();
    times.windows(2).map(|t| 1e6 * seconds(t[0], t[1])).collect()
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// Sum, extremes, mean and sample deviation of some values; all 0 without any.
#[derive(Default)]
struct Moments {
    sum: f64,
    least: f64,
    most: f64,
    mean: f64,
    deviation: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let (Some(least), Some(most)) =
            (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max))
        else {
            return Self::default();
        };
        let sum: f64 = values.iter().sum();
        let mean = sum / values.len() as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = (squares / (values.len().max(2) - 1) as f64).sqrt();
        Self { sum, least, most, mean, deviation }
    }
}
