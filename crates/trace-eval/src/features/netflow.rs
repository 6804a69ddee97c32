//! The short description of a flow that routers export.

use super::flow::Flow;

/// Names of the features of [`netflow_features`], in their order.
pub const NETFLOW_NAMES: [&str; 12] = [
    "L4_SRC_PORT",
    "L4_DST_PORT",
    "PROTOCOL",
    "TCP_FLAGS",
    "IN_BYTES",
    "IN_PKTS",
    "OUT_BYTES",
    "OUT_PKTS",
    "FLOW_DURATION_MILLISECONDS",
    "MIN_TTL",
    "MAX_TTL",
    "LONGEST_FLOW_PKT",
];

/// The NetFlow features of a flow, by [`NETFLOW_NAMES`].
///
/// Bytes are those that the IP headers state; `IN` is the way of the first packet, `OUT` the other;
/// `TCP_FLAGS` is the union of the flags of all packets.
///
/// # Example
/// ```
/// use trace_eval::features::{Flow, FlowPacket, NETFLOW_NAMES, netflow_features};
/// let packet = FlowPacket {
///     time_ns: 0, forward: true, ip_bytes: 60, payload_bytes: 0, header_bytes: 40, flags: 2, window: 9,
///     ttl: 64,
/// };
/// let flow = Flow { protocol: 6, source_port: 40_000, destination_port: 443, packets: vec![packet] };
/// let found = netflow_features(&flow);
/// assert_eq!(NETFLOW_NAMES[4], "IN_BYTES");
/// assert_eq!((found[3], found[4], found[6]), (2.0, 60.0, 0.0));
/// ```
///
/// # Source
/// The nine features of NF-v1 that are neither addresses nor guessed by payload (Sarhan, Layeghy,
/// Moustafa, Portmann, "NetFlow datasets for machine learning-based network intrusion detection
/// systems", 2021, table 2), and three of NF-v2 (the same authors, 2022, table 1).
pub fn netflow_features(flow: &Flow) -> [f64; NETFLOW_NAMES.len()] {
    let bytes = |forward| flow.way(forward).map(|p| f64::from(p.ip_bytes)).sum::<f64>();
    let count = |forward| flow.way(forward).count() as f64;
    let ttl = || flow.packets.iter().map(|p| f64::from(p.ttl));
    [
        f64::from(flow.source_port),
        f64::from(flow.destination_port),
        f64::from(flow.protocol),
        f64::from(flow.packets.iter().fold(0, |flags, p| flags | p.flags)),
        bytes(true),
        count(true),
        bytes(false),
        count(false),
        1e3 * flow.duration_s(),
        ttl().reduce(f64::min).unwrap_or(0.0),
        ttl().reduce(f64::max).unwrap_or(0.0),
        flow.packets.iter().map(|p| f64::from(p.ip_bytes)).fold(0.0, f64::max),
    ]
}
