//! The most likely legal sequence of TCP events: Viterbi over the connection's states.
//!
//! ```text
//!             SYN▸        ◂SYN,ACK        ACK▸
//!   Start ───────▸ Opening ───────▸ Answered ───▸ Open ──FIN──▸ Closing ──FIN──▸ Closed
//!     └────────────── any other packet ───────────▸ ┘   └───────── RST ───────────▸ ┘
//! ```
//! A trace may begin in the middle of a connection; no handshake is forced into it. One that
//! begins with a SYN has all three steps, as far as the trace goes.

use crate::draft::{Draft, RowFacts, Transport};
use nprint_codec::{Field, tcp};
use told::Told;

mod told;

/// Nats for a handshake that is refused or never completed, in evidence that is not a clean capture:
/// 9 of 694 in real captures, as `examples/stream_statistics.rs` counts.
const UNFINISHED: f32 = 4.35;
/// Nats of a SYN between ports whose connection is still open: none of 694 in real captures, which
/// makes one of 694 at most.
const REOPENED: f32 = 6.5;
/// Nats of what a side sends after its FIN: a first segment follows 502 of 955, a second one 7 of these,
/// and then 4 of 7 go on.
const LAST: f32 = 0.6;
const LINGERS: f32 = 4.3;
const GOES_ON: f32 = 0.5;
/// Nats of a FIN after the side's own: 3 of 500 segments that follow one; and of data there: none.
const FIN_AGAIN: f32 = 5.1;
const DATA_AFTER_FIN: f32 = 6.2;
/// Nats of data in a segment that opens or resets.
const DATA_AMISS: f32 = 5.0;
/// Nats by which sums of many costs may differ if they are added in another order.
const SUMS_DIFFER: f32 = 1.0;
/// First bytes of the option area of a segment that opens (MSS) and of any other (two NOPs).
pub(super) const OPENING_OPTIONS: u32 = 0x0204;
pub(super) const OTHER_OPTIONS: u32 = 0x0101;
/// The flags that tell events apart, in the order of [`Event::bits`].
const FLAGS: [Field; 4] = [tcp::ACK, tcp::RST, tcp::SYN, tcp::FIN];

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

    /// The values of [`FLAGS`].
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

    /// They and the flags beside them, as the TCP header has them.
    fn flags(self) -> u32 {
        let [ack, rst, syn, fin] = self.bits();
        ack << 4 | rst << 2 | syn << 1 | fin
    }

    /// Whether it takes a sequence number.
    const fn takes_number(self) -> bool {
        matches!(self, Self::Fin | Self::Syn | Self::SynAck)
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
    /// A side (0 the initiator) has sent its FIN, and behind that nothing, one segment, or more.
    Closing(usize, After),
    Closed,
    Reset,
}

/// What a side has sent after its FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    One,
    More,
}

/// Every state in the order of its number.
const STATES: [State; 13] = [
    State::Start,
    State::Opening,
    State::Answered,
    State::AnsweredAlone,
    State::Open,
    State::Closing(0, After::Nothing),
    State::Closing(0, After::One),
    State::Closing(0, After::More),
    State::Closing(1, After::Nothing),
    State::Closing(1, After::One),
    State::Closing(1, After::More),
    State::Closed,
    State::Reset,
];

