//! Fields whose values repeat within a role: what they say of a row's being of it.

use super::ends::Ends;
use super::weights::Weights;
use crate::evidence::{Evidence, FieldCells, Noise, Reading};
use nprint_codec::Field;
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::f32::consts::LN_2;

/// Fields of one IP version.
pub(super) const FIELDS: usize = 4;
/// Values of a field that are told apart; rarer ones are all alike.
const VALUES: usize = 24;
/// Numbers of values, that of the rare ones behind the others, in whole vectors of four.
const NUMBERS: usize = (VALUES + 1).next_multiple_of(4);

/// Something of each value of a field, by its number.
type ByValue = [f32; NUMBERS];

/// One of the fields.
struct Values {
    field: Field,
    /// The most frequent values of all roles.
    frequent: Vec<u32>,
    /// What each value counts before any row of a role has it: its share of all rows.
    before: ByValue,
    /// Where every cell is certain: what a row says that has one of the values in full.
    exact: Vec<Said>,
    /// Likelihood of any bits where a run of wrong cells lies over them.
    in_run: f32,
    /// Likelihood of so many wrong bits where every cell is certain, and of a rare value.
    likelihoods: [f32; 33],
    rare_likelihood: f32,
}

/// What a row says of a field.
#[derive(Clone, Copy)]
pub(super) struct Said {
    /// Likelihood of each value.
    likelihoods: ByValue,
    /// That of what all rows have.
    background: f32,
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
            before: [0.0; NUMBERS],
            exact: Vec::new(),
            in_run: (-(noise.burst_cost + f32::from(field.bits) * LN_2)).exp(),
            likelihoods: noise.prices(field.bits).map(|price| (-price).exp()),
            rare_likelihood: (-f32::from(field.bits) * LN_2).exp(),
        }
    }

    /// Takes over the numbers of the values that rows have.
    fn count(&mut self, numbers: impl Iterator<Item = u8>) {
        let used = &mut self.before[..=self.frequent.len()];
        used.fill(1.0);
        let mut all = used.len() as f32;
        for number in numbers {
            used[usize::from(number)] += 1.0;
            all += 1.0;
        }
        for count in used {
            *count /= all;
        }
        let certain = |of: &u32| self.said(|value| self.likelihood(of ^ value));
        self.exact = self.frequent.iter().map(certain).collect();
    }

    /// What a row says, by the likelihood of each frequent value.
    fn said(&self, likelihood: impl Fn(u32) -> f32) -> Said {
        let mut likelihoods = [0.0; NUMBERS];
        for (known, value) in likelihoods.iter_mut().zip(&self.frequent) {
            *known = likelihood(*value);
        }
        likelihoods[self.rare()] = self.rare_likelihood;
        Said { likelihoods, background: sum_of_products(&self.before, &likelihoods) }
    }

    /// Likelihood of these wrong bits where every cell is certain.
    fn likelihood(&self, wrong: u32) -> f32 {
        self.likelihoods[wrong.count_ones() as usize]
    }

    /// The number of a rare value.
    fn rare(&self) -> usize {
        self.frequent.len()
    }

    /// The number of the value that a row has. A damaged row has the frequent value that it is nearest to,
    /// if that is near.
    fn number(&self, reading: Reading) -> usize {
        let exact = |v: &u32| reading.is_full() && *v == reading.value;
        let best = self.frequent.iter().position(exact).or_else(|| {
            let mut wrong = [u32::MAX; VALUES];
            for (wrong, value) in wrong.iter_mut().zip(&self.frequent) {
                *wrong = reading.wrong(*value);
            }
            let nearest = (0..self.rare()).min_by_key(|i| wrong[*i]);
            nearest.filter(|i| wrong[*i] <= u32::from(self.field.bits) >> 3)
        });
        best.unwrap_or(self.rare())
    }
}

