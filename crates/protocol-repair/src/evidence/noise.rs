//! What it costs to contradict cells.

/// Cost in nats of contradicting a certain bit when nothing in the trace contradicts itself:
/// more than any prior in this crate can outweigh with one bit.
const CLEAN_BIT_COST: f32 = 18.0;
/// Cost of a run's beginning or ending at a certain cell of a field. Runs are some twenty columns long,
/// and a cell that is right by chance beside the last wrong one may belong to it. Units: nats.
const BURST_EDGE: f32 = 2.3;

/// How far a trace's bits can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Noise {
    /// Share of wrong cells among those whose truth is known. 0 for a real capture.
    pub(crate) rate: f64,
    /// Cost of contradicting one certain bit, at the edge of a run or by itself. Units: nats.
    pub(crate) bit_cost: f32,
    /// Cost of contradicting one by itself, no other wrong cell being near. Units: nats.
    pub(crate) lone_cost: f32,
    /// Cost of saying that a field lies where the image is destroyed; each of the bits there is
    /// then as likely 1 as 0. Infinite where wrong cells do not come in runs. Units: nats.
    pub(crate) burst_cost: f32,
}

impl Noise {
    pub(crate) const CLEAN: Self = Self {
        rate: 0.0,
        bit_cost: CLEAN_BIT_COST,
        lone_cost: CLEAN_BIT_COST,
        burst_cost: f32::INFINITY,
    };

    /// From a share of wrong cells.
    pub(crate) fn of_rate(rate: f64) -> Self {
        if rate <= 0.0 {
            return Self::CLEAN;
        }
        let rate = rate.clamp(1e-7, 0.3);
        let bit_cost = (((1.0 - rate) / rate).ln() as f32).min(CLEAN_BIT_COST);
        Self { rate, bit_cost, lone_cost: bit_cost, ..Self::CLEAN }
    }

    /// Share of wrong cells outside runs.
    pub(crate) fn lone_rate(self) -> f32 {
        if self.burst_cost.is_infinite() {
            self.rate as f32
        } else {
            (1.0 + self.lone_cost.exp()).recip()
        }
    }

    pub(crate) fn is_clean(self) -> bool {
        self.rate == 0.0
    }

    /// Cost of saying that a run covers these wrong bits of a field of `bits`: from the first to the last of
    /// them, or up to an end of the field. Units: nats.
    pub(crate) fn burst(self, wrong: u32, bits: u32) -> f32 {
        if wrong == 0 || self.burst_cost.is_infinite() {
            return self.burst_cost;
        }
        let nats = |bits: u32| bits as f32 * std::f32::consts::LN_2;
        let [before, behind] = [wrong.leading_zeros() + bits - 32, wrong.trailing_zeros()];
        let edges = [before, behind].map(|right| nats(right).min(BURST_EDGE));
        self.burst_cost + nats(bits - before - behind) + edges[0] + edges[1]
    }

    /// Cost of contradicting so many certain bits of a field of `bits`: 0, 1, 2, … Units: nats.
    pub(crate) fn prices(self, bits: u16) -> [f32; 33] {
        let burst = self.burst_cost + f32::from(bits) * std::f32::consts::LN_2;
        std::array::from_fn(|wrong| (wrong as f32 * self.bit_cost).min(burst))
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST_EDGE, Noise};

    #[test]
    fn a_run_is_paid_for_by_the_cells_that_it_covers() {
        let noise = Noise { burst_cost: 3.0, ..Noise::of_rate(1e-3) };
        let cells = |burst: f32| (burst - 3.0) / std::f32::consts::LN_2;
        let edge = BURST_EDGE / std::f32::consts::LN_2;
        for (wrong, bits, covered) in [
            (0xffff, 16, 16.0),
            (0x8001, 16, 16.0),
            (0x00f0, 16, 4.0 + 2.0 * edge),
            (0x003a, 16, 5.0 + 1.0 + edge),
            (0x00f0, 32, 4.0 + 2.0 * edge),
            (1 << 31, 32, 1.0 + edge),
        ] {
            assert!((cells(noise.burst(wrong, bits)) - covered).abs() < 1e-5, "{wrong:x}");
        }
        assert!(Noise::of_rate(0.02).burst(1, 16).is_infinite());
    }
}
