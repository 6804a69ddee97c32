//! IPv4 identification.
//!
//! Real stacks count up per conversation, or send 0 with don't-fragment, or draw at random. What
//! the evidence shows is kept where it shows one of these; a counter with wrong bits is put
//! right; noise becomes a counter. Datagrams in pieces have one each, whatever the evidence says, or a
//! receiver would join pieces of different ones.

use crate::draft::{Draft, Transport};
use nprint_codec::{IpVersion, ipv4};
use std::collections::BTreeSet;

/// Steps that still count as counting: other conversations use the same counter.
const STEP: u16 = 64;

pub(crate) fn apply(draft: &mut Draft<'_>) {
    for rows in draft.directions().iter() {
        let rows: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|r| {
                let facts = draft.rows[*r];
                facts.stack.version == IpVersion::V4 && facts.first_fragment.is_none()
            })
            .collect();
        if !rows.is_empty() {
            decide(draft, &rows);
        }
    }
    if !draft.noise.is_clean() {
        tell_apart(draft);
    }
    for row in draft.rows_of(Transport::Fragment) {
        if let Some(first) = draft.rows[row].first_fragment {
            let id = draft.value(first, ipv4::ID);
            draft.set(row, ipv4::ID, id);
        }
    }
}

/// Gives every datagram in pieces an identification that no other of the trace has.
fn tell_apart(draft: &mut Draft<'_>) {
    let mut used = BTreeSet::new();
    for row in 0..draft.rows.len() {
        let facts = draft.rows[row];
        let in_pieces = facts.more_fragments || facts.stack.transport == Transport::Fragment;
        if facts.stack.version != IpVersion::V4 || !in_pieces || facts.first_fragment.is_some() {
            continue;
        }
        let own = draft.value(row, ipv4::ID) as u16;
        let free = (0..=u16::MAX).map(|step| own.wrapping_add(step)).find(|id| !used.contains(id));
        let id = free.unwrap_or(own);
        used.insert(id);
        draft.set(row, ipv4::ID, u32::from(id));
    }
}

fn decide(draft: &mut Draft<'_>, rows: &[usize]) {
    let noise = draft.noise;
    let readings: Vec<_> = rows.iter().map(|r| draft.evidence.read(*r, ipv4::ID)).collect();
    let trusted = noise.is_clean() && readings.iter().all(|r| r.is_full());
    if trusted {
        for (row, reading) in rows.iter().zip(&readings) {
            draft.set(*row, ipv4::ID, reading.value);
        }
        return;
    }
    let zero = readings.iter().filter(|r| r.is_full() && r.value == 0).count();
    if 4 * zero > rows.len() {
        for row in rows {
            let fragment = draft.rows[*row].more_fragments;
            let id = if fragment { draft.evidence.read(*row, ipv4::ID).value.max(1) } else { 0 };
            draft.set(*row, ipv4::ID, id);
        }
        return;
    }
    let counting = readings
        .windows(2)
        .filter(|w| {
            let step = (w[1].value as u16).wrapping_sub(w[0].value as u16);
            w[0].is_full() && w[1].is_full() && (1..=STEP).contains(&step)
        })
        .count();
    let told = readings.iter().filter(|r| r.is_full()).count();
    if 8 * counting < readings.len() && 2 * told > readings.len() {
        // Drawn at random: any value is as legal as another.
        for (row, reading) in rows.iter().zip(&readings) {
            draft.set(*row, ipv4::ID, reading.value);
        }
        return;
    }
    // Where the counter stands before each row, from the value that most neighbours agree with.
    let mut last: Option<u16> = None;
    for (i, row) in rows.iter().enumerate() {
        let expected = last.map(|l| l.wrapping_add(1));
        let own = readings[i].value as u16;
        let supported = |value: u16| {
            readings[i + 1..].iter().take(8).enumerate().any(|(ahead, r)| {
                let step = (r.value as u16).wrapping_sub(value);
                r.is_full() && step > 0 && usize::from(step) <= 2 * (ahead + 1) + 2
            })
        };
        let id = match expected {
            None => own,
            Some(expected) if own == expected => own,
            Some(expected) => {
                let forward = own.wrapping_sub(expected) < 4 * STEP;
                let wrong = draft.evidence.cost(noise, *row, ipv4::ID, u32::from(expected)) + 1.0;
                let jump = if forward { 4.0 } else { 12.0 };
                if readings[i].is_full() && jump < wrong && supported(own) { own } else { expected }
            }
        };
        draft.set(*row, ipv4::ID, u32::from(id));
        last = Some(id);
    }
}
