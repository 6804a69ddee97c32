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
use nprint_codec::{ipv4, ipv6, tcp};

/// Nats for a handshake that is refused or never completed, in evidence that is not a clean capture:
/// 9 of 694 in real captures, as `examples/stream_statistics.rs` counts.
const UNFINISHED: f32 = 4.35;
/// Nats of a SYN between ports whose connection is still open: none of 694 in real captures, which
/// makes one of 694 at most.
const REOPENED: f32 = 6.5;
/// First bytes of the option area of a segment that opens (MSS) and of any other (two NOPs).
pub(super) const OPENING_OPTIONS: u32 = 0x0204;
pub(super) const OTHER_OPTIONS: u32 = 0x0101;
/// Nats of 16 bits that say nothing.
const SILENT: f32 = 16.0 * std::f32::consts::LN_2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Ack,
    Fin,
    Syn,
    SynAck,
    Rst,
    RstAck,
}

impl Event {
    const ALL: [Self; 6] = [Self::Ack, Self::Fin, Self::Syn, Self::SynAck, Self::Rst, Self::RstAck];

    /// ACK, RST, SYN, FIN.
    const fn bits(self) -> [u32; 4] {
        match self {
            Self::Ack => [1, 0, 0, 0],
            Self::Fin => [1, 0, 0, 1],
            Self::Syn => [0, 0, 1, 0],
            Self::SynAck => [1, 0, 1, 0],
            Self::Rst => [0, 1, 0, 0],
            Self::RstAck => [1, 1, 0, 0],
        }
    }

    const fn opens(self) -> bool {
        matches!(self, Self::Syn | Self::SynAck)
    }

    /// Nats: how rare the event is where it is legal. Of all segments 0.96 % are FIN, 0.7 % SYN, 0.7 %
    /// SYN-ACK and 0.09 % RST (`examples/stream_statistics.rs`: 4.7, 5.0, 5.0 and 7.0 nats), but most
    /// segments come where these are illegal: with 2 % of the cells turned, those costs get 1.2 % of
    /// the flags wrong and these 0.9 %. The cost of one certain bit of a clean trace is larger than any.
    const fn prior(self) -> f32 {
        match self {
            Self::Ack => 0.0,
            Self::Fin | Self::Syn | Self::SynAck => 2.0,
            Self::Rst | Self::RstAck => 4.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Opening,
    Answered,
    /// The answer was seen, its SYN was not.
    AnsweredAlone,
    Open,
    /// The initiator has sent its FIN.
    ClosingInitiator,
    /// The responder has sent its FIN.
    ClosingResponder,
    Closed,
    Reset,
}

/// Every state in the order of its number.
const STATES: [State; 9] = [
    State::Start,
    State::Opening,
    State::Answered,
    State::AnsweredAlone,
    State::Open,
    State::ClosingInitiator,
    State::ClosingResponder,
    State::Closed,
    State::Reset,
];

/// Where `event` from side `direction` leads, and what the step costs; `None` where it is illegal.
#[allow(clippy::match_same_arms)] // One line a transition, in the order of the states.
fn step(
    state: State,
    event: Event,
    direction: usize,
    has_data: bool,
    unfinished: f32,
) -> Option<(State, f32)> {
    use State::{
        Answered, AnsweredAlone, Closed, ClosingInitiator, ClosingResponder, Open, Opening, Reset,
        Start,
    };
    let cost = event.prior();
    let next = match (state, event) {
        (Start | Closed | Reset, Event::Syn) if direction == 0 => Opening,
        (ClosingInitiator | ClosingResponder, Event::Syn) if direction == 0 => {
            return Some((Opening, cost + 4.0));
        }
        (Opening, Event::Syn) if direction == 0 => Opening,
        (Opening | Answered, Event::SynAck) if direction == 1 => Answered,
        (Start | AnsweredAlone, Event::SynAck) if direction == 1 => AnsweredAlone,
        (Answered, Event::Syn) if direction == 0 => return Some((Answered, cost + 3.0)),
        // The end of the connection before is not in the trace.
        (Open | AnsweredAlone, Event::Syn) if direction == 0 => {
            return Some((Opening, cost + REOPENED));
        }
        // The responder repeats its SYN-ACK when the last step of the handshake was lost.
        (Open, Event::SynAck) if direction == 1 => return Some((Open, cost + 6.0)),
        (Answered | AnsweredAlone | Start, Event::Ack) if direction == 0 => Open,
        (Answered | AnsweredAlone | Start, Event::Fin) if direction == 0 => ClosingInitiator,
        (Start, Event::Ack) => Open,
        (Start, Event::Fin) => ClosingResponder,
        (Open, Event::Ack) => Open,
        (Open, Event::Fin) if direction == 0 => ClosingInitiator,
        (Open, Event::Fin) => ClosingResponder,
        (ClosingInitiator, Event::Ack) => {
            let late = if direction == 0 && has_data { 2.0 } else { 0.0 };
            return Some((ClosingInitiator, cost + late));
        }
        (ClosingResponder, Event::Ack) => {
            let late = if direction == 1 && has_data { 2.0 } else { 0.0 };
            return Some((ClosingResponder, cost + late));
        }
        (ClosingInitiator, Event::Fin) => {
            if direction == 0 {
                ClosingInitiator
            } else {
                Closed
            }
        }
        (ClosingResponder, Event::Fin) => {
            if direction == 1 {
                ClosingResponder
            } else {
                Closed
            }
        }
        (Closed, Event::Ack | Event::Fin) => {
            return Some((Closed, cost + if has_data { 2.0 } else { 0.2 }));
        }
        (Opening | Answered, Event::Rst | Event::RstAck) => {
            return Some((Reset, cost + unfinished));
        }
        (
            Start | AnsweredAlone | Open | ClosingInitiator | ClosingResponder | Closed | Reset,
            Event::Rst | Event::RstAck,
        ) => Reset,
        // Packets that crossed a reset on the way.
        (Reset, Event::Ack | Event::Fin) => return Some((Reset, cost + 1.0)),
        _ => return None,
    };
    Some((next, cost))
}

/// Every legal step of a packet: state, event, next state, cost.
fn legal_steps(
    direction: usize,
    has_data: bool,
    unfinished: f32,
) -> Vec<(usize, usize, usize, f32)> {
    let mut out = Vec::with_capacity(40);
    for (s, state) in STATES.iter().enumerate() {
        for (e, event) in Event::ALL.iter().enumerate() {
            if let Some((to, cost)) = step(*state, *event, direction, has_data, unfinished) {
                out.push((s, e, to as usize, cost));
            }
        }
    }
    out
}

/// Decides ACK, SYN, FIN and RST of every TCP row, and where connections begin.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    for flow in 0..draft.flows.len() {
        if draft.flows[flow].transport == Transport::Tcp {
            let rows = draft.tcp_rows(flow);
            decide(draft, &rows);
        }
    }
}

