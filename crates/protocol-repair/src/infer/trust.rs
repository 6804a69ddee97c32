//! How far the cells of a trace can be trusted, from those whose truth is known.
//!
//! Once a row's headers are known, so is the presence of 448 of its cells. How many of them are
//! wrong, whether they come in runs, and how much likelier wrong the unsure ones are, holds for the
//! other cells too.

use super::stack::fixed_regions;
use crate::draft::Stack;
use crate::evidence::{Evidence, Halves, Noise, extract};
use nprint_codec::{IpVersion, ipv4, ipv6};

/// Cells of a row whose truth the header stack gives.
const KNOWN_CELLS: usize = 448;
/// Cells that are judged together when runs are looked for.
const BLOCK: usize = 32;
/// Cells on each side of a wrong one that are right where it is a lone one.
const BESIDE: u32 = 6;
/// Wrong cells that make a block part of a run.
const RUN: usize = 8;
/// Wrong cells without which confidences are not put on a scale.
const FEWEST_WRONG: u64 = 1000;

/// The noise of a trace with these header stacks; `halves` are its present cells, row by row.
pub(crate) fn noise(evidence: &Evidence<'_>, halves: &[Halves], stacks: &[Stack]) -> Noise {
    let kinds = Blocks::of_kinds(halves, stacks);
    let [vacant, present] = &kinds;
    let wrong = vacant.wrong() + present.wrong() + wrong_versions(evidence, stacks);
    let rate = wrong as f64 / (stacks.len() * KNOWN_CELLS).max(1) as f64;
    let noise = Noise::of_rate(rate);
    if noise.is_clean() {
        noise
    } else if evidence.is_certain() {
        with_runs(&kinds, noise, || lone_rate(evidence, stacks))
    } else if wrong < FEWEST_WRONG {
        noise
    } else {
        let cost = confidence_scale(evidence, stacks).max(noise.bit_cost);
        Noise { bit_cost: cost, lone_cost: cost, ..noise }
    }
}

/// Wrong bits of the IP versions.
fn wrong_versions(evidence: &Evidence<'_>, stacks: &[Stack]) -> u64 {
    let [v4, v6] = [ipv4::VERSION, ipv6::VERSION].map(|field| evidence.field(field));
    let wrong = |(row, stack): (usize, &Stack)| match stack.version {
        IpVersion::V4 => v4.read(row).wrong(4),
        IpVersion::V6 => v6.read(row).wrong(6),
    };
    stacks.iter().enumerate().map(|known| u64::from(wrong(known))).sum()
}

/// Tells runs of wrong cells from lone ones, where there are more runs than lone ones make.
fn with_runs(kinds: &[Blocks; 2], noise: Noise, lone_rate: impl FnOnce() -> f64) -> Noise {
    let chance: f64 = kinds.iter().map(|k| k.all() as f64 * tail(k.rate().min(0.5))).sum();
    let blocks = Blocks(std::array::from_fn(|wrong| kinds[0].0[wrong] + kinds[1].0[wrong]));
    if (blocks.runs() as f64) < 3.0 * chance + 4.0 {
        return noise;
    }
    let share = blocks.runs() as f64 / blocks.all() as f64;
    Noise {
        rate: noise.rate,
        bit_cost: Noise::of_rate(blocks.rate()).bit_cost,
        lone_cost: Noise::of_rate(lone_rate()).bit_cost,
        burst_cost: -(share.ln() as f32),
    }
}

/// Share of cells that are wrong with none wrong beside them: the noise outside runs.
fn lone_rate(evidence: &Evidence<'_>, stacks: &[Stack]) -> f64 {
    let mut lone = 0.5;
    for (row, stack) in stacks.iter().enumerate() {
        let present = evidence.cells().row(row).present_words();
        for (columns, expected) in fixed_regions(*stack) {
            for start in columns.clone().step_by(BLOCK) {
                let here = extract(present, start, BLOCK.min(columns.end - start));
                let wrong = if expected { !here } else { here };
                let beside = (1..=BESIDE).fold(0, |all, far| all | (wrong << far) | (wrong >> far));
                lone += f64::from((wrong & !beside).count_ones());
            }
        }
    }
    lone / (stacks.len() * KNOWN_CELLS).max(1) as f64
}

/// How many blocks of cells have so many wrong ones: 0, 1, 2, …
struct Blocks([u64; BLOCK + 1]);

impl Blocks {
    /// Blocks that should be vacant, and those that should not: half of the latter's wrong cells are
    /// there.
    fn of_kinds(halves: &[Halves], stacks: &[Stack]) -> [Self; 2] {
        let mut kinds = [Self([0; BLOCK + 1]), Self([0; BLOCK + 1])];
        for (halves, stack) in halves.iter().zip(stacks) {
            for (columns, expected) in fixed_regions(*stack) {
                let blocks = &mut kinds[usize::from(expected)].0;
                for here in halves.each(columns) {
                    let here = usize::from(here);
                    blocks[if expected { BLOCK - here } else { here }] += 1;
                }
            }
        }
        kinds
    }

    fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Wrong cells.
    fn wrong(&self) -> u64 {
        (0..).zip(&self.0).map(|(wrong, blocks)| wrong * blocks).sum()
    }

    /// Those that are part of a run.
    fn runs(&self) -> u64 {
        self.0[RUN..].iter().sum()
    }

    /// Share of wrong cells outside runs.
    fn rate(&self) -> f64 {
        let lone: u64 = (0..).zip(&self.0[..RUN]).map(|(wrong, blocks)| wrong * blocks).sum();
        (lone as f64 + 0.5) / ((self.all() - self.runs()) * BLOCK as u64).max(1) as f64
    }
}

