//! Connections as Zeek names them: how they ended, and what happened in them.

use crate::packet::{Facts, facts, flag};
use nprint_codec::{Trace, TransportKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! states {
    ($($variant:ident $name:literal $meaning:literal;)*) => {
        /// How a connection stands at the end of its capture.
        ///
        /// # Source
        /// The field `conn_state` of Zeek's connection log, <https://docs.zeek.org/en/master/logs/conn.html>.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ConnectionState { $(#[doc = $meaning] $variant),* }

        impl ConnectionState {
            /// Every state.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// Zeek's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }
        }
    };
}

states! {
    S0 "S0" "Attempt seen, no reply.";
    S1 "S1" "Established, not ended.";
    Sf "SF" "Established and ended normally; for UDP: packets both ways.";
    Rej "REJ" "Attempt rejected.";
    S2 "S2" "Established, the originator has closed, the responder has not.";
    S3 "S3" "Established, the responder has closed, the originator has not.";
    Rsto "RSTO" "Established, the originator aborted.";
    Rstr "RSTR" "The responder aborted.";
    Rstos0 "RSTOS0" "The originator sent a SYN and then a reset, no SYN-ACK seen.";
    Rstrh "RSTRH" "The responder sent a SYN-ACK and then a reset, no SYN seen.";
    Sh "SH" "The originator sent a SYN and then a FIN, no SYN-ACK seen.";
    Shr "SHR" "The responder sent a SYN-ACK and then a FIN, no SYN seen; for UDP: only the responder sent.";
    Oth "OTH" "No SYN seen: in midstream, or another protocol.";
}

/// A connection of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the transport protocol.
    pub protocol: u8,
    /// How it stands at the end.
    pub state: ConnectionState,
    /// What happened, letter by letter.
    ///
    /// # Layout
    /// Upper case by the originator, lower case by the responder: `S` SYN, `H` SYN-ACK, `A` bare
    /// acknowledgement, `D` payload, `F` FIN, `R` reset, `T` repeated payload, `G` hole in the
    /// sequence, `W` zero window, `I` FIN with reset, `Q` SYN with FIN or reset. A leading `^`: the first packet
    /// came from the responder. Each direction writes `A`, `D`, `I`, `Q` once; `S`, `H`, `F`, `R` again with
    /// another sequence number than the last of their kind; `G`, `T`, `W` at the first, tenth, hundredth time.
    pub history: String,
}

/// The connections of a capture, by their first packet.
///
/// The originator is who sent the first packet, unless that is a SYN-ACK, or comes from a port
/// below 1024 to one above without a SYN. A SYN after the end of a connection opens the next one. TCP,
/// UDP and ICMP are followed; other protocols and later fragments are not.
///
/// Unlike Zeek, nothing expires, `C` (checksums; the audit counts them) is not written, and holes are taken
/// from sequence numbers alone.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use trace_eval::compliance::connections;
/// let mut trace = Trace::new(LinkType::RawIp);
/// let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// ip.extend([0x9c, 0x40, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 9, 9, 0, 0, 0, 0]);
/// trace.push(1, &ip, 40);
/// let found = connections(&trace);
/// assert_eq!((found[0].state.name(), found[0].history.as_str()), ("S0", "S"));
/// ```
///
/// # Source
/// Zeek's `conn_state` and `history`, <https://docs.zeek.org/en/master/logs/conn.html>, from their
/// description.
pub fn connections(trace: &Trace) -> Vec<Connection> {
    let (facts, flows) = facts(trace);
    let mut open: Vec<Option<usize>> = vec![None; flows];
    let mut out: Vec<Tracked> = Vec::new();
    for f in &facts {
        let followed = [TransportKind::Tcp, TransportKind::Udp, TransportKind::Icmp];
        if !followed.contains(&f.kind) && f.kind != TransportKind::Icmpv6 {
            continue;
        }
        let opens = f.flags & (flag::SYN | flag::ACK) == flag::SYN;
        let current = open[f.flow].filter(|at| !(opens && out[*at].is_over()));
        let at = current.unwrap_or_else(|| {
            out.push(Tracked::new(f));
            out.len() - 1
        });
        open[f.flow] = Some(at);
        out[at].step(f);
    }
    out.into_iter().map(Tracked::finish).collect()
}

