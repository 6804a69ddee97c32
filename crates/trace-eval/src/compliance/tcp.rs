//! Rules that follow a TCP connection.

use super::{Audit, Rule};
use crate::packet::{Facts, flag};
use nprint_codec::TransportKind;

/// How far the handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first segment seen is no SYN: the connection is older than the capture.
    MidStream,
    /// SYN seen from this side (0 or 1) with this number.
    SynSent(usize, u32),
    /// SYN-ACK seen: the opener, its number and the answer's.
    SynReceived(usize, u32, u32),
    /// All three seen with exact numbers.
    Established,
    /// The handshake went wrong, which has been counted.
    Broken,
    /// The opening was refused, by a reset before it was complete.
    Refused,
}

#[derive(Debug, Clone, Copy, Default)]
struct Side {
    /// Sequence number after the last byte sent.
    next: Option<u32>,
    last_ack: Option<u32>,
    /// Sequence number after the FIN.
    finished: Option<u32>,
    reset: bool,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    phase: Phase,
    /// Packet of the SYN, where the capture shows it.
    opened: Option<usize>,
    sides: [Side; 2],
}

pub(super) fn check(facts: &[Facts], flows: usize, audit: &mut Audit) {
    let mut connections: Vec<Option<Connection>> = vec![None; flows];
    for f in facts.iter().filter(|f| f.kind == TransportKind::Tcp && f.flags != 0) {
        let slot = &mut connections[f.flow];
        let opens = f.flags & (flag::SYN | flag::ACK) == flag::SYN;
        if let Some(old) = *slot
            && opens
            && old.is_over(f)
        {
            old.close(audit);
            *slot = None;
        }
        match slot {
            Some(connection) => connection.step(f, audit),
            None => *slot = Some(Connection::first(f, opens, audit)),
        }
    }
    connections.iter().flatten().for_each(|c| c.close(audit));
}

impl Connection {
    fn first(f: &Facts, opens: bool, audit: &mut Audit) -> Self {
        let me = usize::from(f.reversed);
        let phase = if opens { Phase::SynSent(me, f.seq) } else { Phase::MidStream };
        let mut connection =
            Self { phase, opened: opens.then_some(f.index), sides: [Side::default(); 2] };
        audit.check(Rule::TcpState, f.index, true);
        connection.sides[me].send(f);
        connection
    }

    /// Whether a SYN may open a new connection between the same ports.
    fn is_over(&self, f: &Facts) -> bool {
        let [a, b] = self.sides;
        let reset = a.reset || b.reset;
        let finished = a.finished.is_some() || b.finished.is_some();
        let repeated = matches!(self.phase, Phase::SynSent(_, isn) if isn == f.seq);
        reset || finished || (matches!(self.phase, Phase::Refused) && !repeated)
    }

    /// Counts the handshake, once.
    fn close(&self, audit: &mut Audit) {
        if let Some(packet) = self.opened {
            match self.phase {
                Phase::Established => audit.check(Rule::TcpHandshake, packet, true),
                Phase::Broken => audit.check(Rule::TcpHandshake, packet, false),
                // Never answered, refused, or the capture ended first: nothing to judge.
                _ => {}
            }
        }
    }

    fn step(&mut self, f: &Facts, audit: &mut Audit) {
        let me = usize::from(f.reversed);
        let legal = self.advance(me, f);
        audit.check(Rule::TcpState, f.index, legal);
        let peer = self.sides[1 - me];
        let side = &mut self.sides[me];
        if f.flags & (flag::SYN | flag::RST) == 0
            && let Some(next) = side.next
        {
            audit.check(Rule::TcpSequence, f.index, ahead(f.seq, next) <= 0);
        }
        if f.flags & flag::ACK != 0 && f.flags & flag::RST == 0 {
            if let Some(sent) = peer.next {
                audit.check(Rule::TcpAckNotAhead, f.index, ahead(f.ack, sent) <= 0);
                audit.check(Rule::TcpAckExact, f.index, f.ack == sent);
            }
            if let Some(last) = side.last_ack {
                audit.check(Rule::TcpAckNotBack, f.index, ahead(f.ack, last) >= 0);
            }
            side.last_ack = Some(side.last_ack.map_or(f.ack, |l| later(l, f.ack)));
        }
        side.send(f);
    }

    /// Moves the state on; returns whether the segment is legal in it.
    fn advance(&mut self, me: usize, f: &Facts) -> bool {
        let has = |flags: u8| f.flags & flags == flags;
        let (syn, ack, rst) = (has(flag::SYN), has(flag::ACK), has(flag::RST));
        match self.phase {
            Phase::SynSent(..) | Phase::SynReceived(..) if rst => {
                self.phase = Phase::Refused;
                true
            }
            Phase::SynSent(opener, isn) if me == opener => {
                self.keep_or_break(syn && !ack && f.seq == isn, self.phase)
            }
            Phase::SynSent(opener, isn) => {
                let answer = syn && ack && f.ack == isn.wrapping_add(1);
                self.keep_or_break(answer, Phase::SynReceived(opener, isn, f.seq))
            }
            Phase::SynReceived(opener, isn, answer) if me == opener => {
                let repeated = syn && !ack && f.seq == isn;
                let exact = f.seq == isn.wrapping_add(1) && f.ack == answer.wrapping_add(1);
                let next = if repeated { self.phase } else { Phase::Established };
                self.keep_or_break(repeated || (ack && !syn && exact), next)
            }
            Phase::SynReceived(_, isn, answer) => {
                let repeated = syn && ack && f.seq == answer && f.ack == isn.wrapping_add(1);
                self.keep_or_break(repeated, self.phase)
            }
            Phase::Refused => rst || (syn && !ack),
            Phase::MidStream | Phase::Established | Phase::Broken => {
                let side = &self.sides[me];
                let end = f.seq.wrapping_add(f.payload_bytes);
                let past_end =
                    side.finished.is_some_and(|fin| f.payload_bytes > 0 && ahead(end, fin) >= 0);
                // A repeated SYN-ACK, or the answer of a connection whose SYN was not captured.
                let late_syn = syn && ack && self.phase != Phase::Broken;
                let late_syn = late_syn && side.next.is_none_or(|next| ahead(f.seq, next) < 0);
                rst || (ack && (!syn || late_syn) && !past_end && !side.reset)
            }
        }
    }

    fn keep_or_break(&mut self, legal: bool, next: Phase) -> bool {
        self.phase = if legal { next } else { Phase::Broken };
        legal
    }
}

impl Side {
    fn send(&mut self, f: &Facts) {
        let control = u32::from(f.flags & flag::SYN != 0) + u32::from(f.flags & flag::FIN != 0);
        let end = f.seq.wrapping_add(f.payload_bytes).wrapping_add(control);
        if f.flags & flag::RST == 0 {
            self.next = Some(self.next.map_or(end, |n| later(n, end)));
        } else {
            self.reset = true;
        }
        if f.flags & flag::FIN != 0 {
            self.finished = Some(end);
        }
    }
}

/// How far `a` is ahead of `b`, modulo 2^32 (RFC 9293 section 3.4).
fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

fn later(a: u32, b: u32) -> u32 {
    if ahead(b, a) > 0 { b } else { a }
}