/// Probability that a block has [`RUN`] wrong cells or more when each is wrong by itself.
fn tail(rate: f64) -> f64 {
    let (mut term, mut below) = ((1.0 - rate).powi(BLOCK as i32), 0.0);
    for k in 0..RUN {
        below += term;
        term *= (BLOCK - k) as f64 / (k + 1) as f64 * rate / (1.0 - rate);
    }
    (1.0 - below).max(0.0)
}

/// Nats that a cell of full confidence weighs: the slope of the log-odds of being right over
/// confidence, by maximum likelihood.
fn confidence_scale(evidence: &Evidence<'_>, stacks: &[Stack]) -> f32 {
    // By their confidence; most of a drawn image's are certain.
    let (mut cells, mut wrong) = ([0_u64; 256], [0_u64; 256]);
    for (row, stack) in stacks.iter().enumerate() {
        let present = evidence.cells().row(row).present_words();
        for (columns, expected) in fixed_regions(*stack) {
            let Some(confidence) = evidence.confidence(row, columns.clone()) else { continue };
            for (block, weights) in (columns.start..).step_by(BLOCK).zip(confidence.chunks(BLOCK)) {
                if weights.iter().fold(u8::MAX, |all, c| all & c) == u8::MAX {
                    cells[255] += weights.len() as u64;
                } else {
                    for confidence in weights {
                        cells[usize::from(*confidence)] += 1;
                    }
                }
                let here = extract(present, block, BLOCK);
                let mut left = if expected { !here } else { here };
                while left != 0 {
                    let place = left.leading_zeros() as usize;
                    wrong[usize::from(weights[place])] += 1;
                    left ^= 1 << (BLOCK - 1 - place);
                }
            }
        }
    }
    // The score falls in the slope: look for its zero by bisection.
    let score = |slope: f64| -> f64 {
        let counts = cells.iter().zip(&wrong).enumerate().filter(|(_, (cells, _))| **cells > 0);
        counts
            .map(|(confidence, (cells, wrong))| {
                let sure = confidence as f64 / 255.0;
                let expected = *cells as f64 / (1.0 + (slope * sure).exp());
                sure * (expected - *wrong as f64)
            })
            .sum()
    };
    let (mut low, mut high) = (0.5, 18.0);
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        if score(middle) > 0.0 { low = middle } else { high = middle }
    }
    (0.5 * (low + high)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Transport;
    use nprint_codec::{Header, Layout, SoftMatrix, TernaryMatrix};

    const UDP: Stack = Stack { version: IpVersion::V4, transport: Transport::Udp };

    fn noise_of(evidence: &Evidence<'_>, stacks: &[Stack]) -> Noise {
        let halves: Vec<Halves> = (0..evidence.rows()).map(|row| evidence.halves(row)).collect();
        noise(evidence, &halves, stacks)
    }

    fn rows(count: usize) -> TernaryMatrix {
        let mut cells = TernaryMatrix::new(Layout::reference());
        for _ in 0..count {
            let mut row = cells.push_vacant();
            row.set_header(Header::Ipv4, &[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            row.set_header(Header::Udp, &[0, 53, 0, 53, 0, 8, 0, 0]);
        }
        cells
    }

    #[test]
    fn runs_are_told_from_lone_cells() {
        let stacks = vec![UDP; 400];
        let clean = rows(400);
        assert!(noise_of(&Evidence::certain(&clean), &stacks).is_clean());
        let mut lone = clean.clone();
        let mut runs = clean.clone();
        for row in 0..400 {
            // One cell in every row, or 16 in every 16th.
            lone.row_mut(row).set_cell(480 + row % 160, nprint_codec::Cell::One);
            if row % 16 == 0 {
                (0..16).for_each(|c| runs.row_mut(row).set_cell(512 + c, nprint_codec::Cell::One));
            }
        }
        let (lone, runs) = (
            noise_of(&Evidence::certain(&lone), &stacks),
            noise_of(&Evidence::certain(&runs), &stacks),
        );
        assert!((lone.rate - runs.rate).abs() < 1e-9);
        assert!(lone.burst_cost.is_infinite());
        // 25 of 400 × 14 blocks; no lone cell is wrong.
        assert!((runs.burst_cost - 224.0_f32.ln()).abs() < 1e-4, "{}", runs.burst_cost);
        assert!(runs.bit_cost > lone.bit_cost);
        // Noise outside runs is what lone cells show.
        assert!((runs.lone_cost - (400.0 * 448.0 / 0.5_f32).ln()).abs() < 1e-3);
    }

    #[test]
    fn confidences_are_put_on_their_scale() {
        // Cells with confidence 51 are wrong one time in 1 + e^2: log-odds 2 at a fifth, so 10 in all.
        let stacks = vec![UDP; 400];
        let mut cells = rows(400);
        let mut confidence = vec![255; 400 * 1088];
        let mut at = 0_u64;
        for row in 0..400 {
            for column in 480..640 {
                confidence[row * 1088 + column] = 51;
                at += 1;
                // 1192 of 10000.
                if at * 1192 % 10_000 < 1192 {
                    cells.row_mut(row).set_cell(column, nprint_codec::Cell::One);
                }
            }
        }
        let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell");
        let found = noise_of(&Evidence::new(&soft), &stacks);
        assert!((found.bit_cost - 10.0).abs() < 0.1, "{}", found.bit_cost);
    }
}
