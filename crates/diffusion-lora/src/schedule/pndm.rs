//! Pseudo numerical sampling: Adams-Bashforth steps over noise predictions.

use tch::Tensor;

use super::ddim::final_alpha;
use super::levels::{Cursor, Grid, Levels, spaced_timesteps};
use super::predict::{self, checked, combine};
use super::{
    NoiseSchedule, PredictionType, Scheduler, SchedulerClass, SchedulerConfig, TimestepSpacing,
};
use crate::Result;

/// Linear multistep sampling ("PLMS"), optionally after Runge-Kutta steps.
///
/// Without Runge-Kutta steps (Stable Diffusion's stored choice) the first step is taken twice, so a
/// run makes one model call more than it has steps; with them the first three steps take four calls
/// each.
///
/// # Source
/// Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", equations 9 to 13.
#[derive(Debug)]
pub struct Pndm {
    noise: NoiseSchedule,
    levels: Levels,
    /// Model calls of the Runge-Kutta part.
    runge_kutta_calls: usize,
    stride: i64,
    final_alpha: f64,
    cursor: Cursor,
    /// Model outputs, newest last; at most 4.
    outputs: Vec<Tensor>,
    /// Where the step in progress began, and its running average of outputs.
    start: Option<Tensor>,
    average: Option<Tensor>,
}

impl Pndm {
    /// Prepares a run of `steps` steps.
    ///
    /// # Errors
    /// As [`SchedulerConfig::scheduler`].
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        if config.prediction_type == PredictionType::Sample {
            return Err(config.unsupported("prediction_type", "sample", "epsilon, v_prediction"));
        }
        let total = config.num_train_timesteps;
        let spaced = spaced_timesteps(config, TimestepSpacing::Leading, Grid::Whole, steps, total)?;
        let stride = total.div_euclid(steps) as i64;
        let mut exact = Vec::new();
        let runge_kutta = !config.skip_prk_steps.unwrap_or(false);
        if runge_kutta {
            if steps < 4 {
                return Err(config.unsupported("skip_prk_steps", "false below 4 steps", "true"));
            }
            // Each of the first three steps is called at its start, twice half-way and at its end.
            let half = stride.div_euclid(2) as f64;
            for pair in spaced[..4].windows(2) {
                let middle = pair[1] + half;
                exact.extend([pair[0], middle, middle, pair[1]]);
            }
        } else {
            exact.push(spaced[0]);
            if steps > 1 {
                exact.push(spaced[1]);
            }
        }
        let runge_kutta_calls = if runge_kutta { exact.len() } else { 0 };
        exact.extend(&spaced[if runge_kutta { 3 } else { 1 }..]);
        let noise = NoiseSchedule::new(config)?;
        Ok(Self {
            levels: Levels::whole(exact),
            runge_kutta_calls,
            stride,
            final_alpha: final_alpha(config, &noise, false),
            noise,
            cursor: Cursor::default(),
            outputs: Vec::new(),
            start: None,
            average: None,
        })
    }

    /// Moves a sample from timestep `from` to `to` along an output.
    fn transfer(&self, x: &Tensor, from: i64, to: i64, output: &Tensor) -> Result<Tensor> {
        let a = self.noise.alpha(from)?;
        let a_to = if to >= 0 { self.noise.alpha(to)? } else { self.final_alpha };
        let amplitudes = (a.sqrt(), (1.0 - a).sqrt());
        let epsilon = predict::noise(self.noise.prediction_type(), output, x, amplitudes);
        let divisor = a * (1.0 - a_to).sqrt() + (a * (1.0 - a) * a_to).sqrt();
        Ok(combine(&[((a_to / a).sqrt(), x), (-(a_to - a) / divisor, &epsilon)]))
    }

    /// One of the four calls of a Runge-Kutta step.
    fn runge_kutta(&mut self, output: &Tensor, x: &Tensor, index: usize) -> Result<Tensor> {
        let call = index & 3;
        let from = self.levels.timesteps[index - call];
        let half = self.stride.div_euclid(2);
        let to = self.levels.timesteps[index] - if call & 1 == 0 { half } else { 0 };
        if call == 0 {
            self.outputs.push(output.shallow_clone());
            self.start = Some(x.shallow_clone());
            self.average = None;
        }
        let weight = if call == 0 || call == 3 { 1.0 / 6.0 } else { 1.0 / 3.0 };
        let average = match self.average.take() {
            None => output * weight,
            Some(sum) => sum + output * weight,
        };
        let start = self.start.as_ref().unwrap_or(x);
        let next = self.transfer(start, from, to, if call == 3 { &average } else { output })?;
        self.average = Some(average);
        Ok(next)
    }

    fn multistep(&mut self, output: &Tensor, x: &Tensor, index: usize) -> Result<Tensor> {
        let mut from = self.levels.timesteps[index];
        let mut to = from - self.stride;
        // The second call of a run without Runge-Kutta repeats the first step.
        let repeats = self.runge_kutta_calls == 0 && index == 1 && self.outputs.len() == 1;
        if repeats {
            (from, to) = (from + self.stride, from);
        } else {
            if self.outputs.len() == 4 {
                drop(self.outputs.remove(0));
            }
            self.outputs.push(output.shallow_clone());
        }
        let e: Vec<&Tensor> = self.outputs.iter().rev().collect();
        let slope = match (repeats, e.len()) {
            (true, _) => combine(&[(0.5, output), (0.5, e[0])]),
            (false, 1) => output.shallow_clone(),
            (false, 2) => combine(&[(1.5, e[0]), (-0.5, e[1])]),
            (false, 3) => combine(&[(23.0 / 12.0, e[0]), (-16.0 / 12.0, e[1]), (5.0 / 12.0, e[2])]),
            (false, _) => combine(&[
                (55.0 / 24.0, e[0]),
                (-59.0 / 24.0, e[1]),
                (37.0 / 24.0, e[2]),
                (-9.0 / 24.0, e[3]),
            ]),
        };
        let start = if repeats { self.start.take() } else { None };
        let next = self.transfer(start.as_ref().unwrap_or(x), from, to, &slope)?;
        if index == 0 {
            self.start = Some(x.shallow_clone());
        }
        Ok(next)
    }
}

impl Scheduler for Pndm {
    fn class(&self) -> SchedulerClass {
        SchedulerClass::Pndm
    }

    fn timesteps(&self) -> &[i64] {
        &self.levels.timesteps
    }

    fn exact_timesteps(&self) -> &[f64] {
        &self.levels.exact
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        index: usize,
        sample: &Tensor,
        _variance_noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (output, x) = checked(model_output, sample)?;
        if self.cursor.advance(index, self.levels.timesteps.len())? {
            self.outputs.clear();
            self.start = None;
            self.average = None;
        }
        let next = if index < self.runge_kutta_calls {
            self.runge_kutta(&output, &x, index)?
        } else {
            self.multistep(&output, &x, index)?
        };
        Ok(next.to_kind(sample.kind()))
    }

    fn add_noise(&self, x0: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        super::add_noise_at(&self.noise, &self.levels, x0, noise, index)
    }
}
