//! Counts of what a capture holds: nPrint's `-S`.

use crate::{IpVersion, LinkType, RowPolicy, TransportKind, dissect, takes, wireless};
use std::fmt;

/// Counts of packets by header, as the C++ tool prints them with `-S`.
///
/// Shares are of all packets for the first group and of the parsed ones for the others; of no
/// packet they are 0.00% (the C++ tool prints `-nan%`).
///
/// # Example
/// ```
/// use nprint_codec::{HeaderStatistics, LinkType, RowPolicy};
/// let mut counts = HeaderStatistics::default();
/// counts.add(LinkType::RawIp, RowPolicy::NPrint, b"no packet");
/// assert_eq!((counts.packets, counts.parsed), (1, 0));
/// assert!(counts.to_string().contains("Packets skipped:            1 (100.00%)"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderStatistics {
    /// Packets looked at.
    pub packets: usize,
    /// Packets that give a row.
    pub parsed: usize,
    /// Of these, with an IPv4 header.
    pub ipv4: usize,
    /// With an IPv6 header.
    pub ipv6: usize,
    /// With TCP columns.
    pub tcp: usize,
    /// With UDP columns.
    pub udp: usize,
    /// With ICMP columns.
    pub icmp: usize,
}

impl HeaderStatistics {
    /// Counts one packet.
    pub fn add(&mut self, link_type: LinkType, policy: RowPolicy, bytes: &[u8]) {
        self.packets += 1;
        if wireless::whole_frame(link_type, policy, bytes).is_some() {
            self.parsed += 1;
            return;
        }
        let Some(d) = dissect(link_type, bytes).filter(|d| takes(policy, d)) else { return };
        self.parsed += 1;
        match d.version {
            IpVersion::V4 => self.ipv4 += 1,
            IpVersion::V6 => self.ipv6 += 1,
        }
        let protocol = match d.kind {
            TransportKind::Tcp => 6,
            TransportKind::Udp => 17,
            TransportKind::Icmp | TransportKind::Icmpv6 => 1,
            // The C++ tool reads a transport header there.
            TransportKind::LaterFragment if policy == RowPolicy::NPrint => d.protocol,
            _ => 0,
        };
        match protocol {
            6 => self.tcp += 1,
            17 => self.udp += 1,
            1 => self.icmp += 1,
            _ => {}
        }
    }
}

impl fmt::Display for HeaderStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn line(f: &mut fmt::Formatter<'_>, name: &str, count: usize, of: usize) -> fmt::Result {
            let share = if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 };
            writeln!(f, "  {name:<18}{count:>11} ({share:.2}%)")
        }
        writeln!(f, "General Statistics")?;
        writeln!(f, "  {:<18}{:>11}", "Packets processed:", self.packets)?;
        line(f, "Packets skipped:", self.packets - self.parsed, self.packets)?;
        line(f, "Packets parsed:", self.parsed, self.packets)?;
        writeln!(f, "Network Layer Statistics (of packets parsed)")?;
        line(f, "IPv4:", self.ipv4, self.parsed)?;
        line(f, "IPv6:", self.ipv6, self.parsed)?;
        writeln!(f, "Transport Layer Statistics (of packets parsed)")?;
        line(f, "TCP:", self.tcp, self.parsed)?;
        line(f, "UDP:", self.udp, self.parsed)?;
        line(f, "ICMP:", self.icmp, self.parsed)
    }
}
