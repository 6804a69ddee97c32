//! When packets come: gaps learned from real captures.

mod align;
mod draw;
mod file;
mod fit;
mod habits;
mod order;
mod step;
mod stretch;

use crate::Result;
use crate::compile::lengths::Headers;
use crate::config::Timing;
use crate::draft::{Draft, RowFacts, Transport};
use file::File;
use nprint_codec::{Trace, tcp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use step::{Packet, Service, Sight, context, observe};
use stretch::Stretch;

/// Inter-arrival times learned from captures; a small JSON file.
///
/// It keeps stretches of up to 1023 gaps as they followed each other in real captures, each with what its
/// packet's gap depends on: the direction (as before, or changed), the state of the conversation (whether
/// the packet begins or ends it), and the size. A trace is given gaps of the stretches that are most like it in the order
/// of these and in the services spoken, among those with its label; without a label, or with an unknown one, among
/// all. A copy shares the stretches.
///
/// Of a capture no address and no payload is kept, no client port where the server's is lower, and of each gap its sixth of
/// a power of ten.
///
/// # Layout
/// `{"version":3,"stretches":[stretch, …],"labels":{label:[index of a stretch, …], …}}`, a stretch
/// `{"services":[[[protocol, port], share], …],"gaps":text}` with three characters of base 64 for each two packets. At
/// most some 250,000 gaps, 375 kB, are kept.
///
/// # Example
/// ```
/// use protocol_repair::TimingModel;
/// let model = TimingModel::default();
/// assert!(model.labels().any(|label| label == "wireguardsts"));
/// let again = TimingModel::from_json(&model.to_json()?)?;
/// assert_eq!(model, again);
/// # Ok::<(), protocol_repair::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct TimingModel {
    stretches: Arc<[Stretch]>,
    /// Indices into the stretches.
    labels: BTreeMap<String, Vec<usize>>,
}

impl Default for TimingModel {
    /// The model that comes with this crate, fitted on video streams through six kinds of tunnel and
    /// none, and on ten services; its labels are their names.
    fn default() -> Self {
        static EMBEDDED: LazyLock<TimingModel> = LazyLock::new(|| {
            TimingModel::from_json(include_str!("../../data/timing.json"))
                .expect("a unit test reads the embedded file")
        });
        EMBEDDED.clone()
    }
}

impl TimingModel {
    /// Learns from captures without labels.
    pub fn fit(traces: &[Trace]) -> Self {
        let all: Vec<(&Trace, &[String])> = traces.iter().map(|t| (t, &[][..])).collect();
        Self::fit_labelled(&all)
    }

