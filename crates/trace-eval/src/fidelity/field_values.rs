//! Field values: all packets together, and packet by packet.

use super::References;
use super::reference::mean;
use crate::config::EvalConfig;
use crate::distance::{ValueCounts, ValueDistances, value_distances};
use crate::features::{ABSENT, FieldColumns, field_columns, is_leak_prone};
use crate::report::{Better, FieldRow, Points, PositionRow, Score};
use crate::sample::Pool;
use nprint_codec::Field;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Scores and tables of field values.
pub(crate) struct FieldValues {
    pub(crate) scores: Vec<Score>,
    pub(crate) fields: Vec<FieldRow>,
    pub(crate) positions: Vec<PositionRow>,
}

/// Field values of the pool's samples, then of as many random captures as there are real ones.
struct Captures {
    columns: Vec<FieldColumns>,
    random: Vec<usize>,
}

impl Captures {
    fn of(pool: &Pool<'_>, config: &EvalConfig) -> Self {
        let mut columns: Vec<FieldColumns> =
            pool.samples.par_iter().map(|s| field_columns(&s.matrix, config.packets)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x6669_656c_6473);
        // As many random captures as half of the real ones, which they are compared with.
        let random: Vec<FieldColumns> = columns[..pool.held_out.end.div_ceil(2)]
            .iter()
            .map(|real| random_like(real, &mut rng))
            .collect();
        let first = columns.len();
        columns.extend(random);
        Self { random: (first..columns.len()).collect(), columns }
    }

    fn fields(&self) -> &[Field] {
        &self.columns[0].fields
    }

    /// Whether a packet of the first `samples` captures has the field.
    fn occurs(&self, field: usize, samples: usize) -> bool {
        self.columns[..samples].iter().any(|c| c.columns[field].iter().any(|v| *v != ABSENT))
    }
}

/// Uniformly random values in every field of every packet.
fn random_like(real: &FieldColumns, rng: &mut ChaCha8Rng) -> FieldColumns {
    let column = |field: &Field| -> Vec<u64> {
        (0..real.rows()).map(|_| rng.random_range(0..1_u64 << field.bits)).collect()
    };
    let columns = real.fields.iter().map(column).collect();
    FieldColumns { fields: real.fields.clone(), columns }
}

/// Distances between the values of header fields.
pub(crate) fn field_values(
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> FieldValues {
    let captures = Captures::of(pool, config);
    let occurring: Vec<usize> =
        (0..captures.fields().len()).filter(|f| captures.occurs(*f, pool.samples.len())).collect();
    let fields: Vec<FieldRow> =
        occurring.par_iter().map(|f| field_row(*f, &captures, references)).collect();
    let compared: Vec<usize> =
        occurring.into_iter().filter(|f| !is_leak_prone(captures.fields()[*f])).collect();
    let positions = positions(&compared, &captures, references, config);
    let meaning = "Mean over header fields without leak-prone ones of the distance between the shares of \
                   their values (absence is a value). Floor: two halves of the real captures; \
                   random: uniformly random values.";
    let score = |metric: &str, of: fn(&FieldRow) -> Points| {
        let rows = || fields.iter().filter(|r| !r.leak_prone).map(of);
        Score::new("Field values", metric, meaning, Better::Lower, mean_points(rows))
    };
    let mut scores = vec![
        score("Jensen-Shannon distance of field values", |r| r.js_distance),
        score("total variation of field values", |r| r.total_variation),
        score("Hellinger distance of field values", |r| r.hellinger),
    ];
    scores.push(Score::new(
        "Field values",
        "Jensen-Shannon distance packet by packet",
        "The same over captures at each place of a capture (first packet, second packet, …), mean over \
         places: sees where in a capture values stand. Few captures make every value of it high, the \
         floor's too.",
        Better::Lower,
        mean_points(|| positions.iter().map(|p| p.js_distance)),
    ));
    FieldValues { scores, fields, positions }
}

fn mean_points<I: Iterator<Item = Points>>(rows: impl Fn() -> I) -> Points {
    let of = |value: fn(Points) -> Option<f64>| mean(rows().map(value));
    Points {
        synthetic: of(|p| p.synthetic),
        noise_floor: of(|p| p.noise_floor),
        wrong_class: of(|p| p.wrong_class),
        random: of(|p| p.random),
    }
}

fn field_row(field: usize, captures: &Captures, references: &References) -> FieldRow {
    let counts: Vec<ValueCounts> =
        captures.columns.iter().map(|c| c.columns[field].iter().copied().collect()).collect();
    let pooled = |of: &[usize]| ValueCounts::pooled(of.iter().map(|s| &counts[*s]));
    let found =
        references.compare(&captures.random, |a, b| value_distances(&pooled(a), &pooled(b)));
    let points = |value: fn(&ValueDistances) -> f64| found.points(|d| d.as_ref().map(value));
    let field = captures.fields()[field];
    FieldRow {
        field: field.name.to_owned(),
        leak_prone: is_leak_prone(field),
        js_distance: points(|d| d.js_distance),
        total_variation: points(|d| d.total_variation),
        hellinger: points(|d| d.hellinger),
    }
}

fn positions(
    fields: &[usize],
    captures: &Captures,
    references: &References,
    config: &EvalConfig,
) -> Vec<PositionRow> {
    let longest = captures.columns.iter().map(FieldColumns::rows).max().unwrap_or(0);
    let row = |packet: usize| {
        let found = references.compare(&captures.random, |a, b| {
            mean(fields.iter().map(|f| at_place(*f, packet, a, b, captures)))
        });
        PositionRow { packet, js_distance: found.points(|d| *d) }
    };
    (0..longest.min(config.packets)).into_par_iter().map(row).collect()
}

/// Distance between the values that a field has in packet `packet` of two sets of captures; `None`
/// where no capture of a set is that long.
fn at_place(
    field: usize,
    packet: usize,
    a: &[usize],
    b: &[usize],
    captures: &Captures,
) -> Option<f64> {
    let values = |of: &[usize]| -> Vec<u64> {
        of.iter().filter_map(|s| captures.columns[*s].columns[field].get(packet).copied()).collect()
    };
    let (a, b) = (values(a), values(b));
    // Most fields have one value everywhere: no histogram is needed to see that.
    let first = *a.first()?;
    if !b.is_empty() && a.iter().chain(&b).all(|v| *v == first) {
        return Some(0.0);
    }
    value_distances(&a.into_iter().collect(), &b.into_iter().collect()).map(|d| d.js_distance)
}