/// How far one end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Progress {
    /// Sent nothing.
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    /// Sent something, but no SYN of it was seen.
    Partial,
    Established,
    Closed,
    Reset,
}

#[derive(Debug, Clone, Default)]
struct End {
    progress: Progress,
    /// Sequence number after the last byte sent.
    next: Option<u32>,
    sent_payload: bool,
    /// Sequence number of the last packet of each letter that is written again with another one.
    last: BTreeMap<char, u32>,
    /// How often each letter happened that is written at powers of ten.
    times: BTreeMap<char, u32>,
}

struct Tracked {
    kind: TransportKind,
    protocol: u8,
    /// Which way of the flow the originator sends.
    originator_reversed: bool,
    /// Originator, responder.
    ends: [End; 2],
    history: String,
}

impl Tracked {
    fn new(f: &Facts) -> Self {
        let answers = f.flags & (flag::SYN | flag::ACK) == (flag::SYN | flag::ACK);
        let from_server = f.source_port < 1024 && f.destination_port >= 1024;
        let flipped = answers || (from_server && f.flags & flag::SYN == 0);
        Self {
            kind: f.kind,
            protocol: f.protocol,
            originator_reversed: f.reversed != flipped,
            ends: [End::default(), End::default()],
            history: if flipped { "^".to_owned() } else { String::new() },
        }
    }

    fn is_over(&self) -> bool {
        self.ends.iter().any(|e| matches!(e.progress, Progress::Closed | Progress::Reset))
    }

    /// Writes a letter.
    fn note(&mut self, end: usize, letter: char) {
        self.history.push(if end == 0 { letter } else { letter.to_ascii_lowercase() });
    }

    /// Writes a letter the first time.
    fn note_once(&mut self, end: usize, letter: char) {
        let cased = if end == 0 { letter } else { letter.to_ascii_lowercase() };
        if !self.history.contains(cased) {
            self.note(end, letter);
        }
    }

    /// Writes a letter unless the last packet of its kind had the same sequence number.
    fn note_new(&mut self, end: usize, letter: char, seq: u32) {
        if self.ends[end].last.insert(letter, seq) != Some(seq) {
            self.note(end, letter);
        }
    }

    /// Writes a letter at the first, tenth, hundredth time.
    fn note_power(&mut self, end: usize, letter: char) {
        let times = self.ends[end].times.entry(letter).or_insert(0);
        *times += 1;
        if 10_u32.checked_pow(times.ilog10()) == Some(*times) {
            self.note(end, letter);
        }
    }

    fn step(&mut self, f: &Facts) {
        let me = usize::from(f.reversed != self.originator_reversed);
        if self.kind == TransportKind::Tcp {
            self.step_tcp(me, f);
        } else {
            self.note_once(me, 'D');
            self.ends[me].progress = Progress::Established;
        }
    }

    fn step_tcp(&mut self, me: usize, f: &Facts) {
        let has = |bits: u8| f.flags & bits != 0;
        let (syn, ack, fin, rst) = (has(flag::SYN), has(flag::ACK), has(flag::FIN), has(flag::RST));
        match (syn, fin, rst) {
            (true, true, _) | (true, _, true) => self.note_once(me, 'Q'),
            (_, true, true) => self.note_once(me, 'I'),
            (true, ..) => self.note_new(me, if ack { 'H' } else { 'S' }, f.seq),
            _ => {}
        }
        let control = u32::from(syn) + u32::from(fin);
        let end = f.seq.wrapping_add(f.payload_bytes).wrapping_add(control);
        if let (Some(next), false) = (self.ends[me].next, rst || syn) {
            let ahead = f.seq.wrapping_sub(next) as i32;
            if ahead > 0 {
                self.note_power(me, 'G');
            } else if f.payload_bytes > 0 && (end.wrapping_sub(next) as i32) <= 0 {
                self.note_power(me, 'T');
            }
        }
        if f.payload_bytes > 0 {
            self.note_once(me, 'D');
            self.ends[me].sent_payload = true;
        } else if ack && !(syn || fin || rst) {
            self.note_once(me, 'A');
        }
        if f.window == 0 && !rst {
            self.note_power(me, 'W');
        }
        if fin && !syn && !rst {
            self.note_new(me, 'F', f.seq);
        }
        if rst && !syn && !fin {
            self.note_new(me, 'R', f.seq);
        }
        if !rst && self.ends[me].next.is_none_or(|next| end.wrapping_sub(next) as i32 > 0) {
            self.ends[me].next = Some(end);
        }
        self.advance(me, f.flags);
    }

