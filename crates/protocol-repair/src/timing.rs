//! When packets come: gaps learned from real captures.
//!
//! A gap belongs to one of six classes, a decade of time each. The class follows the class of the
//! gap before it (a Markov chain, which carries the bursts) and the packet's context: whether the
//! direction changed, and how large the packet is. Within class and context the logarithm of the
//! gap follows the quantiles that were measured.

use crate::config::Timing;
use crate::draft::Draft;
use crate::{Error, Result};
use nprint_codec::{IpVersion, Trace, dissect};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Upper ends of the gap classes but the last. Units: nanoseconds.
const CLASS_ENDS_NS: [u64; 5] = [20_000, 200_000, 2_000_000, 20_000_000, 200_000_000];
const CLASSES: usize = 6;
/// Direction kept or changed × three packet sizes.
const CONTEXTS: usize = 6;
/// Upper ends of the size classes but the last: IP packets. Units: bytes.
const SIZE_ENDS: [u32; 2] = [128, 1000];
/// Probabilities at which quantiles are kept.
const LEVELS: [f64; 5] = [0.02, 0.25, 0.5, 0.75, 0.98];

/// Inter-arrival times learned from captures; a small JSON file.
///
/// # Layout
/// One [`GapModel`] as the fallback and one for each label that was given at fitting, such as
/// `wireguardsts`.
///
/// # Example
/// ```
/// use protocol_repair::TimingModel;
/// let model = TimingModel::default();
/// let again = TimingModel::from_json(&model.to_json()?)?;
/// assert_eq!(model, again);
/// # Ok::<(), protocol_repair::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingModel {
    /// Gaps of all captures together.
    pub fallback: GapModel,
    /// Gaps of the captures with a label.
    #[serde(default)]
    pub labelled: BTreeMap<String, GapModel>,
}

/// A Markov chain over gap classes with quantiles within them.
///
/// # Layout
/// `transitions[(previous * 6 + context) * 6 + class]` counts per thousand;
/// `quantiles[(class * 6 + context) * 5 + level]` is `1000 log10(gap in ns)` at 2, 25, 50, 75
/// and 98 percent. `context = 3 * direction changed + size class` with IP packets of at most
/// 128, at most 1000, and more bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapModel {
    /// Share of the next class, per thousand.
    pub transitions: Vec<u16>,
    /// Quantiles of the gap.
    pub quantiles: Vec<u16>,
}

/// What the gap before a packet depends on.
#[derive(Debug, Clone, Copy)]
struct Step {
    changed: bool,
    size_bytes: u32,
}

impl Step {
    fn context(self) -> usize {
        let size = SIZE_ENDS.iter().filter(|end| self.size_bytes > **end).count();
        3 * usize::from(self.changed) + size
    }
}

fn class_of(gap_ns: u64) -> usize {
    CLASS_ENDS_NS.iter().filter(|end| gap_ns >= **end).count()
}

impl Default for TimingModel {
    /// The model that comes with this crate, fitted on video streams through seven kinds of
    /// tunnel and none; the fallback only.
    fn default() -> Self {
        Self::from_json(include_str!("../data/timing.json"))
            .expect("a unit test reads the embedded file")
    }
}

impl TimingModel {
    /// Learns from captures without labels.
    pub fn fit(traces: &[Trace]) -> Self {
        let all: Vec<(&Trace, &[String])> = traces.iter().map(|t| (t, &[][..])).collect();
        Self::fit_labelled(&all)
    }

