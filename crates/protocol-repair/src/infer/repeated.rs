//! Fields whose values repeat within a role: what they say of a row's being of it.

use super::ends::Ends;
use crate::evidence::{Evidence, Noise, Reading};
use nprint_codec::Field;
use std::cmp::Reverse;

/// Fields of one IP version.
pub(super) const FIELDS: usize = 4;
/// Values of a field that are told apart; rarer ones are all alike.
const VALUES: usize = 24;

/// One of the fields.
struct Values {
    field: Field,
    /// The most frequent values of all roles.
    frequent: Vec<u32>,
    /// Likelihood of so many wrong bits where every cell is certain, and of a rare value.
    likelihoods: [f32; 33],
    rare_likelihood: f32,
}

impl Values {
    fn new(field: Field, readings: impl Iterator<Item = Reading>, noise: Noise) -> Self {
        let mut full: Vec<u32> = readings.filter(|r| r.is_full()).map(|r| r.value).collect();
        full.sort_unstable();
        let mut counted: Vec<(usize, u32)> =
            full.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
        counted.sort_unstable_by_key(|(n, value)| (Reverse(*n), *value));
        counted.truncate(VALUES);
        Self {
            field,
            frequent: counted.into_iter().map(|(_, value)| value).collect(),
            likelihoods: noise.prices(field.bits).map(|price| (-price).exp()),
            rare_likelihood: (-f32::from(field.bits) * std::f32::consts::LN_2).exp(),
        }
    }

    /// The number of a rare value.
    fn rare(&self) -> usize {
        self.frequent.len()
    }

    /// The number of the value that a row has. A damaged row has the frequent value that it is nearest to,
    /// if that is near.
    fn number(&self, reading: Reading) -> usize {
        let exact = |v: &u32| reading.is_full() && *v == reading.value;
        let near = |i: &usize| reading.wrong(self.frequent[*i]);
        let best = self.frequent.iter().position(exact).or_else(|| {
            let nearest = (0..self.rare()).min_by_key(near);
            nearest.filter(|i| near(i) <= u32::from(self.field.bits) >> 3)
        });
        best.unwrap_or(self.rare())
    }
}

/// The fields of all rows.
///
/// # Layout
/// Fields stand side by side: what is done to one of their values is done to those of all fields at once.
pub(super) struct Repeated<'a> {
    evidence: &'a Evidence<'a>,
    noise: Noise,
    fields: [Values; FIELDS],
    readings: Vec<[Reading; FIELDS]>,
    /// Number of the value that each row has.
    of_row: Vec<[u8; FIELDS]>,
    /// How often each role has each value, `width` entries a role.
    counts: Vec<[i32; FIELDS]>,
    width: usize,
    /// What each value counts before any row of a role has it: its share of all rows.
    before: Vec<[f32; FIELDS]>,
}

impl<'a> Repeated<'a> {
    pub(super) fn new(
        evidence: &'a Evidence<'a>,
        ends: &[Ends],
        fields: [Field; FIELDS],
        noise: Noise,
    ) -> Self {
        let read = |e: &Ends| fields.map(|field| evidence.read(e.row, field));
        let readings: Vec<[Reading; FIELDS]> = ends.iter().map(read).collect();
        let fields: [Values; FIELDS] = std::array::from_fn(|f| {
            Values::new(fields[f], readings.iter().map(|readings| readings[f]), noise)
        });
        let of_row: Vec<[u8; FIELDS]> = readings
            .iter()
            .map(|readings| std::array::from_fn(|f| fields[f].number(readings[f]) as u8))
            .collect();
        let widths = [0, 1, 2, 3].map(|f: usize| fields[f].rare() + 1);
        let width = widths.into_iter().fold(0, usize::max);
        let mut before = vec![[1.0; FIELDS]; width];
        for values in &of_row {
            for (f, value) in values.iter().enumerate() {
                before[usize::from(*value)][f] += 1.0;
            }
        }
        let all = widths.map(|width| (of_row.len() + width) as f32);
        for counts in &mut before {
            counts.iter_mut().zip(all).for_each(|(count, all)| *count /= all);
        }
        Self { evidence, noise, fields, readings, of_row, counts: Vec::new(), width, before }
    }

    /// Counts the values of each of `number` roles.
    pub(super) fn count(&mut self, roles: &[usize], number: usize) {
        self.counts.clear();
        self.counts.resize(number * self.width, [0; FIELDS]);
        for (values, role) in self.of_row.iter().zip(roles) {
            for (f, value) in values.iter().enumerate() {
                self.counts[role * self.width + usize::from(*value)][f] += 1;
            }
        }
    }

