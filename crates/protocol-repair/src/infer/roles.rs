//! Conversation and direction of each row by all that its headers say.
//!
//! A role is one direction of a conversation. Rows of a role share more than their ports: the hop
//! limit, the class of service, a flow label, typical lengths; sequence numbers and the IP
//! identification move, but slowly. Where ports leave a row's role open, these decide.

use super::around::Around;
use super::conversations::{Conversation, Conversations};
use super::dissolve::{Choice, dissolve, may_dissolve};
use super::ends::{Ends, PortEvidence, better_way, ones_of_lanes, ways};
use super::habits::{Habits, returns};
use super::moving::{Moving, NEIGHBOURS, high};
use super::repeated::{Repeated, Sayings};
use crate::draft::Draft;
use nprint_codec::{IpVersion, ipv4, ipv6, tcp};
use std::ops::Add;

/// Ports that speak for a role by this much more than for any other decide alone; half of it is
/// enough where no bit of theirs is missing or wrong. Units: nats.
const CLEAR: f32 = 24.0;
/// Large conversations that every row is compared with.
const COMPARED: usize = 48;
/// Rows on each side in which neighbours of a role are looked for.
const REACH: usize = 8;

/// Rows of a role below which none is strange.
const FEWEST: usize = 8;
/// Rows of a role that each other one is compared with.
const SAMPLE: usize = 32;
/// Numbers are far from each other that differ in more of their known high bits than this share:
/// those of two connections differ in half of them.
const FAR: (u32, u32) = (11, 32);

/// Which role each row has, as twice the conversation plus the direction: 0 from the first port
/// to the second.
pub(super) struct Roles<'a> {
    ends: &'a [Ends],
    evidence: &'a PortEvidence<'a>,
    repeated: Repeated<'a>,
    moving: Moving,
    pub(super) of_row: Vec<usize>,
}

/// What a decision about one row goes by.
struct Context {
    /// The rows of each conversation.
    members: Vec<Vec<u32>>,
    /// Rows of each role.
    rows: Vec<u32>,
    /// How often each conversation comes back.
    returns: Vec<f32>,
    habits: Habits,
    /// Nats of a row's being of each conversation when no row around is.
    elsewhere: Vec<f32>,
    /// The largest conversations, their ports, and the least of their nats above.
    large: Vec<usize>,
    large_ways: Vec<u64>,
    least_elsewhere: f32,
    /// In how many bits the ports of each conversation differ at least from those of a large one
    /// and from its own the other way round.
    apart: Vec<u32>,
    /// Nats of a row's going the way of the one before in its conversation, and of its turning.
    turns: [f32; 2],
}

impl<'a> Roles<'a> {
    pub(super) fn new(
        draft: &'a Draft<'a>,
        ends: &'a [Ends],
        evidence: &'a PortEvidence<'a>,
        version: IpVersion,
        of_row: Vec<usize>,
    ) -> Self {
        let (repeated, mut moving) = match version {
            IpVersion::V4 => (
                [ipv4::TTL, ipv4::TOS, ipv4::DONT_FRAGMENT, ipv4::TOTAL_LENGTH],
                vec![high(ipv4::ID, 8)],
            ),
            IpVersion::V6 => (
                [ipv6::HOP_LIMIT, ipv6::TRAFFIC_CLASS, ipv6::FLOW_LABEL, ipv6::PAYLOAD_LENGTH],
                Vec::new(),
            ),
        };
        if draft.rows[ends[0].row].stack.transport == crate::draft::Transport::Tcp {
            moving.extend([high(tcp::SEQ, 16), high(tcp::ACK_NUMBER, 16)]);
        }
        let repeated = Repeated::new(draft.evidence, ends, repeated, evidence.noise);
        let moving = Moving::new(draft.evidence, ends, &moving, evidence.noise);
        Self { ends, evidence, repeated, moving, of_row }
    }

