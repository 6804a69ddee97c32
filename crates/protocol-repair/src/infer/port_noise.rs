//! How noisy ports are.

use crate::draft::Draft;
use crate::evidence::Noise;

/// The trace's noise, raised where pairs lie suspiciously near others. `pairs` are the places
/// in `rows` of each pair, the most frequent first.
///
/// Wrong bits show in two ways: a frequent pair has a cloud of rare ones at one bit's distance,
/// and lone pairs stand next to a row with almost the same ports. A few neighbours are chance, or
/// RTP beside RTCP; many are noise.
pub(super) fn port_noise(
    draft: &Draft<'_>,
    pairs: &[([u16; 2], Vec<usize>)],
    rows: &[usize],
) -> Noise {
    let distance = |a: &[u16; 2], b: &[u16; 2]| {
        let along = (a[0] ^ b[0]).count_ones() + (a[1] ^ b[1]).count_ones();
        let back = (a[0] ^ b[1]).count_ones() + (a[1] ^ b[0]).count_ones();
        along.min(back)
    };
    let mut rate = draft.noise.rate;
    for (centre, members) in pairs.iter().take(4).filter(|(_, m)| m.len() >= 12) {
        let cloud: Vec<usize> = pairs
            .iter()
            .filter(|(p, m)| distance(p, centre) == 1 && 4 * m.len() < members.len())
            .map(|(_, m)| m.len())
            .collect();
        if cloud.len() >= 5 {
            let rows: usize = cloud.iter().sum();
            rate = rate.max(rows as f64 / (32.0 * members.len() as f64));
        }
    }
    let mut lone: Vec<(usize, [u16; 2])> =
        pairs.iter().filter(|(_, m)| m.len() == 1).map(|(p, m)| (rows[m[0]], *p)).collect();
    lone.sort_unstable();
    let close = lone
        .windows(2)
        .filter(|w| w[1].0 - w[0].0 <= 8)
        .map(|w| distance(&w[0].1, &w[1].1))
        .filter(|d| *d <= 3);
    let (near, bits) = close.fold((0_usize, 0_u32), |(n, b), d| (n + 1, b + d));
    if near >= 4 && 40 * near > rows.len() {
        // Both rows of such a couple may be wrong; in those of equal rows none is.
        let equal: usize = pairs
            .iter()
            .map(|(_, m)| m.windows(2).filter(|w| rows[w[1]] - rows[w[0]] <= 8).count())
            .sum();
        rate = rate.max(0.5 * f64::from(bits) / (32.0 * (near + equal) as f64));
    }
    if rate > draft.noise.rate {
        Noise { burst_cost: draft.noise.burst_cost, ..Noise::of_rate(rate) }
    } else {
        draft.noise
    }
}
