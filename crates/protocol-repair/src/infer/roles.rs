//! Conversation and direction of each row by all that its headers say.
//!
//! A role is one direction of a conversation. Rows of a role share more than their ports: the hop
//! limit, the class of service, a flow label, typical lengths; sequence numbers and the IP
//! identification move, but slowly. Where ports leave a row's role open, these decide.

use super::conversations::Conversations;
use super::ends::{Ends, PortEvidence};
use super::habits::{Habits, WINDOW, returns};
use crate::draft::Draft;
use crate::evidence::Reading;
use nprint_codec::{Field, IpVersion, ipv4, ipv6, tcp};

/// Ports that speak for a role by this much more than for any other decide alone; half of it is
/// enough where no bit of theirs is missing or wrong. Units: nats.
const CLEAR: f32 = 24.0;
/// Large conversations that every row is compared with.
const COMPARED: usize = 48;
/// Values of a field that are told apart; rarer ones are all alike.
const VALUES: usize = 24;
/// Rows of a role on each side that a moving number is compared with.
const NEIGHBOURS: usize = 3;
/// What a bit in which two rows differ costs: either one may be wrong. Units: of a wrong bit.
const TWO_COPIES: f32 = 0.7;
/// Rows on each side in which they are looked for.
const REACH: usize = 8;

/// A field whose values repeat within a role.
struct Repeated {
    field: Field,
    /// The most frequent values of all roles.
    values: Vec<u32>,
    /// Which of them each row has; [`Self::rare`] for none.
    of_row: Vec<u8>,
    /// How often each role has each of them; `values.len() + 1` entries a role.
    counts: Vec<u32>,
}

impl Repeated {
    fn new(draft: &Draft<'_>, ends: &[Ends], field: Field) -> Self {
        let readings = ends.iter().map(|e| draft.evidence.read(e.row, field));
        let mut full: Vec<u32> =
            readings.clone().filter(|r| r.is_full()).map(|r| r.value).collect();
        full.sort_unstable();
        let mut counted: Vec<(usize, u32)> =
            full.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
        counted.sort_unstable_by_key(|(n, value)| (std::cmp::Reverse(*n), *value));
        counted.truncate(VALUES);
        let values: Vec<u32> = counted.into_iter().map(|(_, value)| value).collect();
        let rare = values.len();
        // A damaged row has the frequent value that it is nearest to, if that is near.
        let of_row = readings
            .map(|reading| {
                let exact = |v: &u32| reading.is_full() && *v == reading.value;
                let near = |i: &usize| ((values[*i] ^ reading.value) & reading.known).count_ones();
                let best = values.iter().position(exact).or_else(|| {
                    (0..rare).min_by_key(near).filter(|i| near(i) <= u32::from(field.bits) >> 3)
                });
                best.unwrap_or(rare) as u8
            })
            .collect();
        Self { field, values, of_row, counts: Vec::new() }
    }

    fn rare(&self) -> usize {
        self.values.len()
    }

    fn count(&mut self, roles: &[usize], number: usize) {
        let width = self.rare() + 1;
        self.counts.clear();
        self.counts.resize(number * width, 0);
        for (value, role) in self.of_row.iter().zip(roles) {
            self.counts[role * width + usize::from(*value)] += 1;
        }
    }
}

/// Which role each row has, as twice the conversation plus the direction: 0 from the first port
/// to the second.
pub(super) struct Roles<'a> {
    draft: &'a Draft<'a>,
    ends: &'a [Ends],
    evidence: PortEvidence<'a>,
    repeated: Vec<Repeated>,
    moving: Vec<Field>,
    pub(super) of_row: Vec<usize>,
}

/// What a decision about one row goes by.
struct Context {
    /// The rows of each conversation.
    members: Vec<Vec<u32>>,
    /// How often each one comes back.
    returns: Vec<f32>,
    habits: Habits,
    /// The largest conversations.
    large: Vec<usize>,
    /// In how many bits the ports of each conversation differ at least from those of a large one
    /// and from its own the other way round.
    apart: Vec<u32>,
    /// Share of rows of a conversation that go the way of the one before.
    stays: f32,
}

