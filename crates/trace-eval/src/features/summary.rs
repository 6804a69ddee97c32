//! The plain series of a capture that are drawn and compared as distributions.

use super::flow::flows;
use crate::packet::facts;
use nprint_codec::{Trace, TransportKind};

/// Values of each packet of a capture, for distributions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Length that the IP header states. Units: bytes.
    pub length_bytes: Vec<f64>,
    /// Time since the packet before. Units: log10 of seconds, at least -6 (one microsecond).
    pub gap_log10_s: Vec<f64>,
    /// Time to live or hop limit. Units: hops.
    pub ttl_hops: Vec<f64>,
    /// 1 for packets of the client, 0 for those of the server.
    pub up: Vec<f64>,
    /// Packets in a row that go the same way.
    pub run_packets: Vec<f64>,
    /// Receive window of TCP segments, before scaling.
    pub window: Vec<f64>,
    /// Time from the first to the last packet of each flow. Units: log10 of seconds, at least -6.
    pub flow_duration_log10_s: Vec<f64>,
}

/// The series of the first `packets` IP packets of a capture.
pub fn series(trace: &Trace, packets: usize) -> Series {
    let (mut facts, _) = facts(trace);
    facts.truncate(packets);
    let mut out = Series::default();
    for f in &facts {
        out.length_bytes.push(f64::from(f.ip_bytes));
        out.ttl_hops.push(f64::from(f.ttl));
        out.up.push(f64::from(u8::from(f.up)));
        if f.kind == TransportKind::Tcp {
            out.window.push(f64::from(f.window));
        }
    }
    out.flow_duration_log10_s =
        flows(trace, packets).iter().map(|f| f.duration_s().max(1e-6).log10()).collect();
    for pair in facts.windows(2) {
        let gap_s = pair[1].time_ns.saturating_sub(pair[0].time_ns) as f64 / 1e9;
        out.gap_log10_s.push(gap_s.max(1e-6).log10());
    }
    out.run_packets = facts.chunk_by(|a, b| a.up == b.up).map(|run| run.len() as f64).collect();
    out
}
