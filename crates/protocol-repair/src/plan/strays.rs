//! Segments that were given to the wrong connection of several alike.
//!
//! Ports that differ in a bit or two are easily mistaken for each other. Sequence and acknowledgement
//! numbers are not: those of a connection lie close together, and two connections have drawn theirs
//! at random. A segment goes where ports and numbers together are the cheapest.

use super::flags::{OPENING_OPTIONS, OTHER_OPTIONS};
use super::segment::{SILENT, distance};
use crate::draft::{Draft, Transport};
use crate::evidence::Reading;
use nprint_codec::tcp;
use std::collections::HashMap;

/// Segments of a side that a number is compared with, before it and behind it each.
const NEIGHBOURS: usize = 3;
/// High bits of a number that hardly change within a connection: it takes 1 MiB to change them.
const HIGH_BITS: u32 = 12;
/// Nats by which another connection must be cheaper: also a stray segment is rare.
const RARE: f32 = 7.0;
/// Nats of a segment before the one that opens its connection: its numbers say nothing, and it would be
/// all that is seen of another connection between the same ports, of which 694 real ones show none.
const UNOPENED: f32 = 2.0 * SILENT;
/// Of how many segments of a connection one may be a stray.
const MOST: usize = 3;
/// Connections that a segment is compared with.
const COMPARED: usize = 64;

/// Gives stray segments to the connections that their numbers belong to.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    if draft.noise.is_clean() {
        return;
    }
    let flows: Vec<usize> = (0..draft.flows.len())
        .filter(|flow| draft.flows[*flow].transport == Transport::Tcp)
        .collect();
    let openings: HashMap<usize, usize> =
        flows.iter().filter_map(|flow| Some((*flow, opening(draft, *flow)?))).collect();
    let mut told = vec![None; draft.rows.len()];
    for row in flows.iter().flat_map(|flow| &draft.flows[*flow].rows) {
        told[*row] = Some(Told::of(draft, *row));
    }
    let misfit = |flow: usize, row: usize, direction: usize| {
        if openings.get(&flow).is_some_and(|opening| row < *opening) {
            return UNOPENED;
        }
        misfit(draft, &told, flow, row, direction)
    };
    let mut moves = Vec::new();
    for &flow in &flows {
        let rows = &draft.flows[flow].rows;
        let misfits: Vec<(usize, f32)> = rows
            .iter()
            .map(|row| (*row, misfit(flow, *row, draft.rows[*row].direction)))
            .filter(|(_, cost)| *cost >= RARE)
            .collect();
        if MOST * misfits.len() > rows.len() {
            // Numbers drawn anew in every row.
            continue;
        }
        for (row, own) in misfits {
            let own = own + ports(draft, flow, row, draft.rows[row].direction);
            let mut best = (own - RARE, flow, draft.rows[row].direction);
            for &other in flows.iter().filter(|f| alike(draft, flow, **f)).take(COMPARED) {
                for direction in 0..2 {
                    let told = ports(draft, other, row, direction);
                    if told < best.0 {
                        let cost = told + misfit(other, row, direction);
                        if cost < best.0 {
                            best = (cost, other, direction);
                        }
                    }
                }
            }
            if (best.1, best.2) != (flow, draft.rows[row].direction) {
                moves.push((row, best.1, best.2));
            }
        }
    }
    for (row, flow, direction) in moves {
        let from = draft.rows[row].flow;
        if draft.flows[from].rows.len() == 1 {
            continue;
        }
        draft.flows[from].rows.retain(|r| *r != row);
        let at = draft.flows[flow].rows.partition_point(|r| *r < row);
        draft.flows[flow].rows.insert(at, row);
        (draft.rows[row].flow, draft.rows[row].direction) = (flow, direction);
        let ports = draft.flows[flow].ports;
        draft.set(row, tcp::SOURCE_PORT, u32::from(ports[direction]));
        draft.set(row, tcp::DESTINATION_PORT, u32::from(ports[1 - direction]));
    }
}

