//! The most likely legal sequence of TCP events: Viterbi over the connection's states.
//!
//! ```text
//!             SYN▸        ◂SYN,ACK        ACK▸
//!   Start ───────▸ Opening ───────▸ Answered ───▸ Open ──FIN──▸ Closing ──FIN──▸ Closed
//!     └────────────── any other packet ───────────▸ ┘   └───────── RST ───────────▸ ┘
//! ```
//! A trace may begin in the middle of a connection; no handshake is forced into it. One that
//! begins with a SYN has all three steps, as far as the trace goes.

use crate::draft::{Draft, Transport};
use states::{Event, FLAGS, STATES, State, Step, legal_steps};
use told::Told;

pub(crate) use states::DATA_AFTER_FIN;

mod states;
mod told;

/// Nats for a handshake that is refused or never completed, in evidence that is not a clean capture:
/// 9 of 694 in real captures, as `examples/stream_statistics.rs` counts.
const UNFINISHED: f32 = 4.35;
/// Nats by which sums of many costs may differ if they are added in another order.
const SUMS_DIFFER: f32 = 1.0;
/// First bytes of the option area of a segment that opens (MSS) and of any other (two NOPs).
pub(super) const OPENING_OPTIONS: u32 = 0x0204;
pub(super) const OTHER_OPTIONS: u32 = 0x0101;

/// Decides ACK, SYN, FIN and RST of every TCP row, and where connections begin.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let trusted = draft.noise.is_clean() && draft.evidence.is_certain();
    let unfinished = if trusted { 0.0 } else { UNFINISHED };
    let steps = [0, 1].map(|direction| legal_steps(direction, unfinished));
    let told = Told::new(draft.evidence, draft.noise);
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport == Transport::Tcp {
            let rows = draft.tcp_rows(flow);
            decide(draft, &rows, &told, &steps, unfinished);
        }
    }
    draft.find_connections();
}

/// A row of a flow: which way it goes, and what its cells say against each event.
struct Packet {
    row: usize,
    direction: usize,
    costs: [f32; Event::ALL.len()],
}

/// Nats of a path that ends in `state`. A handshake that stays open: real captures have them, a model's are
/// mistakes.
fn ending(state: State, unfinished: f32) -> f32 {
    if matches!(state, State::Opening | State::Answered) { unfinished } else { 0.0 }
}

/// The events as the cells have them, each with the state before it, where these are legal and no other path
/// can be cheaper: it would contradict the cells by more than all steps of this one cost.
fn plain(
    packets: &[Packet],
    steps: &[Vec<Step>; 2],
    data: impl Fn(&Packet) -> f32,
    unfinished: f32,
) -> Option<Vec<(Event, usize)>> {
    let (mut state, mut cost, mut least) = (0, SUMS_DIFFER, f32::MAX);
    let mut path = Vec::with_capacity(packets.len());
    for packet in packets {
        let (mut event, mut others) = (0, f32::MAX);
        for other in 1..packet.costs.len() {
            let (best, next) = (packet.costs[event], packet.costs[other]);
            others = others.min(best.max(next));
            if next < best {
                event = other;
            }
        }
        least = least.min(others - packet.costs[event]);
        let of_event = |step: &&Step| step.from == state && step.event == event;
        let step = steps[packet.direction].iter().find(of_event)?;
        cost += step.cost + if step.amiss > 0.0 { step.amiss.min(data(packet)) } else { 0.0 };
        if cost >= least {
            return None;
        }
        path.push((Event::ALL[event], state));
        state = step.to;
    }
    (cost + ending(STATES[state], unfinished) < least).then_some(path)
}

