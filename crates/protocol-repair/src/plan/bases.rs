//! Where the streams of a connection may begin.

use super::segment::{SILENT, Segment, filled, silent_at_most};
use crate::draft::Draft;
use crate::evidence::{Noise, Reading};
use nprint_codec::tcp;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that say where a stream begins: later ones lie behind more lengths that may be wrong.
const VOTES: usize = 12;
/// First numbers that are tried, as many as the search keeps.
const TRIED: usize = 32;
/// Votes that are heard together: all, and fewer, which lie behind fewer lengths.
const HEARD: [usize; 3] = [VOTES, 8, 4];
/// Rows that name the same number: they are not all wrong.
const AGREED: usize = 3;
/// Of the numbers that rows name, how many are corrected bit by bit.
const CORRECTED: usize = 4;
/// Cells of a number that may say nothing.
const MISSING: u32 = 8;

/// First numbers of one side.
pub(crate) struct Starts {
    /// The likeliest first; none is preferred to another. One that is drawn where the evidence has
    /// none.
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
        if votes[side].len() < VOTES && s.seq.missing() <= MISSING {
            let vote = Vote { row, column: seq, reading: s.seq, offset: offsets[side] };
            votes[side].push(vote);
        }
        if s.ack && votes[1 - side].len() < VOTES && s.ack_number.missing() <= MISSING {
            let offset = offsets[1 - side];
            votes[1 - side].push(Vote { row, column: ack, reading: s.ack_number, offset });
        }
        if votes.iter().all(|v| v.len() == VOTES) {
            break;
        }
        offsets[side] = offsets[side].wrapping_add(s.payload + s.control());
    }
    let connection = segments.first().map_or(0, |s| draft.rows[s.row].connection);
    // Most connections have numbers that say where they begin.
    let drawn = |side: usize| {
        let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_0f15);
        random.set_stream(((flow as u64) << 32) | u64::from(connection));
        [random.next_u32(), random.next_u32()][side]
    };
    let trusted = draft.noise.is_clean() && draft.evidence.is_certain();
    [0, 1].map(|side| {
        let starts = of_votes(draft, &votes[side], || drawn(side), noise, trusted);
        Starts { told: starts.told || stays_near(segments, side), ..starts }
    })
}

/// Whether the numbers of a side's stream, its own and those the other side acknowledges, are near one
/// another all along: their high halves differ in fewer bits from one to the next than those of numbers
/// drawn anew would, by three standard deviations. Lengths and what was lost do not matter to it.
fn stays_near(segments: &[Segment], side: usize) -> bool {
    let own = |s: &Segment| {
        if s.side == side { Some(s.seq) } else { s.ack.then_some(s.ack_number) }
    };
    let (mut differ, mut known) = (0, 0);
    let (mut last, mut last_known) = (0, 0);
    for number in segments.iter().filter_map(own) {
        let both = (last_known & number.known) >> 16;
        known += both.count_ones();
        differ += (((last ^ number.value) >> 16) & both).count_ones();
        (last, last_known) = (number.value, number.known);
    }
    let known = known as f32;
    (differ as f32) < 0.5 * known - 1.5 * known.sqrt()
}

fn of_votes(
    draft: &Draft<'_>,
    votes: &[Vote],
    drawn: impl Fn() -> u32,
    noise: Noise,
    trusted: bool,
) -> Starts {
    let by_count = draft.evidence.costs_by_count(noise);
    let prices = silent_at_most(noise);
    let of = |v: &Vote, base: u32| {
        let value = base.wrapping_add(v.offset);
        if by_count {
            return prices[v.reading.wrong(value) as usize];
        }
        draft.evidence.cost_of(noise, v.row, v.column, v.reading, value).min(SILENT)
    };
    // What so many votes say to a first number, if that is less than `most`.
    let cost = |base: u32, heard: usize, most: f32| {
        votes.iter().take(heard).try_fold(0.0, |sum, vote| {
            let sum = sum + of(vote, base);
            (sum < most).then_some(sum)
        })
    };
    let Some(near) = votes.iter().find(|v| v.reading.is_full()).or(votes.first()) else {
        return Starts { numbers: vec![(0.0, drawn())], told: false };
    };
    let near = near.reading.value.wrapping_sub(near.offset);
    let name = |v: &Vote| filled(v.reading, near.wrapping_add(v.offset)).wrapping_sub(v.offset);
    let named: Vec<u32> = votes.iter().map(name).collect();
    let mut tried: Vec<u32> = Vec::with_capacity(TRIED);
    if trusted {
        // Of a repaired trace, which is read again, the first number is the one.
        tried.push(named[0]);
    } else {
        let room = TRIED.div_ceil(HEARD.len());
        let mut ranked = Vec::new();
        let mut known = 0;
        for heard in HEARD.map(|heard| heard.min(votes.len())) {
            if heard != known {
                ranked = likeliest(&named[..heard], |base, most| cost(base, heard, most));
                known = heard;
            }
            let fresh = ranked.iter().filter(|n| !tried.contains(n)).take(room);
            let fresh: Vec<u32> = fresh.copied().collect();
            tried.extend(fresh);
        }
    }
    let best = tried[0];
    let least = votes.iter().map(|v| of(v, best)).sum::<f32>();
    // Numbers drawn anew agree with none but the one that was chosen.
    let others = votes.len().saturating_sub(1) as f32;
    let told = agreed(&named, best) || (votes.len() >= 6 && least < 0.5 * SILENT * others);
    Starts { numbers: tried.into_iter().map(|t| (0.0, t)).collect(), told }
}