    /// Likelihoods of each value, and of a rare one, by what the cells of a row say.
    pub(super) fn likelihoods(&self, place: usize, row: usize, out: &mut Vec<[f32; FIELDS]>) {
        out.clear();
        out.resize(self.width, [0.0; FIELDS]);
        let certain = self.evidence.is_certain();
        for (f, values) in self.fields.iter().enumerate() {
            let reading = self.readings[place][f];
            for (likelihoods, value) in out.iter_mut().zip(&values.frequent) {
                likelihoods[f] = if certain {
                    let wrong = (reading.value ^ value) & reading.known;
                    values.likelihoods[wrong.count_ones() as usize]
                } else {
                    (-self.evidence.cost(self.noise, row, values.field, *value)).exp()
                };
            }
            out[values.rare()][f] = values.rare_likelihood;
        }
    }

    /// Nats of each field of a row in a role of `rows` others: of the role's own values, with all roles'
    /// behind them. `own` says whether the row was counted there.
    pub(super) fn nats(
        &self,
        likelihoods: &[[f32; FIELDS]],
        place: usize,
        (role, rows, own): (usize, u32, bool),
    ) -> [f32; FIELDS] {
        let counts = &self.counts[role * self.width..(role + 1) * self.width];
        let own = if own { self.of_row[place].map(i32::from) } else { [-1; FIELDS] };
        let total = rows as f32 + 1.0;
        let mut sums = [0.0_f32; FIELDS];
        let values = (0..).zip(counts).zip(&self.before);
        for (((value, counts), before), likelihoods) in values.zip(likelihoods) {
            for f in 0..FIELDS {
                let count = counts[f] - i32::from(own[f] == value);
                sums[f] += (count as f32 + before[f]) / total * likelihoods[f];
            }
        }
        sums.map(|likelihood| -likelihood.max(f32::MIN_POSITIVE).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Layout, TernaryMatrix, ipv4};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn fields_side_by_side_cost_what_each_does_alone() {
        const ROWS: usize = 120;
        const ROLES: usize = 3;
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let fields = [ipv4::TTL, ipv4::TOS, ipv4::DONT_FRAGMENT, ipv4::TOTAL_LENGTH];
        let mut cells = TernaryMatrix::vacant(Layout::reference(), ROWS);
        let mut roles = Vec::new();
        for row in 0..ROWS {
            roles.push(random.random_range(0..ROLES));
            for (field, values) in fields.iter().zip([5, 2, 2, 60]) {
                if random.random_bool(0.9) {
                    cells.row_mut(row).set(*field, 7 * random.random_range(0..values));
                }
            }
        }
        let evidence = Evidence::certain(&cells);
        let noise = Noise::of_rate(0.05);
        let ends: Vec<Ends> =
            (0..ROWS).map(|row| Ends::lone(row, [evidence.read(row, ipv4::ID); 2])).collect();
        let mut repeated = Repeated::new(&evidence, &ends, fields, noise);
        repeated.count(&roles, ROLES);
        let mut likelihoods = Vec::new();
        for row in 0..ROWS {
            repeated.likelihoods(row, row, &mut likelihoods);
            for role in 0..ROLES {
                let own = roles[row] == role;
                let others: Vec<usize> =
                    (0..ROWS).filter(|r| roles[*r] == role && *r != row).collect();
                let nats = repeated.nats(&likelihoods, row, (role, others.len() as u32, own));
                for (f, values) in repeated.fields.iter().enumerate() {
                    let rare = (-f32::from(fields[f].bits) * std::f32::consts::LN_2).exp();
                    let naive: f32 = (0..=values.rare())
                        .map(|value| {
                            let same = |r: &&usize| usize::from(repeated.of_row[**r][f]) == value;
                            let count = others.iter().filter(same).count() as f32;
                            let all = repeated.of_row.iter().filter(|v| usize::from(v[f]) == value);
                            let before =
                                (all.count() as f32 + 1.0) / (ROWS + values.rare() + 1) as f32;
                            let share = (count + before) / (others.len() as f32 + 1.0);
                            let cost = |v: &u32| evidence.cost(noise, row, fields[f], *v);
                            share * values.frequent.get(value).map_or(rare, |v| (-cost(v)).exp())
                        })
                        .sum();
                    let naive = -naive.max(f32::MIN_POSITIVE).ln();
                    assert_eq!(
                        nats[f].to_bits(),
                        naive.to_bits(),
                        "{} of row {row}",
                        fields[f].name
                    );
                }
            }
        }
    }
}
