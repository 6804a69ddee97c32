//! Option areas by their grammar: kept where they parse, else the cheapest layout that does.

use crate::draft::{Draft, Transport};
use crate::evidence::{Evidence, Noise};
use nprint_codec::{Row, tcp};
use std::ops::Range;
use std::sync::LazyLock;

/// First column of the TCP option area in the reference layout, and the words that it fills.
const TCP_OPTIONS_COLUMN: usize = 640;
const TCP_OPTIONS_WORDS: Range<usize> = TCP_OPTIONS_COLUMN >> 6..(TCP_OPTIONS_COLUMN + 320) >> 6;

/// The bytes of a row's TCP option area up to its first vacant bit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionArea {
    bytes: [u8; 40],
    length: usize,
}

impl OptionArea {
    /// The area as a row of the reference layout has it.
    pub(crate) fn of_tcp(row: &Row<'_>) -> Self {
        let bytes = bytes_of(row.value_words()[TCP_OPTIONS_WORDS].iter().copied());
        let mut present = 0;
        for word in &row.present_words()[TCP_OPTIONS_WORDS] {
            present += word.leading_ones();
            if *word != u64::MAX {
                break;
            }
        }
        Self { bytes, length: present as usize >> 3 }
    }

    /// The area of a TCP row with this layout, and the values that the evidence has.
    fn of_layout(layout: &[(u8, u8)], evidence: &Evidence<'_>, row: usize) -> Self {
        let mut bytes = bytes_of(evidence.words(row, TCP_OPTIONS_WORDS));
        let mut at = 0;
        for (kind, length) in layout {
            bytes[at] = *kind;
            if *length > 1 {
                bytes[at + 1] = *length;
            }
            at += usize::from(*length);
        }
        Self { bytes, length: at }
    }
}

/// The bytes of five words.
fn bytes_of(words: impl Iterator<Item = u64>) -> [u8; 40] {
    let mut bytes = [0; 40];
    for (out, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *out = word.to_be_bytes();
    }
    bytes
}

