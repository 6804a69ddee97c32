//! Which end of a conversation began it, and which way each row goes.

use super::conversations::Conversations;
use super::ends::{Ends, PortEvidence};
use super::servers::{port_fields, server_rank};
use super::settle::{counts, settle_kept};
use crate::draft::{Draft, Transport};
use crate::evidence::Noise;
use nprint_codec::{IpVersion, tcp};

/// Each row's role by its ports: twice its conversation plus 1 for the way back.
pub(super) fn sides(
    draft: &Draft<'_>,
    ends: &[Ends],
    conversations: &Conversations,
    evidence: &PortEvidence<'_>,
) -> Vec<usize> {
    let mut equal: Vec<Vec<usize>> = vec![Vec::new(); conversations.all.len()];
    let mut roles: Vec<usize> = ends
        .iter()
        .zip(&conversations.of_row)
        .enumerate()
        .map(|(row, (ends, index))| {
            let ports = conversations.all[*index].ports;
            if ports[0] == ports[1] {
                equal[*index].push(row);
            }
            let [along, back] = evidence.costs(ends, ports);
            2 * index + usize::from(back < along)
        })
        .collect();
    for members in equal.into_iter().filter(|m| !m.is_empty()) {
        let rows: Vec<usize> = members.iter().map(|m| ends[*m].row).collect();
        for (member, side) in members.into_iter().zip(by_hops(draft, &rows)) {
            roles[member] += side;
        }
    }
    roles
}

/// Decides which port is the responder's, and writes the ports. `members` are the rows of the
/// flow, and whether each goes from the second port to the first.
pub(super) fn orient(draft: &mut Draft<'_>, flow: usize, members: &[(usize, bool)], noise: Noise) {
    let transport = draft.flows[flow].transport;
    let fields = port_fields(transport);
    let pair = draft.flows[flow].ports;
    let mut swap = server_rank(pair[0]) < server_rank(pair[1]);
    if transport == Transport::Tcp {
        // Who opens is the initiator, whatever the port numbers say.
        let mut votes = [0_usize; 2];
        let [syn, ack] = [tcp::SYN, tcp::ACK].map(|flag| draft.evidence.field(flag));
        for (row, back) in members {
            if syn.read(*row).value == 1 {
                votes[usize::from(*back != (ack.read(*row).value == 1))] += 1;
            }
        }
        if votes[0] != votes[1]
            && (noise.is_clean() || votes[0].abs_diff(votes[1]) > members.len() >> 4)
        {
            swap = votes[1] > votes[0];
        }
    }
    let ports = if swap { [pair[1], pair[0]] } else { pair };
    draft.flows[flow].ports = ports;
    let directions: Vec<usize> = if pair[0] == pair[1] && noise.is_clean() {
        by_hops(draft, &members.iter().map(|m| m.0).collect::<Vec<_>>())
    } else {
        members.iter().map(|(_, back)| usize::from(*back != swap)).collect()
    };
    let cells = fields.map(|field| draft.evidence.field(field));
    for ((row, _), direction) in members.iter().zip(directions) {
        (draft.rows[*row].flow, draft.rows[*row].direction) = (flow, direction);
        for (end, field) in fields.into_iter().enumerate() {
            let port = u32::from(ports[end ^ direction]);
            if !cells[end].are(*row, port) {
                draft.set(*row, field, port);
            }
        }
    }
}

/// Direction by TTL where the ports are equal: the two ends lie at different distances.
pub(super) fn by_hops(draft: &Draft<'_>, rows: &[usize]) -> Vec<usize> {
    let Some(first) = rows.first() else { return Vec::new() };
    let field = match draft.rows[*first].stack.version {
        IpVersion::V4 => nprint_codec::ipv4::TTL,
        IpVersion::V6 => nprint_codec::ipv6::HOP_LIMIT,
    };
    let values = settle_kept(draft, rows, field);
    let histogram = counts(&values);
    let Some((other, _)) = histogram.iter().find(|(v, _)| *v != values[0]) else {
        return vec![0; rows.len()];
    };
    let (here, there) = (values[0], *other);
    values.iter().map(|v| usize::from((v ^ there).count_ones() < (v ^ here).count_ones())).collect()
}