fn decide(draft: &mut Draft<'_>, rows: &[usize]) {
    let noise = draft.noise;
    let trusted = noise.is_clean() && draft.evidence.is_certain();
    let unfinished = if trusted { 0.0 } else { UNFINISHED };
    let steps = [(0, false), (0, true), (1, false), (1, true)]
        .map(|(direction, has_data)| legal_steps(direction, has_data, unfinished));
    let options_column =
        draft.evidence.cells().layout().column_of(tcp::OPTIONS).unwrap_or_default();
    let mut best = [f32::MAX; STATES.len()];
    best[0] = 0.0;
    let mut back: Vec<[(u8, u8); STATES.len()]> = Vec::with_capacity(rows.len());
    for row in rows {
        let direction = draft.rows[*row].direction;
        let has_data = seems_to_carry_data(draft, *row);
        let flags = [tcp::ACK, tcp::RST, tcp::SYN, tcp::FIN]
            .map(|f| [0, 1].map(|value| draft.evidence.cost(noise, *row, f, value)));
        let options = [OPENING_OPTIONS, OTHER_OPTIONS]
            .map(|v| draft.evidence.cost_columns(noise, *row, options_column, 16, v).min(SILENT));
        let costs = Event::ALL.map(|event| {
            let bits = flags.iter().zip(event.bits()).map(|(f, v)| f[v as usize]).sum::<f32>();
            let bits = bits + options[usize::from(!event.opens())];
            // Neither opening nor reset carries data.
            let empty = !matches!(event, Event::Ack | Event::Fin);
            bits + if has_data && empty { 5.0 } else { 0.0 }
        });
        let mut next = [f32::MAX; STATES.len()];
        let mut from = [(0, 0); STATES.len()];
        for (s, e, to, cost) in &steps[2 * direction + usize::from(has_data)] {
            let total = best[*s] + cost + costs[*e];
            if total < next[*to] {
                next[*to] = total;
                from[*to] = (*s as u8, *e as u8);
            }
        }
        best = next;
        back.push(from);
    }
    // A handshake that stays open: real captures have them, a model's are mistakes.
    for (state, cost) in STATES.iter().zip(&mut best) {
        if matches!(state, State::Opening | State::Answered) && *cost < f32::MAX {
            *cost += unfinished;
        }
    }
    let mut state = (0..STATES.len()).min_by(|a, b| best[*a].total_cmp(&best[*b])).unwrap_or(0);
    let mut path = vec![(Event::Ack, 0_usize); rows.len()];
    for (i, from) in back.iter().enumerate().rev() {
        let (previous, event) = from[state];
        path[i] = (Event::ALL[usize::from(event)], usize::from(previous));
        state = usize::from(previous);
    }
    let mut connection = 0;
    for (row, (event, previous)) in rows.iter().zip(path) {
        if event == Event::Syn
            && !matches!(STATES[previous], State::Start | State::Opening | State::Answered)
        {
            connection += 1;
        }
        draft.rows[*row].connection = connection;
        for (field, value) in [tcp::ACK, tcp::RST, tcp::SYN, tcp::FIN].iter().zip(event.bits()) {
            draft.set(*row, *field, value);
        }
    }
}

/// Whether the length fields as they stand leave room for data.
fn seems_to_carry_data(draft: &Draft<'_>, row: usize) -> bool {
    let read = |field| draft.evidence.read(row, field).value;
    let total = match draft.rows[row].stack.version {
        nprint_codec::IpVersion::V4 => {
            read(ipv4::TOTAL_LENGTH).saturating_sub(4 * read(ipv4::HEADER_LENGTH))
        }
        nprint_codec::IpVersion::V6 => read(ipv6::PAYLOAD_LENGTH),
    };
    total > 4 * read(tcp::DATA_OFFSET).max(5)
}