    fn advance(&mut self, me: usize, flags: u8) {
        let has = |bits: u8| flags & bits != 0;
        let (syn, ack, fin, rst) = (has(flag::SYN), has(flag::ACK), has(flag::FIN), has(flag::RST));
        let (mine, peer) = (self.ends[me].progress, self.ends[1 - me].progress);
        let established = |p: Progress| matches!(p, Progress::SynSent | Progress::SynAckSent);
        self.ends[me].progress = match mine {
            _ if rst => Progress::Reset,
            Progress::Closed | Progress::Reset => mine,
            _ if fin => {
                // The third packet of a handshake may be the FIN.
                if established(mine) && established(peer) {
                    self.ends[1 - me].progress = Progress::Established;
                }
                Progress::Closed
            }
            Progress::Inactive if syn && ack => {
                if peer == Progress::SynSent {
                    self.ends[1 - me].progress = Progress::Established;
                    Progress::Established
                } else {
                    Progress::SynAckSent
                }
            }
            Progress::Inactive if syn => Progress::SynSent,
            Progress::Inactive => Progress::Partial,
            Progress::SynSent if ack && peer == Progress::SynAckSent => {
                self.ends[1 - me].progress = Progress::Established;
                Progress::Established
            }
            unchanged => unchanged,
        };
    }

    fn finish(self) -> Connection {
        let state = match self.kind {
            TransportKind::Tcp => self.tcp_state(),
            TransportKind::Udp => {
                match [0, 1].map(|end| self.ends[end].progress == Progress::Established) {
                    [true, true] => ConnectionState::Sf,
                    [true, false] => ConnectionState::S0,
                    [false, true] => ConnectionState::Shr,
                    [false, false] => ConnectionState::Oth,
                }
            }
            _ => ConnectionState::Oth,
        };
        Connection { protocol: self.protocol, state, history: self.history }
    }

    /// Whether the originator's SYN was followed by its reset, with nothing of its own between.
    fn reset_after_syn(&self) -> bool {
        let history = self.history.trim_start_matches('^');
        let rest = history.strip_prefix('S').unwrap_or_default();
        rest.find(['H', 'A', 'F', 'G', 'I', 'Q', 'R']).is_some_and(|at| rest[at..].starts_with('R'))
    }

