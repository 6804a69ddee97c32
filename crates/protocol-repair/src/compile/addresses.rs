//! Hosts and their addresses.

use crate::config::{AddressPlan, Subnets};
use crate::draft::{Draft, Transport};
use nprint_codec::{Dissection, IpVersion, icmp};

/// Link-layer addresses of the two sides: locally administered, unicast.
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// Number of the host on a side; responders are told apart by what they serve.
const FIRST_HOST: u32 = 10;

/// Source and destination of one packet; IPv4 uses the first 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) length: usize,
    pub(crate) macs: [[u8; 6]; 2],
}

impl Ends {
    pub(crate) fn source(&self) -> &[u8] {
        &self.source[..self.length]
    }

    pub(crate) fn destination(&self) -> &[u8] {
        &self.destination[..self.length]
    }
}

/// The ends of `row`; `source` is its packet of the source trace where addresses are kept.
pub(crate) fn ends(draft: &Draft<'_>, row: usize, source: Option<&Dissection<'_>>) -> Ends {
    let facts = draft.rows[row];
    let flow = &draft.flows[facts.flow];
    let plan = match &draft.config.addresses {
        AddressPlan::Subnets(subnets) => *subnets,
        AddressPlan::Documentation | AddressPlan::Keep(_) => Subnets::default(),
    };
    let server = match flow.transport {
        Transport::Tcp | Transport::Udp if flow.ports[1] < 1024 => u32::from(flow.ports[1]) % 4,
        _ => 0,
    };
    let hosts = [FIRST_HOST % 14, (FIRST_HOST - server) % 14];
    let side = |side: usize| match facts.stack.version {
        IpVersion::V4 => {
            let (network, prefix) = [plan.initiators_v4, plan.responders_v4][side];
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            wide(&((u32::from(network) & mask) | hosts[side]).to_be_bytes())
        }
        IpVersion::V6 => {
            let (network, prefix) = [plan.initiators_v6, plan.responders_v6][side];
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            ((u128::from(network) & mask) | u128::from(hosts[side])).to_be_bytes()
        }
    };
    let (from, to) = (facts.direction, 1 - facts.direction);
    let mut ends = Ends {
        source: side(from),
        destination: side(to),
        length: if facts.stack.version == IpVersion::V4 { 4 } else { 16 },
        macs: [MACS[from], MACS[to]],
    };
    if facts.stack.version == IpVersion::V6 && facts.stack.transport == Transport::Icmp {
        multicast(&mut ends, draft.value(row, icmp::TYPE), from);
    }
    if let (AddressPlan::Keep(_), Some(d)) = (&draft.config.addresses, source)
        && d.version == facts.stack.version
    {
        let at = if d.version == IpVersion::V4 { 12..20 } else { 8..40 };
        if let Some((source, destination)) = d.ip.get(at).map(|both| both.split_at(both.len() >> 1))
        {
            ends.source = wide(source);
            ends.destination = wide(destination);
        }
    }
    ends
}

fn wide(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..bytes.len()].copy_from_slice(bytes);
    out
}

/// Link-local sources and multicast destinations of router discovery and listener messages.
///
/// # Source
/// RFC 4861 sections 4 and 8, RFC 2710 section 3, RFC 3810 section 5.
fn multicast(ends: &mut Ends, kind: u32, side: usize) {
    let group: Option<u8> = match kind {
        130 | 134 => Some(1),
        132 | 133 => Some(2),
        131 => Some(0xfb),
        143 => Some(22),
        137 => None,
        _ => return,
    };
    let mut link_local = [0; 16];
    link_local[..2].copy_from_slice(&[0xfe, 0x80]);
    link_local[15] = side as u8 + 1;
    ends.source = link_local;
    if let Some(group) = group {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&[0xff, 0x02]);
        address[15] = group;
        ends.destination = address;
        ends.macs[1] = [0x33, 0x33, 0, 0, 0, group];
    }
}