impl std::ops::Deref for OptionArea {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::ops::DerefMut for OptionArea {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

/// Option kinds with their length in bytes, in wire order. NOP and EOL have length 1.
type Layout = Vec<(u8, u8)>;

/// Splits an option area, or `None` where it breaks the grammar of RFC 9293 section 3.2.
pub(crate) fn parse(bytes: &[u8]) -> Option<Layout> {
    let mut layout = Layout::new();
    let mut at = 0;
    while at < bytes.len() {
        let kind = bytes[at];
        let length = match kind {
            0 | 1 => 1,
            _ => *bytes.get(at + 1)?,
        };
        if usize::from(length) > bytes.len() - at || (kind > 1 && length < 2) {
            return None;
        }
        layout.push((kind, length));
        if kind == 0 {
            // What follows the end of the list is padding.
            layout.extend(std::iter::repeat_n((0, 1), bytes.len() - at - 1));
            return bytes[at..].iter().all(|b| *b == 0).then_some(layout);
        }
        at += usize::from(length);
    }
    Some(layout)
}

/// Whether every option has the length of its kind and may stand in such a segment.
pub(crate) fn is_legal(layout: &[(u8, u8)], syn: bool) -> bool {
    layout.iter().all(|(kind, length)| match kind {
        2 => *length == 4 && syn,
        3 => *length == 3 && syn,
        4 => *length == 2 && syn,
        5 => !syn && *length > 2 && (*length - 2).is_multiple_of(8),
        8 => *length == 10,
        _ => true,
    })
}

/// Whether every kind is one that an ordinary stack sends.
fn is_ordinary(layout: &[(u8, u8)]) -> bool {
    layout.iter().all(|(kind, _)| matches!(kind, 0..=5 | 8))
}

/// Layouts that ordinary stacks send: Linux, Windows, without time stamps, minimal.
fn templates(syn: bool) -> &'static [Layout] {
    static SYN: LazyLock<Vec<Layout>> = LazyLock::new(|| {
        vec![
            vec![(2, 4), (4, 2), (8, 10), (1, 1), (3, 3)],
            vec![(2, 4), (1, 1), (3, 3), (1, 1), (1, 1), (4, 2)],
            vec![(2, 4), (1, 1), (1, 1), (4, 2), (1, 1), (3, 3)],
            vec![(2, 4)],
        ]
    });
    static OTHER: LazyLock<Vec<Layout>> = LazyLock::new(|| {
        let stamps = [(1, 1), (1, 1), (8, 10)];
        let sack = |blocks: u8| [(1, 1), (1, 1), (5, 2 + 8 * blocks)];
        let mut out = vec![Layout::new(), stamps.to_vec()];
        out.extend((1..=3).map(|n| [stamps, sack(n)].concat()));
        out.extend((1..=4).map(|n| sack(n).to_vec()));
        out
    });
    if syn { &SYN } else { &OTHER }
}

/// Decides the TCP option area (its numbers as the evidence has them) and the data offset.
pub(crate) fn tcp_options(draft: &mut Draft<'_>) {
    for rows in draft.directions().iter() {
        // A flow's later fragments have no TCP header.
        let is_tcp = |r: &usize| draft.rows[*r].stack.transport == Transport::Tcp;
        let rows: Vec<usize> = rows.iter().copied().filter(is_tcp).collect();
        for syn in [true, false] {
            let members: Vec<usize> =
                rows.iter().copied().filter(|r| (draft.value(*r, tcp::SYN) == 1) == syn).collect();
            decide_tcp(draft, &members, syn);
        }
    }
}

fn decide_tcp(draft: &mut Draft<'_>, rows: &[usize], syn: bool) {
    let noise = draft.noise;
    let trusted = noise.is_clean() && draft.evidence.is_certain();
    // Layouts that rows of this context show without a fault, with how often, and the one of each row.
    let mut known: Vec<(Layout, usize)> = Vec::new();
    let mut shown: Vec<Option<usize>> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = as_it_stands(draft, *row).and_then(|area| {
            known.iter().position(|(layout, _)| is_laid_out(&area, layout)).or_else(|| {
                let layout = parse(&area).filter(|layout| {
                    is_legal(layout, syn) && (noise.is_clean() || is_ordinary(layout))
                })?;
                known.push((layout, 0));
                Some(known.len() - 1)
            })
        });
        if let Some(place) = place {
            known[place].1 += 1;
        }
        shown.push(place);
    }
    if trusted && shown.iter().all(Option::is_some) {
        return;
    }
    let unseen = templates(syn).iter().filter(|t| !known.iter().any(|(l, _)| l == *t));
    let candidates: Vec<(&Layout, f32)> = known
        .iter()
        .map(|(layout, n)| (layout, (rows.len() as f32 / *n as f32).ln()))
        .chain(unseen.map(|layout| (layout, (rows.len() as f32).ln() + 3.0)))
        .collect();
    for (row, shown) in rows.iter().zip(shown) {
        let layout = match shown {
            Some(place) if trusted => &known[place].0,
            _ => cheapest(draft, noise, *row, &candidates),
        };
        let area = OptionArea::of_layout(layout, draft.evidence, *row);
        let mut cells = draft.cells.row_mut(*row);
        cells.set_bytes(tcp::OPTIONS, &area);
        cells.set(tcp::DATA_OFFSET, 5 + (area.len() >> 2) as u32);
    }
    if syn && !trusted {
        settle_syn_values(draft, rows);
    }
}

/// MSS and window scale that a stack could send.
fn settle_syn_values(draft: &mut Draft<'_>, rows: &[usize]) {
    for row in rows {
        let mut bytes = OptionArea::of_tcp(&draft.cells.row(*row));
        let Some(layout) = parse(&bytes) else { continue };
        let mut at = 0;
        for (kind, length) in layout {
            match kind {
                2 => {
                    let mss = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]).clamp(536, 9000);
                    bytes[at + 2..at + 4].copy_from_slice(&mss.to_be_bytes());
                }
                // RFC 7323 section 2.3.
                3 => bytes[at + 2] = bytes[at + 2].min(14),
                _ => {}
            }
            at += usize::from(length);
        }
        draft.cells.row_mut(*row).set_bytes(tcp::OPTIONS, &bytes);
    }
}