    fn tcp_state(&self) -> ConnectionState {
        use ConnectionState as S;
        use Progress::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
        let [originator, responder] = &self.ends;
        let silent = |p: Progress| matches!(p, Inactive | Partial);
        let payload = originator.sent_payload || responder.sent_payload;
        match (originator.progress, responder.progress) {
            (SynSent | SynAckSent, Reset) => S::Rej,
            (Reset, Reset) if !payload => S::Rej,
            (o, Reset) if silent(o) => S::Rstrh,
            (_, Reset) => S::Rstr,
            (Reset, r) if silent(r) => {
                if self.reset_after_syn() {
                    S::Rstos0
                } else {
                    S::Oth
                }
            }
            (Reset, _) => S::Rsto,
            (Closed, Closed) => S::Sf,
            (Closed, r) if silent(r) => S::Sh,
            (Closed, _) => S::S2,
            (o, Closed) if silent(o) => S::Shr,
            (_, Closed) => S::S3,
            (SynSent, Inactive) => S::S0,
            (Established, Established) => S::S1,
            _ => S::Oth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::LinkType;

    /// State and history of each connection.
    type Found = Vec<(&'static str, String)>;

    /// Segments as direction (`>` client, `<` server), flags, payload bytes; numbers run on by themselves.
    fn run(segments: &[(char, u8, u16)]) -> Found {
        let mut trace = Trace::new(LinkType::RawIp);
        let mut next = [1000_u32, 5000];
        for (i, (way, flags, payload)) in segments.iter().enumerate() {
            let me = usize::from(*way == '<');
            let (ends, ports) =
                if me == 0 { ([1, 2], [40_000_u16, 443]) } else { ([2, 1], [443, 40_000]) };
            let mut b = vec![0x45, 0];
            b.extend((40 + payload).to_be_bytes());
            b.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, ends[0], 10, 0, 0, ends[1]]);
            b.extend(ports.iter().flat_map(|p| p.to_be_bytes()));
            b.extend(next[me].to_be_bytes());
            b.extend(next[1 - me].to_be_bytes());
            b.extend([0x50, *flags, 1, 0, 0, 0, 0, 0]);
            b.resize(40 + usize::from(*payload), 0);
            trace.push(i as i64, &b, b.len() as u32);
            next[me] += u32::from(*payload) + u32::from(flags & 3 != 0);
        }
        connections(&trace).into_iter().map(|c| (c.state.name(), c.history)).collect()
    }

    const SYN: u8 = 2;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x11;
    const RST: u8 = 0x14;

    #[test]
    fn states_and_histories() {
        let hand = [('>', SYN, 0), ('<', SYN_ACK, 0), ('>', ACK, 0)];
        let data = [('>', ACK, 9), ('<', ACK, 9)];
        let with = |parts: &[&[(char, u8, u16)]]| run(&parts.concat());
        let cases: [(Found, &str, &str); 18] = [
            (run(&[('>', SYN, 0)]), "S0", "S"),
            (run(&hand[..2]), "S1", "Sh"),
            (with(&[&hand, &data]), "S1", "ShADd"),
            (
                with(&[&hand, &data, &[('>', FIN, 0), ('<', FIN, 0), ('>', ACK, 0)]]),
                "SF",
                "ShADdFf",
            ),
            (with(&[&hand, &data, &[('>', FIN, 0), ('<', ACK, 0)]]), "S2", "ShADdFa"),
            (with(&[&hand, &data, &[('<', FIN, 0)]]), "S3", "ShADdf"),
            (with(&[&hand, &data, &[('>', RST, 0)]]), "RSTO", "ShADdR"),
            (with(&[&hand, &data, &[('<', RST, 0)]]), "RSTR", "ShADdr"),
            (run(&[('>', SYN, 0), ('<', RST, 0)]), "REJ", "Sr"),
            (run(&[('>', SYN, 0), ('>', RST, 0)]), "RSTOS0", "SR"),
            (run(&[('<', SYN_ACK, 0), ('<', RST, 0)]), "RSTRH", "^hr"),
            (run(&[('>', SYN, 0), ('>', FIN, 0)]), "SH", "SF"),
            (run(&[('<', ACK, 5), ('>', ACK, 0)]), "OTH", "^dA"),
            (run(&[('<', SYN_ACK, 0), ('<', FIN, 0)]), "SHR", "^hf"),
            // Refused after data of neither: still a rejection. Reset by both after data: the responder's counts.
            (with(&[&hand, &[('>', RST, 0), ('<', RST, 0)]]), "REJ", "ShARr"),
            (with(&[&hand, &data, &[('>', RST, 0), ('<', RST, 0)]]), "RSTR", "ShADdRr"),
            // A SYN, an acknowledgement of nothing, a reset: Zeek does not call that RSTOS0.
            (run(&[('>', SYN, 0), ('>', ACK, 0), ('>', RST, 0)]), "OTH", "SAR"),
            // Both closed, opening not seen.
            (run(&[('>', ACK, 5), ('>', FIN, 0), ('<', FIN, 0)]), "SF", "DFf"),
        ];
        let mut met: Vec<&str> = cases.iter().map(|c| c.1).collect();
        for (found, state, history) in cases {
            assert_eq!(found, [(state, history.to_owned())]);
        }
        // Not one state of Zeek's list is without a case.
        met.sort_unstable();
        met.dedup();
        let mut all = ConnectionState::ALL.map(ConnectionState::name);
        all.sort_unstable();
        assert_eq!(met, all);
        // A SYN after the end opens another connection.
        let twice = with(&[&hand, &[('>', RST, 0)], &hand]);
        assert_eq!(twice, [("RSTO", "ShAR".to_owned()), ("S1", "ShA".to_owned())]);
        assert_eq!(run(&[]), []);
    }

    /// UDP and ICMP: who sent anything at all.
    #[test]
    fn without_connections() {
        let datagrams = |ways: &[char], protocol: u8| -> Found {
            let mut trace = Trace::new(LinkType::RawIp);
            for (i, way) in ways.iter().enumerate() {
                let (ends, ports) =
                    if *way == '>' { ([1, 2], [40_000_u16, 53]) } else { ([2, 1], [53, 40_000]) };
                let mut b = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, protocol, 0, 0];
                b.extend([10, 0, 0, ends[0], 10, 0, 0, ends[1]]);
                b.extend(ports.iter().flat_map(|p| p.to_be_bytes()));
                b.extend([0, 12, 0, 0, 1, 2, 3, 4]);
                trace.push(i as i64, &b, b.len() as u32);
            }
            connections(&trace).into_iter().map(|c| (c.state.name(), c.history)).collect()
        };
        assert_eq!(datagrams(&['>', '<', '>'], 17), [("SF", "Dd".to_owned())]);
        assert_eq!(datagrams(&['>', '>'], 17), [("S0", "D".to_owned())]);
        assert_eq!(datagrams(&['<'], 17), [("SHR", "^d".to_owned())]);
        assert_eq!(datagrams(&['>', '<'], 1).len(), 1);
        assert!(datagrams(&['>', '<'], 1).iter().all(|c| c.0 == "OTH"));
        assert_eq!(datagrams(&['>'], 99), []);
    }