/// Where `event` from side `direction` leads, what the step costs, and what it costs more with data;
/// `None` where it is illegal.
#[allow(clippy::match_same_arms)] // One line a transition, in the order of the states.
fn step(
    state: State,
    event: Event,
    direction: usize,
    unfinished: f32,
) -> Option<(State, f32, f32)> {
    use State::{Answered, AnsweredAlone, Closed, Closing, Open, Opening, Reset, Start};
    let cost = event.prior();
    let amiss = if matches!(event, Event::Ack | Event::Fin) { 0.0 } else { DATA_AMISS };
    let next = match (state, event) {
        (Start | Closed | Reset, Event::Syn) if direction == 0 => Opening,
        (Closing(..), Event::Syn) if direction == 0 => {
            return Some((Opening, cost + 4.0, amiss));
        }
        (Opening, Event::Syn) if direction == 0 => Opening,
        (Opening | Answered, Event::SynAck) if direction == 1 => Answered,
        (Start | AnsweredAlone, Event::SynAck) if direction == 1 => AnsweredAlone,
        (Answered, Event::Syn) if direction == 0 => return Some((Answered, cost + 3.0, amiss)),
        // The end of the connection before is not in the trace.
        (Open | AnsweredAlone, Event::Syn) if direction == 0 => {
            return Some((Opening, cost + REOPENED, amiss));
        }
        // The responder repeats its SYN-ACK when the last step of the handshake was lost.
        (Open, Event::SynAck) if direction == 1 => return Some((Open, cost + 6.0, amiss)),
        (Answered | AnsweredAlone | Start, Event::Ack) if direction == 0 => Open,
        (Answered | AnsweredAlone, Event::Fin) if direction == 0 => {
            Closing(direction, After::Nothing)
        }
        (Start, Event::Ack) => Open,
        (Open, Event::Ack) => Open,
        (Start | Open, Event::Fin) => Closing(direction, After::Nothing),
        (Closing(side, after), Event::Ack) if side == direction => {
            let (after, more) = match after {
                After::Nothing => (After::One, LAST),
                After::One => (After::More, LINGERS),
                After::More => (After::More, GOES_ON),
            };
            return Some((Closing(side, after), cost + more, DATA_AFTER_FIN));
        }
        (Closing(..), Event::Ack) => state,
        (Closing(side, _), Event::Fin) if side == direction => {
            return Some((state, cost + FIN_AGAIN, 0.0));
        }
        (Closing(..), Event::Fin) => Closed,
        (Closed, Event::Ack) => return Some((Closed, cost, DATA_AFTER_FIN)),
        (Closed, Event::Fin) => return Some((Closed, cost + FIN_AGAIN, 0.0)),
        (Opening | Answered, Event::Rst | Event::RstAck) => {
            return Some((Reset, cost + unfinished, amiss));
        }
        (
            Start | AnsweredAlone | Open | Closing(..) | Closed | Reset,
            Event::Rst | Event::RstAck,
        ) => Reset,
        // Packets that crossed a reset on the way.
        (Reset, Event::Ack | Event::Fin) => return Some((Reset, cost + 1.0, amiss)),
        _ => return None,
    };
    Some((next, cost, amiss))
}

/// A legal step of a packet.
struct Step {
    from: usize,
    event: usize,
    to: usize,
    cost: f32,
    /// What it costs more with data.
    amiss: f32,
}

/// Every legal step of a packet that goes one way.
fn legal_steps(direction: usize, unfinished: f32) -> Vec<Step> {
    let mut out = Vec::with_capacity(40);
    for (from, state) in STATES.iter().enumerate() {
        for (event, kind) in Event::ALL.iter().enumerate() {
            if let Some((to, cost, amiss)) = step(*state, *kind, direction, unfinished) {
                let to = STATES.iter().position(|s| *s == to).unwrap_or(from);
                out.push(Step { from, event, to, cost, amiss });
            }
        }
    }
    out
}

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
    let mut out = vec![0.0; rows.len()];
    let mut later: [Option<usize>; 2] = [None; 2];
    for (place, row) in rows.iter().enumerate().rev() {
        let RowFacts { direction, stack, .. } = draft.rows[*row];
        if let Some(span) = told.span(*row, stack.version) {
            // What is acknowledged after the side's next segment may be that segment.
            let (next, answer) = (later[direction], later[1 - direction]);
            let answer = answer.filter(|answer| next.is_none_or(|next| next > *answer));
            out[place] = told.taken(span, next, answer);
        }
        later[direction] = Some(*row);
    }
    let mut ends = [None; 2];
    for (row, taken) in rows.iter().zip(&mut out) {
        let RowFacts { direction, stack, .. } = draft.rows[*row];
        let Some((seq, data)) = told.span(*row, stack.version) else { continue };
        if ends[direction] == Some(seq.wrapping_add(1)) {
            // A keep-alive lies one before what was sent.
            *taken = 0.0;
        }
        ends[direction] = Some(seq.wrapping_add(data));
    }
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
