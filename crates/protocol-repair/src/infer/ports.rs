//! Conversations by their port pairs.
//!
//! Port pairs are clustered by description length: a pair becomes a flow of its own where naming
//! its ports is cheaper than explaining its rows as damaged rows of a flow that is already there.
//! Without noise one contradicted bit costs more than naming two ports, so that every pair that
//! a real capture has stays a flow.

use super::crowd;
use super::flow::new_flow;
use super::settle::{counts, settle};
use crate::draft::{Draft, Transport};
use crate::evidence::Noise;
use nprint_codec::{Field, IpVersion, ipv4, ipv6, tcp, udp};
use std::collections::HashMap;

/// Nats for naming a flow: a free port beside a known one, or two free ports.
const NEW_CLIENT: f32 = 12.0;
const NEW_PAIR: f32 = 22.0;
/// Fewest nats for saying that a new flow begins.
const ESCAPE: f32 = 1.5;

/// Ports that servers of common protocols listen on; a damaged port may become one of them.
const WELL_KNOWN: [u16; 28] = [
    443, 80, 53, 22, 25, 1883, 4500, 500, 1194, 51820, 8080, 8443, 853, 123, 21, 23, 110, 143, 465,
    587, 993, 995, 3478, 5060, 5061, 8883, 3389, 5353,
];

/// How much a port looks like a server's: smaller is more.
fn server_rank(port: u16) -> u32 {
    match WELL_KNOWN.iter().position(|p| *p == port) {
        Some(index) => index as u32,
        None if port < 1024 => 100,
        None => 1000 + u32::from(port),
    }
}

/// Flows that every row is compared with; of later, smaller ones only those near the row.
const COMPARED: usize = 256;
/// Rows a block that says which flows are near. Units: rows, as a power of two.
const BLOCK_SHIFT: u32 = 3;

/// A conversation while rows are given to it.
struct Centre {
    ports: [u16; 2],
    rows: usize,
    flow: usize,
    first: usize,
    last: usize,
}

impl Centre {
    /// Whether `row` lies among its rows or close to them.
    fn near(&self, row: usize) -> bool {
        row + 6 >= self.first && row <= self.last + 6
    }

    /// Its share of `rows` rows, as a row in `row` sees it: rows of a short conversation come
    /// close together.
    fn share(&self, rows: usize, near: bool) -> f32 {
        (self.rows as f32 / rows as f32).max(if near { 0.15 } else { 0.0 })
    }
}

/// The conversations found so far, the largest first.
#[derive(Default)]
struct Centres {
    all: Vec<Centre>,
    /// Well-known ports among theirs.
    servers: Vec<u16>,
    /// The ones past [`COMPARED`] that have rows in a block.
    by_block: HashMap<usize, Vec<usize>>,
}

impl Centres {
    fn push(&mut self, ports: [u16; 2], members: &[usize], flow: usize) {
        let first = members.first().copied().unwrap_or(0);
        let last = members.last().copied().unwrap_or(0);
        for port in ports {
            if server_rank(port) < 1000 && !self.servers.contains(&port) {
                self.servers.push(port);
            }
        }
        self.all.push(Centre { ports, rows: members.len(), flow, first, last });
        for member in members {
            self.note(self.all.len() - 1, *member);
        }
    }

    /// Notes that a row belongs to a conversation.
    fn note(&mut self, index: usize, row: usize) {
        if index >= COMPARED {
            let block = self.by_block.entry(row >> BLOCK_SHIFT).or_default();
            if block.last() != Some(&index) {
                block.push(index);
            }
        }
    }

    /// Adds a row to a conversation.
    fn add(&mut self, index: usize, row: usize) -> usize {
        let centre = &mut self.all[index];
        centre.rows += 1;
        centre.first = centre.first.min(row);
        centre.last = centre.last.max(row);
        let flow = centre.flow;
        self.note(index, row);
        flow
    }

    /// The conversations that `row` may belong to, by number: the largest and the near ones.
    fn candidates(&self, row: usize) -> impl Iterator<Item = (usize, &Centre)> {
        let block = row >> BLOCK_SHIFT;
        let near = (block.saturating_sub(1)..=block + 1)
            .filter_map(|b| self.by_block.get(&b))
            .flatten()
            .map(|index| (*index, &self.all[*index]));
        self.all.iter().enumerate().take(COMPARED).chain(near)
    }
}

