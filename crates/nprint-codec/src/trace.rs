//! A capture in memory.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Link-layer type of a capture, by the numbers of <https://www.tcpdump.org/linktypes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkType {
    /// 0: BSD loopback, protocol family in the writer's byte order.
    Null,
    /// 1: Ethernet.
    Ethernet,
    /// 9: PPP, with or without the HDLC-like framing of RFC 1662.
    Ppp,
    /// 101: bare IPv4 or IPv6.
    RawIp,
    /// 108: OpenBSD loopback, protocol family in network byte order.
    Loop,
    /// 113: Linux cooked capture.
    LinuxSll,
    /// 127: radiotap, then an IEEE 802.11 frame.
    Radiotap,
    /// 276: Linux cooked capture, version 2.
    LinuxSll2,
    /// Any other number.
    Other(u32),
}

impl LinkType {
    /// The link type with this number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 => Self::Ppp,
            101 | 12 | 14 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            127 => Self::Radiotap,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// The number that is written to files.
    pub const fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::RawIp => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::Radiotap => 127,
            Self::LinuxSll2 => 276,
            Self::Other(number) => number,
        }
    }
}

/// One packet of a [`Trace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Time since 1970-01-01 00:00 UTC. Units: nanoseconds.
    pub time_ns: i64,
    /// The captured bytes, from the link layer on.
    pub bytes: &'a [u8],
    /// Length on the wire; larger than `bytes.len()` where the capture was cut. Units: bytes.
    pub original_length: u32,
}

/// Packets of one link type, in file order.
///
/// The bytes of all packets lie in one buffer, so that reading a capture allocates nothing per
/// packet.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(1_000, &[0x45, 0, 0, 20], 20);
/// assert_eq!(trace.packet(0).original_length, 20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    link_type: LinkType,
    buffer: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    time_ns: i64,
    start: usize,
    length: u32,
    original_length: u32,
}

impl Trace {
    /// An empty trace.
    pub fn new(link_type: LinkType) -> Self {
        Self { link_type, buffer: Vec::new(), records: Vec::new() }
    }

    /// An empty trace with room for so many packets of so many bytes together.
    pub fn with_capacity(link_type: LinkType, packets: usize, bytes: usize) -> Self {
        Self { link_type, buffer: Vec::with_capacity(bytes), records: Vec::with_capacity(packets) }
    }

    /// The link type of every packet.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no packet.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends a packet. `original_length` is its length on the wire in bytes.
    pub fn push(&mut self, time_ns: i64, bytes: &[u8], original_length: u32) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        self.records.push(Record { time_ns, start, length: bytes.len() as u32, original_length });
    }

    /// Appends a packet of `bytes` and `zeros` zeros behind them.
    pub(crate) fn push_padded(&mut self, time_ns: i64, bytes: &[u8], zeros: usize) {
        let length = (bytes.len() + zeros) as u32;
        self.push(time_ns, bytes, length);
        self.buffer.resize(self.buffer.len() + zeros, 0);
        if let Some(record) = self.records.last_mut() {
            record.length = length;
        }
    }

    /// Removes every packet and keeps the memory for those of another link type.
    pub(crate) fn restart(&mut self, link_type: LinkType) {
        self.link_type = link_type;
        self.buffer.clear();
        self.records.clear();
    }

    /// Packet `index`.
    ///
    /// # Panics
    /// When `index` is not less than [`len`](Self::len), as slices do.
    pub fn packet(&self, index: usize) -> Packet<'_> {
        let r = self.records[index];
        Packet {
            time_ns: r.time_ns,
            bytes: &self.buffer[r.start..r.start + r.length as usize],
            original_length: r.original_length,
        }
    }

    /// Every packet in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Packet<'_>> + '_ {
        (0..self.records.len()).map(|i| self.packet(i))
    }

    /// Keeps the first `packets` packets; does nothing when there are fewer.
    pub fn truncate(&mut self, packets: usize) {
        if packets < self.records.len() {
            self.buffer.truncate(self.records[packets].start);
            self.records.truncate(packets);
        }
    }
}

/// What is known about a capture: category (`encryption`) to value (`wireguardsts`), in the
/// order of the table or file name that it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// No labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a label, replacing an earlier value of the same category.
    pub fn set(&mut self, category: impl Into<String>, value: impl Into<String>) {
        let (category, value) = (category.into(), value.into());
        match self.0.iter_mut().find(|(c, _)| *c == category) {
            Some(slot) => slot.1 = value,
            None => self.0.push((category, value)),
        }
    }

    /// The value of a category.
    pub fn value(&self, category: &str) -> Option<&str> {
        self.0.iter().find(|(c, _)| c == category).map(|(_, v)| v.as_str())
    }

    /// Category and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(c, v)| (c.as_str(), v.as_str()))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a map, for tables with sorted columns.
    pub fn to_map(&self) -> BTreeMap<&str, &str> {
        self.iter().collect()
    }
}

impl<C: Into<String>, V: Into<String>> FromIterator<(C, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (C, V)>>(pairs: I) -> Self {
        let mut labels = Self::new();
        pairs.into_iter().for_each(|(c, v)| labels.set(c, v));
        labels
    }
}
