//! Which timesteps are visited, and at which noise levels.

use super::noise::sigma_of_alpha;
use super::{FinalSigmas, NoiseSchedule, SchedulerConfig, TimestepSpacing};
use crate::{Error, Result};

/// The course of one sampling run.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// Whole timesteps, as given to a denoiser.
    pub(super) timesteps: Vec<i64>,
    /// The same before they were made whole.
    pub(super) exact: Vec<f64>,
    /// Noise level of every step and after the last; empty for samplers that work on alphas.
    pub(super) sigmas: Vec<f64>,
}

/// How a class reads the spacings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// `steps` points, both ends included (DDPM, DDIM, PNDM).
    Whole,
    /// The same, fractional with `linspace` (Euler).
    Fractional,
    /// `steps + 1` points without the last one at 0 (`UniPC`, DPM-Solver).
    Multistep,
}

/// Timesteps in descending order, before rounding to whole numbers where the grid is fractional.
///
/// `last` is the number of usable timesteps: all of them, unless DPM-Solver clips the log
/// signal-to-noise ratio.
pub(super) fn spaced_timesteps(
    config: &SchedulerConfig,
    default_spacing: TimestepSpacing,
    grid: Grid,
    steps: usize,
    last: usize,
) -> Result<Vec<f64>> {
    let total = config.num_train_timesteps;
    if steps == 0 || steps > total {
        return Err(Error::SchedulerSteps { steps, maximum: total });
    }
    let mut timesteps: Vec<f64> = match (config.timestep_spacing.unwrap_or(default_spacing), grid) {
        (TimestepSpacing::Linspace, Grid::Multistep) => {
            let step = (last as f64 - 1.0) / steps as f64;
            (1..=steps).rev().map(|i| (i as f64 * step).round_ties_even()).collect()
        }
        (TimestepSpacing::Linspace, _) => {
            // A single point is the first one, as in NumPy.
            let step = (total as f64 - 1.0) / (steps.max(2) - 1) as f64;
            let whole = |t: f64| if grid == Grid::Whole { t.round_ties_even() } else { single(t) };
            (0..steps).rev().map(|i| whole(i as f64 * step)).collect()
        }
        (TimestepSpacing::Leading, Grid::Multistep) => {
            let ratio = last.div_euclid(steps + 1);
            (1..=steps).rev().map(|i| leading(i * ratio, config)).collect()
        }
        (TimestepSpacing::Leading, _) => {
            let ratio = total.div_euclid(steps);
            (0..steps).rev().map(|i| leading(i * ratio, config)).collect()
        }
        (TimestepSpacing::Trailing, _) => {
            // Exactly the points above 0. (NumPy's `arange` yields one more, at -1, for some
            // numbers of steps such as 61; that is a rounding accident and not reproduced.)
            let ratio = total as f64 / steps as f64;
            let count = ((last as f64 / ratio) - 1e-9).ceil() as usize;
            (0..count).map(|i| (last as f64 - i as f64 * ratio).round_ties_even() - 1.0).collect()
        }
    };
    if grid == Grid::Fractional {
        for t in &mut timesteps {
            *t = single(*t);
        }
    }
    let inside = timesteps.iter().all(|t| (0.0..total as f64).contains(t));
    if !inside || timesteps.is_empty() {
        return Err(config.unsupported(
            "steps_offset",
            format!("{} with {steps} steps", config.steps_offset),
            "offsets that keep every timestep inside the training schedule",
        ));
    }
    if timesteps.windows(2).any(|w| w[0] <= w[1]) {
        return Err(Error::SchedulerSteps { steps, maximum: total - 1 });
    }
    Ok(timesteps)
}

fn leading(multiple: usize, config: &SchedulerConfig) -> f64 {
    multiple as f64 + config.steps_offset as f64
}

/// Rounds to single precision, where the reference stores an `f32`.
pub(super) fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Noise levels of every training timestep, for samplers that need them finite.
pub(super) fn training_sigmas(config: &SchedulerConfig, noise: &NoiseSchedule) -> Vec<f64> {
    let mut sigmas = noise.sigmas();
    if config.rescale_betas_zero_snr
        && let Some(last) = sigmas.last_mut()
    {
        // The last cumulative alpha is 0; the smallest half-precision number stands in for it.
        *last = sigma_of_alpha(2.0_f64.powi(-24));
    }
    sigmas
}

/// How noise levels become timesteps again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// Nearest whole timestep for Karras levels, next smaller for exponential ones.
    UniPc,
    /// As above, except that the squared cosine schedule is never rounded up.
    DpmSolver,
    /// Fractional.
    Euler,
}

impl Levels {
    /// Levels of a sampler on alphas: timesteps only.
    pub(super) fn whole(exact: Vec<f64>) -> Self {
        Self { timesteps: exact.iter().map(|&t| t as i64).collect(), exact, sigmas: Vec::new() }
    }