/// The first row of a flow that reads as the beginning of a connection: SYN without ACK, and options
/// that begin with MSS.
fn opening(draft: &Draft<'_>, flow: usize) -> Option<usize> {
    let (evidence, noise) = (draft.evidence, draft.noise);
    let column = evidence.cells().layout().column_of(tcp::OPTIONS)?;
    draft.flows[flow].rows.iter().copied().find(|row| {
        let cost = |syn, options| {
            evidence.cost(noise, *row, tcp::SYN, syn)
                + evidence.cost(noise, *row, tcp::ACK, 1 - syn)
                + evidence.cost_columns(noise, *row, column, 16, options)
        };
        cost(0, OTHER_OPTIONS) - cost(1, OPENING_OPTIONS) > 2.5 * noise.bit_cost
    })
}

/// Whether a segment of `flow` may belong to `other`.
fn alike(draft: &Draft<'_>, flow: usize, other: usize) -> bool {
    let version =
        |flow: usize| draft.flows[flow].rows.first().map(|r| draft.rows[*r].stack.version);
    version(flow) == version(other)
}

/// What the row's ports say to its going in a direction of a flow.
fn ports(draft: &Draft<'_>, flow: usize, row: usize, direction: usize) -> f32 {
    let ports = draft.flows[flow].ports;
    let cost = |field, port: u16| draft.evidence.cost(draft.noise, row, field, u32::from(port));
    cost(tcp::SOURCE_PORT, ports[direction]) + cost(tcp::DESTINATION_PORT, ports[1 - direction])
}

/// The numbers of a row as they read.
#[derive(Clone, Copy)]
struct Told {
    seq: Reading,
    /// `None` where the row reads as no acknowledgement.
    ack: Option<Reading>,
}

impl Told {
    fn of(draft: &Draft<'_>, row: usize) -> Self {
        let read = |field| draft.evidence.read(row, field);
        let ack = (read(tcp::ACK).value == 1).then(|| read(tcp::ACK_NUMBER));
        Self { seq: read(tcp::SEQ), ack }
    }
}

/// What the row's numbers say to the same: wrong high bits beside the nearest numbers of the flow. `told` are
/// those of every row that has some.
fn misfit(
    draft: &Draft<'_>,
    told: &[Option<Told>],
    flow: usize,
    row: usize,
    direction: usize,
) -> f32 {
    let rows = &draft.flows[flow].rows;
    let at = rows.partition_point(|r| *r < row);
    let before = rows[..at].iter().rev();
    let behind = rows[at..].iter().filter(|r| **r != row);
    let near = before.take(8 * NEIGHBOURS).chain(behind.take(8 * NEIGHBOURS));
    // High bits that a run covers say nothing.
    let most = SILENT.min(draft.noise.burst_cost + HIGH_BITS as f32 * std::f32::consts::LN_2);
    // A number in the stream of a side is compared with what that side sends and the other acknowledges.
    let one = |reading: Reading, side: usize| -> f32 {
        let mut compared = [0, 0];
        let mut least: Option<u32> = None;
        for &other in near.clone() {
            let place = usize::from(other > row);
            if compared[place] == 2 * NEIGHBOURS {
                continue;
            }
            let Some(there) = told[other] else { continue };
            let sent = draft.rows[other].direction == side;
            let Some(there) = (if sent { Some(there.seq) } else { there.ack }) else { continue };
            compared[place] += 1;
            let known = reading.known & there.known;
            let away = distance(reading.value & known, there.value & known).unsigned_abs();
            let wrong = ((reading.value ^ there.value) & known) >> (32 - HIGH_BITS);
            let wrong = if away >> (32 - HIGH_BITS) == 0 { 0 } else { wrong.count_ones() };
            least = Some(least.map_or(wrong, |l| l.min(wrong)));
            if wrong == 0 {
                break;
            }
        }
        least.map_or(0.0, |wrong| (wrong as f32 * draft.noise.bit_cost).min(most))
    };
    let Some(own) = told[row] else { return 0.0 };
    let seq = one(own.seq, direction);
    own.ack.map_or(seq, |ack| seq + one(ack, 1 - direction))
}
