//! The tables of a report, column by column, whatever form they are written in.

use super::{Points, Report};
use crate::utility::{Agreement, Study};

/// A table: what `NAME.csv` and `NAME.parquet` hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name of its file, without ending.
    pub name: &'static str,
    /// Its columns, all of the same length.
    pub columns: Vec<Column>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// One value a row.
    pub values: Values,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<String>),
    /// Numbers; `None` where there is none.
    Number(Vec<Option<f64>>),
    /// Counts and places.
    Count(Vec<u64>),
    /// Yes or no.
    Flag(Vec<bool>),
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(v) => v.len(),
            Self::Number(v) => v.len(),
            Self::Count(v) => v.len(),
            Self::Flag(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }

    fn new(name: &'static str) -> Self {
        Self { name, columns: Vec::new() }
    }

    fn with(mut self, name: &str, values: Values) -> Self {
        self.columns.push(Column { name: name.to_owned(), values });
        self
    }

    fn text<S: Into<String>>(self, name: &str, values: impl Iterator<Item = S>) -> Self {
        self.with(name, Values::Text(values.map(Into::into).collect()))
    }

    fn number<N: Into<Option<f64>>>(self, name: &str, values: impl Iterator<Item = N>) -> Self {
        self.with(name, Values::Number(values.map(Into::into).collect()))
    }

    fn count(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        self.with(name, Values::Count(values.collect()))
    }

    fn flag(self, name: &str, values: impl Iterator<Item = bool>) -> Self {
        self.with(name, Values::Flag(values.collect()))
    }

    /// Four columns, `PREFIXsynthetic` and so on.
    fn points(self, prefix: &str, values: impl Iterator<Item = Points> + Clone) -> Self {
        let name = |n: &str| format!("{prefix}{n}");
        self.number(&name("synthetic"), values.clone().map(|p| p.synthetic))
            .number(&name("noise_floor"), values.clone().map(|p| p.noise_floor))
            .number(&name("wrong_class"), values.clone().map(|p| p.wrong_class))
            .number(&name("random"), values.map(|p| p.random))
    }
}

impl Report {
    /// Every table of the report.
    ///
    /// # Layout
    /// A column a property, a row a finding; reference points stand in columns `…noise_floor`,
    /// `…wrong_class`, `…random` beside `…synthetic`.
    pub fn tables(&self) -> Vec<Table> {
        let mut out = vec![
            self.score_table(),
            self.pair_table(),
            self.spread_table(),
            self.utility_table(),
            self.confusion_table(),
            self.compliance_table(),
            self.column_table(),
            self.field_table(),
            self.distribution_table(),
        ];
        out.extend(self.place_and_flow_tables());
        out.extend(self.capture_tables());
        if let Some(study) = &self.study {
            out.extend(study_tables(study));
        }
        out
    }

    fn score_table(&self) -> Table {
        let rows = || self.scores.iter();
        Table::new("scores")
            .text("group", rows().map(|s| &s.group))
            .text("metric", rows().map(|s| &s.metric))
            .number("synthetic", rows().map(|s| s.synthetic))
            .number("noise_floor", rows().map(|s| s.noise_floor))
            .number("wrong_class", rows().map(|s| s.wrong_class))
            .number("random", rows().map(|s| s.random))
    }

    fn pair_table(&self) -> Table {
        let rows = || self.pairs.iter();
        Table::new("pairs")
            .text("synthetic", rows().map(|p| &p.synthetic))
            .text("parent", rows().map(|p| &p.parent))
            .number("js_distance", rows().map(|p| p.js_distance))
            .number("total_variation", rows().map(|p| p.total_variation))
            .number("hellinger", rows().map(|p| p.hellinger))
            .number("hamming", rows().map(|p| p.hamming))
            .number("same_length", rows().map(|p| p.same_length))
            .number("same_direction", rows().map(|p| p.same_direction))
    }

    fn spread_table(&self) -> Table {
        let groups = self.spreads.iter().flat_map(|s| s.groups.iter().map(move |g| (s, g)));
        let rows: Vec<_> =
            groups.flat_map(|(s, g)| g.values.iter().map(move |v| (s, g, *v))).collect();
        Table::new("spreads")
            .text("spread", rows.iter().map(|r| &r.0.name))
            .text("unit", rows.iter().map(|r| &r.0.unit))
            .text("group", rows.iter().map(|r| &r.1.name))
            .number("value", rows.iter().map(|r| r.2))
    }

