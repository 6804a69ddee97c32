//! The index column: what names a row.

use super::line::LineBuffer;
use crate::encode::Parts;
use crate::{Header, Row, ipv4, ipv6, tcp, udp};
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
    transmitter: Transmitter,
}

#[derive(Debug, Default)]
enum Transmitter {
    /// Not captured, or another link layer.
    #[default]
    Unknown,
    /// The kind of frame has none.
    None,
    Known([u8; 6]),
}

impl RowKey {
    /// The addresses of `packet` are read even where the IP header states a length that would end
    /// before them.
    pub(super) fn of_packet(packet: &[u8], parts: &Parts<'_>) -> Self {
        let ip = packet.get(parts.link.len()..).unwrap_or_default();
        let (source, destination) = match parts.network {
            Some((Header::Ipv4, _)) => (v4(ip.get(12..16)), v4(ip.get(16..20))),
            Some(_) => (v6(ip.get(8..24)), v6(ip.get(24..40))),
            None => (None, None),
        };
        let (protocol, bytes) = match parts.transport {
            Some((Header::Tcp, bytes)) => (Some("TCP"), bytes),
            Some((Header::Udp, bytes)) => (Some("UDP"), bytes),
            _ => (None, &[][..]),
        };
        let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let transmitter = match parts.frame {
            Some(frame) if frame.has_no_transmitter() => Transmitter::None,
            Some(frame) => frame.transmitter().map_or(Transmitter::Unknown, Transmitter::Known),
            None => Transmitter::Unknown,
        };
        Self {
            source,
            destination,
            source_port: port(0),
            destination_port: port(2),
            protocol,
            transmitter,
        }
    }

    pub(super) fn of_row(row: &Row<'_>) -> Self {
        let is_v4 = row.has(Header::Ipv4);
        let address = |four, six| {
            if is_v4 {
                row.byte_array::<4>(four).map(IpAddr::from)
            } else {
                row.byte_array::<16>(six).map(IpAddr::from)
            }
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
            transmitter: Transmitter::Unknown,
        }
    }

    /// Writes the text of the index column, nothing for [`CsvIndex::None`].
    pub(super) fn write(&self, index: CsvIndex, line: &mut LineBuffer) {
        match index {
            CsvIndex::SourceAddress => write_address(self.source, line),
            CsvIndex::DestinationAddress => write_address(self.destination, line),
            CsvIndex::SourcePort => write_port(self.source_port, line),
            CsvIndex::DestinationPort => write_port(self.destination_port, line),
            CsvIndex::Flow => {
                write_address(self.source, line);
                line.push(b"_");
                write_address(self.destination, line);
                line.push(b"_");
                write_port(self.source_port, line);
                line.push(b"_");
                write_port(self.destination_port, line);
                line.push(b"_");
                line.push(self.protocol.map_or(NULL, str::as_bytes));
            }
            CsvIndex::TransmitterMac => match self.transmitter {
                Transmitter::Unknown => line.push(NULL),
                Transmitter::None => line.push(b"None"),
                Transmitter::Known(mac) => line.push_mac(mac),
            },
            CsvIndex::None => {}
        }
    }
}

fn v4(bytes: Option<&[u8]>) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes?).ok().map(|b| Ipv4Addr::from(b).into())
}

fn v6(bytes: Option<&[u8]>) -> Option<IpAddr> {
    <[u8; 16]>::try_from(bytes?).ok().map(|b| Ipv6Addr::from(b).into())
}

const NULL: &[u8] = b"NULL";

fn write_port(port: Option<u16>, line: &mut LineBuffer) {
    match port {
        Some(port) => line.push_integer(port.into()),
        None => line.push(NULL),
    }
}

fn write_address(address: Option<IpAddr>, line: &mut LineBuffer) {
    match address {
        Some(IpAddr::V4(v4)) => line.push_v4(v4),
        Some(IpAddr::V6(v6)) => line.push_v6(v6),
        None => line.push(NULL),
    }
}
