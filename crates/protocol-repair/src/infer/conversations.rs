//! Conversations by their port pairs.
//!
//! Port pairs are clustered by description length: a pair becomes a conversation of its own where
//! naming its ports is cheaper than explaining its rows as damaged rows of one that is already
//! there.

use super::ends::{Ends, PortEvidence};
use super::servers::{WELL_KNOWN, is_server};
use crate::evidence::Noise;
use std::collections::HashMap;

/// Nats for naming a conversation: a free port beside a known one, or two free ports.
const NEW_CLIENT: f32 = 12.0;
const NEW_PAIR: f32 = 22.0;
/// Fewest nats for saying that a new conversation begins.
const ESCAPE: f32 = 1.5;
/// Conversations with one port that make it a server's.
const SHARED: usize = 3;
/// Most ports of servers.
const SERVERS: usize = 32;
/// Conversations that every row is compared with; of later, smaller ones only those near the row.
const COMPARED: usize = 128;
/// Rows a block that says which conversations are near. Units: rows, as a power of two.
const BLOCK_SHIFT: u32 = 3;
/// How far from its rows a short conversation may go on. Units: rows of the transport.
const NEAR: usize = 6;

/// A conversation while rows are given to it.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub(super) ports: [u16; 2],
    rows: usize,
    first: usize,
    last: usize,
}

/// The conversations found so far, and which one each row belongs to. Rows are numbered within
/// their transport.
pub(super) struct Conversations {
    pub(super) all: Vec<Conversation>,
    pub(super) of_row: Vec<usize>,
    /// Conversations of each port.
    users: HashMap<u16, usize>,
    /// Servers' ports among theirs.
    servers: Vec<u16>,
    /// The ones past [`COMPARED`] that have rows in a block.
    by_block: HashMap<usize, Vec<usize>>,
    escape: f32,
}

impl Conversations {
    /// Clusters rows; `pairs` are the pairs that were read in full, the most frequent first.
    pub(super) fn find(
        ends: &[Ends],
        pairs: &[([u16; 2], Vec<usize>)],
        evidence: &PortEvidence<'_>,
    ) -> Self {
        // Where few conversations explain most rows, another one is a surprise.
        let repeated = pairs.iter().filter(|(_, members)| members.len() > 1).count();
        let mut found = Self {
            all: Vec::new(),
            of_row: vec![usize::MAX; ends.len()],
            users: HashMap::new(),
            servers: Vec::new(),
            by_block: HashMap::new(),
            escape: (ends.len() as f32 / (repeated + 1) as f32).ln().max(ESCAPE),
        };
        for (pair, members) in pairs.iter().filter(|(_, members)| members.len() > 1) {
            found.offer(ends, *pair, members, evidence);
        }
        for row in 0..ends.len() {
            if found.of_row[row] == usize::MAX {
                found.place(&ends[row], row, evidence);
            }
        }
        found
    }

    /// Makes a conversation of rows with the same ports, unless they are likelier damaged rows of
    /// another one.
    fn offer(
        &mut self,
        ends: &[Ends],
        pair: [u16; 2],
        members: &[usize],
        evidence: &PortEvidence<'_>,
    ) {
        let (own, ports) = self.naming(&ends[members[0]], pair, members.len(), evidence);
        let rows = ends.len();
        let explained = self
            .near(members[0])
            .map(|index| {
                let other = &self.all[index];
                if other.makes(pair, members.len(), evidence.noise) {
                    return 0.0;
                }
                let each = evidence.cost(&ends[members[0]], other.ports);
                let near = members.iter().all(|m| other.is_near(*m));
                members.len() as f32 * (each - other.share(rows, near).ln())
            })
            .fold(f32::MAX, f32::min);
        let share = (rows as f32 / members.len() as f32).ln();
        if own + self.escape + (members.len() - 1) as f32 * share <= explained {
            self.push(ports, members[0]);
            for member in members {
                self.add(self.all.len() - 1, *member);
            }
        }
    }