    fn utility_table(&self) -> Table {
        let rows = || self.utility.iter();
        Table::new("utility")
            .text("category", rows().map(|u| &u.category))
            .text("view", rows().map(|u| u.view.name()))
            .text("classifier", rows().map(|u| u.classifier.name()))
            .text("scenario", rows().map(|u| u.scenario.name()))
            .number("accuracy_mean", rows().map(|u| u.accuracy.mean))
            .number("accuracy_low", rows().map(|u| u.accuracy.low))
            .number("accuracy_high", rows().map(|u| u.accuracy.high))
            .number("macro_f1_mean", rows().map(|u| u.macro_f1.mean))
            .number("macro_f1_low", rows().map(|u| u.macro_f1.low))
            .number("macro_f1_high", rows().map(|u| u.macro_f1.high))
            .number("chance", rows().map(|u| u.chance))
            .count("classes", rows().map(|u| u.classes as u64))
            .count("tested", rows().map(|u| u.tested as u64))
            .count("runs", rows().map(|u| u.runs as u64))
    }

    fn confusion_table(&self) -> Table {
        let cells = self.confusions.iter().flat_map(|c| {
            let row = move |(truth, counts): (&'_ String, &'_ Vec<u64>)| {
                let truth = truth.clone();
                let cells = c.classes.iter().cloned().zip(counts.clone());
                cells.map(move |(predicted, count)| (c, truth.clone(), predicted, count))
            };
            c.classes.iter().zip(&c.counts).flat_map(row)
        });
        let rows: Vec<_> = cells.collect();
        Table::new("confusions")
            .text("category", rows.iter().map(|r| &r.0.category))
            .text("scenario", rows.iter().map(|r| r.0.scenario.name()))
            .text("true", rows.iter().map(|r| &r.1))
            .text("predicted", rows.iter().map(|r| &r.2))
            .count("count", rows.iter().map(|r| r.3))
    }

    fn compliance_table(&self) -> Table {
        let rows = || self.compliance.iter();
        Table::new("compliance")
            .text("rule", rows().map(|r| &r.rule))
            .text("source", rows().map(|r| &r.source))
            .count("real_checked", rows().map(|r| r.real.checked))
            .count("real_broken", rows().map(|r| r.real.broken))
            .count("synthetic_checked", rows().map(|r| r.synthetic.checked))
            .count("synthetic_broken", rows().map(|r| r.synthetic.broken))
            .count("shuffled_checked", rows().map(|r| r.shuffled.checked))
            .count("shuffled_broken", rows().map(|r| r.shuffled.broken))
    }

    fn column_table(&self) -> Table {
        let fields = self.headers.iter().flat_map(|h| &h.fields);
        let rows: Vec<_> = fields
            .flat_map(|f| f.synthetic.iter().enumerate().map(move |(bit, v)| (f, bit, *v)))
            .collect();
        Table::new("columns")
            .text("column", rows.iter().map(|(f, bit, _)| format!("{}_{bit}", f.field)))
            .number("js_distance", rows.iter().map(|r| r.2))
            .number(
                "js_distance_noise_floor",
                rows.iter().map(|(f, bit, _)| f.noise_floor.get(*bit).copied()),
            )
    }

    fn field_table(&self) -> Table {
        let rows = || self.fields.iter();
        Table::new("fields")
            .text("field", rows().map(|f| &f.field))
            .flag("leak_prone", rows().map(|f| f.leak_prone))
            .points("js_distance_", rows().map(|f| f.js_distance))
            .points("total_variation_", rows().map(|f| f.total_variation))
            .points("hellinger_", rows().map(|f| f.hellinger))
    }

    fn distribution_table(&self) -> Table {
        let rows: Vec<_> = self
            .distributions
            .iter()
            .flat_map(|d| (0..d.real.len().min(d.synthetic.len())).map(move |bin| (d, bin)))
            .collect();
        Table::new("distributions")
            .text("property", rows.iter().map(|(d, _)| &d.name))
            .text("unit", rows.iter().map(|(d, _)| &d.unit))
            .number("from", rows.iter().map(|(d, bin)| d.from + d.width * *bin as f64))
            .number("to", rows.iter().map(|(d, bin)| d.from + d.width * (*bin + 1) as f64))
            .number("real", rows.iter().map(|(d, bin)| d.real[*bin]))
            .number("synthetic", rows.iter().map(|(d, bin)| d.synthetic[*bin]))
    }

    fn place_and_flow_tables(&self) -> [Table; 3] {
        let (positions, flows) = (|| self.positions.iter(), || self.flow_features.iter());
        let pairs = || self.dependences.iter();
        [
            Table::new("positions")
                .count("packet", positions().map(|p| p.packet as u64))
                .points("js_distance_", positions().map(|p| p.js_distance)),
            Table::new("flow_features")
                .text("family", flows().map(|f| &f.family))
                .text("feature", flows().map(|f| &f.feature))
                .points("kolmogorov_smirnov_", flows().map(|f| f.kolmogorov_smirnov))
                .points("wasserstein_", flows().map(|f| f.wasserstein)),
            Table::new("dependences")
                .text("first", pairs().map(|d| &d.first))
                .text("second", pairs().map(|d| &d.second))
                .number("real_bits", pairs().map(|d| d.real_bits))
                .number("synthetic_bits", pairs().map(|d| d.synthetic_bits))
                .points("difference_", pairs().map(|d| d.difference)),
        ]
    }