    /// Learns from captures, each with the labels under which its gaps are also kept.
    pub fn fit_labelled(traces: &[(&Trace, &[String])]) -> Self {
        let mut all = Gaps::default();
        let mut labelled: BTreeMap<&str, Gaps> = BTreeMap::new();
        for (trace, labels) in traces {
            let observed = observe(trace);
            all.add(&observed);
            for label in *labels {
                labelled.entry(label).or_default().add(&observed);
            }
        }
        Self {
            fallback: all.model(),
            labelled: labelled.into_iter().map(|(l, g)| (l.to_owned(), g.model())).collect(),
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::TimingJson`] where the text is not of that form, [`Error::TimingShape`] where a
    /// table has another length than it must have.
    pub fn from_json(text: &str) -> Result<Self> {
        let model: Self = serde_json::from_str(text)?;
        model.check()?;
        Ok(model)
    }

    /// Writes the JSON form.
    ///
    /// # Errors
    /// None in practice; the JSON writer's signature has one.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// Checks the tables' lengths.
    ///
    /// # Errors
    /// [`Error::TimingShape`].
    pub fn check(&self) -> Result<()> {
        let fallback = std::iter::once(("", &self.fallback));
        for (label, model) in fallback.chain(self.labelled.iter().map(|(l, m)| (l.as_str(), m))) {
            for (what, count, expected) in [
                ("transitions", model.transitions.len(), CLASSES * CONTEXTS * CLASSES),
                ("quantiles", model.quantiles.len(), CLASSES * CONTEXTS * LEVELS.len()),
            ] {
                if count != expected {
                    return Err(Error::TimingShape {
                        label: label.to_owned(),
                        what,
                        count,
                        expected,
                    });
                }
            }
        }
        Ok(())
    }

    /// The part for a label, or the fallback.
    pub fn part(&self, label: Option<&str>) -> &GapModel {
        label.and_then(|l| self.labelled.get(l)).unwrap_or(&self.fallback)
    }
}

/// Class, context and gap of each packet of a capture but the first.
fn observe(trace: &Trace) -> Vec<(usize, u64)> {
    let mut out = Vec::new();
    let mut last: Option<(i64, Vec<u8>)> = None;
    for packet in trace.iter() {
        let Some(d) = dissect(trace.link_type(), packet.bytes) else { continue };
        let source = match d.version {
            IpVersion::V4 => d.ip.get(12..16),
            IpVersion::V6 => d.ip.get(8..24),
        };
        let source = source.unwrap_or_default();
        if let Some((time_ns, from)) = &last {
            let step = Step {
                changed: from != source,
                size_bytes: packet.original_length.saturating_sub(d.link.len() as u32),
            };
            out.push((step.context(), (packet.time_ns - time_ns).max(1000) as u64));
        }
        last = Some((packet.time_ns, source.to_vec()));
    }
    out
}

/// Gaps while they are collected.
#[derive(Default)]
struct Gaps {
    counts: BTreeMap<(usize, usize, usize), u32>,
    gaps: BTreeMap<(usize, usize), Vec<u64>>,
}

impl Gaps {
    fn add(&mut self, observed: &[(usize, u64)]) {
        let mut previous = 0;
        for (context, gap) in observed {
            let class = class_of(*gap);
            *self.counts.entry((previous, *context, class)).or_default() += 1;
            self.gaps.entry((class, *context)).or_default().push(*gap);
            previous = class;
        }
    }

    fn model(mut self) -> GapModel {
        self.gaps.values_mut().for_each(|g| g.sort_unstable());
        let mut transitions = Vec::with_capacity(CLASSES * CONTEXTS * CLASSES);
        for previous in 0..CLASSES {
            for context in 0..CONTEXTS {
                // Contexts that were hardly seen lean on the same context after any gap.
                let weights: Vec<f64> = (0..CLASSES)
                    .map(|class| {
                        let own = self.counts.get(&(previous, context, class)).copied();
                        let any: u32 = (0..CLASSES)
                            .filter_map(|p| self.counts.get(&(p, context, class)))
                            .sum();
                        let total: u32 = (0..CLASSES)
                            .filter_map(|c| self.gaps.get(&(c, context)))
                            .map(|g| g.len() as u32)
                            .sum();
                        let lean =
                            if total == 0 { 1.0 / 6.0 } else { f64::from(any) / f64::from(total) };
                        f64::from(own.unwrap_or(0)) + 2.0 * lean
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                transitions.extend(weights.iter().map(|w| (1000.0 * w / sum).round() as u16));
            }
        }
        let mut quantiles = Vec::with_capacity(CLASSES * CONTEXTS * LEVELS.len());
        for class in 0..CLASSES {
            for context in 0..CONTEXTS {
                let gaps = self.gaps.get(&(class, context)).map_or(&[][..], Vec::as_slice);
                quantiles.extend(LEVELS.map(|level| {
                    let gap = match gaps {
                        [] => typical(class),
                        gaps => gaps[((gaps.len() - 1) as f64 * level).round() as usize],
                    };
                    ((gap as f64).log10() * 1000.0).round() as u16
                }));
            }
        }
        GapModel { transitions, quantiles }
    }
}

/// The geometric middle of a class. Units: nanoseconds.
fn typical(class: usize) -> u64 {
    [6_000, 60_000, 600_000, 6_000_000, 60_000_000, 600_000_000][class.min(CLASSES - 1)]
}

impl GapModel {
    /// Draws the gap after a gap of class `previous`.
    fn draw(&self, previous: usize, step: Step, random: &mut ChaCha8Rng) -> u64 {
        let context = step.context();
        let row = &self.transitions[(previous * CONTEXTS + context) * CLASSES..][..CLASSES];
        let total: u32 = row.iter().map(|w| u32::from(*w)).sum();
        let mut left = random.random_range(0..total.max(1));
        let mut class = 0;
        for (index, weight) in row.iter().enumerate() {
            if left < u32::from(*weight) {
                class = index;
                break;
            }
            left -= u32::from(*weight);
        }
        let levels = &self.quantiles[(class * CONTEXTS + context) * LEVELS.len()..][..LEVELS.len()];
        let at = random.random_range(LEVELS[0]..LEVELS[LEVELS.len() - 1]);
        let high = LEVELS.iter().position(|l| *l > at).unwrap_or(LEVELS.len() - 1).max(1);
        let share = (at - LEVELS[high - 1]) / (LEVELS[high] - LEVELS[high - 1]);
        let low = f64::from(levels[high - 1]);
        let log = low + share * (f64::from(levels[high]) - low);
        (10.0_f64.powf(log / 1000.0).round() as u64).clamp(1000, 600_000_000_000)
    }
}

/// Decides the time of every row.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    match &draft.config.timing {
        Timing::Keep(times) => {
            let mut last = 0;
            for (row, facts) in draft.rows.iter_mut().enumerate() {
                let own = times
                    .get(row)
                    .zip(times.first())
                    .map_or(0, |(t, first)| t.saturating_sub(*first));
                last = last.max(own.max(0) as u64);
                facts.time_ns = last;
            }
        }
        Timing::Model { model, label } => {
            let part = model.part(label.as_deref());
            let mut random = ChaCha8Rng::seed_from_u64(draft.config.seed ^ 0x5eed_717e);
            let (mut now, mut class, mut direction) = (0, 0, None);
            for row in 0..draft.rows.len() {
                let facts = draft.rows[row];
                let headers = crate::compile::lengths::headers(draft, row);
                let size_bytes = headers.0 + headers.1 + headers.2 + facts.payload_bytes;
                if let Some(before) = direction {
                    let step = Step { changed: before != facts.direction, size_bytes };
                    let gap = part.draw(class, step, &mut random);
                    class = class_of(gap);
                    now += gap;
                }
                direction = Some(facts.direction);
                draft.rows[row].time_ns = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::LinkType;

    fn packet(source: u8, length: u16) -> Vec<u8> {
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, 9];
        ip[2..4].copy_from_slice(&length.to_be_bytes());
        ip
    }

    #[test]
    fn the_embedded_model_is_well_formed() {
        assert!(TimingModel::default().check().is_ok());
    }

    #[test]
    fn bursts_come_back() {
        // Nine packets 50 µs apart, then a pause of 40 ms.
        let mut trace = Trace::new(LinkType::RawIp);
        let mut now = 1_000_000_000;
        for index in 0..2000 {
            now += if index % 10 == 0 { 40_000_000 } else { 50_000 };
            trace.push(now, &packet(1, 1400), 1400);
        }
        let model = TimingModel::fit(std::slice::from_ref(&trace));
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut class, mut pauses) = (1, 0);
        for _ in 0..5000 {
            let step = Step { changed: false, size_bytes: 1400 };
            let gap = model.fallback.draw(class, step, &mut random);
            let short = (45_000..55_000).contains(&gap);
            let long = (39_000_000..41_000_000).contains(&gap);
            assert!(short || long || class != 4, "gap {gap} ns after class {class}");
            pauses += usize::from(long);
            class = class_of(gap);
        }
        assert!((300..700).contains(&pauses), "{pauses} pauses of 500");
    }

    #[test]
    fn labels_choose_their_part() {
        let mut slow = Trace::new(LinkType::RawIp);
        let mut fast = Trace::new(LinkType::RawIp);
        for index in 0..100_i64 {
            slow.push(index * 300_000_000, &packet(1, 100), 100);
            fast.push(index * 30_000, &packet(1, 100), 100);
        }
        let labels = [["slow".to_owned()], ["fast".to_owned()]];
        let model = TimingModel::fit_labelled(&[(&slow, &labels[0]), (&fast, &labels[1])]);
        let middle = |label| model.part(Some(label)).quantiles[(5 * CONTEXTS) * LEVELS.len() + 2];
        assert_eq!(middle("slow"), 8477);
        assert!(model.part(Some("unknown")) == &model.fallback);
    }

    #[test]
    fn tables_of_another_length_are_refused() {
        let mut model = TimingModel::default();
        model.fallback.quantiles.pop();
        assert!(matches!(model.check(), Err(Error::TimingShape { what: "quantiles", .. })));
        assert!(TimingModel::from_json("{}").is_err());
    }
}