    /// Which rows have sequence and acknowledgement numbers far from those of most rows of their role,
    /// as rows of another connection have. `number` is that of the conversations.
    pub(super) fn strange(&self, number: usize) -> Vec<bool> {
        let mut strange = vec![false; self.ends.len()];
        let Some(lane) = self.moving.lane_of_stream() else { return strange };
        let mut members = vec![Vec::new(); 2 * number];
        for (row, role) in self.of_row.iter().enumerate() {
            members[*role].push(row);
        }
        let pair = |row: usize| self.moving.two_numbers(row, lane);
        for rows in members.iter().filter(|rows| rows.len() >= FEWEST) {
            let step = rows.len().div_ceil(SAMPLE);
            let sample: Vec<(u32, u32)> = rows.iter().step_by(step).map(|row| pair(*row)).collect();
            for row in rows {
                let (value, known) = pair(*row);
                let near = |other: &&(u32, u32)| {
                    let both = known & other.1;
                    let wrong = ((value ^ other.0) & both).count_ones();
                    wrong * FAR.1 <= both.count_ones() * FAR.0 || both.count_ones() < 16
                };
                let enough = sample.len().div_ceil(2);
                strange[*row] = sample.iter().filter(near).take(enough).count() < enough;
            }
        }
        strange
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
        self.repeated.count(&self.of_row, 2 * number);
        let large_ways: Vec<u64> =
            large.iter().map(|c| ways(conversations.all[*c].ports)).collect();
        let apart = |(index, conversation): (usize, &Conversation)| {
            let [a, b] = conversation.ports;
            let others = large.iter().zip(&large_ways).filter(|(other, _)| **other != index);
            let distances = others.map(|(_, ways)| distance([a, b], *ways));
            distances.fold(2 * (a ^ b).count_ones(), u32::min)
        };
        let apart = conversations.all.iter().enumerate().map(apart).collect();
        let mut rows = vec![0; 2 * number];
        self.of_row.iter().for_each(|role| rows[*role] += 1);
        let returns: Vec<f32> =
            members.iter().map(|rows| returns(rows.iter().map(|row| *row as usize))).collect();
        let habits = conversations.habits();
        let elsewhere: Vec<f32> = members
            .iter()
            .zip(&returns)
            .map(|(rows, returns)| -habits.share(rows.len(), 0, *returns, self.ends.len()).ln())
            .collect();
        let least_elsewhere = large.iter().map(|c| elsewhere[*c]).fold(f32::MAX, f32::min);
        let stays: f32 = same / all;
        let turns = [-stays.ln(), -(1.0 - stays).ln()];
        let context = Context {
            members,
            rows,
            returns,
            habits,
            elsewhere,
            large,
            large_ways,
            least_elsewhere,
            apart,
            turns,
        };
        let prices = conversations.prices();
        let mut costs = Vec::new();
        let mut around = Around::at(&self.of_row, 0);
        let mut choices: Vec<Choice> = (0..self.ends.len())
            .map(|row| {
                let own = self.of_row[row] >> 1;
                // Half of the rows that lose as much keep a conversation together.
                let enough = 2.0 * prices[own] / context.members[own].len() as f32;
                let choice = self.choose(&around, conversations, &context, enough, &mut costs);
                around.next();
                choice
            })
            .collect();
        for rows in &context.members {
            if !may_dissolve(&choices, rows, &prices) {
                continue;
            }
            for row in rows.iter().map(|row| *row as usize) {
                if choices[row].other == choices[row].own {
                    let around = Around::at(&self.of_row, row);
                    choices[row] =
                        self.choose(&around, conversations, &context, f32::INFINITY, &mut costs);
                }
            }
        }
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
        dissolve(&choices, &context.members, &prices, &mut roles);
        self.of_row = roles;
    }

