//! Which conversation the rows with ports belong to, and which ports it has.

use super::conversations::Conversations;
use super::crowd;
use super::ends::{Ends, PortEvidence};
use super::flow::new_flow;
use super::port_noise::port_noise;
use super::roles::Roles;
use super::servers::{port_fields, server_rank};
use super::{client_ports, initiator, secede, split};
use crate::draft::{Draft, Transport};
use nprint_codec::IpVersion;

/// Most rounds of giving rows their roles and reading ports.
const ROUNDS: usize = 3;

/// Gives the rows of one IP version and transport to flows and directions and writes their ports.
pub(super) fn by_ports(draft: &mut Draft<'_>, version: IpVersion, transport: Transport) {
    let rows: Vec<usize> = draft
        .rows_of(transport)
        .into_iter()
        .filter(|r| draft.rows[*r].stack.version == version)
        .collect();
    if rows.is_empty() {
        return;
    }
    let evidence = PortEvidence::new(draft, transport, draft.noise);
    let ends: Vec<Ends> = rows.iter().map(|row| evidence.read(*row)).collect();
    let pairs = exact_pairs(&ends);
    let noise = port_noise(draft, &pairs, &rows);
    let named: usize = pairs.iter().map(|(_, members)| members.len()).sum();
    let evidence = PortEvidence::new(draft, transport, noise);
    let clean = noise.is_clean() && draft.evidence.is_certain() && named == rows.len();
    let (ports, of_row) = if clean {
        as_named(&ends, &pairs)
    } else {
        let most_contradicted = crowd::most_contradicted(draft, rows.len());
        let found = Conversations::find(&ends, &pairs, &evidence, most_contradicted);
        let Some(conversations) = found.filter(|found| !crowd::is_crowd(draft, found)) else {
            one_conversation(draft, &rows, transport);
            return;
        };
        most_likely(draft, &ends, conversations, &evidence, version)
    };
    let mut members = vec![Vec::new(); ports.len()];
    for (index, role) in of_row.iter().enumerate() {
        members[role >> 1].push((rows[index], role & 1 == 1));
    }
    for (ports, members) in ports.into_iter().zip(members) {
        if !members.is_empty() {
            let flow = new_flow(draft, transport, ports);
            initiator::orient(draft, flow, &members, noise);
        }
    }
}

/// Pairs that are fully known, the smaller port first, with the places of their rows; the most
/// frequent pair first.
fn exact_pairs(ends: &[Ends]) -> Vec<([u16; 2], Vec<usize>)> {
    let full = |(index, ends): (usize, &Ends)| {
        let [s, d] = ends.full()?;
        Some(([s.min(d), s.max(d)], index))
    };
    let mut exact: Vec<([u16; 2], usize)> = ends.iter().enumerate().filter_map(full).collect();
    exact.sort_unstable();
    let mut pairs: Vec<([u16; 2], Vec<usize>)> = exact
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().map(|(_, index)| *index).collect()))
        .collect();
    pairs.sort_by_key(|(_, rows)| (std::cmp::Reverse(rows.len()), rows[0]));
    pairs
}

/// Port pairs and each row's role (twice the pair plus 1 for the way back) where nothing is
/// damaged.
fn as_named(ends: &[Ends], pairs: &[([u16; 2], Vec<usize>)]) -> (Vec<[u16; 2]>, Vec<usize>) {
    let mut of_row = vec![0; ends.len()];
    for (index, (pair, members)) in pairs.iter().enumerate() {
        for member in members {
            of_row[*member] = 2 * index + usize::from(ends[*member].ports() != *pair);
        }
    }
    (pairs.iter().map(|(pair, _)| *pair).collect(), of_row)
}

/// As [`as_named`] where some ports are.
fn most_likely(
    draft: &Draft<'_>,
    ends: &[Ends],
    mut conversations: Conversations,
    evidence: &PortEvidence<'_>,
    version: IpVersion,
) -> (Vec<[u16; 2]>, Vec<usize>) {
    let of_row = initiator::sides(draft, ends, &conversations, evidence);
    let mut roles = Roles::new(draft, ends, evidence, version, of_row);
    client_ports::read(&mut conversations, ends, &mut roles.of_row, evidence);
    for _ in 0..ROUNDS {
        let before = roles.of_row.clone();
        split::split(&mut conversations, ends, &mut roles);
        secede::secede(&mut conversations, ends, &mut roles.of_row, evidence);
        roles.refine(&conversations);
        client_ports::read(&mut conversations, ends, &mut roles.of_row, evidence);
        if roles.of_row == before {
            break;
        }
    }
    (conversations.all.iter().map(|c| c.ports).collect(), roles.of_row)
}

/// Makes one conversation of rows whose ports are too many to be conversations.
fn one_conversation(draft: &mut Draft<'_>, rows: &[usize], transport: Transport) {
    let [source, destination] = port_fields(transport);
    let sides = initiator::by_hops(draft, rows);
    let (pair, sides) = crowd::vote(draft, rows, (source, destination), sides);
    // The responder is the end with the better known port, else the one that does not begin.
    let swap = server_rank(pair[0]) < server_rank(pair[1]).min(1000);
    let ports = if swap { [pair[1], pair[0]] } else { pair };
    let flow = new_flow(draft, transport, ports);
    for (row, side) in rows.iter().zip(sides) {
        let direction = side ^ usize::from(swap);
        (draft.rows[*row].flow, draft.rows[*row].direction) = (flow, direction);
        draft.set(*row, source, u32::from(ports[direction]));
        draft.set(*row, destination, u32::from(ports[1 - direction]));
    }
}