/// Sum over all values.
fn sum_of_products(a: &ByValue, b: &ByValue) -> f32 {
    let mut sums = [0.0; 4];
    for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
        (0..4).for_each(|i| sums[i] += a[i] * b[i]);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// The fields of all rows.
pub(super) struct Repeated<'a> {
    /// Likelihood of contradicted bits by what they weigh, where cells are more or less certain.
    by_weight: Vec<f32>,
    fields: [Values; FIELDS],
    cells: [FieldCells<'a>; FIELDS],
    readings: Vec<[Reading; FIELDS]>,
    /// Number of the value that each row has.
    of_row: Vec<[u8; FIELDS]>,
    /// How often each role has each value.
    counts: Vec<[ByValue; FIELDS]>,
    /// What each row says that was asked: the same whatever role it is compared with.
    said: Vec<OnceCell<Box<Sayings>>>,
}

/// What a row says of each field.
pub(super) type Sayings = [Said; FIELDS];

impl<'a> Repeated<'a> {
    pub(super) fn new(
        evidence: &'a Evidence<'a>,
        ends: &[Ends],
        fields: [Field; FIELDS],
        noise: Noise,
    ) -> Self {
        let cells = fields.map(|field| evidence.field(field));
        let read = |ends: &Ends| cells.map(|cells| cells.read(ends.row));
        let readings: Vec<[Reading; FIELDS]> = ends.iter().map(read).collect();
        let mut fields: [Values; FIELDS] = std::array::from_fn(|f| {
            Values::new(fields[f], readings.iter().map(|readings| readings[f]), noise)
        });
        let of_row: Vec<[u8; FIELDS]> = readings
            .iter()
            .map(|readings| std::array::from_fn(|f| fields[f].number(readings[f]) as u8))
            .collect();
        for (f, values) in fields.iter_mut().enumerate() {
            values.count(of_row.iter().map(|numbers| numbers[f]));
        }
        let widest = fields.iter().map(|values| values.field.bits).max().unwrap_or(0);
        let weights = if evidence.is_certain() { 0 } else { 255 * widest + 1 };
        let likelihood = |weight: u16| (-(noise.bit_cost * f32::from(weight) / 255.0)).exp();
        let by_weight = (0..weights).map(likelihood).collect();
        let said = vec![OnceCell::new(); ends.len()];
        Self { by_weight, fields, cells, readings, of_row, counts: Vec::new(), said }
    }

    /// Counts the values of each of `number` roles.
    pub(super) fn count(&mut self, roles: &[usize], number: usize) {
        self.counts.clear();
        self.counts.resize(number, [[0.0; NUMBERS]; FIELDS]);
        for (values, role) in self.of_row.iter().zip(roles) {
            for (counts, value) in self.counts[*role].iter_mut().zip(values) {
                counts[usize::from(*value)] += 1.0;
            }
        }
    }

    /// What the cells of a row say.
    pub(super) fn sayings(&self, place: usize, row: usize) -> &Sayings {
        let say = || Box::new(std::array::from_fn(|f| self.say(f, place, row)));
        self.said[place].get_or_init(say)
    }

    fn say(&self, f: usize, place: usize, row: usize) -> Said {
        let (values, reading) = (&self.fields[f], self.readings[place][f]);
        if let Some(confidence) = self.cells[f].confidence(row) {
            let high = |of: u32| of << (32 - values.field.bits);
            let weights = Weights::new(high(reading.known), confidence);
            return values.said(|value| {
                let weight = weights.of_field(high(reading.value ^ value));
                self.by_weight[usize::from(weight)].max(values.in_run)
            });
        }
        let number = usize::from(self.of_row[place][f]);
        if reading.is_full() && values.frequent.get(number) == Some(&reading.value) {
            return values.exact[number];
        }
        values.said(|value| values.likelihood((reading.value ^ value) & reading.known))
    }

    /// Nats of each field of a row in a role of `rows` others: of the role's own values, with all roles'
    /// behind them. `own` says whether the row was counted there.
    pub(super) fn nats(
        &self,
        said: &Sayings,
        place: usize,
        (role, rows, own): (usize, u32, bool),
    ) -> impl Iterator<Item = f32> {
        let fields = said.iter().zip(&self.of_row[place]).zip(&self.counts[role]);
        fields.map(move |((Said { likelihoods, background }, value), counts)| {
            let own = if own { likelihoods[usize::from(*value)] } else { 0.0 };
            let others = sum_of_products(counts, likelihoods) - own;
            let likelihood = (others + background) / (rows as f32 + 1.0);
            -likelihood.max(f32::MIN_POSITIVE).ln()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Layout, SoftMatrix, TernaryMatrix, ipv4};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const ROWS: usize = 120;
    const ROLES: usize = 3;

    #[test]
    fn the_values_of_a_role_cost_what_a_sum_over_all_values_does() {
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
        let confidence = (0..ROWS * 1088).map(|_| random.random()).collect();
        let soft = SoftMatrix::new(cells.clone(), confidence).expect("one confidence a cell");
        for evidence in [Evidence::certain(&cells), Evidence::new(&soft)] {
            values_cost_what_a_sum_does(&evidence, fields, &roles);
        }
    }

    fn values_cost_what_a_sum_does(
        evidence: &Evidence<'_>,
        fields: [Field; FIELDS],
        roles: &[usize],
    ) {
        let noise = Noise::of_rate(0.05);
        let ends: Vec<Ends> =
            (0..ROWS).map(|row| Ends::lone(row, [evidence.read(row, ipv4::ID); 2])).collect();
        let mut repeated = Repeated::new(evidence, &ends, fields, noise);
        repeated.count(roles, ROLES);
        for row in 0..ROWS {
            let sayings = repeated.sayings(row, row);
            for role in 0..ROLES {
                let own = roles[row] == role;
                let others: Vec<usize> =
                    (0..ROWS).filter(|r| roles[*r] == role && *r != row).collect();
                let own = (role, others.len() as u32, own);
                let nats: Vec<f32> = repeated.nats(sayings, row, own).collect();
                for (f, values) in repeated.fields.iter().enumerate() {
                    let rare = (-f32::from(fields[f].bits) * LN_2).exp();
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
                    let name = fields[f].name;
                    assert!((nats[f] - naive).abs() < 1e-4 * naive.max(1.0), "{name} of row {row}");
                }
            }
        }
    }
}
