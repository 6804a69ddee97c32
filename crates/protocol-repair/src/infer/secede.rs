//! Rows that were given to a conversation whose ports turn out not to be theirs.
//!
//! A row that says little is given to any conversation near it; read with that row's bits, the
//! conversation's ports may become nobody's, and then draw others in. Where rows that agree among
//! each other contradict the ports so much that naming their own is cheaper, they make a conversation.

use super::conversations::Conversations;
use super::ends::{Ends, PortEvidence};
use std::collections::BTreeMap;

/// Lets such rows go. `roles` are twice the conversation of each row plus 1 for the way back.
pub(super) fn secede(
    conversations: &mut Conversations,
    ends: &[Ends],
    roles: &mut [usize],
    evidence: &PortEvidence<'_>,
) {
    // Rows that name the same ports in full, as they go, by their conversation, and what they cost in
    // it. Where its ports are equal, wrong bits make the same pair of rows that go either way.
    let mut groups: BTreeMap<(usize, [u16; 2]), (f32, Vec<usize>)> = BTreeMap::new();
    for (row, (ends, role)) in ends.iter().zip(roles.iter()).enumerate() {
        let ports = conversations.all[role >> 1].ports;
        let Some([source, destination]) = ends.full() else { continue };
        let own = if role & 1 == 0 { [source, destination] } else { [destination, source] };
        if own != ports {
            let group = groups.entry((role >> 1, own)).or_default();
            group.0 += evidence.costs(ends, ports)[role & 1];
            group.1.push(row);
        }
    }
    for ((_, pair), (cost, rows)) in groups {
        let Some(ports) = conversations.worth(ends, pair, &rows, cost, evidence) else { continue };
        conversations.push(ports);
        let number = conversations.all.len() - 1;
        for row in rows {
            let [along, back] = evidence.costs(&ends[row], ports);
            roles[row] = 2 * number + usize::from(back < along);
        }
    }
}
