//! Conversations by their port pairs.
//!
//! Port pairs are clustered by description length: a pair becomes a conversation of its own where
//! naming its ports is cheaper than explaining its rows as damaged rows of one that is already
//! there.

use super::ends::{Ends, PortEvidence, better_way, ways};
use super::habits::{Habits, WINDOW, returns};
use super::servers::{WELL_KNOWN, is_server};
use crate::evidence::Noise;
use naming::control;
use std::collections::HashMap;

mod naming;

/// Conversations with one port that make it a server's.
const SHARED: usize = 3;
/// Most ports of servers.
const SERVERS: usize = 32;
/// Of how many conversations one that names its ports twice in full is enough to tell how they go.
const KNOWN_OF: usize = 4;
/// Conversations that every row is compared with; of later, smaller ones only those near the row.
const COMPARED: usize = 128;
/// Rows a block that says which conversations are near. Units: rows, as a power of two.
const BLOCK_SHIFT: u32 = 3;

/// A conversation while rows are given to it.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub(super) ports: [u16; 2],
    rows: usize,
    /// How often it came back after a silence.
    returns: f32,
}

/// The conversations found so far, and which one each row belongs to. Rows are numbered within
/// their transport.
pub(super) struct Conversations {
    pub(super) all: Vec<Conversation>,
    /// The [`ways`] of each.
    ways: Vec<u64>,
    pub(super) of_row: Vec<usize>,
    /// Conversations of each port, and of the one that has most.
    users: HashMap<u16, usize>,
    most_users: usize,
    /// Servers' ports among theirs.
    servers: Vec<u16>,
    /// The ones past [`COMPARED`] that have rows in a block.
    by_block: Vec<Vec<usize>>,
    placed: usize,
    /// Known bits of rows that contradict the ports of their conversations.
    contradicted: u32,
    /// Conversations without a server's port.
    free: usize,
    /// Conversations that a control may stand beside.
    streams: usize,
    habits: Habits,
}

impl Conversations {
    /// Clusters rows; `pairs` are the pairs that were read in full, the most frequent first. `None` as
    /// soon as rows contradict more bits of their conversations' ports than `most_contradicted`.
    pub(super) fn find(
        ends: &[Ends],
        pairs: &[([u16; 2], Vec<usize>)],
        evidence: &PortEvidence<'_>,
        most_contradicted: u32,
    ) -> Option<Self> {
        let known = || pairs.iter().map(|(_, members)| members).filter(|m| m.len() > 1);
        let habits = Habits::of(known().map(|m| (m.len(), returns(m.iter().copied()))));
        let placed = |habits| Self::placed(ends, pairs, evidence, habits, most_contradicted);
        let found = placed(habits)?;
        if KNOWN_OF * known().count() >= found.all.len() {
            return Some(found);
        }
        // Only once: what is given and taken later drifts to ever longer conversations.
        placed(found.learned_habits())
    }

    /// As [`find`](Self::find) where conversations go like this.
    fn placed(
        ends: &[Ends],
        pairs: &[([u16; 2], Vec<usize>)],
        evidence: &PortEvidence<'_>,
        habits: Habits,
        most_contradicted: u32,
    ) -> Option<Self> {
        let mut found = Self {
            habits,
            all: Vec::new(),
            ways: Vec::new(),
            of_row: vec![usize::MAX; ends.len()],
            users: HashMap::new(),
            most_users: 0,
            servers: Vec::new(),
            by_block: vec![Vec::new(); (ends.len() >> BLOCK_SHIFT) + 2],
            placed: 0,
            contradicted: 0,
            free: 0,
            streams: 0,
        };
        for (pair, members) in pairs.iter().filter(|(_, members)| members.len() > 1) {
            found.offer(ends, *pair, members, evidence);
        }
        for row in 0..ends.len() {
            if found.contradicted > most_contradicted {
                return None;
            }
            if found.of_row[row] == usize::MAX {
                found.place(ends, row, evidence);
            }
        }
        (found.contradicted <= most_contradicted).then_some(found)
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
        let (own, ports) = self.naming(ends, members[0], pair, members.len(), evidence);
        let (first, rows) = (&ends[members[0]], members.len() as f32);
        let share = (ends.len() as f32 / rows).ln();
        let own = own + self.escape() + (members.len() - 1) as f32 * share;
        // Rows that contradict more bits of another one cost more in it.
        let most_bits = evidence.most_bits(first, own / rows + 1e-2);
        let is_cheaper = |index: usize| {
            let other = &self.all[index];
            let control = control(other.ports) == Some(pair);
            if !control && other.makes(pair, members.len(), evidence.noise) {
                return own <= 0.0;
            }
            if first.contradicted(other.ports) > most_bits {
                return true;
            }
            let each = evidence.cost(first, other.ports);
            own <= rows * (each - self.share(index, members[0]).ln())
        };
        if self.near(members[0]).all(is_cheaper) {
            self.push(ports);
            if let Some(new) = self.all.last_mut() {
                new.returns = returns(members.iter().copied());
            }
            for member in members {
                self.add(self.all.len() - 1, *member, ends);
            }
        }
    }

