//! Is the output as varied as real captures are?

use super::GROUP;
use crate::fidelity::{Cloud, References, mean};
use crate::report::{Better, Points, Score};
use std::collections::{BTreeMap, BTreeSet};

/// Diversity within a class, effective number of captures, modes reached.
pub(super) fn diversity(cloud: &Cloud, references: &References) -> [Score; 3] {
    let distances = cloud.distances();
    let points = |list: &[usize]| cloud.points(list);

    let of_real = within_classes(&references.real, references, cloud);
    let of_synthetic = within_classes(&references.synthetic, references, cloud);
    let class = |s: &usize| references.class_of[*s];
    let across = references.real.iter().enumerate().flat_map(|(i, a)| {
        let others = references.real[..i].iter();
        let others = others.filter(move |b| class(a).is_some() && class(b).is_some());
        others.filter(move |b| class(a) != class(b)).map(move |b| [*a, *b])
    });
    let across = across.map(|pair| mean_pairwise(&cloud.points(&pair), cloud));
    let inside = Points {
        synthetic: mean(of_synthetic.values().copied()),
        noise_floor: mean(of_real.values().copied()),
        wrong_class: mean(across),
        random: mean_pairwise(&points(&cloud.random), cloud),
    };

    let found = references.compare(&cloud.random, |_, b| cloud.diversity(&points(b)));
    let effective = found.points(|v| *v);

    let reached = references.compare(&cloud.random, |a, b| {
        let (a, b) = (points(a), points(b));
        let nearest = |p: &usize| {
            let known = a.iter().filter(|k| *k != p);
            known.min_by(|x, y| distances.between(*p, **x).total_cmp(&distances.between(*p, **y)))
        };
        let modes: BTreeSet<usize> = b.iter().filter_map(nearest).copied().collect();
        (!a.is_empty() && !b.is_empty()).then(|| modes.len() as f64 / a.len() as f64)
    });
    let score = |metric: &str, meaning: &str, better, points| {
        Score::new(GROUP, metric, meaning, better, points)
    };
    [
        score(
            "diversity: distance of two captures of a class",
            "Mean over classes of the mean distance of two captures, in standard deviations of the real \
             sequence features. Less than real: the class has collapsed. Floor: real captures; wrong class: two \
             real captures of different classes; random: features uniform over their real range.",
            Better::Floor,
            inside,
        ),
        score(
            "diversity: effective share of different captures",
            "Vendi score over the number of captures, in sets of the same size (wrong class: of one class): 1 where \
             no two are alike, 1 over the number where all are. Floor: half of the real captures.",
            Better::Floor,
            effective,
        ),
        score(
            "diversity: share of real captures that are nearest to one",
            "Share of the captures of one half of the real set that are the nearest one of a capture of the other set. \
             A generator that knows few modes reaches few of them. Floor: the other half.",
            Better::Higher,
            reached.points(|v| *v),
        ),
    ]
}

/// Mean distance of two captures of each class; all captures are one class where there are none.
fn within_classes(
    samples: &[usize],
    references: &References,
    cloud: &Cloud,
) -> BTreeMap<usize, Option<f64>> {
    let labelled = references.category.is_some();
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for s in samples {
        if let Some(class) = if labelled { references.class_of[*s] } else { Some(0) } {
            classes.entry(class).or_default().push(*s);
        }
    }
    classes.into_iter().map(|(c, list)| (c, mean_pairwise(&cloud.points(&list), cloud))).collect()
}

fn mean_pairwise(points: &[usize], cloud: &Cloud) -> Option<f64> {
    let pairs =
        points.iter().enumerate().flat_map(|(i, a)| points[..i].iter().map(move |b| (a, b)));
    mean(pairs.map(|(a, b)| Some(cloud.distances().between(*a, *b))))
}
