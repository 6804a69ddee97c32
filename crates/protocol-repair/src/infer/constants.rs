//! Fields that a host hardly changes within a conversation.

use crate::draft::{Draft, Transport};
use crate::evidence::Evidence;
use crate::infer::settle::{is_shown, settle, write_kept};
use crate::infer::stack::nearest;
use nprint_codec::{Field, IpVersion, icmp, ipv4, ipv6, tcp};
use std::collections::BTreeMap;

/// Hop limit that a packet gets where the evidence says 0.
const DEFAULT_HOPS: u32 = 64;

fn settle_directions(
    draft: &mut Draft<'_>,
    field: Field,
    takes: impl Fn(&Draft<'_>, usize) -> bool,
) {
    if is_shown(draft, field, &takes) {
        return;
    }
    // A flow label names one conversation; the rest belongs to hosts.
    let groups =
        if field == ipv6::FLOW_LABEL { draft.directions() } else { draft.pooled_directions() };
    for rows in groups.iter() {
        let rows: Vec<usize> = rows.iter().copied().filter(|r| takes(draft, *r)).collect();
        write_kept(draft, &rows, field);
    }
}

/// TTL and hop limit; never 0, and 255 where neighbour discovery demands it.
pub(crate) fn hops(draft: &mut Draft<'_>) {
    let v4 = |d: &Draft<'_>, r: usize| d.rows[r].stack.version == IpVersion::V4;
    settle_directions(draft, ipv4::TTL, v4);
    settle_directions(draft, ipv6::HOP_LIMIT, |d, r| !v4(d, r));
    let decided = Evidence::certain(&draft.cells);
    let [ttl, hop_limit] = [ipv4::TTL, ipv6::HOP_LIMIT].map(|field| decided.field(field));
    let is_zero = |row: &usize| match draft.rows[*row].stack.version {
        IpVersion::V4 => ttl.read(*row).value == 0,
        IpVersion::V6 => hop_limit.read(*row).value == 0,
    };
    let zero: Vec<usize> = (0..draft.rows.len()).filter(is_zero).collect();
    for row in zero {
        let v4 = v4(draft, row);
        draft.set(row, if v4 { ipv4::TTL } else { ipv6::HOP_LIMIT }, DEFAULT_HOPS);
    }
    for row in draft.rows_of(Transport::Icmp) {
        if draft.rows[row].stack.version == IpVersion::V6 {
            // RFC 4861 sections 6 and 7; RFC 2710 section 3.
            match draft.value(row, icmp::TYPE) {
                133..=137 => draft.set(row, ipv6::HOP_LIMIT, 255),
                130..=132 | 143 => draft.set(row, ipv6::HOP_LIMIT, 1),
                _ => {}
            }
        }
    }
}

/// Type of service, traffic class and flow label.
pub(crate) fn classes(draft: &mut Draft<'_>) {
    let v4 = |d: &Draft<'_>, r: usize| d.rows[r].stack.version == IpVersion::V4;
    settle_directions(draft, ipv4::TOS, v4);
    settle_directions(draft, ipv6::TRAFFIC_CLASS, |d, r| !v4(d, r));
    settle_directions(draft, ipv6::FLOW_LABEL, |d, r| !v4(d, r));
}

/// The flag bits outside the connection's state, and the urgent pointer.
pub(crate) fn tcp_rest(draft: &mut Draft<'_>) {
    let is_tcp = |d: &Draft<'_>, r: usize| d.rows[r].stack.transport == Transport::Tcp;
    for field in [tcp::RESERVED, tcp::NS, tcp::CWR, tcp::ECE, tcp::URG] {
        settle_directions(draft, field, is_tcp);
    }
    let pointer = draft.evidence.field(tcp::URGENT_POINTER);
    for row in draft.rows_of(Transport::Tcp) {
        let valid = draft.value(row, tcp::URG) == 1;
        let value = if valid { pointer.read(row).value } else { 0 };
        if !pointer.are(row, value) {
            draft.set(row, tcp::URGENT_POINTER, value);
        }
    }
}

/// ICMP types that the compiler can make a message for.
const ICMP_TYPES: [u32; 6] = [8, 0, 3, 11, 4, 5];
const ICMPV6_TYPES: [u32; 15] = [128, 129, 135, 136, 1, 3, 143, 133, 134, 2, 4, 130, 131, 132, 137];

/// Message types, those that their own cells leave open decided with the hop limit: an answer comes
/// from farther away than the question, and some messages never leave the link.
fn by_hops(draft: &Draft<'_>, rows: &[usize], version: IpVersion, mut types: Vec<u32>) -> Vec<u32> {
    let cost = |row: usize, kind: u32| draft.evidence.cost(draft.noise, row, icmp::TYPE, kind);
    let is_open = |row: usize, kind: u32| {
        !draft.evidence.read(row, icmp::TYPE).is_full() || cost(row, kind) > 0.0
    };
    if rows.iter().zip(&types).all(|(row, kind)| !is_open(*row, *kind)) {
        return types;
    }
    let field = if version == IpVersion::V4 { ipv4::TTL } else { ipv6::HOP_LIMIT };
    let hops = settle(draft, rows, field, draft.noise);
    let (mut alone, mut together) = (BTreeMap::new(), BTreeMap::new());
    for ((row, kind), hops) in rows.iter().zip(&types).zip(&hops) {
        if !is_open(*row, *kind) {
            *alone.entry(*kind).or_insert(0.0_f32) += 1.0;
            *together.entry((*kind, *hops)).or_insert(0.0_f32) += 1.0;
        }
    }
    let all: f32 = alone.values().sum();
    for ((row, kind), hops) in rows.iter().zip(&mut types).zip(&hops) {
        if is_open(*row, *kind) {
            let likely = |kind: u32, count: f32| {
                let seen = together.get(&(kind, *hops)).copied().unwrap_or(0.0);
                cost(*row, kind) - (seen + 0.5 * count / all).ln()
            };
            let cheapest = alone
                .iter()
                .map(|(kind, count)| (likely(*kind, *count), *kind))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            *kind = cheapest.map_or(*kind, |(_, kind)| kind);
        }
    }
    types
}

/// Message type and code, over all ICMP rows of a version.
pub(crate) fn icmp_type(draft: &mut Draft<'_>) {
    for version in [IpVersion::V4, IpVersion::V6] {
        let rows: Vec<usize> = draft
            .rows_of(Transport::Icmp)
            .into_iter()
            .filter(|r| draft.rows[*r].stack.version == version)
            .collect();
        let types = settle(draft, &rows, icmp::TYPE, draft.noise);
        let types = by_hops(draft, &rows, version, types);
        let codes = settle(draft, &rows, icmp::CODE, draft.noise);
        let legal: &[u32] = if version == IpVersion::V4 { &ICMP_TYPES } else { &ICMPV6_TYPES };
        for ((row, kind), code) in rows.into_iter().zip(types).zip(codes) {
            let kind = if legal.contains(&kind) {
                kind
            } else {
                nearest(legal, |t| draft.evidence.cost(draft.noise, row, icmp::TYPE, t))
            };
            let highest_code = match (version, kind) {
                (IpVersion::V4, 3) => 15,
                (IpVersion::V4, 11) | (IpVersion::V6, 3) => 1,
                (IpVersion::V6, 1) => 8,
                (IpVersion::V4, 5) | (IpVersion::V6, 4) => 3,
                _ => 0,
            };
            draft.set(row, icmp::TYPE, kind);
            draft.set(row, icmp::CODE, if code > highest_code { 0 } else { code });
        }
    }
}