impl<'a> Roles<'a> {
    pub(super) fn new(
        draft: &'a Draft<'a>,
        ends: &'a [Ends],
        evidence: PortEvidence<'a>,
        version: IpVersion,
        of_row: Vec<usize>,
    ) -> Self {
        let (repeated, mut moving): (&[Field], Vec<Field>) = match version {
            IpVersion::V4 => (
                &[ipv4::TTL, ipv4::TOS, ipv4::DONT_FRAGMENT, ipv4::TOTAL_LENGTH],
                vec![high(ipv4::ID, 8)],
            ),
            IpVersion::V6 => (
                &[ipv6::HOP_LIMIT, ipv6::TRAFFIC_CLASS, ipv6::FLOW_LABEL, ipv6::PAYLOAD_LENGTH],
                Vec::new(),
            ),
        };
        if draft.rows[ends[0].row].stack.transport == crate::draft::Transport::Tcp {
            moving.extend([high(tcp::SEQ, 16), high(tcp::ACK_NUMBER, 16)]);
        }
        let repeated = repeated.iter().map(|f| Repeated::new(draft, ends, *f)).collect();
        Self { draft, ends, evidence, repeated, moving, of_row }
    }

    /// Gives every row the role that is most likely with the roles of all others as they are.
    pub(super) fn refine(&mut self, conversations: &Conversations) {
        let number = conversations.all.len();
        let mut members = vec![Vec::new(); number];
        for (row, role) in self.of_row.iter().enumerate() {
            members[role >> 1].push(row as u32);
        }
        let mut large: Vec<usize> = (0..number).filter(|c| members[*c].len() > 2).collect();
        large.sort_by_key(|c| std::cmp::Reverse(members[*c].len()));
        large.truncate(COMPARED);
        let pairs = members.iter().flat_map(|m| m.windows(2));
        let (same, all) = pairs.fold((1.0, 2.0), |(same, all), w| {
            let alike = self.of_row[w[0] as usize] == self.of_row[w[1] as usize];
            (same + f32::from(u8::from(alike)), all + 1.0)
        });
        for repeated in &mut self.repeated {
            repeated.count(&self.of_row, 2 * number);
        }
        let ports = |c: usize| conversations.all[c].ports;
        let apart = (0..number)
            .map(|c| {
                let [a, b] = ports(c);
                let others = large.iter().filter(|o| **o != c).map(|o| distance([a, b], ports(*o)));
                others.fold(2 * (a ^ b).count_ones(), u32::min)
            })
            .collect();
        let returns =
            members.iter().map(|rows| returns(rows.iter().map(|row| *row as usize))).collect();
        let habits = conversations.habits();
        let context = Context { members, returns, habits, large, apart, stays: same / all };
        let choices: Vec<Choice> =
            (0..self.ends.len()).map(|row| self.choose(row, conversations, &context)).collect();
        let lone = |row: usize| context.members[self.of_row[row] >> 1].len() == 1;
        let mut roles: Vec<usize> = choices
            .iter()
            .enumerate()
            .map(
                |(row, choice)| {
                    if choice.gain > 0.0 && !lone(row) { choice.other } else { choice.own }
                },
            )
            .collect();
        dissolve(&choices, &context.members, &conversations.prices(), &mut roles);
        self.of_row = roles;
    }