    fn capture_tables(&self) -> [Table; 3] {
        let (connections, closest) = (|| self.connections.iter(), || self.closest.iter());
        let identifiers = || self.identifiers.iter();
        [
            Table::new("connections")
                .text("kind", connections().map(|c| &c.kind))
                .text("name", connections().map(|c| &c.name))
                .count("real", connections().map(|c| c.real))
                .count("synthetic", connections().map(|c| c.synthetic))
                .count("shuffled", connections().map(|c| c.shuffled)),
            Table::new("closest")
                .text("synthetic", closest().map(|c| &c.synthetic))
                .text("real", closest().map(|c| &c.real))
                .number("distance", closest().map(|c| c.distance))
                .number("ratio", closest().map(|c| c.ratio))
                .flag("is_parent", closest().map(|c| c.is_parent)),
            Table::new("identifiers")
                .text("kind", identifiers().map(|i| &i.kind))
                .text("identifier", identifiers().map(|i| &i.identifier))
                .count("real_captures", identifiers().map(|i| i.real as u64))
                .count("synthetic_captures", identifiers().map(|i| i.synthetic as u64)),
        ]
    }
}

fn study_tables(study: &Study) -> [Table; 4] {
    let (mixing, balancing) = (|| study.mixing.iter(), || study.balancing.iter());
    let top: Vec<_> = study
        .importances
        .iter()
        .flat_map(|i| i.top.iter().map(move |feature| (&i.category, feature)))
        .collect();
    let levels: Vec<(&String, &str, &Agreement, &Agreement)> = study
        .importances
        .iter()
        .flat_map(|i| {
            let bits = (&i.category, "bit of a packet", &i.features, &i.features_noise_floor);
            [(&i.category, "field", &i.fields, &i.fields_noise_floor), bits]
        })
        .collect();
    [
        Table::new("mixing")
            .text("category", mixing().map(|m| &m.category))
            .text("view", mixing().map(|m| m.view.name()))
            .text("classifier", mixing().map(|m| m.classifier.name()))
            .number("synthetic_share", mixing().map(|m| m.synthetic_share))
            .number("accuracy_mean", mixing().map(|m| m.accuracy.mean))
            .number("accuracy_low", mixing().map(|m| m.accuracy.low))
            .number("accuracy_high", mixing().map(|m| m.accuracy.high))
            .number("macro_f1_mean", mixing().map(|m| m.macro_f1.mean))
            .number("macro_f1_low", mixing().map(|m| m.macro_f1.low))
            .number("macro_f1_high", mixing().map(|m| m.macro_f1.high))
            .number("trained", mixing().map(|m| m.trained))
            .count("runs", mixing().map(|m| m.runs as u64)),
        Table::new("balancing")
            .text("category", balancing().map(|b| &b.category))
            .text("view", balancing().map(|b| b.view.name()))
            .text("classifier", balancing().map(|b| b.classifier.name()))
            .text("filling", balancing().map(|b| b.filling.name()))
            .number("accuracy_mean", balancing().map(|b| b.accuracy.mean))
            .number("accuracy_low", balancing().map(|b| b.accuracy.low))
            .number("accuracy_high", balancing().map(|b| b.accuracy.high))
            .number("macro_f1_mean", balancing().map(|b| b.macro_f1.mean))
            .number("macro_f1_low", balancing().map(|b| b.macro_f1.low))
            .number("macro_f1_high", balancing().map(|b| b.macro_f1.high))
            .count("runs", balancing().map(|b| b.runs as u64)),
        Table::new("importances")
            .text("category", top.iter().map(|t| t.0))
            .count("packet", top.iter().map(|t| t.1.name.packet as u64))
            .text("field", top.iter().map(|t| &t.1.name.field))
            .count("bit", top.iter().map(|t| t.1.name.bit as u64))
            .number("real", top.iter().map(|t| t.1.real))
            .number("synthetic", top.iter().map(|t| t.1.synthetic)),
        Table::new("importance_agreement")
            .text("category", levels.iter().map(|l| l.0))
            .text("by", levels.iter().map(|l| l.1))
            .number("top_10_overlap", levels.iter().map(|l| l.2.top_overlap))
            .number("top_10_overlap_noise_floor", levels.iter().map(|l| l.3.top_overlap))
            .number("rank_correlation", levels.iter().map(|l| l.2.rank_correlation))
            .number("rank_correlation_noise_floor", levels.iter().map(|l| l.3.rank_correlation)),
    ]
}
