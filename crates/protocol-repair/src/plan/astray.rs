//! Whether a stream that was found contradicts its numbers by more than noise does.

use super::segment::SILENT;
use crate::evidence::Noise;

/// Segments whose numbers are judged together, and standard deviations above what noise makes from which
/// on a stream is astray.
const TOGETHER: usize = 16;
const ASTRAY: f32 = 4.0;
/// Bits of a number that a run covers: half of them.
const RUN: u32 = 0xffff;
/// Wrong bits of these numbers that are noise however little there is of it.
const FEWEST_ASTRAY: f32 = 3.0;

/// Whether some of the numbers of a stream's segments, of which each costs so much, are together more wrong
/// than `noise` makes them.
pub(super) fn is_astray(costs: &[f32], noise: Noise) -> bool {
    let ruined = (-noise.burst_cost).exp();
    let bits = 32.0 * noise.lone_rate();
    let run = noise.burst(RUN, 32).min(SILENT);
    let expected = bits * noise.lone_cost + ruined * run;
    let spread = bits * noise.lone_cost.powi(2) + ruined * run.powi(2);
    let most = |rows: usize| {
        let rows = rows as f32;
        let most = rows * expected + ASTRAY * (rows * spread).sqrt();
        most.max(FEWEST_ASTRAY * noise.lone_cost)
    };
    costs.chunks(TOGETHER).any(|costs| costs.iter().sum::<f32>() > most(costs.len()))
}

#[cfg(test)]
mod tests {
    use super::is_astray;
    use crate::evidence::Noise;

    #[test]
    fn one_wrong_number_among_many_is_noise_and_three_are_not() {
        let noise = Noise::of_rate(0.02);
        let wrong = |numbers: usize| {
            let mut costs = [0.0; 40];
            costs[20..20 + numbers].fill(16.0 * noise.bit_cost);
            costs
        };
        assert!(!is_astray(&wrong(1), noise));
        assert!(is_astray(&wrong(3), noise));
        assert!(!is_astray(&[3.0 * noise.bit_cost], Noise::of_rate(1e-6)));
    }
}
