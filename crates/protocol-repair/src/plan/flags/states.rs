//! The states of a TCP connection, and what leads from one to the next.

use nprint_codec::{Field, tcp};

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
pub(crate) const DATA_AFTER_FIN: f32 = 6.2;
/// Nats of data in a segment that opens or resets.
const DATA_AMISS: f32 = 5.0;
/// The flags that tell events apart, in the order of [`Event::bits`].
pub(super) const FLAGS: [Field; 4] = [tcp::ACK, tcp::RST, tcp::SYN, tcp::FIN];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Ack,
    Fin,
    Syn,
    SynAck,
    Rst,
    RstAck,
}

impl Event {
    pub(super) const ALL: [Self; 6] =
        [Self::Ack, Self::Fin, Self::Syn, Self::SynAck, Self::Rst, Self::RstAck];

    /// The values of [`FLAGS`].
    pub(super) const fn bits(self) -> [u32; 4] {
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
    pub(super) fn flags(self) -> u32 {
        let [ack, rst, syn, fin] = self.bits();
        ack << 4 | rst << 2 | syn << 1 | fin
    }

    /// Whether it takes a sequence number.
    pub(super) const fn takes_number(self) -> bool {
        matches!(self, Self::Fin | Self::Syn | Self::SynAck)
    }

    pub(super) const fn opens(self) -> bool {
        matches!(self, Self::Syn | Self::SynAck)
    }

    /// Nats: how rare the event is where it is legal. Of all segments 0.96 % are FIN, 0.7 % SYN, 0.7 %
    /// SYN-ACK and 0.09 % RST (`examples/stream_statistics.rs`: 4.7, 5.0, 5.0 and 7.0 nats), but most
    /// segments come where these are illegal: with 2 % of the cells turned, those costs get 1.2 % of
    /// the flags wrong and these 0.9 %. The cost of one certain bit of a clean trace is larger than any.
    pub(super) const fn prior(self) -> f32 {
        match self {
            Self::Ack => 0.0,
            Self::Fin | Self::Syn | Self::SynAck => 2.0,
            Self::Rst | Self::RstAck => 4.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
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
pub(super) enum After {
    Nothing,
    One,
    More,
}

/// Every state in the order of its number.
pub(super) const STATES: [State; 13] = [
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
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) event: usize,
    pub(super) to: usize,
    pub(super) cost: f32,
    /// What it costs more with data.
    pub(super) amiss: f32,
}

/// Every legal step of a packet that goes one way.
pub(super) fn legal_steps(direction: usize, unfinished: f32) -> Vec<Step> {
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
