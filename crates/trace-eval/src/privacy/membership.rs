//! Can someone who has a capture find out whether it was trained on?

use super::GROUP;
use crate::classify::roc_auc;
use crate::config::EvalConfig;
use crate::fidelity::{Cloud, References, mean};
use crate::report::{Better, Points, Score};
use crate::sample::Pool;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Area under the ROC curve of an attack that takes a capture for a member of the training set the
/// nearer it lies to a synthetic one.
///
/// # Source
/// The distance-based attack of Chen, Yu, Zhang, Fritz, "GAN-Leaks", 2020, section 4.2 (full black box).
pub(super) fn membership(
    pool: &Pool<'_>,
    cloud: &Cloud,
    references: &References,
    config: &EvalConfig,
    notes: &mut Vec<String>,
) -> Score {
    if pool.held_out.is_empty() {
        notes.push(
            "Without held-out captures there is nobody to tell members of the training set from: no \
             membership inference."
                .to_owned(),
        );
    }
    let distances = cloud.distances();
    let all = |range: std::ops::Range<usize>| cloud.points(&range.collect::<Vec<_>>());
    let (members, others) = (all(pool.real.clone()), all(pool.held_out.clone()));
    let released = all(pool.synthetic.clone());
    let random = cloud.points(&cloud.random);
    let class = |point: usize| references.class_of[cloud.sample_of[point]];
    // Nearness to what was released; `None` where nothing is comparable.
    let nearness =
        |point: usize, released: &[usize]| distances.two_nearest(point, released).0.map(|d| -d);
    let attack = |members: &[usize], others: &[usize], near: &dyn Fn(usize) -> Option<f64>| {
        let scored = members.iter().map(|p| (*p, true)).chain(others.iter().map(|p| (*p, false)));
        let scored: Vec<(f64, bool)> = scored.filter_map(|(p, m)| Some((near(p)?, m))).collect();
        roc_auc(&scored)
    };
    let near = |point: usize| nearness(point, &released);
    // The same captures, membership drawn at random.
    let mut drawn: Vec<usize> = members.iter().chain(&others).copied().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x6d65_6d62_6572);
    let drawn_auc: Vec<Option<f64>> = (0..config.floor_splits)
        .map(|_| {
            drawn.shuffle(&mut rng);
            let (a, b) = drawn.split_at(members.len());
            attack(a, b, &near)
        })
        .collect();
    let points = Points {
        synthetic: attack(&members, &others, &near),
        noise_floor: if others.is_empty() { None } else { mean(drawn_auc.into_iter()) },
        wrong_class: attack(&members, &others, &|point| {
            let own = class(point)?;
            let foreign: Vec<usize> =
                released.iter().filter(|r| class(**r).is_some_and(|c| c != own)).copied().collect();
            nearness(point, &foreign)
        }),
        random: attack(&members, &others, &|point| nearness(point, &random)),
    };
    Score::new(
        GROUP,
        "membership inference by distance, AUC",
        "Area under the ROC curve of telling training captures from held-out ones by their distance to the nearest \
         synthetic one: 0.5 tells nothing, 1 everything. Floor: membership drawn at random; wrong \
         class: only synthetic captures of other classes are looked at; random: random features instead \
         of synthetic captures.",
        Better::Half,
        points,
    )
}
