//! The index column: what names a row.

use crate::encode::Parts;
use crate::{Dissection, Header, IpVersion, Row, ipv4, ipv6, tcp, udp, wireless};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands in the first column of the CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CsvIndex {
    /// `src_ip`, nPrint's `-O 0`.
    #[default]
    SourceAddress,
    /// `dst_ip`, `-O 1`.
    DestinationAddress,
    /// `src_prt`, `-O 2`.
    SourcePort,
    /// `dst_prt`, `-O 3`.
    DestinationPort,
    /// `flow`, `-O 4`: addresses, ports and protocol of this packet, joined by `_`.
    Flow,
    /// `tx_mac`, `-O 5`: transmitter of an 802.11 frame, `None` for kinds of frames that have
    /// none; `NULL` for other link layers.
    TransmitterMac,
    /// No index column (nPrint always has one).
    None,
}

impl CsvIndex {
    /// Every index column, in the order of nPrint's numbers.
    pub const ALL: [Self; 6] = [
        Self::SourceAddress,
        Self::DestinationAddress,
        Self::SourcePort,
        Self::DestinationPort,
        Self::Flow,
        Self::TransmitterMac,
    ];

    /// Name of the column.
    pub const fn column_name(self) -> Option<&'static str> {
        match self {
            Self::SourceAddress => Some("src_ip"),
            Self::DestinationAddress => Some("dst_ip"),
            Self::SourcePort => Some("src_prt"),
            Self::DestinationPort => Some("dst_prt"),
            Self::Flow => Some("flow"),
            Self::TransmitterMac => Some("tx_mac"),
            Self::None => None,
        }
    }
}

/// What an index column can be made of.
#[derive(Debug, Default)]
pub(super) struct RowKey {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    protocol: Option<&'static str>,
    transmitter: Option<String>,
}

impl RowKey {
    /// `packet` starts at the IP header: its addresses are read even where the header states a
    /// length that would end before them.
    pub(super) fn of_packet(packet: &[u8], d: &Dissection<'_>, parts: &Parts<'_>) -> Self {
        let (source, destination) = match d.version {
            IpVersion::V4 => (v4(packet.get(12..16)), v4(packet.get(16..20))),
            IpVersion::V6 => (v6(packet.get(8..24)), v6(packet.get(24..40))),
        };
        let (protocol, bytes) = match parts.transport {
            Some((Header::Tcp, bytes)) => (Some("TCP"), bytes),
            Some((Header::Udp, bytes)) => (Some("UDP"), bytes),
            _ => (None, &[][..]),
        };
        let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        Self {
            source,
            destination,
            source_port: port(0),
            destination_port: port(2),
            protocol,
            ..parts.frame.as_ref().map_or_else(Self::default, Self::of_frame)
        }
    }

    pub(super) fn of_frame(frame: &wireless::Frame<'_>) -> Self {
        let mac = frame.transmitter().map(|m| m.map(|byte| format!("{byte:02x}")).join(":"));
        let none = frame.has_no_transmitter().then(|| "None".to_owned());
        Self { transmitter: mac.or(none), ..Self::default() }
    }

    pub(super) fn of_row(row: &Row<'_>) -> Self {
        let is_v4 = row.has(Header::Ipv4);
        let address = |four, six| {
            if is_v4 { v4(Some(&row.bytes(four))) } else { v6(Some(&row.bytes(six))) }
        };
        let (protocol, ports) = if row.has(Header::Tcp) {
            (Some("TCP"), (tcp::SOURCE_PORT, tcp::DESTINATION_PORT))
        } else {
            let udp = row.has(Header::Udp).then_some("UDP");
            (udp, (udp::SOURCE_PORT, udp::DESTINATION_PORT))
        };
        Self {
            source: address(ipv4::SOURCE, ipv6::SOURCE),
            destination: address(ipv4::DESTINATION, ipv6::DESTINATION),
            source_port: row.get(ports.0).map(|p| p as u16),
            destination_port: row.get(ports.1).map(|p| p as u16),
            protocol,
            ..Self::default()
        }
    }

    /// The text of the index column, nothing for [`CsvIndex::None`].
    pub(super) fn text(&self, index: CsvIndex) -> String {
        match index {
            CsvIndex::SourceAddress => address_text(self.source),
            CsvIndex::DestinationAddress => address_text(self.destination),
            CsvIndex::SourcePort => or_null(self.source_port),
            CsvIndex::DestinationPort => or_null(self.destination_port),
            CsvIndex::Flow => format!(
                "{}_{}_{}_{}_{}",
                address_text(self.source),
                address_text(self.destination),
                or_null(self.source_port),
                or_null(self.destination_port),
                or_null(self.protocol)
            ),
            CsvIndex::TransmitterMac => or_null(self.transmitter.as_ref()),
            CsvIndex::None => String::new(),
        }
    }
}

fn v4(bytes: Option<&[u8]>) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes?).ok().map(|b| Ipv4Addr::from(b).into())
}

fn v6(bytes: Option<&[u8]>) -> Option<IpAddr> {
    <[u8; 16]>::try_from(bytes?).ok().map(|b| Ipv6Addr::from(b).into())
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |v| v.to_string())
}

/// As the C library's `inet_ntop` prints: unlike Rust's `Display`, an IPv4-compatible address is
/// dotted.
fn address_text(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(v6)) if v6.segments()[..6] == [0; 6] && v6.segments()[6] != 0 => {
            let [.., a, b, c, d] = v6.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        other => or_null(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_inet_ntop_prints_them() {
        for (address, text) in [
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::c000:201", "::192.0.2.1"),
            ("::1", "::1"),
            ("::", "::"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(address_text(Some(parsed)), text);
        }
    }
}
