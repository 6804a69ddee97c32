//! Decoding of fields whose values repeat within a context.
//!
//! The values that a context (a direction of a flow) really uses are few and come often; a wrong
//! bit makes a rare value next to a frequent one. Each row takes the value that is cheapest in
//! `-ln(share of the value) + cost of the contradicted bits`. Without noise the second term rules
//! and nothing moves.

use crate::draft::Draft;
use crate::evidence::Noise;
use nprint_codec::Field;

/// Candidates that are tried for a row; more would only add rare values.
const CANDIDATES: usize = 192;

/// Most likely values of `field` for `rows`, in the order of `rows`.
pub(crate) fn settle(draft: &Draft<'_>, rows: &[usize], field: Field, noise: Noise) -> Vec<u32> {
    let evidence = draft.evidence;
    let readings: Vec<_> = rows.iter().map(|r| evidence.read(*r, field)).collect();
    if noise.is_clean() && evidence.is_certain() && readings.iter().all(|r| r.is_full()) {
        return readings.iter().map(|r| r.value).collect();
    }
    let full: Vec<u32> = readings.iter().filter(|r| r.is_full()).map(|r| r.value).collect();
    let mut values: Vec<u32> = readings.iter().map(|r| r.value).collect();
    let mut histogram = counts(&full);
    if histogram.is_empty() {
        histogram = counts(&values);
    }
    for _ in 0..2 {
        let total = rows.len().max(1) as f32;
        let priors: Vec<(u32, f32)> = histogram
            .iter()
            .take(CANDIDATES)
            .map(|(v, n)| (*v, (total / *n as f32).ln().max(0.0)))
            .collect();
        let top = priors.first().map_or(0.0, |p| p.1);
        for ((row, reading), value) in rows.iter().zip(&readings).zip(&mut values) {
            let own = histogram
                .iter()
                .find(|(v, _)| reading.is_full() && *v == reading.value)
                .map(|(_, n)| (total / *n as f32).ln().max(0.0));
            let mut best = own.unwrap_or(f32::MAX);
            *value = reading.value;
            if own.is_some_and(|own| own <= top + noise.bit_cost.min(1.0) && evidence.is_certain()) {
                continue;
            }
            for (candidate, prior) in &priors {
                if *prior >= best {
                    break;
                }
                let cost = prior + evidence.cost(noise, *row, field, *candidate);
                if cost < best {
                    best = cost;
                    *value = *candidate;
                }
            }
        }
        histogram = counts(&values);
    }
    values
}

/// Values with their counts, the most frequent first.
pub(crate) fn counts(values: &[u32]) -> Vec<(u32, usize)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let mut out: Vec<(u32, usize)> = Vec::new();
    for value in sorted {
        match out.last_mut() {
            Some((v, n)) if *v == value => *n += 1,
            _ => out.push((value, 1)),
        }
    }
    out.sort_by_key(|(v, n)| (std::cmp::Reverse(*n), *v));
    out
}

/// As [`settle`] for the high 16 bits of a 32-bit field.
pub(crate) fn settle_high_half(draft: &Draft<'_>, rows: &[usize], field: Field) -> Vec<u32> {
    let mut half = field;
    half.bits = 16;
    settle(draft, rows, half, draft.noise)
}
