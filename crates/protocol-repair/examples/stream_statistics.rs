//! How often the events of a TCP stream happen in real captures: where the costs in `src/plan` come
//! from (`-ln` of a share is a cost in nats).
//!
//! ```text
//! cargo run --release -p protocol-repair --example stream_statistics -- CAPTURE…
//! ```
#![allow(clippy::print_stdout)]

use nprint_codec::{Dissection, IpVersion, TransportKind, dissect, read_capture};
use std::collections::BTreeMap;

/// Counts by name.
#[derive(Default)]
struct Counts(BTreeMap<(&'static str, String), u64>);

impl Counts {
    fn add(&mut self, table: &'static str, event: &str) {
        *self.0.entry((table, event.to_owned())).or_default() += 1;
    }
}

/// One side of a connection as far as it was seen.
#[derive(Default, Clone)]
struct Side {
    next: Option<u32>,
    /// Starts and lengths of what was sent.
    sent: Vec<(u32, u32)>,
    /// Ends of new data, in order.
    ends: Vec<u32>,
    /// What was left out so far: from and to.
    holes: Vec<(u32, u32)>,
    /// Whether the last data began where a hole begins.
    filled: bool,
    /// Whether it acknowledged less than all.
    lagged: bool,
    /// Whether it has sent a FIN.
    closed: bool,
    acked: Option<u32>,
    scale: Option<u8>,
    stamp: Option<u32>,
    window: Option<u32>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut counts = Counts::default();
    for path in std::env::args().skip(1) {
        let trace = read_capture(&path)?;
        let mut connections: BTreeMap<Vec<u8>, [Side; 2]> = BTreeMap::new();
        let mut opening: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        let mut courses: BTreeMap<Vec<u8>, Course> = BTreeMap::new();
        for packet in trace.iter() {
            let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
            courses.entry(direction(&d)).or_default().goes_on(&d, &mut counts);
            if d.kind == TransportKind::Tcp && d.transport.len() >= 20 {
                segment(&d, &mut connections, &mut opening, &mut counts);
            }
        }
        for complete in opening.values() {
            counts.add("handshake", if *complete { "complete" } else { "unfinished" });
        }
    }
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for ((table, _), n) in &counts.0 {
        *totals.entry(table).or_default() += n;
    }
    for ((table, event), n) in &counts.0 {
        let share = *n as f64 / totals[table] as f64;
        println!("{table:12} {event:28} {n:8} {:9.4} % {:6.2} nats", 100.0 * share, -share.ln());
    }
    Ok(())
}

/// Numbers of one direction of a flow that go on from packet to packet.
#[derive(Default)]
struct Course {
    id: Option<u16>,
    window: Option<u16>,
}

impl Course {
    fn goes_on(&mut self, d: &Dissection<'_>, counts: &mut Counts) {
        let be16 = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        // Later fragments have the identification of the first; hosts that send 0 do not count.
        if d.version == IpVersion::V4 && be16(d.ip, 6) << 3 == 0 {
            let id = be16(d.ip, 4);
            if let Some(last) = self.id.replace(id).filter(|last| *last != 0 || id != 0) {
                counts.add("ip id", &step(id.wrapping_sub(last) as i16));
            }
        }
        if d.kind != TransportKind::Tcp || d.transport.len() < 20 {
            return;
        }
        let flags = d.transport[13];
        if d.payload_length == 0 {
            counts.add("without data", if flags & 8 == 0 { "not pushed" } else { "pushed" });
        }
        // A window is not scaled yet with SYN, and none with RST.
        if flags & 6 == 0 {
            let window = be16(d.transport, 14);
            if let Some(last) = self.window.replace(window) {
                counts.add("window step", &step(window.wrapping_sub(last) as i16));
            }
        }
    }
}

/// What a direction of a flow is told by.
fn direction(d: &Dissection<'_>) -> Vec<u8> {
    let addresses = if d.version == IpVersion::V4 { 12..20 } else { 8..40 };
    let ported = matches!(d.kind, TransportKind::Tcp | TransportKind::Udp);
    let ports = d.transport.get(..4).filter(|_| ported).unwrap_or_default();
    [d.ip.get(addresses).unwrap_or_default(), ports, &[d.protocol]].concat()
}

/// A small step, or how many bits a larger one has.
fn step(step: i16) -> String {
    if (-1..=5).contains(&step) {
        return step.to_string();
    }
    let way = if step > 0 { "up" } else { "down" };
    format!("{way}, {:02} bits", 16 - step.unsigned_abs().leading_zeros())
}

/// How far `to` lies ahead of `from`.
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

fn segment(
    d: &Dissection<'_>,
    connections: &mut BTreeMap<Vec<u8>, [Side; 2]>,
    opening: &mut BTreeMap<Vec<u8>, bool>,
    counts: &mut Counts,
) {
    let at = if d.version == IpVersion::V4 { 12..20 } else { 8..40 };
    let Some((from, to)) = d.ip.get(at).map(|both| both.split_at(both.len() >> 1)) else { return };
    let t = d.transport;
    let (source, destination) = ([from, &t[..2]].concat(), [to, &t[2..4]].concat());
    let me = usize::from(source > destination);
    let key = if me == 0 { [source, destination] } else { [destination, source] }.concat();
    let be32 = |at: usize| u32::from_be_bytes([t[at], t[at + 1], t[at + 2], t[at + 3]]);
    let (seq, ack, flags) = (be32(4), be32(8), t[13]);
    let (fin, syn, rst, has_ack) =
        (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
    let event = match (syn, rst, fin, has_ack) {
        (true, _, _, false) => "syn",
        (true, ..) => "syn-ack",
        (_, true, ..) => "rst",
        (_, _, true, _) => "fin",
        _ => "ack",
    };
    counts.add("event", event);
    if syn && !has_ack {
        let old = connections.remove(&key);
        opening.insert(key.clone(), false);
        counts.add("syn", if old.is_some() { "ports used before" } else { "new ports" });
    } else if !syn && has_ack && !rst && opening.get(&key) == Some(&false) {
        opening.insert(key.clone(), true);
    }
    let sides = connections.entry(key).or_default();
    let length = d.payload_length as u32;
    let space = length + u32::from(syn) + u32::from(fin);
    let peer = sides[1 - me].clone();
    let side = &mut sides[me];
    if rst {
        return;
    }
    if let Some(next) = side.next {
        let ahead = distance(next, seq);
        let kind = if length == 0 { "empty" } else { "data" };
        let place = if ahead == 0 {
            "continues".to_owned()
        } else if ahead > 0 && length > 0 && (ahead as u32).is_multiple_of(length) {
            "after a hole of such segments".to_owned()
        } else if ahead > 0 {
            "after a hole".to_owned()
        } else if side.holes.iter().any(|h| h.0 == seq) {
            "where a hole begins".to_owned()
        } else if ahead == -1 && length <= 1 {
            "keep-alive".to_owned()
        } else if side.sent.contains(&(seq, space)) {
            "repeats a segment".to_owned()
        } else if side.sent.iter().any(|(start, _)| *start == seq) {
            "repeats a start".to_owned()
        } else {
            "behind".to_owned()
        };
        counts.add("sequence", &format!("{kind} {place}"));
        let table = match (side.holes.is_empty(), side.filled) {
            (true, _) => "whole",
            (false, false) => "with hole",
            (false, true) => "after a fill",
        };
        counts.add(table, &format!("{kind} {place}"));
        if ahead != 0 {
            let far = (ahead.unsigned_abs()).ilog2();
            counts.add("distance", &format!("{kind} {place}, 2^{far:02}"));
        }
        if side.closed {
            counts.add("after fin", if fin { "fin again" } else { kind });
        }
        if length > 0
            && let (Some(acked), true) = (peer.acked, ahead < 0)
        {
            let done = distance(seq.wrapping_add(space), acked) >= 0;
            counts.add("repeat", if done { "acknowledged before" } else { "not acknowledged yet" });
        }
        if let (Some(window), Some(acked), true) = (peer.window, peer.acked, length > 0) {
            let edge = acked.wrapping_add(window << peer.scale.unwrap_or(0).min(14));
            let beyond = distance(edge, seq.wrapping_add(length)) > 0;
            let known = if peer.scale.is_some() { "scale known" } else { "scale unknown" };
            counts.add("window", &format!("{known} {}", if beyond { "beyond" } else { "within" }));
        }
    }
    if has_ack && let Some(sent) = peer.next {
        let last = side.acked;
        let name = if ack == sent && last == Some(ack) {
            "all, again".to_owned()
        } else if ack == sent {
            "all, new".to_owned()
        } else if last == Some(ack) {
            "as before".to_owned()
        } else if distance(ack, sent) < 0 {
            "ahead".to_owned()
        } else if last.is_some_and(|l| distance(l, ack) < 0) {
            "falls back".to_owned()
        } else if let Some(lag) = peer.ends.iter().rev().position(|e| *e == ack) {
            format!(
                "an end, {} back",
                if lag < 8 { lag.to_string() } else { format!("2^{}", lag.ilog2()) }
            )
        } else {
            "not an end".to_owned()
        };
        counts.add("ack", &name);
        // What the other side can have: all before the first hole.
        let whole = peer.holes.iter().map(|h| h.0).min_by_key(|h| distance(sent, *h));
        let whole = whole.unwrap_or(sent);
        if let Some(last) = last.filter(|last| *last != whole) {
            let before = if side.lagged { "less before" } else { "all before" };
            let now = match (ack == whole, ack == last) {
                (true, _) => "all",
                (_, true) => "as before",
                _ => "some",
            };
            counts.add(before, now);
        }
        side.lagged = ack != whole;
        if let Some(hole) = peer.holes.iter().map(|h| h.0).min_by_key(|h| distance(ack, *h)) {
            let name = match (distance(hole, ack), last == Some(ack)) {
                (1.., _) => "passes it",
                (0, false) => "up to it",
                (0, true) => "up to it, again",
                (_, false) => "less",
                (_, true) => "less, again",
            };
            counts.add("open hole", name);
        }
    }
    if has_ack {
        // What was passed was received, whether the capture shows it or not.
        sides[1 - me].holes.retain(|h| distance(ack, h.1) > 0);
    }
    let side = &mut sides[me];
    if has_ack {
        side.acked = Some(side.acked.map_or(ack, |l| if distance(l, ack) > 0 { ack } else { l }));
    }
    if length > 0 {
        side.filled = side.holes.iter().any(|h| h.0 == seq);
    }
    let end = seq.wrapping_add(space);
    if let Some(next) = side.next.filter(|n| distance(*n, seq) > 0 && space > 0) {
        side.holes.push((next, seq));
    }
    for hole in side.holes.iter_mut().filter(|h| h.0 == seq) {
        hole.0 = end;
    }
    side.holes.retain(|h| distance(h.0, h.1) > 0);
    if side.next.is_none_or(|n| distance(n, end) > 0) {
        side.next = Some(end);
        if space > 0 {
            side.ends.push(end);
        }
    }
    if space > 0 {
        side.sent.push((seq, space));
    }
    side.closed |= fin;
    side.window = Some(u32::from(u16::from_be_bytes([t[14], t[15]])));
    options(t, syn, side, &peer, counts);
}

fn options(t: &[u8], syn: bool, side: &mut Side, peer: &Side, counts: &mut Counts) {
    let be = |at: usize| u32::from_be_bytes([t[at], t[at + 1], t[at + 2], t[at + 3]]);
    let mut at = 20;
    while at < t.len() && t[at] != 0 {
        let length = if t[at] == 1 { 1 } else { t.get(at + 1).map_or(0, |l| usize::from(*l)) };
        if length == 0 || at + length > t.len() {
            return;
        }
        match (t[at], length) {
            (3, 3) if syn => side.scale = Some(t[at + 2]),
            (8, 10) => {
                let (value, echo) = (be(at + 2), be(at + 6));
                if let Some(last) = side.stamp {
                    let back = distance(last, value) < 0;
                    counts.add("stamp", if back { "value falls" } else { "value holds or rises" });
                }
                if let Some(last) = peer.stamp {
                    let name = match distance(echo, last) {
                        0 => "last value",
                        1.. => "an earlier value",
                        _ => "a value not seen",
                    };
                    counts.add("echo", name);
                }
                side.stamp = Some(value);
            }
            (5, _) => {
                let ack = be(8);
                for block in (at + 2..at + length).step_by(8) {
                    let (left, right) = (be(block), be(block + 4));
                    let sent = peer.next.is_some_and(|n| distance(right, n) >= 0);
                    let name = match (distance(ack, left) > 0, sent) {
                        (true, true) => "hole before it",
                        (false, true) => "received twice",
                        (_, false) => "not seen",
                    };
                    counts.add("sack", name);
                }
            }
            _ => {}
        }
        at += length;
    }
}
