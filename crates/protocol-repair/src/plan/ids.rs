//! IPv4 identification.
//!
//! Real stacks count up per conversation, or send 0 with don't-fragment, or draw at random. What
//! the evidence shows is kept where it shows one of these; a counter with wrong bits is put
//! right; noise becomes a counter. Datagrams in pieces have one each, whatever the evidence says, or a
//! receiver would join pieces of different ones.

use super::sequence::{Habit, course};
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
    for (row, id) in rows.iter().zip(course(draft, rows, &readings, ipv4::ID, &COUNTING)) {
        draft.set(*row, ipv4::ID, u32::from(id));
    }
}

/// How a counter goes on.
const COUNTING: Habit<'_> = Habit { steps: &[1, 2, 3, 4, 5], nats, width: 8, frequent: &[] };

/// Nats of a step of a counter, as 371,978 of real captures go (`examples/stream_statistics.rs`): 93.3 % by one, the
/// others by what other conversations of the host have sent.
fn nats(step: u16) -> f32 {
    match step {
        1 => 0.07,
        2 => 3.7,
        3 => 4.5,
        4 => 5.1,
        5 => 5.6,
        6..64 => 8.0,
        64..256 => 11.3,
        _ => 18.4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::with_rows;
    use super::*;

    #[test]
    fn a_counter_is_put_right_and_its_jumps_are_kept() {
        // By one, by three, and far ahead, around 2^16.
        let truth: Vec<u16> = (0..40)
            .map(|row: u16| row + u16::from(row > 9) * 2 + u16::from(row > 24) * 5000)
            .map(|id| id.wrapping_sub(20))
            .collect();
        // Every fifth has a wrong bit, as the first; those of a jump have none.
        let wrong =
            |row: usize| if row.is_multiple_of(5) && row != 25 { 1 << (row % 13) } else { 0 };
        let shown = truth.iter().enumerate().map(|(row, id)| id ^ wrong(row));
        with_rows(ipv4::ID, shown, |draft, rows| {
            let readings: Vec<_> =
                rows.iter().map(|row| draft.evidence.read(*row, ipv4::ID)).collect();
            assert_eq!(course(draft, rows, &readings, ipv4::ID, &COUNTING), truth);
        });
    }
}