    /// Levels of a sampler on sigmas.
    pub(super) fn with_sigmas(
        config: &SchedulerConfig,
        noise: &NoiseSchedule,
        timesteps: Vec<f64>,
        timing: Timing,
    ) -> Result<Self> {
        for (set, field) in [
            (config.use_beta_sigmas, "use_beta_sigmas"),
            (config.use_flow_sigmas, "use_flow_sigmas"),
        ] {
            if set {
                return Err(config.unsupported(field, true, "false"));
            }
        }
        let lu = config.use_lu_lambdas && timing == Timing::DpmSolver;
        if usize::from(config.use_karras_sigmas)
            + usize::from(config.use_exponential_sigmas)
            + usize::from(lu)
            > 1
        {
            return Err(config.unsupported(
                "use_karras_sigmas",
                "true together with another spacing of noise levels",
                "one spacing at a time",
            ));
        }
        let table = training_sigmas(config, noise);
        let steps = timesteps.len();
        let mut exact = timesteps;
        let mut sigmas: Vec<f64> = exact.iter().map(|&t| interpolate(&table, t)).collect();
        if timing == Timing::Euler {
            match config.interpolation_type.as_deref().unwrap_or("linear") {
                "linear" => {}
                "log_linear" => {
                    let (low, high) = (table[0].ln(), table[table.len() - 1].ln());
                    sigmas = ramp(high, low, steps + 1).map(f64::exp).collect();
                }
                other => {
                    return Err(config.unsupported(
                        "interpolation_type",
                        other,
                        "linear, log_linear",
                    ));
                }
            }
        }
        let respaced = config.use_karras_sigmas || config.use_exponential_sigmas || lu;
        if respaced {
            let (mut min, mut max) = if timing == Timing::Euler {
                (sigmas[sigmas.len() - 1], sigmas[0])
            } else {
                (table[0], table[table.len() - 1])
            };
            if timing != Timing::DpmSolver {
                min = config.sigma_min.unwrap_or(min);
                max = config.sigma_max.unwrap_or(max);
            }
            if !(min > 0.0 && max >= min && max.is_finite()) {
                return Err(config.unsupported(
                    "sigma_min, sigma_max",
                    format!("{min}, {max}"),
                    "0 < sigma_min <= sigma_max",
                ));
            }
            sigmas = if config.use_karras_sigmas {
                const RHO: f64 = 7.0;
                ramp(max.powf(RHO.recip()), min.powf(RHO.recip()), steps)
                    .map(|root| root.powf(RHO))
                    .collect()
            } else {
                // Lu's spacing with exponent 1 is even in the logarithm too.
                ramp(max.ln(), min.ln(), steps).map(f64::exp).collect()
            };
            let logs: Vec<f64> = table.iter().map(|&s| f64::from((s as f32).ln())).collect();
            let cosine = config.beta_schedule == super::BetaSchedule::SquaredCosCapV2;
            let rounded = match timing {
                Timing::UniPc => config.use_karras_sigmas,
                Timing::DpmSolver => (config.use_karras_sigmas || lu) && !cosine,
                Timing::Euler => false,
            };
            exact = sigmas
                .iter()
                .map(|&sigma| timestep_of_sigma(sigma, &logs))
                .map(|t| if rounded { t.round_ties_even() } else { t })
                .collect();
        }
        let last = match config.final_sigmas_type {
            FinalSigmas::Zero => 0.0,
            FinalSigmas::SigmaMin if respaced && timing == Timing::UniPc => {
                sigmas[sigmas.len() - 1]
            }
            FinalSigmas::SigmaMin => table[0],
        };
        sigmas.push(last);
        for sigma in &mut sigmas {
            *sigma = single(*sigma);
        }
        Ok(Self { timesteps: exact.iter().map(|&t| t as i64).collect(), exact, sigmas })
    }
}

/// `count` values from `first` to `last`, evenly.
fn ramp(first: f64, last: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = if count > 1 { (count - 1) as f64 } else { 1.0 };
    (0..count).map(move |i| first + i as f64 / step * (last - first))
}

/// Linear interpolation in a table over 0, 1, 2, ..., held constant outside.
fn interpolate(table: &[f64], at: f64) -> f64 {
    let top = table.len() - 1;
    let low = (at.max(0.0).floor() as usize).min(top);
    let high = (low + 1).min(top);
    let share = (at - low as f64).clamp(0.0, 1.0);
    table[low] + share * (table[high] - table[low])
}

/// The (fractional) training timestep whose noise level is `sigma`.
fn timestep_of_sigma(sigma: f64, logs: &[f64]) -> f64 {
    let log = sigma.max(1e-10).ln();
    let low = logs.partition_point(|&entry| entry <= log).saturating_sub(1);
    let low = low.min(logs.len().saturating_sub(2));
    let high = (low + 1).min(logs.len() - 1);
    let share = ((logs[low] - log) / (logs[low] - logs[high])).clamp(0.0, 1.0);
    (1.0 - share) * low as f64 + share * high as f64
}

