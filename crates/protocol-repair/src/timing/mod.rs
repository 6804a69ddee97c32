//! When packets come: gaps learned from real captures.

mod draw;
mod fit;
mod sessions;
mod step;

use crate::config::Timing;
use crate::draft::Draft;
use crate::{Error, Result};
use draw::Gaps;
use nprint_codec::Trace;
use serde::{Deserialize, Serialize};
pub use sessions::GapModel;
use std::collections::BTreeMap;
use step::{Step, context, observe};

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

impl Default for TimingModel {
    /// The model that comes with this crate, fitted on video streams through seven kinds of
    /// tunnel and none; the fallback only.
    fn default() -> Self {
        Self::from_json(include_str!("../../data/timing.json"))
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
        let observed: Vec<Vec<Step>> = traces.iter().map(|(trace, _)| observe(trace)).collect();
        let all: Vec<&[Step]> = observed.iter().map(Vec::as_slice).collect();
        let mut labelled: BTreeMap<&str, Vec<&[Step]>> = BTreeMap::new();
        for ((_, labels), observed) in traces.iter().zip(&observed) {
            for label in *labels {
                labelled.entry(label).or_default().push(observed);
            }
        }
        Self {
            fallback: fit::fit(&all),
            labelled: labelled.into_iter().map(|(l, g)| (l.to_owned(), fit::fit(&g))).collect(),
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::TimingJson`] where the text is not of that form, [`Error::TimingShape`] where a
    /// part has no gaps.
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

    /// Checks that the parts for labels have gaps. A fallback without any, fitted on nothing, gives
    /// all packets the same gap.
    ///
    /// # Errors
    /// [`Error::TimingShape`].
    pub fn check(&self) -> Result<()> {
        match self.labelled.iter().find(|(_, model)| model.gaps() == 0) {
            Some((label, _)) => {
                let label = label.clone();
                Err(Error::TimingShape { label, what: "gaps", count: 0, expected: 1 })
            }
            None => Ok(()),
        }
    }

    /// The part for a label, or the fallback.
    pub fn part(&self, label: Option<&str>) -> &GapModel {
        label.and_then(|l| self.labelled.get(l)).unwrap_or(&self.fallback)
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
            let mut gaps = Gaps::new(part, draft.config.seed);
            let (mut now, mut direction) = (0, None);
            for row in 0..draft.rows.len() {
                let facts = draft.rows[row];
                let headers = crate::compile::lengths::headers(draft, row);
                let size_bytes = headers.0 + headers.1 + headers.2 + facts.payload_bytes;
                if let Some(before) = direction {
                    now += gaps.next(context(before != facts.direction, size_bytes));
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
        assert!(TimingModel::default().fallback.gaps() > 4000);
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
        let mut gaps = Gaps::new(&model.fallback, 3);
        let drawn: Vec<u64> = (0..5000).map(|_| gaps.next(context(false, 1400))).collect();
        let pauses: Vec<usize> = (0..5000).filter(|i| drawn[*i] > 39_000_000).collect();
        assert!(drawn.iter().all(|g| (48_000..52_000).contains(g) || *g > 39_000_000));
        assert!((450..550).contains(&pauses.len()), "{} pauses of 500", pauses.len());
        let whole = pauses.windows(2).filter(|w| w[1] - w[0] == 10).count();
        assert!(whole > 400, "{whole} bursts of ten");
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
        let first = |label| Gaps::new(model.part(Some(label)), 0).next(context(false, 100));
        assert!((290_000_000..310_000_000).contains(&first("slow")), "{}", first("slow"));
        assert!((29_000..31_000).contains(&first("fast")), "{}", first("fast"));
        assert!(model.part(Some("unknown")) == &model.fallback);
    }

    #[test]
    fn damaged_files_are_refused() {
        let read = |text: &str| TimingModel::from_json(text);
        assert!(
            read(r#"{"fallback":["AAAB"],"labelled":{"a":["__","AA"]}}"#).is_err(),
            "context 6"
        );
        assert!(read(r#"{"fallback":["AAA"]}"#).is_err(), "half a gap");
        assert!(read(r#"{"fallback":["A?"]}"#).is_err(), "no digit");
        let empty = read(r#"{"fallback":["AA"],"labelled":{"a":[]}}"#);
        assert!(matches!(empty, Err(Error::TimingShape { what: "gaps", .. })));
        assert!(read("{}").is_err());
    }
}