    /// Learns from captures, each with the labels that ask for its gaps.
    pub fn fit_labelled(traces: &[(&Trace, &[String])]) -> Self {
        let observed: Vec<fit::Observed<'_>> =
            traces.iter().map(|(trace, labels)| (observe(trace), *labels)).collect();
        let kept = fit::fit(&observed);
        let mut by_label: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, (_, labels)) in kept.iter().enumerate() {
            for label in *labels {
                by_label.entry(label.clone()).or_default().push(index);
            }
        }
        Self { stretches: kept.into_iter().map(|(s, _)| s).collect(), labels: by_label }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::TimingVersion`](crate::Error::TimingVersion) where the text is of another version, [`Error::TimingJson`](crate::Error::TimingJson) where it
    /// is not of that form, [`Error::TimingIndex`](crate::Error::TimingIndex) where a label has a stretch that is not there,
    /// [`Error::TimingEmpty`](crate::Error::TimingEmpty) where it has none.
    pub fn from_json(text: &str) -> Result<Self> {
        file::check_version(text)?;
        serde_json::from_str::<File>(text)?.try_into()
    }

    /// Writes the JSON form.
    ///
    /// # Errors
    /// None in practice; the JSON writer's signature has one.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// The labels with stretches of their own, in alphabetical order.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(String::as_str)
    }

    /// Number of gaps that a trace with this label can have; without a label or with an unknown
    /// one, of all that are stored. Without any, all packets have the same gap.
    pub fn gaps(&self, label: Option<&str>) -> usize {
        self.part(label).iter().map(|stretch| stretch.steps().len()).sum()
    }

    fn part(&self, label: Option<&str>) -> Vec<&Stretch> {
        match label.and_then(|label| self.labels.get(label)) {
            Some(own) => own.iter().map(|index| &self.stretches[*index]).collect(),
            None => self.stretches.iter().collect(),
        }
    }
}

/// The gaps that were drawn for these packets: the same ones have the same.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    packets: Vec<Packet>,
    gaps: Vec<u64>,
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
            let packets = packets(draft);
            let known = draft.drawn.take().filter(|drawn| drawn.packets == packets);
            let drawn = known.unwrap_or_else(|| {
                let part = model.part(label.as_deref());
                let gaps = draw::gaps(&part, &packets, draft.config.seed);
                Drawn { packets, gaps }
            });
            let mut now = 0_u64;
            for (facts, gap) in draft.rows.iter_mut().zip(std::iter::once(&0).chain(&drawn.gaps)) {
                now = now.saturating_add(*gap);
                facts.time_ns = now;
            }
            draft.drawn = Some(drawn);
        }
    }
}

/// Every row but the first.
fn packets(draft: &Draft<'_>) -> Vec<Packet> {
    let pairs = draft.rows.windows(2).enumerate();
    let packet = |(before, pair): (usize, &[RowFacts])| {
        let row = before + 1;
        let changed = pair[0].direction != pair[1].direction;
        Packet { context: context(changed, sight(draft, row)), service: service(draft, row) }
    };
    pairs.map(packet).collect()
}

fn service(draft: &Draft<'_>, row: usize) -> Service {
    let facts = draft.rows[row];
    let [one, other] = draft.flows[facts.flow].ports;
    match facts.stack.transport {
        Transport::Tcp => (6, one.min(other)),
        Transport::Udp => (17, one.min(other)),
        Transport::Icmp => (1, 0),
        Transport::Fragment | Transport::Other => (0, 0),
    }
}

fn sight(draft: &Draft<'_>, row: usize) -> Sight {
    let facts = draft.rows[row];
    let headers = Headers::of(draft, row);
    let first = draft.flows[facts.flow].rows.first() == Some(&row);
    let set = |flag| draft.value(row, flag) == 1;
    let ends = match facts.stack.transport {
        Transport::Tcp => first || set(tcp::SYN) || set(tcp::FIN) || set(tcp::RST),
        Transport::Udp => first,
        Transport::Icmp | Transport::Fragment | Transport::Other => false,
    };
    Sight {
        ends,
        has_payload: facts.payload_bytes > 0,
        size_bytes: headers.ip + headers.behind_ip() + facts.payload_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::LinkType;

    fn packet(source: u8, length: u16) -> Vec<u8> {
        let mut ip =
            vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, 10 - source];
        ip[2..4].copy_from_slice(&length.to_be_bytes());
        ip
    }

    fn sized(changed: bool, size_bytes: u32) -> Packet {
        let sight = Sight { ends: false, has_payload: true, size_bytes };
        Packet { context: context(changed, sight), service: (17, 0) }
    }

    fn drawn(model: &TimingModel, label: Option<&str>, packets: usize, seed: u64) -> Vec<u64> {
        draw::gaps(&model.part(label), &vec![sized(false, 1400); packets], seed)
    }

    #[test]
    fn the_embedded_model_has_gaps_of_every_class() {
        let model = TimingModel::default();
        assert_eq!(model.labels().count(), 17);
        assert!(model.labels().all(|label| model.gaps(Some(label)) > 1000));
        assert!(include_str!("../../data/timing.json").len() <= 400_000);
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
        let drawn = drawn(&model, None, 5000, 3);
        let pauses: Vec<usize> = (0..5000).filter(|i| drawn[*i] > 31_000_000).collect();
        // A level is from 46 to 68 µs, one from 31 to 47 ms.
        assert!(drawn.iter().all(|g| (46_000..69_000).contains(g) || *g > 31_000_000));
        assert!((480..520).contains(&pauses.len()), "{} pauses of 500", pauses.len());
        let whole = pauses.windows(2).filter(|w| w[1] - w[0] == 10).count();
        assert!(whole > 480, "{whole} bursts of ten");
    }

    #[test]
    fn gaps_go_with_direction_and_size() {
        // Large packets one way at once, small ones back after 20 ms, in runs of 1 to 7.
        let runs = |seed: u64| {
            let lengths = (0..300_u64).map(move |run| 1 + (run * run + seed * run) % 7);
            lengths.flat_map(|length| (0..=length).map(move |at| at == length))
        };
        let mut trace = Trace::new(LinkType::RawIp);
        let mut now = 0;
        for back in runs(0) {
            now += if back { 20_000_000 } else { 20_000 };
            let length = if back { 60 } else { 1400 };
            trace.push(now, &packet(if back { 9 } else { 1 }, length), u32::from(length));
        }
        let model = TimingModel::fit(std::slice::from_ref(&trace));
        let mut last = false;
        let packets: Vec<Packet> = runs(3)
            .map(|back| {
                sized(std::mem::replace(&mut last, back) != back, 1400 - 1340 * u32::from(back))
            })
            .collect();
        let drawn = draw::gaps(&model.part(None), &packets, 5);
        let right = runs(3).zip(&drawn).filter(|(back, gap)| (**gap > 1_000_000) == *back).count();
        assert!(right * 100 > packets.len() * 95, "{right} of {}", packets.len());
    }

    #[test]
    fn labels_choose_their_part() {
        let mut slow = Trace::new(LinkType::RawIp);
        let mut fast = Trace::new(LinkType::RawIp);
        for index in 0..100_i64 {
            slow.push(index * 300_000_000, &packet(1, 1400), 1400);
            fast.push(index * 30_000, &packet(1, 1400), 1400);
        }
        let labels = [["slow".to_owned()], ["fast".to_owned()]];
        let model = TimingModel::fit_labelled(&[(&slow, &labels[0]), (&fast, &labels[1])]);
        let first = |label| drawn(&model, Some(label), 10, 0)[0];
        assert!((215_000_000..317_000_000).contains(&first("slow")), "{}", first("slow"));
        assert!((21_500..31_700).contains(&first("fast")), "{}", first("fast"));
        assert_eq!((model.gaps(Some("slow")), model.gaps(Some("unknown"))), (99, 198));
    }

    #[test]
    fn without_gaps_all_are_the_same() {
        let empty = TimingModel::fit(&[]);
        assert_eq!(drawn(&empty, None, 3, 0), [1_000_000; 3]);
        let again = TimingModel::from_json(&empty.to_json().expect("JSON")).expect("read");
        assert_eq!(empty, again);
    }
}