    /// The most likely role of a row in its conversation and in all others.
    fn choose(&self, row: usize, conversations: &Conversations, context: &Context) -> Choice {
        let (own, ends) = (self.of_row[row], &self.ends[row]);
        let around = row.saturating_sub(WINDOW)..(row + WINDOW + 1).min(self.ends.len());
        let prior = |conversation: usize| {
            let here = around.clone().filter(|r| *r != row && self.of_row[*r] >> 1 == conversation);
            let all = context.members[conversation].len() - usize::from(conversation == own >> 1);
            let returns = context.returns[conversation];
            -context.habits.share(all, here.count(), returns, self.ends.len()).ln()
        };
        let own_ports = conversations.all[own >> 1].ports;
        let own_cost = self.evidence.costs(ends, own_ports)[own & 1];
        let missing = ends.missing();
        let margin = if own_cost == 0.0 && missing == 0 { 0.5 * CLEAR } else { CLEAR };
        // No other role can cost less than the bits in which its ports differ from these.
        let differ = around
            .clone()
            .map(|r| self.of_row[r] >> 1)
            .filter(|c| *c != own >> 1)
            .map(|c| distance(own_ports, conversations.all[c].ports))
            .fold(context.apart[own >> 1], u32::min);
        let least = self.evidence.least_cost(ends, differ.saturating_sub(missing));
        if least - 2.0 * own_cost - prior(own >> 1) > margin {
            return Choice { own, other: own, gain: -margin };
        }
        let mut candidates = context.large.clone();
        candidates.extend(around.clone().map(|r| self.of_row[r] >> 1));
        candidates.push(own >> 1);
        candidates.sort_unstable();
        candidates.dedup();
        let mut costs: Vec<(f32, usize)> = Vec::with_capacity(2 * candidates.len());
        for conversation in candidates {
            let [along, back] = self.evidence.costs(ends, conversations.all[conversation].ports);
            let prior = prior(conversation);
            costs.push((along + prior, 2 * conversation));
            costs.push((back + prior, 2 * conversation + 1));
        }
        let least = costs.iter().fold(f32::MAX, |least, (cost, _)| cost.min(least));
        costs.retain(|(cost, _)| *cost <= least + margin);
        if let [(_, only)] = costs.as_slice() {
            return if *only >> 1 == own >> 1 {
                Choice { own: *only, other: *only, gain: -margin }
            } else {
                Choice { own, other: *only, gain: margin }
            };
        }
        let seen = Seen::new(self, row);
        let worst = least + 2.0 * margin;
        let (mut here, mut elsewhere) = ((worst, own), (worst, own));
        for (cost, role) in costs {
            let best = if role >> 1 == own >> 1 { &mut here } else { &mut elsewhere };
            let cost = cost + self.rest(row, role, &seen, context);
            if cost < best.0 {
                *best = (cost, role);
            }
        }
        Choice { own: here.1, other: elsewhere.1, gain: here.0 - elsewhere.0 }
    }

    /// Nats of everything but the ports.
    fn rest(&self, row: usize, role: usize, seen: &Seen, context: &Context) -> f32 {
        let members = &context.members[role >> 1];
        let at = members.partition_point(|m| (*m as usize) < row);
        let before = members[..at].iter().rev().map(|m| *m as usize);
        let after = members[at..].iter().map(|m| *m as usize).filter(|m| *m != row);
        let mut cost = 0.0;
        for near in [before.clone().next(), after.clone().next()].into_iter().flatten() {
            let same = self.of_row[near] == role;
            cost -= if same { context.stays } else { 1.0 - context.stays }.ln();
        }
        for (repeated, likelihoods) in self.repeated.iter().zip(&seen.repeated) {
            cost += self.repeated_cost(repeated, likelihoods, row, role);
        }
        let alike = |rows: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
            rows.take(REACH).filter(|m| self.of_row[*m] == role).take(NEIGHBOURS).collect()
        };
        let mut near = alike(&mut before.clone());
        near.extend(alike(&mut after.clone()));
        for (field, own) in self.moving.iter().zip(&seen.moving) {
            let unknown = f32::from(field.bits) * std::f32::consts::LN_2;
            // The mean: one neighbour in the wrong place must not draw others after it.
            let sum: f32 = near
                .iter()
                .map(|m| {
                    let other = self.draft.evidence.read(self.ends[*m].row, *field);
                    let wrong = (own.value ^ other.value) & own.known & other.known;
                    (TWO_COPIES * wrong.count_ones() as f32 * self.evidence.noise.bit_cost)
                        .min(unknown)
                })
                .sum();
            cost += if near.is_empty() { unknown } else { sum / near.len() as f32 };
        }
        cost
    }

    /// Nats of a field whose values repeat: of the role's own values, with all roles' behind them.
    fn repeated_cost(
        &self,
        repeated: &Repeated,
        likelihoods: &[f32],
        row: usize,
        role: usize,
    ) -> f32 {
        let width = repeated.rare() + 1;
        let counts = &repeated.counts[role * width..(role + 1) * width];
        let own = (self.of_row[row] == role).then(|| usize::from(repeated.of_row[row]));
        let total: u32 = counts.iter().sum::<u32>() - u32::from(own.is_some());
        let share = |value: usize| {
            let count = counts[value] - u32::from(own == Some(value));
            (count as f32 + 1.0 / width as f32) / (total as f32 + 1.0)
        };
        let likelihood: f32 = likelihoods.iter().enumerate().map(|(v, l)| share(v) * l).sum();
        -likelihood.max(f32::MIN_POSITIVE).ln()
    }
}

