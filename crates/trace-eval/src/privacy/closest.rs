//! The training capture nearest to each synthetic one.

use super::GROUP;
use crate::fidelity::{Cloud, References};
use crate::report::{Better, ClosestRow, Points, Score, Spread};
use crate::sample::Pool;

/// Nearest and second nearest distance of one capture.
type Nearest = (Option<f64>, Option<f64>);

/// Distance to the closest record and its ratio.
///
/// # Source
/// Distance to closest record and nearest-neighbour distance ratio: Zhao, Kunar, Birke, Chen,
/// "CTAB-GAN", 2021, section 4.1 (5th percentile and ratio as there).
pub(super) fn closest(
    pool: &Pool<'_>,
    cloud: &Cloud,
    references: &References,
) -> (Vec<Score>, Vec<ClosestRow>, Spread) {
    let distances = cloud.distances();
    let training: Vec<usize> = pool.real.clone().collect();
    let known = cloud.points(&training);
    let nearest = |points: &[usize], known: &[usize]| -> Vec<Nearest> {
        points.iter().map(|p| distances.two_nearest(*p, known)).collect()
    };
    let synthetic = cloud.points(&references.synthetic);
    let of_synthetic = nearest(&synthetic, &known);
    let of_real = nearest(&known, &known);
    let of_random = nearest(&cloud.points(&cloud.random), &known);
    let class = |point: &usize| references.class_of[cloud.sample_of[*point]];
    let of_wrong: Vec<Nearest> = known
        .iter()
        .filter(|p| class(p).is_some())
        .map(|p| {
            let others: Vec<usize> = known
                .iter()
                .filter(|o| class(o).is_some() && class(o) != class(p))
                .copied()
                .collect();
            distances.two_nearest(*p, &others)
        })
        .collect();
    let points = |number: &dyn Fn(&[Nearest]) -> Option<f64>| Points {
        synthetic: number(&of_synthetic),
        noise_floor: number(&of_real),
        wrong_class: number(&of_wrong),
        random: number(&of_random),
    };
    let record = "Distance from each synthetic capture to the nearest training capture, in standard deviations \
                  of the real sequence features. Far below the floor: copies; far above: not alike. Floor: \
                  each training capture to the nearest other one; wrong class: to the nearest of another \
                  class; random: features uniform over their real range.";
    let ratio = "Nearest distance over second nearest, mean: near 0 where a capture is made from one training \
                 capture alone, near 1 where it lies between many. References as above.";
    let score = |metric: &str, meaning: &str, number: &dyn Fn(&[Nearest]) -> Option<f64>| {
        Score::new(GROUP, metric, meaning, Better::Floor, points(number))
    };
    let scores = vec![
        score("distance to closest record, median", record, &|n| percentile(n, 0.5)),
        score("distance to closest record, 5th percentile", record, &|n| percentile(n, 0.05)),
        score("closest over second closest record", ratio, &mean_ratio),
    ];
    let rows = synthetic.iter().zip(&of_synthetic).filter_map(|(point, (first, second))| {
        let distance = (*first)?;
        let real = known.iter().find(|k| distances.between(*point, **k) <= distance)?;
        let (sample, real) = (cloud.sample_of[*point], cloud.sample_of[*real]);
        Some(ClosestRow {
            synthetic: pool.samples[sample].name.clone(),
            real: pool.samples[real].name.clone(),
            distance,
            ratio: ratio_of(&(Some(distance), *second)),
            is_parent: pool.parents[sample] == Some(real),
        })
    });
    let first = |n: &[Nearest]| n.iter().filter_map(|n| n.0).collect();
    let spread = Spread::new(
        "Distance to the closest training capture",
        "standard deviations",
        "Distance to the nearest training capture in standardised sequence features: of each synthetic capture; of each training \
         capture to the nearest other one; to the nearest of another class; of random features.",
        [first(&of_synthetic), first(&of_real), first(&of_wrong), first(&of_random)],
    );
    (scores, rows.collect(), spread)
}

/// Nearest distance over second nearest; 1 where both are 0.
fn ratio_of((first, second): &Nearest) -> Option<f64> {
    let (first, second) = ((*first)?, (*second)?);
    let ratio = if second > 0.0 { first / second } else { 1.0 };
    ratio.is_finite().then_some(ratio)
}

fn mean_ratio(nearest: &[Nearest]) -> Option<f64> {
    let ratios: Vec<f64> = nearest.iter().filter_map(ratio_of).collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// The nearest distance at a place of their order, as NumPy's `percentile` interpolates it.
fn percentile(nearest: &[Nearest], part: f64) -> Option<f64> {
    let mut found: Vec<f64> = nearest.iter().filter_map(|n| n.0).collect();
    found.sort_by(f64::total_cmp);
    let at = part * found.len().checked_sub(1)? as f64;
    let (low, high) = (found[at.floor() as usize], found[at.ceil() as usize]);
    Some(if low < high { low + (high - low) * at.fract() } else { low })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_ratios() {
        let nearest: Vec<Nearest> = [1.0, 2.0, 3.0, 4.0].map(|d| (Some(d), Some(2.0 * d))).to_vec();
        assert_eq!(percentile(&nearest, 0.5), Some(2.5));
        assert_eq!(mean_ratio(&nearest), Some(0.5));
        assert_eq!(percentile(&[(None, None)], 0.5), None);
        assert_eq!(mean_ratio(&[(Some(1.0), None)]), None);
        assert_eq!(ratio_of(&(Some(0.0), Some(0.0))), Some(1.0));
    }
}