    #[test]
    fn letters_repeat_as_zeek_repeats_them() {
        // SYNs of one number and of another; then the same nine bytes eleven times.
        let again = run(&[('>', SYN, 0), ('>', SYN, 0)]);
        assert_eq!(again, [("S0", "SS".to_owned())], "the helper counts a SYN's number on");
        let mut trace = Trace::new(LinkType::RawIp);
        for i in 0..12_u8 {
            let mut b = vec![0x45, 0, 0, 49, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            b.extend([0x9c, 0x40, 0x9c, 0x41, 0, 0, 0, 7, 0, 0, 0, 1, 0x50, ACK, 9, 9, 0, 0, 0, 0]);
            b.resize(49, 0);
            trace.push(i64::from(i), &b, 49);
        }
        assert_eq!(connections(&trace)[0].history, "DTT", "the first and the tenth repetition");
    }

    #[test]
    fn repeats_holes_and_odd_flags() {
        // Payload of 9, the same bytes again; the tracker knows by numbers.
        let mut trace = Trace::new(LinkType::RawIp);
        for (i, (seq, flags, window)) in
            [(1_u32, ACK, 9_u8), (1, ACK, 0), (50, ACK, 9), (59, 3, 9), (60, 5, 9)]
                .iter()
                .enumerate()
        {
            let mut b = vec![0x45, 0, 0, 49, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            b.extend([0x9c, 0x40, 0x9c, 0x41]);
            b.extend(seq.to_be_bytes());
            b.extend([0, 0, 0, 1, 0x50, *flags, 0, *window, 0, 0, 0, 0]);
            b.resize(49, 0);
            trace.push(i as i64, &b, 49);
        }
        assert_eq!(connections(&trace)[0].history, "DTWGQI");
    }
}