/// What a row may be.
struct Choice {
    /// Its best role in the conversation that it belongs to.
    own: usize,
    /// Its best role in any other, or `own` where there is none.
    other: usize,
    /// How much more likely the other one is. Units: nats.
    gain: f32,
}

/// Gives the rows of a conversation to others where that costs less than the conversation itself
/// does. What takes rows in is not dissolved itself.
fn dissolve(choices: &[Choice], members: &[Vec<u32>], prices: &[f32], roles: &mut [usize]) {
    let mut order: Vec<usize> = (0..members.len()).filter(|c| !members[*c].is_empty()).collect();
    order.sort_by_key(|c| members[*c].len());
    let (mut taken, mut gone) = (vec![false; members.len()], vec![false; members.len()]);
    for conversation in order {
        let rows = || members[conversation].iter().map(|m| *m as usize);
        let lost: f32 = rows().map(|row| (-choices[row].gain).max(0.0)).sum();
        let stays = |row: usize| {
            let other = choices[row].other >> 1;
            other == conversation || gone[other]
        };
        if taken[conversation] || lost >= prices[conversation] || rows().any(stays) {
            continue;
        }
        gone[conversation] = true;
        for row in rows() {
            taken[choices[row].other >> 1] = true;
            roles[row] = choices[row].other;
        }
    }
}

/// What the cells of a row say of the fields besides its ports.
struct Seen {
    /// For each repeated field the likelihood of each value and of a rare one.
    repeated: Vec<Vec<f32>>,
    moving: Vec<Reading>,
}

impl Seen {
    fn new(roles: &Roles<'_>, row: usize) -> Self {
        let (evidence, noise) = (roles.draft.evidence, roles.evidence.noise);
        let row = roles.ends[row].row;
        let repeated = roles
            .repeated
            .iter()
            .map(|repeated| {
                let field = repeated.field;
                let rare = (-f32::from(field.bits) * std::f32::consts::LN_2).exp();
                let value = |v: &u32| (-evidence.cost(noise, row, field, *v)).exp();
                repeated.values.iter().map(value).chain([rare]).collect()
            })
            .collect();
        let moving = roles.moving.iter().map(|f| evidence.read(row, *f)).collect();
        Self { repeated, moving }
    }
}

/// Bits in which two pairs of ports differ, the better way round.
fn distance(a: [u16; 2], b: [u16; 2]) -> u32 {
    let along = (a[0] ^ b[0]).count_ones() + (a[1] ^ b[1]).count_ones();
    let back = (a[0] ^ b[1]).count_ones() + (a[1] ^ b[0]).count_ones();
    along.min(back)
}

/// The high bits of a field.
fn high(mut field: Field, bits: u16) -> Field {
    field.bits = bits;
    field
}
