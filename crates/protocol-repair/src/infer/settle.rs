//! Decoding of fields whose values repeat within a context.
//!
//! The values that a context (a direction of a flow) really uses are few and come often; a wrong
//! bit makes a rare value next to a frequent one. Each row takes the value that is cheapest in
//! `-ln(share of the value) + cost of the contradicted bits`. Without noise the second term rules
//! and nothing moves.

use crate::draft::Draft;
use crate::evidence::{Noise, Reading};
use nprint_codec::Field;

/// Candidates that are tried for a row; more would only add rare values.
const CANDIDATES: usize = 192;

/// Most likely values of `field` for `rows`, in the order of `rows`.
pub(crate) fn settle(draft: &Draft<'_>, rows: &[usize], field: Field, noise: Noise) -> Vec<u32> {
    decide(draft, rows, field, noise, Source::Data)
}

/// As [`settle`] for a field that hosts hardly change: a row is no evidence for a value of its own.
pub(crate) fn settle_kept(draft: &Draft<'_>, rows: &[usize], field: Field) -> Vec<u32> {
    decide(draft, rows, field, draft.noise, Source::Host)
}

/// Whether nothing is damaged, and all rows that `take` a field show it: they keep it then.
pub(crate) fn is_shown(
    draft: &Draft<'_>,
    field: Field,
    takes: impl Fn(&Draft<'_>, usize) -> bool,
) -> bool {
    let cells = draft.evidence.field(field);
    draft.noise.is_clean()
        && draft.evidence.is_certain()
        && (0..draft.rows.len()).all(|row| !takes(draft, row) || cells.read(row).is_full())
}

/// Writes the most likely values of a field.
pub(crate) fn write(draft: &mut Draft<'_>, rows: &[usize], field: Field) {
    let values = settle(draft, rows, field, draft.noise);
    write_values(draft, rows, field, &values);
}

/// As [`write`] for a field that hosts hardly change.
pub(crate) fn write_kept(draft: &mut Draft<'_>, rows: &[usize], field: Field) {
    let values = settle_kept(draft, rows, field);
    write_values(draft, rows, field, &values);
}

fn write_values(draft: &mut Draft<'_>, rows: &[usize], field: Field, values: &[u32]) {
    let cells = draft.evidence.field(field);
    for (row, value) in rows.iter().zip(values) {
        if !cells.are(*row, *value) {
            draft.set(*row, field, *value);
        }
    }
}

/// What the values of a field come from.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    /// The traffic: any value may come.
    Data,
    /// A host's settings.
    Host,
}

fn decide(
    draft: &Draft<'_>,
    rows: &[usize],
    field: Field,
    noise: Noise,
    source: Source,
) -> Vec<u32> {
    let evidence = draft.evidence;
    let cells = evidence.field(field);
    let readings: Vec<Reading> = rows.iter().map(|row| cells.read(*row)).collect();
    let shown = || readings.iter().map(|reading| reading.value);
    // Nothing says otherwise where nothing is damaged, or all rows show the same.
    let undamaged = noise.is_clean() && evidence.is_certain();
    if readings.iter().all(|r| r.is_full() && (undamaged || *r == readings[0])) {
        return shown().collect();
    }
    let full: Vec<u32> = readings.iter().filter(|r| r.is_full()).map(|r| r.value).collect();
    let mut values: Vec<u32> = shown().collect();
    let histogram = counts(if full.is_empty() { &values } else { &full });
    // How often a value stays: runs are evidence too.
    let stays = full.windows(2).filter(|w| w[0] == w[1]).count() as f32;
    let stays = (stays / full.len().max(1) as f32).clamp(0.02, 0.98);
    let total = rows.len().max(1) as f32;
    let novel = novel(&histogram, full.len(), noise, field.bits, source);
    let likelihoods = likelihoods(noise, field.bits);
    for round in 0..2 {
        let shares = if round == 0 {
            true_shares(&histogram, &likelihoods, total)
        } else {
            true_shares(&counts(&values), &likelihoods, total)
        };
        // What a change to a value of this share costs, and its repetition.
        let nats = |share: f32| {
            let changed = (1.0 - stays) * share;
            [-changed.ln(), -(changed + stays).ln()]
        };
        // A row is no evidence for its own value.
        let one = 1.0 / total;
        let own = |share: f32| nats((share - one).max(0.0) + novel * share.min(one));
        let mut by_value: Vec<(u32, Price)> = shares
            .iter()
            .enumerate()
            .map(|(rank, (value, share))| {
                let [changed, again] = nats(*share);
                (*value, Price { changed, again, own: own(*share), frequent: rank < CANDIDATES })
            })
            .collect();
        // What a change to each of the most frequent values costs: the cheapest first.
        let frequent: Vec<(u32, f32)> = by_value
            .iter()
            .take(CANDIDATES)
            .map(|(value, price)| (*value, price.changed))
            .collect();
        by_value.sort_unstable_by_key(|(value, _)| *value);
        let price_of = |value: u32| {
            by_value.binary_search_by_key(&value, |(v, _)| *v).ok().map(|i| by_value[i].1)
        };
        let (unseen, impossible) = (own(0.1 * one), nats(0.0)[1]);
        let mut last: Option<u32> = None;
        // What rows show that keep it, the value before them being the same: most rows do.
        let mut kept: Option<(Reading, Option<u32>)> = None;
        for ((row, reading), value) in rows.iter().zip(&readings).zip(&mut values) {
            if kept == Some((*reading, last)) {
                *value = reading.value;
                last = Some(reading.value);
                continue;
            }
            let shown = price_of(reading.value);
            let own = shown.map_or(unseen, |price| price.own);
            let mut best = (own[usize::from(last == Some(reading.value))], reading.value);
            if !reading.is_full() {
                // An unknown bit is as likely 1.
                best.0 += std::f32::consts::LN_2 * (reading.missing() as f32) + 1.0;
            }
            let mut consider = |candidate: u32, prior: f32, least: f32| {
                let likely = prior + least < best.0;
                if likely {
                    let cost = prior + cells.cost(noise, *row, *reading, candidate);
                    if cost < best.0 {
                        best = (cost, candidate);
                    }
                }
                likely
            };
            if let Some(last) = last {
                consider(last, price_of(last).map_or(impossible, |price| price.again), 0.0);
            }
            // The one that is `last` was considered at its own, lower price.
            if let Some(price) = shown.filter(|price| source == Source::Data && price.frequent) {
                consider(reading.value, price.changed, 0.0);
            }
            // Any other contradicts the row, where that says all of its bits.
            let least = if reading.is_full() { cells.least_cost(noise, *row) } else { 0.0 };
            let mut others = frequent.iter().filter(|(c, _)| *c != reading.value);
            others.all(|(candidate, prior)| consider(*candidate, *prior, least));
            // Where cells are more or less certain, another row that shows the same may be decided otherwise.
            let alone = || {
                let other = frequent.iter().find(|(c, _)| *c != reading.value);
                last.is_none_or(|last| last == reading.value)
                    && other.is_none_or(|(_, prior)| *prior >= best.0)
            };
            if best.1 == reading.value && (evidence.is_certain() || alone()) {
                kept = Some((*reading, last));
            }
            *value = best.1;
            last = Some(best.1);
        }
    }
    values
}