    /// Gives a row to the conversation that explains it best, or to a new one.
    fn place(&mut self, ends: &[Ends], row: usize, evidence: &PortEvidence<'_>) {
        let best = self.likeliest(ends, row, evidence);
        match best {
            // Naming costs more than this whatever the ports are.
            Some((cost, index)) if cost <= self.cost_of_another() => self.add(index, row, ends),
            _ => {
                let (own, ports) = self.naming(ends, row, ends[row].ports(), 1, evidence);
                match best {
                    Some((cost, index)) if cost <= own + self.escape() => {
                        self.add(index, row, ends);
                    }
                    _ => {
                        self.push(ports);
                        self.add(self.all.len() - 1, row, ends);
                    }
                }
            }
        }
    }

    /// The conversation that explains a row best, the first one among equals, and what the row costs in it.
    fn likeliest(
        &self,
        ends: &[Ends],
        row: usize,
        evidence: &PortEvidence<'_>,
    ) -> Option<(f32, usize)> {
        let mut best: Option<(f32, usize)> = None;
        let mut large = [0; COMPARED];
        ends[row].contradicted_of_each(&self.ways, &mut large);
        let bits = |index: usize| {
            let of_one = || better_way(ends[row].wrong_of(self.ways[index]));
            large.get(index).map_or_else(of_one, |bits| u32::from(*bits))
        };
        // A row that contradicts more bits costs more than the best, which costs no more than the one whose
        // ports are nearest.
        let nearest = self.near(row).min_by_key(|index| bits(*index));
        let mut most_bits = nearest.map_or(u32::MAX, |index| {
            let cost = evidence.cost(&ends[row], self.all[index].ports);
            evidence.most_bits(&ends[row], cost - self.share(index, row).ln() + 1e-2)
        });
        for index in self.near(row) {
            if bits(index) > most_bits {
                continue;
            }
            let cost = evidence.cost(&ends[row], self.all[index].ports);
            // A share is 1 at most, so that its logarithm only adds to the cost.
            if best.is_some_and(|(least, _)| cost > least + 1e-3) {
                continue;
            }
            let cost = cost - self.share(index, row).ln();
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, index));
                most_bits = evidence.most_bits(&ends[row], cost + 1e-2);
            }
        }
        best
    }

    /// How likely a row is of a conversation: by its share of all rows and of those around.
    fn share(&self, index: usize, row: usize) -> f32 {
        let around = row.saturating_sub(WINDOW)..(row + WINDOW + 1).min(self.of_row.len());
        let here = self.of_row[around].iter().filter(|c| **c == index).count();
        let Conversation { rows, returns, .. } = self.all[index];
        self.habits.share(rows, here, returns, self.of_row.len())
    }

    /// How conversations go here.
    pub(super) fn habits(&self) -> Habits {
        self.habits
    }

    /// How those go that rows were given to.
    fn learned_habits(&self) -> Habits {
        let mut members = vec![Vec::new(); self.all.len()];
        self.of_row.iter().enumerate().for_each(|(row, index)| members[*index].push(row));
        Habits::of(members.into_iter().map(|m| (m.len(), returns(m.into_iter()))))
    }

    pub(super) fn push(&mut self, ports: [u16; 2]) {
        self.all.push(Conversation { ports, rows: 0, returns: 0.0 });
        self.ways.push(ways(ports));
        self.streams += usize::from(control(ports).is_some());
        for port in ports {
            let users = self.users.entry(port).or_default();
            *users += 1;
            self.most_users = self.most_users.max(*users);
            // What many conversations have in common is their server's.
            let shared = *users >= SHARED && SERVERS * *users >= self.all.len();
            let known = self.servers.contains(&port) || self.servers.len() >= SERVERS;
            if !known && (is_server(port) || shared) {
                self.servers.push(port);
            }
        }
        self.free += usize::from(!ports.into_iter().any(|port| self.is_server(port)));
    }

    /// Gives a conversation the ports that all of its rows speak for.
    pub(super) fn set_ports(&mut self, index: usize, ports: [u16; 2]) {
        let before = std::mem::replace(&mut self.all[index].ports, ports);
        self.ways[index] = ways(ports);
        self.streams += usize::from(control(ports).is_some());
        self.streams -= usize::from(control(before).is_some());
    }

    fn add(&mut self, index: usize, row: usize, ends: &[Ends]) {
        self.contradicted += ends[row].contradicted(self.all[index].ports);
        self.all[index].rows += 1;
        self.placed += 1;
        self.of_row[row] = index;
        if index >= COMPARED {
            let block = &mut self.by_block[row >> BLOCK_SHIFT];
            if block.last() != Some(&index) {
                block.push(index);
            }
        }
    }

    /// The conversations that a row may belong to: the largest and the near ones.
    fn near(&self, row: usize) -> impl Iterator<Item = usize> {
        let block = row >> BLOCK_SHIFT;
        let near = self.by_block[block.saturating_sub(1)..=block + 1].iter().flatten().copied();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepairConfig;
    use crate::draft::{Draft, Stack, Transport};
    use crate::evidence::Evidence;
    use nprint_codec::{Header, IpVersion, Layout, TernaryMatrix};

    /// Judges rows of which the first twenty name each pair twice, and others have clients of their own.
    pub(super) fn with_rows(judge: impl Fn(&[Ends], &[([u16; 2], Vec<usize>)], &PortEvidence<'_>)) {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for row in 0..40_u8 {
            let drawn = if row < 20 { row >> 1 } else { row.wrapping_mul(91) };
            let mut at = cells.push_vacant();
            at.set_header(Header::Ipv4, &[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            let server = if row % 7 == 0 { 55 } else { 53 };
            at.set_header(Header::Udp, &[0xa0, drawn, 0, server, 0, 8, 0, 0]);
        }
        let (evidence, config) = (Evidence::certain(&cells), RepairConfig::default());
        let mut draft = Draft::new(&evidence, &config);
        for facts in &mut draft.rows {
            facts.stack = Stack { version: IpVersion::V4, transport: Transport::Udp };
        }
        let evidence = PortEvidence::new(&draft, Transport::Udp, Noise::of_rate(0.03));
        let ends: Vec<Ends> = (0..40).map(|row| evidence.read(row)).collect();
        let named = (0..20).step_by(2).filter(|row| ends[*row].ports() == ends[row + 1].ports());
        let pairs: Vec<([u16; 2], Vec<usize>)> =
            named.map(|row| (ends[row].ports(), vec![row, row + 1])).collect();
        judge(&ends, &pairs, &evidence);
    }

    #[test]
    fn rows_that_contradict_too_much_have_no_conversations() {
        with_rows(|ends, pairs, evidence| {
            let find = |most| Conversations::find(ends, pairs, evidence, most);
            let bits = |found: &Conversations| {
                let rows = found.of_row.iter().zip(ends);
                rows.map(|(index, ends)| ends.contradicted(found.all[*index].ports)).sum::<u32>()
            };
            let found = find(u32::MAX).expect("rows may contradict any number of bits");
            let contradicted = bits(&found);
            assert!(contradicted > 0);
            assert_eq!(find(contradicted).map(|found| bits(&found)), Some(contradicted));
            assert!(find(contradicted - 1).is_none());
        });
    }

    #[test]
    fn the_likeliest_conversation_costs_least_of_all() {
        with_rows(|ends, _, evidence| {
            let found = Conversations::find(ends, &[], evidence, u32::MAX).expect("no limit");
            for (row, ends_of_row) in ends.iter().enumerate() {
                let cost = |index: usize| {
                    let cost = evidence.cost(ends_of_row, found.all[index].ports);
                    (cost - found.share(index, row).ln(), index)
                };
                let naive =
                    (0..found.all.len()).map(cost).reduce(|a, b| if b.0 < a.0 { b } else { a });
                assert_eq!(found.likeliest(ends, row, evidence), naive);
            }
        });
    }
}