/// Signal and noise amplitude of a noise level: `1 / sqrt(1 + sigma^2)` and `sigma` times that.
pub(super) fn amplitudes(sigma: f64) -> (f64, f64) {
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    (alpha, sigma * alpha)
}

/// Log ratio of signal to noise amplitude; infinite at `sigma` 0.
pub(super) fn log_snr(sigma: f64) -> f64 {
    -sigma.ln()
}

/// Keeps steps in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    next: Option<usize>,
}

impl Cursor {
    /// Moves to `index`; true where a run starts here, so that memory of an earlier one must go.
    ///
    /// A run may start anywhere the first time and at 0 always; then it goes on one by one.
    pub(super) fn advance(&mut self, index: usize, steps: usize) -> Result<bool> {
        if index >= steps {
            return Err(Error::StepOutOfOrder { index, expected: self.next.unwrap_or(0), steps });
        }
        let starts = index == 0 || self.next.is_none();
        if !starts && self.next != Some(index) {
            return Err(Error::StepOutOfOrder { index, expected: self.next.unwrap_or(0), steps });
        }
        self.next = Some(index + 1);
        if index + 1 == steps {
            self.next = None;
        }
        Ok(starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{PredictionType, SchedulerClass};

    fn config(spacing: TimestepSpacing) -> SchedulerConfig {
        let mut config =
            SchedulerConfig::stable_diffusion(SchedulerClass::Ddim, PredictionType::Epsilon);
        config.timestep_spacing = Some(spacing);
        config
    }

    /// The table of Lin et al. 2023 for 10 steps of 1000 (there counted from 1).
    #[test]
    fn spacings_are_those_of_the_paper() {
        let spaced = |spacing, offset| {
            let mut config = config(spacing);
            config.steps_offset = offset;
            spaced_timesteps(&config, spacing, Grid::Whole, 10, 1000).expect("10 of 1000 steps")
        };
        let paper =
            |values: [i64; 10]| values.iter().rev().map(|&t| (t - 1) as f64).collect::<Vec<_>>();
        assert_eq!(
            spaced(TimestepSpacing::Leading, 0),
            paper([1, 101, 201, 301, 401, 501, 601, 701, 801, 901])
        );
        assert_eq!(
            spaced(TimestepSpacing::Linspace, 1),
            paper([1, 112, 223, 334, 445, 556, 667, 778, 889, 1000])
        );
        assert_eq!(
            spaced(TimestepSpacing::Trailing, 1),
            paper([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
        );
    }

    #[test]
    fn trailing_has_the_asked_number_of_steps() {
        for steps in 1..=1000 {
            for grid in [Grid::Whole, Grid::Multistep] {
                let timesteps = spaced_timesteps(
                    &config(TimestepSpacing::Trailing),
                    TimestepSpacing::Trailing,
                    grid,
                    steps,
                    1000,
                )
                .expect("up to 1000 steps");
                assert_eq!(timesteps.len(), steps);
                assert!((timesteps[0] - 999.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn impossible_courses_are_errors() {
        let leading = config(TimestepSpacing::Leading);
        for steps in [0, 1001, usize::MAX] {
            let error =
                spaced_timesteps(&leading, TimestepSpacing::Leading, Grid::Whole, steps, 1000);
            assert!(matches!(error, Err(Error::SchedulerSteps { maximum: 1000, .. })));
        }
        // 1000 steps with offset 1 would visit timestep 1000 of 0..=999.
        let error = spaced_timesteps(&leading, TimestepSpacing::Leading, Grid::Whole, 1000, 1000);
        assert!(matches!(error, Err(Error::Config { field: "steps_offset", .. })));
    }

    #[test]
    fn sigmas_and_timesteps_are_inverse() {
        let noise = NoiseSchedule::new(&config(TimestepSpacing::Linspace)).expect("defaults");
        let table = noise.sigmas();
        let logs: Vec<f64> = table.iter().map(|s| s.ln()).collect();
        for t in [0.0, 0.5, 10.0, 500.25, 999.0] {
            let back = timestep_of_sigma(interpolate(&table, t), &logs);
            assert!((back - t).abs() < 0.1, "{t} came back as {back}");
        }
    }

    #[test]
    fn steps_come_in_order() {
        let mut cursor = Cursor::default();
        assert!(cursor.advance(2, 4).expect("may start anywhere"));
        assert!(!cursor.advance(3, 4).expect("next"));
        assert!(cursor.advance(1, 4).expect("a new run after the last step"));
        assert!(matches!(
            cursor.advance(3, 4),
            Err(Error::StepOutOfOrder { index: 3, expected: 2, steps: 4 })
        ));
        assert!(cursor.advance(0, 4).expect("0 starts anew"));
        assert!(cursor.advance(4, 4).is_err());
    }
}