/// Whether enough rows name a number.
fn agreed(named: &[u32], number: u32) -> bool {
    named.iter().filter(|n| **n == number).count() >= AGREED
}

/// The cheapest of some numbers and, unless several rows name the best, of these with wrong bits
/// corrected, and of the best with single bits turned: where every number has wrong bits, none names the
/// right one. `cost` says what a number costs if that is less than a limit.
fn likeliest(named: &[u32], cost: impl Fn(u32, f32) -> Option<f32>) -> Vec<u32> {
    let whole = |number: u32| (cost(number, f32::INFINITY).unwrap_or(f32::MAX), number);
    // Most rows name the same number.
    let first = |(at, number): &(usize, &u32)| !named[..*at].contains(number);
    let mut tried: Vec<(f32, u32)> =
        named.iter().enumerate().filter(first).map(|(_, number)| whole(*number)).collect();
    let rank = |tried: &mut Vec<(f32, u32)>| {
        tried.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        tried.dedup();
    };
    rank(&mut tried);
    if tried.first().is_some_and(|t| t.0 > 0.0 && !agreed(named, t.1)) {
        let corrected: Vec<_> =
            tried.iter().take(CORRECTED).map(|t| corrected(*t, &cost)).collect();
        tried.extend(corrected);
        rank(&mut tried);
        let best = tried[0].1;
        tried.extend((0..32).map(|bit| whole(best ^ (1 << bit))));
        rank(&mut tried);
    }
    tried.into_iter().map(|t| t.1).collect()
}

/// The number with every bit turned that makes it cheaper.
fn corrected(
    (mut least, mut number): (f32, u32),
    cost: impl Fn(u32, f32) -> Option<f32>,
) -> (f32, u32) {
    for bit in 0..32 {
        let turned = number ^ (1 << bit);
        if let Some(price) = cost(turned, least) {
            (least, number) = (price, turned);
        }
    }
    (least, number)
}

#[cfg(test)]
mod tests {
    use super::stays_near;
    use crate::RepairConfig;
    use crate::draft::Draft;
    use crate::evidence::Evidence;
    use crate::plan::segment::segments;
    use nprint_codec::{Header, Layout, TernaryMatrix};

    /// Whether numbers that grow by `step`, of which every seventh bit is wrong, are near one another.
    fn near(step: u32) -> bool {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for row in 0..24_u32 {
            let number =
                step.wrapping_mul(row).wrapping_add(0x1357_9bdf) ^ (0x0810_2041 << (row % 7));
            let words = [1, number, 0, 0x5010_0000, 0];
            let header: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            cells.push_vacant().set_header(Header::Tcp, &header);
        }
        let evidence = Evidence::certain(&cells);
        let config = RepairConfig::default();
        let draft = Draft::new(&evidence, &config);
        let rows: Vec<usize> = (0..cells.rows()).collect();
        stays_near(&segments(&draft, &rows, |_, _| (0, None)), 0)
    }

    #[test]
    fn numbers_are_near_whatever_was_lost() {
        // Small messages and full segments, one of forty of which is seen; and numbers drawn anew.
        assert!(near(100) && near(1448) && near(40 * 1448));
        assert!(!near(0x9e37_79b9));
    }
}