/// The row's own option area, where its cells and its data offset agree.
fn as_it_stands(draft: &Draft<'_>, row: usize) -> Option<OptionArea> {
    let cells = draft.evidence.cells().row(row);
    let area = OptionArea::of_tcp(&cells);
    if !area.len().is_multiple_of(4)
        || cells.get(tcp::DATA_OFFSET) != Some(5 + (area.len() >> 2) as u32)
    {
        return None;
    }
    let present =
        cells.present_words()[TCP_OPTIONS_WORDS].iter().map(|w| w.count_ones()).sum::<u32>();
    (present == 8 * area.len() as u32).then_some(area)
}

/// Whether [`parse`] finds this layout in an area.
fn is_laid_out(area: &[u8], layout: &[(u8, u8)]) -> bool {
    let mut at = 0;
    for (kind, length) in layout {
        if area.get(at) != Some(kind) || (*kind > 1 && area.get(at + 1) != Some(length)) {
            return false;
        }
        at += usize::from(*length);
    }
    at == area.len()
}

fn cheapest<'a>(
    draft: &Draft<'_>,
    noise: Noise,
    row: usize,
    candidates: &[(&'a Layout, f32)],
) -> &'a [(u8, u8)] {
    let mut best: (f32, &[(u8, u8)]) = (f32::MAX, &[]);
    let areas = presence_costs(noise, &draft.evidence.presence_up_to(row, TCP_OPTIONS_COLUMN));
    let offset = draft.evidence.reader(noise, row, tcp::DATA_OFFSET);
    for (layout, prior) in candidates {
        if *prior >= best.0 {
            continue;
        }
        let words = layout.iter().map(|(_, l)| usize::from(*l)).sum::<usize>() >> 2;
        let mut cost = prior + areas[words] + offset.cost(5 + words as u32);
        let mut column = TCP_OPTIONS_COLUMN;
        for (kind, length) in *layout {
            if cost >= best.0 {
                break;
            }
            cost += draft.evidence.cost_columns(noise, row, column, 8, u32::from(*kind));
            if *kind > 1 {
                cost += draft.evidence.cost_columns(noise, row, column + 8, 8, u32::from(*length));
            }
            column += 8 * usize::from(*length);
        }
        if cost < best.0 {
            best = (cost, layout);
        }
    }
    best.1
}

/// Nats of an option area of none, one, two, … ten words: cells in it that are vacant, and present ones
/// behind it. A word that a run of wrong cells covers says nothing.
pub(super) fn presence_costs(noise: Noise, area: &[(u32, u32); 11]) -> [f32; 11] {
    let silent = noise.burst_cost + 32.0 * std::f32::consts::LN_2;
    let nats = |weight: u32| (noise.bit_cost * weight as f32 / 255.0).min(silent);
    let mut costs = [0.0; 11];
    let mut vacant = 0.0;
    for (word, pair) in area.windows(2).enumerate() {
        vacant += nats(pair[1].1 - pair[0].1);
        costs[word + 1] = vacant;
    }
    let mut present = 0.0;
    for (word, pair) in area.windows(2).enumerate().rev() {
        present += nats(pair[1].0 - pair[0].0);
        costs[word] += present;
    }
    costs
}

/// The data of the first option of a kind in an area that parses.
fn data_of(bytes: &[u8], kind: u8) -> Option<Range<usize>> {
    let mut at = 0;
    while at < bytes.len() {
        let length = match bytes[at] {
            0 => return None,
            1 => 1,
            _ => usize::from(*bytes.get(at + 1)?),
        };
        if length == 0 || at + length > bytes.len() {
            return None;
        }
        if bytes[at] == kind && length >= 2 {
            return Some(at + 2..at + length);
        }
        at += length;
    }
    None
}

/// Where the time-stamp option's 8 bytes of numbers lie in an option area.
pub(crate) fn timestamp_offset(bytes: &[u8]) -> Option<usize> {
    data_of(bytes, 8).filter(|data| data.len() == 8).map(|data| data.start)
}

/// The shift that a window-scale option announces.
pub(crate) fn window_scale(bytes: &[u8]) -> Option<u8> {
    data_of(bytes, 3).filter(|data| data.len() == 1).map(|data| bytes[data.start])
}

/// Where SACK blocks lie in an option area.
pub(crate) fn sack_range(bytes: &[u8]) -> Option<Range<usize>> {
    data_of(bytes, 5)
}
