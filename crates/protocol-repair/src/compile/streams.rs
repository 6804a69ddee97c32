//! Which bytes each TCP segment carries.
//!
//! Bytes of a stream are not kept: each segment remembers the message that it is a part of, and the
//! message, which is drawn by its own number, is made again when the segment is written. A
//! retransmission is the same part of the same message.

use crate::compile::payload::{self, Filler, Place};
use crate::draft::{Draft, Transport};
use nprint_codec::tcp;
use std::collections::HashMap;

/// A part of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Row of the message's first segment: its number.
    head: usize,
    /// Bytes of the message before this part.
    skip: usize,
    /// Length of the message. Units: bytes.
    message: usize,
}

/// The parts of all rows.
pub(crate) struct Streams {
    parts: Vec<Part>,
    scratch: Vec<u8>,
}

/// One segment of new data in stream order.
struct Segment {
    row: usize,
    /// Sequence number of its first byte, and length.
    key: (u32, u32),
    /// Whether it follows the one before it without a gap.
    joined: bool,
}

impl Segment {
    fn length(&self) -> usize {
        self.key.1 as usize
    }
}

impl Streams {
    /// Lays out the messages of every TCP stream.
    pub(crate) fn new(draft: &Draft<'_>) -> Self {
        let mut parts = vec![Part::default(); draft.rows.len()];
        for (index, flow) in draft.flows.iter().enumerate() {
            if flow.transport == Transport::Tcp {
                let rows = draft.tcp_rows(index);
                for side in 0..2 {
                    lay(draft, &rows, side, payload::fewest_tcp(flow.ports[1]), &mut parts);
                }
            }
        }
        Self { parts, scratch: Vec::new() }
    }

    /// Appends the `length` bytes of the segment in `row`.
    pub(crate) fn write(
        &mut self,
        filler: &mut Filler,
        place: Place,
        row: usize,
        length: usize,
        out: &mut Vec<u8>,
    ) {
        let Part { head, skip, message } = self.parts[row];
        if length == 0 {
            return;
        }
        filler.start(0x1000_0000 + head as u64);
        if skip == 0 && length == message {
            payload::tcp(filler, place, head, message, out);
        } else {
            self.scratch.clear();
            payload::tcp(filler, place, head, message, &mut self.scratch);
            let end = (skip + length).min(self.scratch.len());
            out.extend(&self.scratch[skip.min(end)..end]);
        }
    }
}

/// Gives the segments of one side of a flow their parts. A message has at least `fewest` bytes:
/// shorter segments that follow each other share one.
fn lay(draft: &Draft<'_>, rows: &[usize], side: usize, fewest: usize, parts: &mut [Part]) {
    let mut segments: Vec<Segment> = Vec::new();
    let mut repeats: Vec<(usize, usize)> = Vec::new();
    // First rows by sequence number and length: few traces repeat anything.
    let mut sent: Option<HashMap<(u32, u32), usize>> = None;
    let mut next: Option<u32> = None;
    for &row in rows {
        let facts = draft.rows[row];
        let length = facts.payload_bytes;
        if facts.direction != side || length == 0 {
            continue;
        }
        let seq = draft.value(row, tcp::SEQ).wrapping_add(draft.value(row, tcp::SYN));
        let ahead = next.map_or(0, |n| seq.wrapping_sub(n) as i32);
        if ahead < 0 {
            let sent =
                sent.get_or_insert_with(|| segments.iter().map(|s| (s.key, s.row)).collect());
            if let Some(first) = sent.get(&(seq, length)) {
                repeats.push((row, *first));
                continue;
            }
        }
        let joined = next.is_some() && ahead == 0;
        segments.push(Segment { row, key: (seq, length), joined });
        if let Some(sent) = &mut sent {
            sent.insert((seq, length), row);
        }
        if ahead >= 0 {
            next = Some(seq.wrapping_add(length));
        }
    }
    let mut at = 0;
    while at < segments.len() {
        let mut end = at + 1;
        let mut total = segments[at].length();
        while total < fewest && end < segments.len() && segments[end].joined {
            total += segments[end].length();
            end += 1;
        }
        let head = segments[at].row;
        let mut skip = 0;
        for segment in &segments[at..end] {
            // A message that the trace cuts off is announced at its least length.
            parts[segment.row] = Part { head, skip, message: total.max(fewest) };
            skip += segment.length();
        }
        at = end;
    }
    for (row, first) in repeats {
        parts[row] = parts[first];
    }
}