/// The two port fields of a transport, source first.
fn port_fields(transport: Transport) -> (Field, Field) {
    if transport == Transport::Tcp {
        (tcp::SOURCE_PORT, tcp::DESTINATION_PORT)
    } else {
        (udp::SOURCE_PORT, udp::DESTINATION_PORT)
    }
}

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
    let (source, destination) = port_fields(transport);
    // Exact pairs, the smaller port first, with their rows.
    let mut exact: HashMap<[u16; 2], Vec<usize>> = HashMap::new();
    let mut unclear = Vec::new();
    for row in &rows {
        let (s, d) = (draft.evidence.read(*row, source), draft.evidence.read(*row, destination));
        if s.is_full() && d.is_full() {
            let (s, d) = (s.value as u16, d.value as u16);
            exact.entry([s.min(d), s.max(d)]).or_default().push(*row);
        } else {
            unclear.push(*row);
        }
    }
    let mut pairs: Vec<([u16; 2], Vec<usize>)> = exact.into_iter().collect();
    pairs.sort_by_key(|(_, rows)| (std::cmp::Reverse(rows.len()), rows[0]));
    if crowd::is_crowd(draft, &pairs, rows.len()) {
        one_conversation(draft, &rows, transport);
        return;
    }
    let noise = port_noise(draft, &pairs, rows.len());
    let clean = noise.is_clean() && draft.evidence.is_certain();
    // Where few conversations explain most rows, another one is a surprise.
    let repeated = pairs.iter().filter(|(_, members)| members.len() > 1).count();
    let escape = (rows.len() as f32 / (repeated + 1) as f32).ln().max(ESCAPE);
    let mut centres = Centres::default();
    let mut damaged = unclear;
    for (pair, members) in pairs {
        if clean {
            let flow = new_flow(draft, transport, pair);
            for row in &members {
                draft.rows[*row].flow = flow;
            }
            orient(draft, flow, &members, noise);
            centres.push(pair, &members, flow);
            continue;
        }
        let own = cost_of_new(&centres, pair, members.len(), noise);
        let explained = centres
            .candidates(members[0])
            .map(|(_, c)| {
                if made_by_noise(c, pair, members.len(), noise) {
                    return 0.0;
                }
                let first = pair_cost(draft, noise, members[0], (source, destination), c.ports).0;
                let near = members.iter().all(|m| c.near(*m));
                members.len() as f32 * (first - c.share(rows.len(), near).ln())
            })
            .fold(f32::MAX, f32::min);
        let share = (rows.len() as f32 / members.len() as f32).ln();
        let naming = own.0 + escape + (members.len() - 1) as f32 * share;
        if naming <= explained {
            let flow = new_flow(draft, transport, own.1);
            for row in &members {
                draft.rows[*row].flow = flow;
            }
            centres.push(own.1, &members, flow);
        } else {
            damaged.extend(members);
        }
    }
    damaged.sort_unstable();
    for &row in &damaged {
        let value = |field| draft.evidence.read(row, field).value as u16;
        let (s, d) = (value(source), value(destination));
        let fresh = cost_of_new(&centres, [s.min(d), s.max(d)], 1, noise);
        let best = centres
            .candidates(row)
            .map(|(i, c)| {
                let cost = pair_cost(draft, noise, row, (source, destination), c.ports).0;
                (cost - c.share(rows.len(), c.near(row)).ln(), i)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        draft.rows[row].flow = match best {
            Some((cost, index)) if cost <= fresh.0 + escape => centres.add(index, row),
            _ => {
                let flow = new_flow(draft, transport, fresh.1);
                centres.push(fresh.1, &[row], flow);
                flow
            }
        };
    }
    if clean && damaged.is_empty() {
        return;
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for row in rows {
        members.entry(draft.rows[row].flow).or_default().push(row);
    }
    for centre in &centres.all {
        let members = members.get(&centre.flow).map_or(&[][..], Vec::as_slice);
        vote(draft, centre.flow, members, (source, destination), noise);
        orient(draft, centre.flow, members, noise);
    }
}

/// Makes one conversation of rows whose ports are too many to be conversations.
fn one_conversation(draft: &mut Draft<'_>, rows: &[usize], transport: Transport) {
    let fields = port_fields(transport);
    let sides = by_hops(draft, rows);
    let (pair, sides) = crowd::vote(draft, rows, fields, sides);
    // The responder is the end with the better known port, else the one that does not begin.
    let swap = server_rank(pair[0]) < server_rank(pair[1]).min(1000);
    let ports = if swap { [pair[1], pair[0]] } else { pair };
    let flow = new_flow(draft, transport, ports);
    for (row, side) in rows.iter().zip(sides) {
        let direction = side ^ usize::from(swap);
        (draft.rows[*row].flow, draft.rows[*row].direction) = (flow, direction);
        draft.set(*row, fields.0, u32::from(ports[direction]));
        draft.set(*row, fields.1, u32::from(ports[1 - direction]));
    }
}

/// Whether wrong bits of a frequent pair make `rows` rows of another pair likely.
fn made_by_noise(centre: &Centre, pair: [u16; 2], rows: usize, noise: Noise) -> bool {
    let [a, b] = centre.ports;
    let wrong = |p: u16, q: u16| (p ^ pair[0]).count_ones() + (q ^ pair[1]).count_ones();
    let distance = wrong(a, b).min(wrong(b, a)) as f32;
    // With equal ports either one may be the wrong one.
    let ways = if a == b { distance.exp2() } else { 1.0 };
    let expected = centre.rows as f32 * ways * (-noise.bit_cost * distance).exp();
    distance >= 1.0 && expected >= 0.05 && (rows as f32) <= 2.5 * expected + 2.0
}

/// Puts the bits of a small flow's ports right by the majority of its rows.
fn vote(
    draft: &mut Draft<'_>,
    flow: usize,
    members: &[usize],
    fields: (Field, Field),
    noise: Noise,
) {
    if !(3..12).contains(&members.len()) {
        return;
    }
    let pair = draft.flows[flow].ports;
    let mut ones = [[0_usize; 16]; 2];
    for row in members {
        let along = pair_cost(draft, noise, *row, fields, pair).1;
        let read = |field| draft.evidence.read(*row, field).value;
        let ends =
            if along { [read(fields.0), read(fields.1)] } else { [read(fields.1), read(fields.0)] };
        for (end, ones) in ends.iter().zip(&mut ones) {
            ones.iter_mut().enumerate().for_each(|(bit, n)| *n += ((end >> bit) & 1) as usize);
        }
    }
    for (port, ones) in draft.flows[flow].ports.iter_mut().zip(ones) {
        if server_rank(*port) < 1000 {
            continue;
        }
        for (bit, n) in ones.iter().enumerate() {
            if 2 * n > members.len() {
                *port |= 1 << bit;
            } else if 2 * n < members.len() {
                *port &= !(1 << bit);
            }
        }
    }
}

/// Cost of a row under a port pair, and whether it then goes from `ports[0]` to `ports[1]`.
fn pair_cost(
    draft: &Draft<'_>,
    noise: Noise,
    row: usize,
    fields: (Field, Field),
    ports: [u16; 2],
) -> (f32, bool) {
    let cost = |s: u16, d: u16| {
        draft.evidence.cost(noise, row, fields.0, u32::from(s))
            + draft.evidence.cost(noise, row, fields.1, u32::from(d))
    };
    let (along, back) = (cost(ports[0], ports[1]), cost(ports[1], ports[0]));
    (along.min(back), along <= back)
}

/// Cost of naming a pair, and the pair with a damaged server port put right.
fn cost_of_new(centres: &Centres, pair: [u16; 2], rows: usize, noise: Noise) -> (f32, [u16; 2]) {
    let mut best = (NEW_PAIR, pair);
    for server in centres.servers.iter().copied().chain(WELL_KNOWN) {
        for (i, port) in pair.iter().enumerate() {
            let wrong = (port ^ server).count_ones();
            if wrong > 2 {
                continue;
            }
            let cost = NEW_CLIENT + rows as f32 * wrong as f32 * noise.bit_cost;
            if cost < best.0 {
                let other = pair[1 - i];
                best = (cost, [other.min(server), other.max(server)]);
            }
        }
    }
    best
}

/// The trace's noise, raised where pairs lie suspiciously near others.
///
/// Wrong bits show in two ways: a frequent pair has a cloud of rare ones at one bit's distance,
/// and lone pairs stand next to a row with almost the same ports. A few neighbours are chance, or
/// RTP beside RTCP; many are noise.
fn port_noise(draft: &Draft<'_>, pairs: &[([u16; 2], Vec<usize>)], rows: usize) -> Noise {
    let distance = |a: &[u16; 2], b: &[u16; 2]| {
        let along = (a[0] ^ b[0]).count_ones() + (a[1] ^ b[1]).count_ones();
        let back = (a[0] ^ b[1]).count_ones() + (a[1] ^ b[0]).count_ones();
        along.min(back)
    };
    let mut rate = draft.noise.rate;
    for (centre, members) in pairs.iter().take(4).filter(|(_, m)| m.len() >= 12) {
        let cloud: Vec<usize> = pairs
            .iter()
            .filter(|(p, m)| distance(p, centre) == 1 && 4 * m.len() < members.len())
            .map(|(_, m)| m.len())
            .collect();
        if cloud.len() >= 5 {
            let rows: usize = cloud.iter().sum();
            rate = rate.max(rows as f64 / (32.0 * members.len() as f64));
        }
    }
    let mut lone: Vec<(usize, [u16; 2])> =
        pairs.iter().filter(|(_, m)| m.len() == 1).map(|(p, m)| (m[0], *p)).collect();
    lone.sort_unstable();
    let close = lone
        .windows(2)
        .filter(|w| w[1].0 - w[0].0 <= 8)
        .map(|w| distance(&w[0].1, &w[1].1))
        .filter(|d| *d <= 3);
    let (near, bits) = close.fold((0_usize, 0_u32), |(n, b), d| (n + 1, b + d));
    if near >= 4 && 40 * near > rows {
        // Both rows of such a couple may be wrong.
        rate = rate.max(0.5 * f64::from(bits) / (32.0 * near as f64));
    }
    if rate > draft.noise.rate {
        Noise { burst_cost: draft.noise.burst_cost, ..Noise::of_rate(rate) }
    } else {
        draft.noise
    }
}

/// Decides which port is the responder's and the direction of every row, and writes the ports.
fn orient(draft: &mut Draft<'_>, flow: usize, members: &[usize], noise: Noise) {
    let transport = draft.flows[flow].transport;
    let fields = port_fields(transport);
    let pair = draft.flows[flow].ports;
    let along: Vec<bool> =
        members.iter().map(|r| pair_cost(draft, noise, *r, fields, pair).1).collect();
    let mut swap = server_rank(pair[0]) < server_rank(pair[1]);
    if transport == Transport::Tcp {
        // Who opens is the initiator, whatever the port numbers say.
        let mut votes = [0_usize; 2];
        for (row, along) in members.iter().zip(&along) {
            let flag = |field| draft.evidence.read(*row, field).value == 1;
            if flag(tcp::SYN) {
                votes[usize::from(*along == flag(tcp::ACK))] += 1;
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
    let equal = ports[0] == ports[1];
    let sides = if equal { by_hops(draft, members) } else { Vec::new() };
    for (i, row) in members.iter().enumerate() {
        let direction = if equal { sides[i] } else { usize::from(along[i] == swap) };
        draft.rows[*row].direction = direction;
        draft.set(*row, fields.0, u32::from(ports[direction]));
        draft.set(*row, fields.1, u32::from(ports[1 - direction]));
    }
}

/// Direction by TTL where the ports are equal: the two ends lie at different distances.
fn by_hops(draft: &Draft<'_>, rows: &[usize]) -> Vec<usize> {
    let Some(first) = rows.first() else { return Vec::new() };
    let field = match draft.rows[*first].stack.version {
        IpVersion::V4 => ipv4::TTL,
        IpVersion::V6 => ipv6::HOP_LIMIT,
    };
    let values = settle(draft, rows, field, draft.noise);
    let histogram = counts(&values);
    let Some((other, _)) = histogram.iter().find(|(v, _)| *v != values[0]) else {
        return vec![0; rows.len()];
    };
    let (here, there) = (values[0], *other);
    values.iter().map(|v| usize::from((v ^ there).count_ones() < (v ^ here).count_ones())).collect()
}
