//! Which ports servers listen on.

use nprint_codec::Field;
use nprint_codec::{tcp, udp};

use crate::draft::Transport;

/// Ports that servers of common protocols listen on; a damaged port may become one of them.
pub(super) const WELL_KNOWN: [u16; 28] = [
    443, 80, 53, 22, 25, 1883, 4500, 500, 1194, 51820, 8080, 8443, 853, 123, 21, 23, 110, 143, 465,
    587, 993, 995, 3478, 5060, 5061, 8883, 3389, 5353,
];

/// How much a port looks like a server's: smaller is more.
pub(super) fn server_rank(port: u16) -> u32 {
    match WELL_KNOWN.iter().position(|p| *p == port) {
        Some(index) => index as u32,
        None if port < 1024 => 100,
        None => 1000 + u32::from(port),
    }
}

/// Whether a port is a server's by its number.
pub(super) fn is_server(port: u16) -> bool {
    server_rank(port) < 1000
}

/// The two port fields of a transport, source first.
pub(super) fn port_fields(transport: Transport) -> [Field; 2] {
    if transport == Transport::Tcp {
        [tcp::SOURCE_PORT, tcp::DESTINATION_PORT]
    } else {
        [udp::SOURCE_PORT, udp::DESTINATION_PORT]
    }
}
