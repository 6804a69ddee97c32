//! What it costs to name a conversation.

use super::{Conversation, Conversations};
use crate::infer::ends::{Ends, PortEvidence};
use std::collections::HashSet;

/// Nats for naming a conversation: a free port beside a known one, or two free ports.
const NEW_CLIENT: f32 = 12.0;
const NEW_PAIR: f32 = 22.0;
/// Nats for the control beside a stream of media: its ports are known then.
const NEW_CONTROL: f32 = 3.0;

impl Conversations {
    /// The ports of a conversation of these rows, where it costs less than they do as they are.
    pub(crate) fn worth(
        &self,
        ends: &[Ends],
        pair: [u16; 2],
        rows: &[usize],
        cost: f32,
        evidence: &PortEvidence<'_>,
    ) -> Option<[u16; 2]> {
        if cost <= self.cost_of_another() {
            return None;
        }
        let (own, ports) = self.naming(ends, rows[0], pair, rows.len(), evidence);
        let share = (ends.len() as f32 / rows.len() as f32).ln();
        (own + self.escape() + (rows.len() - 1) as f32 * share < cost).then_some(ports)
    }

    /// Fewest nats for one more conversation.
    pub(super) fn cost_of_another(&self) -> f32 {
        NEW_CONTROL + self.escape()
    }

    /// Nats that each conversation costs besides its rows.
    pub(crate) fn prices(&self) -> Vec<f32> {
        let controls: HashSet<[u16; 2]> =
            self.all.iter().filter_map(|c| control(c.ports)).collect();
        let price = |conversation: &Conversation| {
            let [a, b] = conversation.ports;
            let ports = [a.min(b), a.max(b)];
            if controls.contains(&ports) {
                return NEW_CONTROL;
            }
            let servers = ports.into_iter().filter(|port| self.is_server(*port));
            let named = servers.map(|server| NEW_CLIENT + self.with_server(server));
            named.fold(NEW_PAIR + self.without_server(), f32::min)
        };
        self.all.iter().map(|conversation| price(conversation) + self.escape()).collect()
    }

    /// Nats for saying that a new conversation begins: where few conversations explain most rows,
    /// another one is a surprise.
    pub(super) fn escape(&self) -> f32 {
        ((self.placed + 2) as f32 / (self.all.len() + 1) as f32).ln()
    }

    /// Cost of naming the ports of so many rows like `row`, and the pair with a damaged server's port put
    /// right.
    pub(super) fn naming(
        &self,
        ends: &[Ends],
        row: usize,
        pair: [u16; 2],
        rows: usize,
        evidence: &PortEvidence<'_>,
    ) -> (f32, [u16; 2]) {
        let ends = &ends[row];
        let mut best = (NEW_PAIR + self.without_server(), pair);
        // No server's port costs less than this, and one of more wrong bits costs more than the best.
        let least = NEW_CLIENT - self.learned(self.most_users).ln();
        let most_bits = |best: f32| evidence.most_bits(ends, (best - least) / rows as f32 + 1e-2);
        let mut most = most_bits(best.0);
        for server in self.servers() {
            if best.0 <= least {
                break;
            }
            for (end, wrong) in ends.wrong_as(server).into_iter().enumerate() {
                if wrong > most {
                    continue;
                }
                let damage = rows as f32 * evidence.end_cost(ends, end, server);
                let cost = NEW_CLIENT + self.with_server(server) + damage;
                if cost < best.0 {
                    best = (cost, [ends.ports()[1 - end], server]);
                    most = most_bits(cost);
                }
            }
        }
        let near = (self.streams > 0).then(|| self.near(row)).into_iter().flatten();
        for control in near.filter_map(|index| control(self.all[index].ports)) {
            let cost = NEW_CONTROL + rows as f32 * evidence.cost(ends, control);
            if cost < best.0 {
                best = (cost, control);
            }
        }
        let [a, b] = best.1;
        (best.0, [a.min(b), a.max(b)])
    }

    /// Nats for a conversation's having this server's port.
    pub(crate) fn with_server(&self, server: u16) -> f32 {
        let users = self.users.get(&server).copied().unwrap_or(0);
        -self.learned(users).ln()
    }

    /// Nats for its having no server's port.
    pub(crate) fn without_server(&self) -> f32 {
        -self.learned(self.free).ln()
    }

    /// The share of so many of the conversations.
    fn learned(&self, conversations: usize) -> f32 {
        (conversations as f32 + 0.5) / (self.all.len() as f32 + 1.0)
    }
}

/// The ports of the control of a stream with these, the smaller one first: the next higher ones
/// (RFC 3550 section 11).
pub(super) fn control([a, b]: [u16; 2]) -> Option<[u16; 2]> {
    ((a | b) & 1 == 0).then(|| [a.min(b) | 1, a.max(b) | 1])
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_rows;
    use super::*;

    #[test]
    fn a_pair_is_named_by_the_server_that_costs_least() {
        with_rows(|ends, _, evidence| {
            let found = Conversations::find(ends, &[], evidence, u32::MAX).expect("no limit");
            assert_eq!(found.streams, 0);
            for (row, ends_of_row) in ends.iter().enumerate() {
                for rows in [1, 2, 9] {
                    let (least, _) = found.naming(ends, row, ends_of_row.ports(), rows, evidence);
                    let costs = found.servers().flat_map(|server| {
                        let named = NEW_CLIENT + found.with_server(server);
                        [0, 1].map(|end| {
                            named + rows as f32 * evidence.end_cost(ends_of_row, end, server)
                        })
                    });
                    let naive = costs.fold(NEW_PAIR + found.without_server(), f32::min);
                    assert_eq!(least.to_bits(), naive.to_bits());
                }
            }
        });
    }
}