/// What a value costs. Units: nats.
#[derive(Clone, Copy)]
struct Price {
    /// Where the value before was another one.
    changed: f32,
    /// As the value of the row before again.
    again: f32,
    /// Where the row itself shows it: new, and as the row before.
    own: [f32; 2],
    /// Whether it is tried for rows that show another one.
    frequent: bool,
}

/// How many rows have a value that no other row has, as far as noise does not explain it, and at
/// most 1; where it explains all, little: one of all values then.
///
/// Traffic brings new values always. Only where wrong cells come in runs do the rows beside them show
/// whether it did here.
fn novel(histogram: &[(u32, usize)], rows: usize, noise: Noise, bits: u16, source: Source) -> f32 {
    if source == Source::Data && noise.burst_cost.is_infinite() {
        return 1.0;
    }
    let lone = histogram.iter().filter(|(_, count)| *count == 1).count() as f32;
    // Half of the wrong cells are vacant, and rows with such a cell are not counted.
    let right = ((1.0 - noise.rate) / (1.0 - 0.5 * noise.rate)).powi(i32::from(bits)) as f32;
    let made = rows as f32 * (1.0 - right);
    let any = (-f32::from(bits)).exp2();
    (lone - made - 2.0 * made.sqrt()).clamp(0.5 * any, 1.0)
}

/// Likelihoods of so many wrong bits: 0, 1, 2, …
fn likelihoods(noise: Noise, bits: u16) -> Vec<f32> {
    let wrong = (-noise.bit_cost).exp().min(0.5);
    (0..=i32::from(bits)).map(|count| wrong.powi(count)).collect()
}

/// Values that wrong bits may make others of.
const MAKERS: usize = 24;

/// Shares of the values, less what wrong bits of more frequent values make of them.
fn true_shares(histogram: &[(u32, usize)], likelihoods: &[f32], total: f32) -> Vec<(u32, f32)> {
    let most = likelihoods.len() - 1;
    let mut out: Vec<(u32, f32)> = histogram
        .iter()
        .enumerate()
        .map(|(index, (value, count))| {
            let made: f32 = histogram[..index.min(MAKERS)]
                .iter()
                .map(|(frequent, n)| {
                    let distance = (frequent ^ value).count_ones() as usize;
                    *n as f32 * likelihoods[distance.min(most)]
                })
                .sum();
            let own = *count as f32 - made - 2.0 * made.sqrt();
            (*value, own.max(0.1) / total)
        })
        .collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    out
}

/// Values with their counts, the most frequent first.
pub(crate) fn counts(values: &[u32]) -> Vec<(u32, usize)> {
    // Most values repeat the one before: there are far fewer runs of them to be sorted.
    let mut runs: Vec<(u32, usize)> =
        values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    runs.sort_unstable_by_key(|(value, _)| *value);
    let mut out: Vec<(u32, usize)> = Vec::new();
    for (value, count) in runs {
        match out.last_mut() {
            Some((v, n)) if *v == value => *n += count,
            _ => out.push((value, count)),
        }
    }
    out.sort_unstable_by_key(|(v, n)| (std::cmp::Reverse(*n), *v));
    out
}

/// As [`settle`] for the high 16 bits of a 32-bit field.
pub(crate) fn settle_high_half(draft: &Draft<'_>, rows: &[usize], field: Field) -> Vec<u32> {
    let mut half = field;
    half.bits = 16;
    settle(draft, rows, half, draft.noise)
}
