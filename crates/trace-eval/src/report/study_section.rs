//! What synthetic captures are worth in training: mixing curves, class balancing, importances.

use super::number::{escape, short};
use super::plot::{self, Plot};
use super::sections::{grid, interval, number_cell};
use super::{Report, tables};
use crate::config::{Classifier, View};
use crate::utility::{Agreement, BalanceRow, Filling, ImportanceComparison, Study};
use std::fmt::Write as _;

pub(super) fn study(report: &Report, study: &Study) -> String {
    let mut out = String::new();
    mixing(&mut out, report);
    balancing(&mut out, &study.balancing);
    importances(&mut out, &study.importances);
    if out.is_empty() {
        out.push_str("<p>No such test was possible; the notes say why.</p>");
    }
    out
}

fn mixing(out: &mut String, report: &Report) {
    let mixed = report.mixed();
    let mut categories: Vec<&str> = mixed.iter().map(|m| m.0).collect();
    categories.dedup();
    let mut seen: Vec<&str> = Vec::new();
    for category in categories {
        if seen.contains(&category) {
            continue;
        }
        seen.push(category);
        let of_category = mixed.iter().filter(|(c, _)| *c == category);
        let plots: Vec<Plot> =
            of_category.filter_map(|(c, view)| plot::mixing(report, c, *view)).collect();
        let Some(first) = plots.first() else { continue };
        if seen.len() == 1 {
            let _ = write!(
                out,
                "<h3>Real captures replaced by synthetic ones</h3><p class=quiet>Trained on a mixture, tested on real captures \
                 that are neither in it nor parents of a capture in it. Bands hold 95 % of the runs; dashed: real → real. A curve that stays level \
                 means that synthetic captures are worth as much as the real ones they stand in for.</p>{}",
                first.legend_html()
            );
        }
        let open = if seen.len() <= 2 { " open" } else { "" };
        let name = escape(category);
        let _ = write!(out, "<details{open}><summary>{name}</summary>{}</details>", grid(&plots));
    }
}

/// What the rows of one test of balancing have in common.
type BalanceKey<'a> = (&'a str, View, Classifier);

fn balancing(out: &mut String, rows: &[BalanceRow]) {
    let mut keys: Vec<BalanceKey<'_>> = Vec::new();
    for row in rows {
        let key = (row.category.as_str(), row.view, row.classifier);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut heads = String::from("<th>category<th>view<th>classifier");
    for filling in Filling::ALL {
        let _ = write!(heads, "<th class=n>{}", filling.name());
    }
    tables::folded(
        out,
        true,
        "Small classes filled up",
        "Every other class thinned to a few real captures, then filled up with repeated, crossed (SMOTE) or synthetic captures: \
         macro F1 on real captures, in brackets the interval that holds 95 % of the runs. The best filling of each row is shaded.",
        &heads,
        |out| {
            for (category, view, classifier) in &keys {
                let of = |filling: Filling| {
                    rows.iter().find(|r| {
                        r.category == *category
                            && r.view == *view
                            && r.classifier == *classifier
                            && r.filling == filling
                    })
                };
                let all = Filling::ALL.into_iter().filter_map(of);
                let best = all.map(|r| r.macro_f1.mean).fold(f64::NEG_INFINITY, f64::max);
                let _ = write!(
                    out,
                    "<tr><td>{}<td>{}<td>{}",
                    escape(category),
                    view.name(),
                    classifier.name()
                );
                for filling in Filling::ALL {
                    let Some(row) = of(filling) else {
                        out.push_str("<td class=n>–");
                        continue;
                    };
                    let class = if row.macro_f1.mean >= best { "n best" } else { "n" };
                    number_cell(out, class, Some(row.macro_f1.mean), &interval(&row.macro_f1));
                }
                out.push_str("</tr>");
            }
            keys.len()
        },
    );
}

fn importances(out: &mut String, rows: &[ImportanceComparison]) {
    tables::folded(
        out,
        true,
        "Where forests look",
        "Importances of forests trained on real and on synthetic captures, without leak-prone fields: how many of the ten most \
         important of each are the same, and Spearman's rank correlation. Beside each the noise floor, one half of the \
         real captures against the other.",
        "<th>category<th>by<th class=n>top-10 overlap<th class=n>real vs real<th class=n>rank correlation<th class=n>real vs real",
        |out| {
            for row in rows {
                let levels: [(&str, &Agreement, &Agreement); 2] = [
                    ("field", &row.fields, &row.fields_noise_floor),
                    ("bit of a packet", &row.features, &row.features_noise_floor),
                ];
                for (level, found, floor) in levels {
                    let _ = write!(out, "<tr><td>{}<td>{level}", escape(&row.category));
                    for (class, value) in [
                        ("n strong", Some(found.top_overlap)),
                        ("n", Some(floor.top_overlap)),
                        ("n strong", found.rank_correlation),
                        ("n", floor.rank_correlation),
                    ] {
                        number_cell(out, class, value, &short(value));
                    }
                    out.push_str("</tr>");
                }
            }
            2 * rows.len()
        },
    );
    for row in rows {
        tables::folded(
            out,
            false,
            &format!("Most important bits for {}", escape(&row.category)),
            "Share of the forest's importance. The ten that matter most in real captures, then those of synthetic ones that are \
             not among them.",
            "<th class=n>packet<th>field<th class=n>bit<th class=n>real<th class=n>synthetic",
            |out| {
                for f in &row.top {
                    out.push_str("<tr>");
                    let packet = f.name.packet + 1;
                    number_cell(out, "n", Some(packet as f64), &packet.to_string());
                    let _ = write!(out, "<td><code>{}</code>", escape(&f.name.field));
                    number_cell(out, "n", Some(f.name.bit as f64), &f.name.bit.to_string());
                    for (class, share) in [("n", f.real), ("n strong", f.synthetic)] {
                        number_cell(out, class, Some(share), &short(Some(share)));
                    }
                    out.push_str("</tr>");
                }
                row.top.len()
            },
        );
    }
}
