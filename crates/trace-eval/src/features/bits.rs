//! Which columns of the bit view may be learned from.

use nprint_codec::{Field, Header, Layout, icmp, ipv4, ipv6, tcp, udp};
use serde::{Deserialize, Serialize};

/// Header bits with or without the fields that give a capture away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BitView {
    /// Every column of the layout.
    All,
    /// Without leak-prone fields, see [`is_leak_prone`].
    NoLeaks,
}

impl BitView {
    /// For each column of `layout`, whether the view keeps it.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{Layout, ipv4, tcp};
    /// use trace_eval::features::BitView;
    /// let layout = Layout::reference();
    /// let keep = BitView::NoLeaks.columns(&layout);
    /// assert!(keep[layout.column_of(ipv4::TTL).expect("a reference column")]);
    /// assert!(!keep[layout.column_of(tcp::SEQ).expect("a reference column")]);
    /// ```
    pub fn columns(self, layout: &Layout) -> Vec<bool> {
        let mut keep = vec![true; layout.columns()];
        if self == Self::NoLeaks {
            for (field, column) in layout.fields().filter(|(f, _)| is_leak_prone(*f)) {
                keep[column..column + usize::from(field.bits)].fill(false);
            }
        }
        keep
    }
}

/// Whether a field can tell single captures (or the program that made them) apart instead of what
/// they carry: addresses, ports, checksums, identifiers, sequence and acknowledgement numbers, and
/// options (TCP time stamps stand at varying places of them).
pub fn is_leak_prone(field: Field) -> bool {
    const LEAKS: [Field; 20] = [
        ipv4::SOURCE,
        ipv4::DESTINATION,
        ipv4::ID,
        ipv4::CHECKSUM,
        ipv4::OPTIONS,
        ipv6::SOURCE,
        ipv6::DESTINATION,
        ipv6::FLOW_LABEL,
        tcp::SOURCE_PORT,
        tcp::DESTINATION_PORT,
        tcp::SEQ,
        tcp::ACK_NUMBER,
        tcp::CHECKSUM,
        tcp::URGENT_POINTER,
        tcp::OPTIONS,
        udp::SOURCE_PORT,
        udp::DESTINATION_PORT,
        udp::CHECKSUM,
        icmp::CHECKSUM,
        icmp::REST,
    ];
    LEAKS.contains(&field) || !Header::ALL.contains(&field.header)
}