    /// The most likely role of the row that `around` is around in its conversation and in all others. Of
    /// others that are less likely by `enough` nats none is told. `costs` is room for candidates with their
    /// cost.
    fn choose(
        &self,
        around: &Around<'_>,
        conversations: &Conversations,
        context: &Context,
        enough: f32,
        costs: &mut Vec<(f32, usize)>,
    ) -> Choice {
        let row = around.row;
        let (own, ends) = (self.of_row[row], &self.ends[row]);
        let prior = |conversation: usize, here: usize| {
            let own = usize::from(conversation == own >> 1);
            if here + own == 0 {
                return context.elsewhere[conversation];
            }
            let others = context.members[conversation].len() - own;
            let returns = context.returns[conversation];
            -context.habits.share(others, here, returns, self.ends.len()).ln()
        };
        let own_ports = conversations.all[own >> 1].ports;
        let own_cost = self.evidence.costs(ends, own_ports)[own & 1];
        let missing = ends.missing();
        let margin = if own_cost == 0.0 && missing == 0 { 0.5 * CLEAR } else { CLEAR };
        // No other role can cost less than the bits in which its ports differ from these.
        let others = around.counts().filter(|(c, _)| *c != own >> 1);
        let differ = others
            .map(|(c, _)| distance(own_ports, ways(conversations.all[c].ports)))
            .fold(context.apart[own >> 1], u32::min);
        let least = self.evidence.least_cost(ends, differ.saturating_sub(missing));
        let here = around.counts().find(|(c, _)| *c == own >> 1).map_or(0, |(_, n)| n);
        let own_prior = prior(own >> 1, here);
        let choice = |own, other, gain| Choice { own, other, gain, prior: own_prior };
        if least - 2.0 * own_cost - own_prior > margin {
            return choice(own, own, -margin);
        }
        // What costs more by this than the present role is no candidate.
        let most = own_cost + own_prior + margin;
        costs.clear();
        let mut offer = |conversation: usize, here: usize| {
            let ways = self.evidence.costs(ends, conversations.all[conversation].ports);
            if ways[0].min(ways[1]) > most {
                return;
            }
            let prior = prior(conversation, here);
            for (way, cost) in ways.into_iter().enumerate() {
                if cost + prior <= most {
                    costs.push((cost + prior, 2 * conversation + way));
                }
            }
        };
        around.counts().for_each(|(conversation, here)| offer(conversation, here));
        let most_bits = self.evidence.most_bits(ends, most - context.least_elsewhere + 1e-2);
        let mut wrong = [0; COMPARED];
        ends.contradicted_of_each(&context.large_ways, &mut wrong);
        for (conversation, wrong) in context.large.iter().zip(wrong) {
            if u32::from(wrong) <= most_bits
                && !around.counts().any(|(near, _)| near == *conversation)
            {
                offer(*conversation, 0);
            }
        }
        let least = costs.iter().fold(f32::MAX, |least, (cost, _)| cost.min(least));
        costs.retain(|(cost, _)| *cost <= least + margin);
        if let [(_, only)] = costs.as_slice() {
            return if *only >> 1 == own >> 1 {
                choice(*only, *only, -margin)
            } else {
                choice(own, *only, margin)
            };
        }
        let sayings = self.repeated.sayings(row, ends.row);
        let worst = least + 2.0 * margin;
        let at_home = |role: usize| role >> 1 == own >> 1;
        // The cheaper roles first: the rest only adds to what the ports cost.
        costs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let best_of = |worst: f32, home: bool| {
            let mut best = (worst, own);
            for (cost, role) in costs.iter().filter(|(_, role)| at_home(*role) == home) {
                if *cost > best.0 + 1e-3 {
                    break;
                }
                let most = best.0 + 1e-3 - cost;
                let cost = cost + self.rest(row, *role, sayings, context, most);
                // Of equal costs the first role has it.
                let first_of_equals = cost.total_cmp(&best.0).is_eq() && *role < best.1;
                if cost < best.0 || (first_of_equals && cost < worst) {
                    best = (cost, *role);
                }
            }
            best
        };
        let here = best_of(worst, true);
        let elsewhere = best_of(worst.min(here.0 + enough), false);
        choice(here.1, elsewhere.1, here.0 - elsewhere.0)
    }

    /// Nats of everything but the ports; any number above `most` where they are more than that.
    fn rest(
        &self,
        row: usize,
        role: usize,
        sayings: &Sayings,
        context: &Context,
        most: f32,
    ) -> f32 {
        let members = context.members[role >> 1].as_slice();
        let at = members.partition_point(|member| (*member as usize) < row);
        let (before, after) = members.split_at(at);
        let itself = after.first().is_some_and(|member| *member as usize == row);
        let after = &after[usize::from(itself)..];
        let mut cost = 0.0;
        for near in [before.last(), after.first()].into_iter().flatten() {
            cost += context.turns[usize::from(self.of_row[*near as usize] != role)];
        }
        let alike = |near: &&u32| self.of_row[**near as usize] == role;
        let before = before.iter().rev().take(REACH).filter(alike).take(NEIGHBOURS);
        let after = after.iter().take(REACH).filter(alike).take(NEIGHBOURS);
        let moving = self.moving.nats(row, before.chain(after).map(|near| *near as usize));
        let mut least = moving.into_iter().fold(cost, Add::add);
        if least > most {
            return least;
        }
        let own = self.of_row[row] == role;
        let others = context.rows[role] - u32::from(own);
        for nats in self.repeated.nats(sayings, row, (role, others, own)) {
            (cost, least) = (cost + nats, least + nats);
            if least > most {
                return least;
            }
        }
        moving.into_iter().fold(cost, Add::add)
    }
}

/// Bits in which a pair of ports differs from another one, the better of its [`ways`].
fn distance([a, b]: [u16; 2], other: u64) -> u32 {
    let pair = u64::from(a) << 16 | u64::from(b);
    better_way(ones_of_lanes((pair << 32 | pair) ^ other))
}
