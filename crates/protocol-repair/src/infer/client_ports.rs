//! The ports of a conversation, each bit by all of its rows.

use super::conversations::Conversations;
use super::ends::{Ends, PortEvidence};
use std::collections::HashMap;

/// Nats for naming a port that is no server's.
const NAMING: f32 = 10.0;
/// Rows of a conversation that are asked; more do not change a bit.
const ASKED: usize = 64;
/// Most nats that the other conversations' ports say of a bit.
const STRONGEST_PRIOR: f32 = 4.0;

/// Reads the ports of every conversation anew, and makes conversations that then have the same
/// ports one. `roles` are twice the conversation of each row plus 1 for the way back.
pub(super) fn read(
    conversations: &mut Conversations,
    ends: &[Ends],
    roles: &mut [usize],
    evidence: &PortEvidence<'_>,
) {
    let prior = prior(conversations);
    let servers: Vec<(u16, f32)> =
        conversations.servers().map(|port| (port, conversations.with_server(port))).collect();
    let mut odds = vec![[[0.0_f32; 16]; 2]; conversations.all.len()];
    let mut asked = vec![0_usize; conversations.all.len()];
    for (ends, role) in ends.iter().zip(roles.iter()) {
        let (conversation, back) = (role >> 1, role & 1);
        asked[conversation] += 1;
        if asked[conversation] > ASKED {
            continue;
        }
        for end in 0..2 {
            let bits = evidence.log_odds(ends, end);
            let sum = &mut odds[conversation][end ^ back];
            sum.iter_mut().zip(bits).for_each(|(sum, bit)| *sum += bit);
        }
    }
    for ((index, odds), asked) in odds.iter().enumerate().zip(asked) {
        if asked == 0 {
            continue;
        }
        let ports = most_likely(conversations, &servers, odds, &prior);
        conversations.set_ports(index, ports);
    }
    merge(conversations, roles);
}

/// The ports that the rows' log-odds speak for: one of the servers', each with its cost, where that costs
/// less than naming any.
fn most_likely(
    conversations: &Conversations,
    servers: &[(u16, f32)],
    odds: &[[f32; 16]; 2],
    prior: &[f32; 16],
) -> [u16; 2] {
    let free = odds.map(|odds| {
        let bits = odds.iter().zip(prior);
        bits.fold(0, |port, (odds, prior)| port << 1 | u16::from(odds + prior > 0.0))
    });
    let free_cost = NAMING + conversations.without_server();
    let [first, second] = odds.each_ref().map(|odds| server(servers, odds, free_cost));
    let ways = [
        (NAMING + free_cost, free),
        (first.0 + NAMING, [first.1, free[1]]),
        (second.0 + NAMING, [free[0], second.1]),
        (first.0 + second.0, [first.1, second.1]),
    ];
    let cheapest = |a: (f32, [u16; 2]), b: (f32, [u16; 2])| if b.0 < a.0 { b } else { a };
    ways.into_iter().reduce(cheapest).map_or(free, |(_, ports)| ports)
}

/// The server's port that costs least, and what it costs, if less than `most`.
fn server(servers: &[(u16, f32)], odds: &[f32; 16], most: f32) -> (f32, u16) {
    let likely = odds.iter().fold(0, |port, odds| port << 1 | u16::from(*odds > 0.0));
    let mut best = (f32::MAX, 0);
    for &(server, mut cost) in servers {
        let least = best.0.min(most);
        let mut wrong = server ^ likely;
        while wrong != 0 && cost < least {
            let bit = wrong.leading_zeros() as usize;
            cost += odds[bit].abs();
            wrong &= !(0x8000 >> bit);
        }
        if cost < least {
            best = (cost, server);
        }
    }
    best
}

/// Log-odds of each bit of a client's port being 1: clients take their ports from a range.
fn prior(conversations: &Conversations) -> [f32; 16] {
    let free: Vec<u16> = conversations
        .all
        .iter()
        .flat_map(|c| c.ports)
        .filter(|port| !conversations.is_server(*port))
        .collect();
    std::array::from_fn(|bit| {
        let ones = free.iter().filter(|port| (*port >> (15 - bit)) & 1 == 1).count() as f32;
        let odds = ((ones + 1.0) / (free.len() as f32 - ones + 1.0)).ln();
        odds.clamp(-STRONGEST_PRIOR, STRONGEST_PRIOR)
    })
}

/// Gives the rows of conversations with equal ports to the first of them.
fn merge(conversations: &Conversations, roles: &mut [usize]) {
    let mut first: HashMap<[u16; 2], usize> = HashMap::new();
    let same: Vec<usize> = conversations
        .all
        .iter()
        .enumerate()
        .map(|(index, conversation)| {
            let [a, b] = conversation.ports;
            let back = usize::from(a > b);
            // Twice the first one with these ports, plus 1 where they stand the other way round.
            let known = *first.entry([a.min(b), a.max(b)]).or_insert(2 * index + back);
            known ^ back
        })
        .collect();
    for role in roles {
        *role = same[*role >> 1] ^ (*role & 1);
    }
}
