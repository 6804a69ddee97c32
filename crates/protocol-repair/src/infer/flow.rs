//! Which conversation a row belongs to, and which way it goes.

use super::ports::by_ports;
use crate::draft::{Draft, Flow, Transport};
use nprint_codec::{IpVersion, icmp, ipv4, ipv6};
use std::collections::HashMap;

/// Assigns every row to a flow and a direction and writes the ports.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    draft.flows.clear();
    for version in [IpVersion::V4, IpVersion::V6] {
        for transport in [Transport::Tcp, Transport::Udp] {
            by_ports(draft, version, transport);
        }
        echoes(draft, version);
    }
    without_ports(draft);
    for flow in &mut draft.flows {
        flow.rows.clear();
    }
    for row in 0..draft.rows.len() {
        let flow = draft.rows[row].flow;
        draft.flows[flow].rows.push(row);
    }
    number_by_first_row(draft);
}

/// Renumbers flows in the order of their first rows, so that equal traces have equal numbers.
fn number_by_first_row(draft: &mut Draft<'_>) {
    let mut flows: Vec<(usize, Flow)> =
        std::mem::take(&mut draft.flows).into_iter().enumerate().collect();
    flows.retain(|(_, f)| !f.rows.is_empty());
    flows.sort_by_key(|(_, f)| f.rows.first().copied());
    for (new, (_, flow)) in flows.iter().enumerate() {
        for row in &flow.rows {
            draft.rows[*row].flow = new;
        }
    }
    draft.flows = flows.into_iter().map(|(_, f)| f).collect();
}

/// Starts a conversation; returns its number.
pub(super) fn new_flow(draft: &mut Draft<'_>, transport: Transport, ports: [u16; 2]) -> usize {
    draft.flows.push(Flow { transport, ports, rows: Vec::new() });
    draft.flows.len() - 1
}

/// ICMP: one flow per echo identifier, one for everything else.
fn echoes(draft: &mut Draft<'_>, version: IpVersion) {
    let rows: Vec<usize> = draft
        .rows_of(Transport::Icmp)
        .into_iter()
        .filter(|r| draft.rows[*r].stack.version == version)
        .collect();
    let (mut echo, mut rest) = (Vec::new(), Vec::new());
    for row in rows {
        match draft.value(row, icmp::TYPE) {
            8 | 0 | 128 | 129 => echo.push(row),
            _ => rest.push(row),
        }
    }
    let ids: Vec<u32> = {
        let values = super::settle::settle_high_half(draft, &echo, icmp::REST);
        values.into_iter().map(|v| v & 0xffff).collect()
    };
    let mut known: HashMap<u32, usize> = HashMap::new();
    for (row, id) in echo.into_iter().zip(ids) {
        let flow =
            *known.entry(id).or_insert_with(|| new_flow(draft, Transport::Icmp, [id as u16, 0]));
        let kind = draft.value(row, icmp::TYPE);
        draft.rows[row].flow = flow;
        draft.rows[row].direction = usize::from(matches!(kind, 0 | 129));
    }
    if !rest.is_empty() {
        let flow = new_flow(draft, Transport::Icmp, [0, 1]);
        for row in rest {
            let kind = draft.value(row, icmp::TYPE);
            draft.rows[row].flow = flow;
            draft.rows[row].direction = usize::from(matches!(kind, 3 | 11 | 136 | 1));
        }
    }
}

/// Later fragments follow their first one; what has no ports at all gets a flow per protocol.
fn without_ports(draft: &mut Draft<'_>) {
    let mut known: Vec<(IpVersion, Transport, u32, usize)> = Vec::new();
    for row in 0..draft.rows.len() {
        let facts = draft.rows[row];
        if !matches!(facts.stack.transport, Transport::Fragment | Transport::Other) {
            continue;
        }
        if let Some(first) = facts.first_fragment {
            draft.rows[row].flow = draft.rows[first].flow;
            draft.rows[row].direction = draft.rows[first].direction;
            continue;
        }
        let version = facts.stack.version;
        let field = if version == IpVersion::V4 { ipv4::PROTOCOL } else { ipv6::NEXT_HEADER };
        let protocol = draft.value(row, field);
        if facts.stack.transport == Transport::Fragment && version == IpVersion::V4 {
            // A datagram whose first fragment is not in the trace: a neighbour from the same
            // distance is most likely of the same conversation.
            let hops = draft.evidence.read(row, ipv4::TTL).value;
            let same = |r: &usize| {
                draft.rows[*r].stack.version == version
                    && draft.rows[*r].stack.protocol() == Some(protocol)
                    && draft.evidence.read(*r, ipv4::TTL).value == hops
            };
            let near = (0..row).rev().take(256).find(same);
            let near = near.or_else(|| (row + 1..draft.rows.len()).take(256).find(same));
            if let Some(neighbour) = near {
                draft.rows[row].flow = draft.rows[neighbour].flow;
                draft.rows[row].direction = draft.rows[neighbour].direction;
                continue;
            }
        }
        let key = (version, facts.stack.transport, protocol);
        let found = known.iter().find(|k| (k.0, k.1, k.2) == key).map(|k| k.3);
        let flow = found.unwrap_or_else(|| {
            let flow = new_flow(draft, key.1, [0, 0]);
            known.push((key.0, key.1, key.2, flow));
            flow
        });
        draft.rows[row].flow = flow;
        draft.rows[row].direction = 0;
    }
}
