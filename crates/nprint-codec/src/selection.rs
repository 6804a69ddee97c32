//! Which packets of a capture to keep.

use crate::{FlowKey, LinkType, Packet, PacketFilter, Trace, dissect};

/// Which packets of a capture to keep: a time window, a filter, a flow, a number, in this order.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, PacketFilter, Selection, Trace};
/// let mut trace = Trace::new(LinkType::RawIp);
/// for second in 0..4 {
///     trace.push(second * 1_000_000_000, &[0x45, 0, 0, 20], 20);
/// }
/// let selection = Selection {
///     filter: Some(PacketFilter::parse("less 100")?),
///     from_ns: Some(1_000_000_000),
///     max_packets: Some(2),
///     ..Selection::default()
/// };
/// let kept: Vec<i64> = selection.apply(&trace).iter().map(|p| p.time_ns).collect();
/// assert_eq!(kept, [1_000_000_000, 2_000_000_000]);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only packets that match; default all.
    pub filter: Option<PacketFilter>,
    /// Only packets at this time or later. Units: nanoseconds since 1970.
    pub from_ns: Option<i64>,
    /// Only packets before this time. Units: nanoseconds since 1970.
    pub until_ns: Option<i64>,
    /// Only packets of this 5-tuple, in both directions; default all.
    pub flow: Option<FlowKey>,
    /// Of [`flow`](Self::flow) only the packets before the first pause longer than this: the first
    /// of the [`flows`](crate::flows) with that key. Units: nanoseconds.
    pub flow_timeout_ns: Option<i64>,
    /// Only the first so many of the packets that the rest takes; default all.
    pub max_packets: Option<usize>,
}

impl Selection {
    /// Whether window, filter and 5-tuple take this packet.
    pub fn takes(&self, link_type: LinkType, packet: &Packet<'_>) -> bool {
        self.from_ns.is_none_or(|from| packet.time_ns >= from)
            && self.until_ns.is_none_or(|until| packet.time_ns < until)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(link_type, packet))
            && self.flow.is_none_or(|flow| {
                let dissected = dissect(link_type, packet.bytes);
                dissected.as_ref().and_then(FlowKey::of).is_some_and(|(key, _)| key == flow)
            })
    }

    /// The packets that are taken.
    pub fn apply(&self, trace: &Trace) -> Trace {
        let link_type = trace.link_type();
        let (mut kept, mut selector) = (Trace::new(link_type), Selector::new(self.clone()));
        for packet in trace.iter() {
            if !selector.wants_more() {
                break;
            }
            if selector.takes(link_type, &packet) {
                kept.push(packet.time_ns, packet.bytes, packet.original_length);
            }
        }
        kept
    }
}

/// A [`Selection`] on its way through a stream of packets: it counts what is taken and sees the
/// pauses.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Packet, Selection, Selector};
/// let selection = Selection { max_packets: Some(1), ..Selection::default() };
/// let mut selector = Selector::new(selection);
/// let packet = Packet { time_ns: 0, bytes: &[0x45], original_length: 20 };
/// assert!(selector.wants_more() && selector.takes(LinkType::RawIp, &packet));
/// assert!(!selector.wants_more() && !selector.takes(LinkType::RawIp, &packet));
/// ```
#[derive(Debug, Clone)]
pub struct Selector {
    selection: Selection,
    taken: usize,
    /// Time of the packet that was taken last.
    last_ns: Option<i64>,
    ended: bool,
}

impl Selector {
    /// At the start of a stream.
    pub fn new(selection: Selection) -> Self {
        Self { selection, taken: 0, last_ns: None, ended: false }
    }

    /// Whether any packet that may follow can be taken.
    pub fn wants_more(&self) -> bool {
        !self.ended && self.selection.max_packets.is_none_or(|max| self.taken < max)
    }

    /// Whether the next packet of the stream is taken.
    pub fn takes(&mut self, link_type: LinkType, packet: &Packet<'_>) -> bool {
        if !self.wants_more() || !self.selection.takes(link_type, packet) {
            return false;
        }
        let pause_ns = self.last_ns.map_or(0, |last| packet.time_ns.saturating_sub(last));
        let timeout_ns = self.selection.flow.and(self.selection.flow_timeout_ns);
        if timeout_ns.is_some_and(|timeout| pause_ns > timeout) {
            self.ended = true;
            return false;
        }
        self.last_ns = Some(packet.time_ns);
        self.taken += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(time_ns: i64, tail: &[u8], protocol: u8) -> (i64, Vec<u8>) {
        let mut bytes =
            vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend(tail);
        (time_ns, bytes)
    }

    #[test]
    fn windows_are_half_open_and_the_number_counts_what_is_taken() {
        let mut trace = Trace::new(LinkType::RawIp);
        for (time_ns, bytes) in [
            packet(1, &[0; 8], 17),
            packet(2, &[0; 8], 1),
            packet(3, &[0; 8], 17),
            packet(4, &[0; 8], 17),
        ] {
            trace.push(time_ns, &bytes, 28);
        }
        let times = |s: Selection| s.apply(&trace).iter().map(|p| p.time_ns).collect::<Vec<_>>();
        let window = Selection { from_ns: Some(2), until_ns: Some(4), ..Selection::default() };
        assert_eq!(times(window), [2, 3]);
        let filter = PacketFilter::parse("udp").ok();
        assert_eq!(
            times(Selection { filter, max_packets: Some(2), ..Selection::default() }),
            [1, 3]
        );
        assert_eq!(times(Selection::default()), [1, 2, 3, 4]);
    }

    #[test]
    fn a_flow_is_both_directions_up_to_the_first_long_pause() {
        let mut trace = Trace::new(LinkType::RawIp);
        let (there, back) = ([0, 1, 0, 2, 0, 8, 0, 0], [0, 2, 0, 1, 0, 8, 0, 0]);
        for (time_ns, tail) in [(0, there), (5, back), (6, there), (9, [0; 8]), (20, there)] {
            let (time_ns, mut bytes) = packet(time_ns, &tail, 17);
            if tail == back {
                bytes.swap(15, 19);
            }
            trace.push(time_ns, &bytes, 28);
        }
        let flow = "10.0.0.2_10.0.0.1_2_1_UDP".parse().ok();
        let times = |flow_timeout_ns, max_packets| {
            let selection =
                Selection { flow, flow_timeout_ns, max_packets, ..Selection::default() };
            selection.apply(&trace).iter().map(|p| p.time_ns).collect::<Vec<_>>()
        };
        assert_eq!(times(None, None), [0, 5, 6, 20]);
        assert_eq!(times(Some(14), None), [0, 5, 6, 20]);
        assert_eq!(times(Some(13), None), [0, 5, 6]);
        assert_eq!(times(Some(4), None), [0]);
        assert_eq!(times(None, Some(2)), [0, 5]);
        for (timeout, flow) in [(None, 0), (Some(13), 0), (Some(4), 0)] {
            let flows = crate::flows(&trace, timeout);
            let expected: Vec<i64> =
                flows[flow].packets.iter().map(|i| trace.packet(*i).time_ns).collect();
            assert_eq!(times(timeout, None), expected);
        }
    }
}
