//! Counts of what a capture holds: nPrint's `-S`.

use crate::encode::transport_of;
use crate::{Header, IpVersion, LinkType, RowPolicy, dissect_through, takes, wireless};
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
        let layers = policy.layers();
        if wireless::whole_frame(link_type, layers, bytes).is_some() {
            self.parsed += 1;
            return;
        }
        let found = dissect_through(link_type, bytes, layers).filter(|d| takes(policy, d));
        let Some(d) = found else { return };
        self.parsed += 1;
        match d.version {
            IpVersion::V4 => self.ipv4 += 1,
            IpVersion::V6 => self.ipv6 += 1,
        }
        match transport_of(&d, layers).0 {
            Some((Header::Tcp, _)) => self.tcp += 1,
            Some((Header::Udp, _)) => self.udp += 1,
            Some((Header::Icmp, _)) => self.icmp += 1,
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
