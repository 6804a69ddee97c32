//! Where the streams of a connection may begin.

use super::stream::{SILENT, Segment};
use crate::draft::Draft;
use crate::evidence::{Noise, Reading};
use nprint_codec::tcp;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that say where a stream begins: later ones lie behind more lengths that may be wrong.
const VOTES: usize = 12;
/// First numbers that are tried.
const TRIED: usize = 12;

/// First numbers of one side.
pub(crate) struct Starts {
    /// Numbers that the first rows name, and the cheapest of those with single bits turned; none
    /// is preferred to another. One that is drawn where the evidence has none.
    pub(crate) numbers: Vec<(f32, u32)>,
    /// Whether the evidence has something to say about the numbers, or they are drawn anew in every
    /// row.
    pub(crate) told: bool,
}

/// One number that says where the stream begins, if nothing was lost before it.
struct Vote {
    row: usize,
    column: usize,
    reading: Reading,
    /// Bytes of the stream before it.
    offset: u32,
}

/// Starts of both sides' streams.
pub(crate) fn starts(
    draft: &Draft<'_>,
    segments: &[Segment],
    flow: usize,
    noise: Noise,
) -> [Starts; 2] {
    let [seq, ack] = [tcp::SEQ, tcp::ACK_NUMBER]
        .map(|f| draft.evidence.cells().layout().column_of(f).unwrap_or(0));
    let mut offsets = [0_u32; 2];
    let mut votes: [Vec<Vote>; 2] = [Vec::new(), Vec::new()];
    for s in segments {
        let (row, side) = (s.row, s.side);
        if votes[side].len() < VOTES {
            let vote = Vote { row, column: seq, reading: s.seq, offset: offsets[side] };
            votes[side].push(vote);
        }
        if s.ack && votes[1 - side].len() < VOTES {
            let offset = offsets[1 - side];
            votes[1 - side].push(Vote { row, column: ack, reading: s.ack_number, offset });
        }
        if votes.iter().all(|v| v.len() == VOTES) {
            break;
        }
        offsets[side] = offsets[side].wrapping_add(s.payload + s.control());
    }
    let connection = segments.first().map_or(0, |s| draft.rows[s.row].connection);
    let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_0f15);
    random.set_stream(((flow as u64) << 32) | u64::from(connection));
    let drawn = [random.next_u32(), random.next_u32()];
    let trusted = draft.noise.is_clean() && draft.evidence.is_certain();
    [0, 1].map(|side| of_votes(draft, &votes[side], drawn[side], noise, trusted))
}

fn of_votes(draft: &Draft<'_>, votes: &[Vote], drawn: u32, noise: Noise, trusted: bool) -> Starts {
    let cost = |base: u32| -> f32 {
        let of = |v: &Vote| {
            let value = base.wrapping_add(v.offset);
            draft.evidence.cost_of(noise, v.row, v.column, v.reading, value).min(SILENT)
        };
        votes.iter().map(of).sum()
    };
    let named: Vec<u32> = votes
        .iter()
        .filter(|v| v.reading.is_full())
        .map(|v| v.reading.value.wrapping_sub(v.offset))
        .collect();
    // Of a repaired trace, which is read again, the first number is the one.
    let considered = if trusted { &named[..named.len().min(1)] } else { &named };
    let mut tried: Vec<(f32, u32)> = considered.iter().map(|v| (cost(*v), *v)).collect();
    tried.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    tried.dedup_by_key(|t| t.1);
    let Some((mut least, mut best)) = tried.first().copied() else {
        return Starts { numbers: vec![(0.0, drawn)], told: false };
    };
    for bit in 0..32 {
        let turned = best ^ (1 << bit);
        let cost = if least > 0.0 && !trusted { cost(turned) } else { f32::MAX };
        if cost < least {
            (least, best) = (cost, turned);
            tried.insert(0, (cost, turned));
        }
    }
    tried.truncate(TRIED);
    // Numbers drawn anew agree with none but the one that was chosen.
    let others = votes.len().saturating_sub(1) as f32;
    let told = named.iter().filter(|v| **v == best).count() >= 3
        || (votes.len() >= 6 && least < 0.5 * SILENT * others);
    Starts { numbers: tried.iter().map(|t| (0.0, t.1)).collect(), told }
}
