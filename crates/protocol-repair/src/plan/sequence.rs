//! Fields that go on from row to row: identification counts up, a window stays or grows a little.
//!
//! Where such a number stands, the rows around a damaged one say. Its likeliest course is a search over
//! what each row shows and what it would be by a usual step.

use super::beam::{self, Beam, Breadth, Offers};
use crate::draft::Draft;
use crate::evidence::Reading;
use nprint_codec::Field;

/// Rows that name the beginning.
const NAMED: usize = 4;
/// States that are this much dearer than the cheapest are given up. Units: nats.
const MARGIN: f32 = 16.0;
/// Share of damaged rows below which what a row shows is kept.
const FEW_DAMAGED: f64 = 1e-3;
/// Courses this much dearer than one that a row confirms are given up. Units: nats.
const SURE: f32 = 8.0;

/// How a number of 16 bits goes on.
pub(super) struct Habit<'a> {
    /// Steps that are tried whatever a row shows, the cheapest first.
    pub(super) steps: &'a [u16],
    /// Nats of a step.
    pub(super) nats: fn(u16) -> f32,
    /// Courses that are followed.
    pub(super) width: usize,
    /// Values that come again and again, each with the nats of its coming next whatever the last one was.
    pub(super) frequent: &'a [(u16, f32)],
}

/// The likeliest course of `field` through `rows`, which read as `readings`.
pub(super) fn course(
    draft: &Draft<'_>,
    rows: &[usize],
    readings: &[Reading],
    field: Field,
    habit: &Habit<'_>,
) -> Vec<u16> {
    let (Some(first), Some(usual)) = (readings.first(), habit.steps.first()) else {
        return Vec::new();
    };
    let cells = draft.evidence.field(field);
    let named = readings.iter().zip(1_u16..).filter(|(r, _)| r.is_full()).take(NAMED);
    let before =
        |(r, rows): (&Reading, u16)| (r.value as u16).wrapping_sub(usual.wrapping_mul(rows));
    let mut starts: Vec<(f32, u16)> = named.map(|named| (0.0, before(named))).collect();
    starts.dedup();
    if starts.is_empty() {
        starts.push((0.0, before((first, 1))));
    }
    let prices = draft.noise.prices(field.bits);
    let by_count = draft.evidence.costs_by_count(draft.noise);
    let told = |row: usize, reading: Reading, value: u16| {
        if by_count {
            return prices[reading.wrong(u32::from(value)) as usize];
        }
        cells.cost(draft.noise, row, reading, u32::from(value))
    };
    // Where hardly any row has a wrong bit, what they show is right.
    let kept = f64::from(field.bits) * draft.noise.rate < FEW_DAMAGED;
    let mut beam = Beam::new(Breadth { width: habit.width, margin: MARGIN }, starts);
    for (row, reading) in rows.iter().zip(readings) {
        let (shown, is_full) = (reading.value as u16, reading.is_full());
        // 16 bits do not agree by chance: other courses are not worth following far.
        let is_usual = |last: u16| is_full && last.wrapping_add(*usual) == shown;
        // Any value but what a row shows has a wrong bit.
        let least = if is_full && by_count { prices[1] } else { 0.0 };
        let sure = beam.best().is_some_and(|last| is_usual(*last));
        let margin = if sure { SURE } else { f32::MAX };
        let mut choices = |last: &u16, offers: &mut Offers<'_, u16, u16>| {
            if is_full {
                let price = (habit.nats)(shown.wrapping_sub(*last));
                offers.add(price, shown, shown);
            }
            if is_full && (is_usual(*last) || kept) {
                // Nothing else is likelier.
                return;
            }
            let mut offer = |value: u16, price: f32| {
                if !offers.within(price + least) {
                    return false;
                }
                if value != shown || !is_full {
                    let told = told(*row, *reading, value);
                    offers.add(price + told, value, value);
                }
                true
            };
            let mut steps = habit.steps.iter();
            steps.all(|step| offer(last.wrapping_add(*step), (habit.nats)(*step)));
            habit.frequent.iter().all(|(value, price)| offer(*value, *price));
        };
        beam.step_within(margin, |_| None, &mut choices);
    }
    beam.finish()
}

impl beam::State for u16 {
    type Key = u32;
    type Step = Self;

    fn key_after(&self, step: Self) -> u32 {
        u32::from(step)
    }

    fn after(&self, step: Self) -> Self {
        step
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::RepairConfig;
    use crate::draft::Draft;
    use crate::evidence::{Evidence, Noise};
    use nprint_codec::{Field, Layout, TernaryMatrix};

    /// Gives a draft of noisy rows that show these values of `field`, and the rows, to a test.
    pub(in super::super) fn with_rows(
        field: Field,
        shown: impl IntoIterator<Item = u16>,
        test: impl FnOnce(&Draft<'_>, &[usize]),
    ) {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for value in shown {
            cells.push_vacant().set(field, u32::from(value));
        }
        let evidence = Evidence::certain(&cells);
        let config = RepairConfig::default();
        let mut draft = Draft::new(&evidence, &config);
        draft.noise = Noise::of_rate(0.02);
        test(&draft, &(0..cells.rows()).collect::<Vec<_>>());
    }
}
