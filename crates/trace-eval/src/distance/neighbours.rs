//! Distances between points, and what nearest neighbours say about two sets of them.

/// Euclidean distances between all pairs of points.
///
/// # Layout
/// Row-major, `[points, points]`, symmetric, 0 on the diagonal. A distance that is not a number
/// (a NaN in a point) is infinite: such a point is near to nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceMatrix {
    points: usize,
    values: Vec<f64>,
}

impl DistanceMatrix {
    /// Distances between `points`; a coordinate that only one of two points has counts as equal.
    ///
    /// # Example
    /// ```
    /// use trace_eval::distance::DistanceMatrix;
    /// let d = DistanceMatrix::of(&[vec![0.0, 0.0], vec![3.0, 4.0]]);
    /// assert_eq!(d.between(0, 1), 5.0);
    /// ```
    pub fn of(points: &[Vec<f64>]) -> Self {
        let n = points.len();
        let mut values = vec![0.0; n * n];
        for a in 0..n {
            for b in 0..a {
                let squares = points[a].iter().zip(&points[b]).map(|(x, y)| (x - y) * (x - y));
                let distance = squares.sum::<f64>().sqrt();
                let distance = if distance.is_nan() { f64::INFINITY } else { distance };
                values[a * n + b] = distance;
                values[b * n + a] = distance;
            }
        }
        Self { points: n, values }
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Distance of two points.
    ///
    /// # Panics
    /// When an index is not less than [`points`](Self::points), as slices do.
    pub fn between(&self, a: usize, b: usize) -> f64 {
        self.values[a * self.points..(a + 1) * self.points][b]
    }

    /// The nearest and the second nearest of `known` to point `a`, itself left out.
    pub fn two_nearest(&self, a: usize, known: &[usize]) -> (Option<f64>, Option<f64>) {
        let (mut first, mut second) = (None, None);
        for d in known.iter().filter(|k| **k != a).map(|k| self.between(a, *k)) {
            if first.is_none_or(|f| d < f) {
                (first, second) = (Some(d), first);
            } else if second.is_none_or(|s| d < s) {
                second = Some(d);
            }
        }
        (first, second)
    }

    /// Distance from point `a` to its `k`-th nearest of `known`, itself left out.
    fn kth_nearest(&self, a: usize, known: &[usize], k: usize) -> Option<f64> {
        let mut distances: Vec<f64> =
            known.iter().filter(|x| **x != a).map(|x| self.between(a, *x)).collect();
        let at = k.checked_sub(1).filter(|at| *at < distances.len())?;
        Some(*distances.select_nth_unstable_by(at, f64::total_cmp).1)
    }
}

/// Precision, recall, density and coverage of a set of generated points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manifold {
    /// Share of generated points inside the ball of some real point.
    pub precision: f64,
    /// Share of real points inside the ball of some generated point.
    pub recall: f64,
    /// Mean number of real balls that a generated point lies in, over `k`; about 1 where the sets are
    /// alike, more where generated points crowd where real ones do.
    pub density: f64,
    /// Share of real points whose ball holds a generated point.
    pub coverage: f64,
}

/// Compares two sets of points by balls that reach to the `k`-th nearest neighbour of the same set;
/// `None` where a set has no more than `k` points or `k` is 0.
///
/// # Example
/// ```
/// use trace_eval::distance::{DistanceMatrix, manifold};
/// let d = DistanceMatrix::of(&[vec![0.0], vec![1.0], vec![9.0], vec![0.2], vec![0.7], vec![0.9]]);
/// let found = manifold(&d, &[0, 1, 2], &[3, 4, 5], 1).expect("more points than k");
/// // Every generated point is plausible; the real one at 9 is missed.
/// assert_eq!((found.precision, found.coverage, found.recall), (1.0, 2.0 / 3.0, 2.0 / 3.0));
/// ```
///
/// # Source
/// Kynkäänniemi et al., "Improved precision and recall metric", 2019, equations 1 to 3; Naeem et al.,
/// "Reliable fidelity and diversity metrics", 2020, equations 3 to 5. Balls are closed, as there.
pub fn manifold(
    distances: &DistanceMatrix,
    real: &[usize],
    generated: &[usize],
    k: usize,
) -> Option<Manifold> {
    let radii = |set: &[usize]| -> Option<Vec<f64>> {
        set.iter().map(|p| distances.kth_nearest(*p, set, k)).collect()
    };
    let (real_radii, generated_radii) = (radii(real)?, radii(generated)?);
    if real.is_empty() || generated.is_empty() {
        return None;
    }
    let (mut inside, mut precise) = (0_usize, 0_usize);
    let mut recalled = vec![false; real.len()];
    let mut covered = vec![false; real.len()];
    for (g, generated_radius) in generated.iter().zip(&generated_radii) {
        let mut balls = 0;
        for (i, (r, real_radius)) in real.iter().zip(&real_radii).enumerate() {
            let d = distances.between(*g, *r);
            if d <= *real_radius {
                balls += 1;
                covered[i] = true;
            }
            recalled[i] |= d <= *generated_radius;
        }
        inside += balls;
        precise += usize::from(balls > 0);
    }
    let share = |hits: usize, of: usize| hits as f64 / of as f64;
    let count = |flags: &[bool]| flags.iter().filter(|f| **f).count();
    Some(Manifold {
        precision: share(precise, generated.len()),
        recall: share(count(&recalled), real.len()),
        density: share(inside, k * generated.len()),
        coverage: share(count(&covered), real.len()),
    })
}