    /// Gives a row to the conversation that explains it best, or to a new one.
    fn place(&mut self, ends: &Ends, row: usize, evidence: &PortEvidence<'_>) {
        let (own, ports) = self.naming(ends, ends.ports(), 1, evidence);
        let rows = self.of_row.len();
        let best = self
            .near(row)
            .map(|index| {
                let other = &self.all[index];
                let share = other.share(rows, other.is_near(row));
                (evidence.cost(ends, other.ports) - share.ln(), index)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((cost, index)) if cost <= own + self.escape => self.add(index, row),
            _ => {
                self.push(ports, row);
                self.add(self.all.len() - 1, row);
            }
        }
    }

    /// Nats for one more conversation with a known server.
    pub(super) fn cost_of_another(&self) -> f32 {
        NEW_CLIENT + self.escape
    }

    /// Cost of naming the ports of `rows` rows like this one, and the pair with a damaged
    /// server's port put right.
    fn naming(
        &self,
        ends: &Ends,
        pair: [u16; 2],
        rows: usize,
        evidence: &PortEvidence<'_>,
    ) -> (f32, [u16; 2]) {
        let mut best = (NEW_PAIR, pair);
        for server in self.servers() {
            for end in 0..2 {
                let wrong = evidence.end_cost(ends, end, server);
                let cost = NEW_CLIENT + rows as f32 * wrong;
                if cost < best.0 {
                    best = (cost, [ends.ports()[1 - end], server]);
                }
            }
        }
        let [a, b] = best.1;
        (best.0, [a.min(b), a.max(b)])
    }

    pub(super) fn push(&mut self, ports: [u16; 2], row: usize) {
        self.all.push(Conversation { ports, rows: 0, first: row, last: row });
        for port in ports {
            let users = self.users.entry(port).or_default();
            *users += 1;
            // What many conversations have in common is their server's.
            let shared = *users >= SHARED && SERVERS * *users >= self.all.len();
            let known = self.servers.contains(&port) || self.servers.len() >= SERVERS;
            if !known && (is_server(port) || shared) {
                self.servers.push(port);
            }
        }
    }

    fn add(&mut self, index: usize, row: usize) {
        let conversation = &mut self.all[index];
        conversation.rows += 1;
        conversation.first = conversation.first.min(row);
        conversation.last = conversation.last.max(row);
        self.of_row[row] = index;
        if index >= COMPARED {
            let block = self.by_block.entry(row >> BLOCK_SHIFT).or_default();
            if block.last() != Some(&index) {
                block.push(index);
            }
        }
    }

    /// The conversations that a row may belong to: the largest and the near ones.
    fn near(&self, row: usize) -> impl Iterator<Item = usize> {
        let block = row >> BLOCK_SHIFT;
        let near = (block.saturating_sub(1)..=block + 1)
            .filter_map(|b| self.by_block.get(&b))
            .flatten()
            .copied();
        (0..self.all.len().min(COMPARED)).chain(near)
    }

    /// Ports of servers, those that the trace has first.
    pub(super) fn servers(&self) -> impl Iterator<Item = u16> {
        self.servers.iter().copied().chain(WELL_KNOWN)
    }

    /// Whether a port is a server's, by its number or by use.
    pub(super) fn is_server(&self, port: u16) -> bool {
        is_server(port) || self.servers.contains(&port)
    }
}

impl Conversation {
    /// Whether `row` lies among its rows or close to them.
    fn is_near(&self, row: usize) -> bool {
        row + NEAR >= self.first && row <= self.last + NEAR
    }

    /// Its share of `rows` rows, as a row sees it: rows of a short conversation come close
    /// together.
    fn share(&self, rows: usize, near: bool) -> f32 {
        (self.rows as f32 / rows as f32).max(if near { 0.15 } else { 0.0 })
    }

    /// Whether wrong bits of its ports make `rows` rows of another pair likely.
    fn makes(&self, pair: [u16; 2], rows: usize, noise: Noise) -> bool {
        let [a, b] = self.ports;
        let wrong = |p: u16, q: u16| (p ^ pair[0]).count_ones() + (q ^ pair[1]).count_ones();
        let distance = wrong(a, b).min(wrong(b, a)) as f32;
        // With equal ports either one may be the wrong one.
        let ways = if a == b { distance.exp2() } else { 1.0 };
        let expected = self.rows as f32 * ways * (-noise.bit_cost * distance).exp();
        distance >= 1.0 && expected >= 0.05 && (rows as f32) <= 2.5 * expected + 2.0
    }
}