/// The events of the cheapest legal path, each with the state before it.
fn cheapest(
    packets: &[Packet],
    steps: &[Vec<Step>; 2],
    data: impl Fn(&Packet) -> f32,
    unfinished: f32,
) -> Vec<(Event, usize)> {
    let mut best = [f32::MAX; STATES.len()];
    best[0] = 0.0;
    let mut back: Vec<[(u8, u8); STATES.len()]> = Vec::with_capacity(packets.len());
    for packet in packets {
        let data = data(packet);
        let mut next = [f32::MAX; STATES.len()];
        let mut from = [(0, 0); STATES.len()];
        for step in &steps[packet.direction] {
            // Data where there should be none, or a length misread.
            let costs = &packet.costs;
            let total = best[step.from] + step.cost + costs[step.event] + step.amiss.min(data);
            if total < next[step.to] {
                next[step.to] = total;
                from[step.to] = (step.from as u8, step.event as u8);
            }
        }
        best = next;
        back.push(from);
    }
    for (state, cost) in STATES.iter().zip(&mut best) {
        *cost += ending(*state, unfinished);
    }
    let mut state = (0..STATES.len()).min_by(|a, b| best[*a].total_cmp(&best[*b])).unwrap_or(0);
    let mut path = vec![(Event::Ack, 0_usize); packets.len()];
    for (i, from) in back.iter().enumerate().rev() {
        let (previous, event) = from[state];
        path[i] = (Event::ALL[usize::from(event)], usize::from(previous));
        state = usize::from(previous);
    }
    path
}

/// Nats by which later numbers say that each row takes one beside those of its data.
fn taken(draft: &Draft<'_>, rows: &[usize], told: &Told<'_>) -> Vec<f32> {
    let spans: Vec<_> =
        rows.iter().map(|row| told.span(*row, draft.rows[*row].stack.version)).collect();
    let mut ends = [None; 2];
    let mut is_keep_alive = |direction: usize, (seq, data): (u32, u32)| {
        // It lies one before what was sent.
        let end = ends[direction].replace(seq.wrapping_add(data));
        end == Some(seq.wrapping_add(1))
    };
    let mut out: Vec<f32> = Vec::with_capacity(rows.len());
    let keep_alive: Vec<bool> = rows
        .iter()
        .zip(&spans)
        .map(|(row, span)| span.is_some_and(|span| is_keep_alive(draft.rows[*row].direction, span)))
        .collect();
    let mut later: [Option<usize>; 2] = [None; 2];
    for ((row, span), keep_alive) in rows.iter().zip(&spans).zip(&keep_alive).rev() {
        let direction = draft.rows[*row].direction;
        let (next, answer) = (later[direction], later[1 - direction]);
        // What is acknowledged after the side's next segment may be that segment.
        let answer = answer.filter(|answer| next.is_none_or(|next| next > *answer));
        let span = span.filter(|_| !keep_alive);
        out.push(span.map_or(0.0, |span| told.taken(span, next, answer)));
        later[direction] = Some(*row);
    }
    out.reverse();
    out
}

/// Decides the rows of a flow; `steps` are the legal ones of each direction.
fn decide(
    draft: &mut Draft<'_>,
    rows: &[usize],
    told: &Told<'_>,
    steps: &[Vec<Step>; 2],
    unfinished: f32,
) {
    let mut packets: Vec<Packet> = rows
        .iter()
        .map(|&row| Packet { row, direction: draft.rows[row].direction, costs: told.events(row) })
        .collect();
    for (packet, taken) in packets.iter_mut().zip(taken(draft, rows, told)) {
        for (cost, event) in packet.costs.iter_mut().zip(Event::ALL) {
            *cost += if event.takes_number() { 0.0 } else { taken };
        }
    }
    let data = |packet: &Packet| told.data(packet.row, draft.rows[packet.row].stack.version);
    let path = plain(&packets, steps, data, unfinished);
    let path = path.unwrap_or_else(|| cheapest(&packets, steps, data, unfinished));
    let mut connection = 0;
    for (row, (event, previous)) in rows.iter().zip(path) {
        if event == Event::Syn
            && !matches!(STATES[previous], State::Start | State::Opening | State::Answered)
        {
            connection += 1;
        }
        draft.rows[*row].connection = connection;
        for (flag, value) in FLAGS.into_iter().zip(event.bits()) {
            draft.set(*row, flag, value);
        }
    }
}
