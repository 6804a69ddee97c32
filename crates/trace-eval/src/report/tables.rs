//! The tables of the page: one row a field, feature, connection or capture.

use super::number::{escape, short};
use super::plot;
use super::sections::{self, number_cell};
use super::{Points, Report};
use std::fmt::Write as _;

/// Most rows of a table that is only there to be looked into; the CSV file has all.
const SHOWN: usize = 200;

const POINT_HEADS: &str =
    "<th class=n>synthetic<th class=n>real vs real<th class=n>wrong class<th class=n>random";

fn point_cells(out: &mut String, p: &Points) {
    let strong = [("n strong", p.synthetic)];
    let others = [p.noise_floor, p.wrong_class, p.random].map(|v| ("n", v));
    for (class, v) in strong.into_iter().chain(others) {
        number_cell(out, class, v, &short(v));
    }
}

/// A folded table; `rows` writes its rows and says how many there are.
pub(super) fn folded(
    out: &mut String,
    open: bool,
    title: &str,
    note: &str,
    heads: &str,
    rows: impl FnOnce(&mut String) -> usize,
) {
    let mut body = String::new();
    let count = rows(&mut body);
    if count == 0 {
        return;
    }
    let more = if count > SHOWN {
        format!("<p class=\"quiet small\">The first {SHOWN} of {count}; the CSV file has all.</p>")
    } else {
        String::new()
    };
    let _ = write!(
        out,
        "<details{}><summary>{title} <span class=quiet>{count}</span></summary><p class=quiet>{note}</p>\
         <table class=sortable><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}</details>",
        if open { " open" } else { "" }
    );
}

/// Field values: by field, by place, and two together.
pub(super) fn fields(r: &Report) -> String {
    let mut out = String::new();
    folded(
        &mut out,
        true,
        "Values of each field",
        "Distances between the shares of a field's values, all packets together. Leak-prone fields (ports, \
         identifiers, checksums, sequence numbers) differ between any two captures.",
        &format!(
            "<th>field<th>leak-prone<th class=n>JS distance{}<th class=n>total variation<th class=n>Hellinger",
            POINT_HEADS.replacen("<th class=n>synthetic", "", 1)
        ),
        |out| {
            for f in &r.fields {
                let leak = if f.leak_prone { "leak-prone" } else { "" };
                let _ =
                    write!(out, "<tr><td><code>{}</code><td class=quiet>{leak}", escape(&f.field));
                point_cells(out, &f.js_distance);
                for p in [&f.total_variation, &f.hellinger] {
                    number_cell(out, "n", p.synthetic, &short(p.synthetic));
                }
                out.push_str("</tr>");
            }
            r.fields.len()
        },
    );
    if !r.positions.is_empty() {
        let plot = plot::positions(&r.positions);
        let _ =
            write!(out, "<h3>Place by place</h3>{}{}", plot.legend_html(), sections::grid(&[plot]));
    }
    folded(
        &mut out,
        false,
        "Pairs of fields",
        "Mutual information of two fields in bits, and its difference between sets; pairs that differ most come \
         first.",
        &format!("<th>field<th>and<th class=n>real, bits<th class=n>synthetic, bits{POINT_HEADS}"),
        |out| {
            let mut rows: Vec<_> = r.dependences.iter().collect();
            let key = |v: Option<f64>| v.unwrap_or(0.0);
            rows.sort_by(|a, b| {
                key(b.difference.synthetic).total_cmp(&key(a.difference.synthetic))
            });
            for d in rows.into_iter().take(SHOWN) {
                let (first, second) = (escape(&d.first), escape(&d.second));
                let _ = write!(out, "<tr><td><code>{first}</code><td><code>{second}</code>");
                for bits in [d.real_bits, d.synthetic_bits] {
                    number_cell(out, "n", Some(bits), &short(Some(bits)));
                }
                point_cells(out, &d.difference);
                out.push_str("</tr>");
            }
            r.dependences.len()
        },
    );
    out
}

/// Features of flows.
pub(super) fn flows(r: &Report) -> String {
    let mut out = String::new();
    for (i, family) in ["NetFlow", "CICFlowMeter"].into_iter().enumerate() {
        folded(
            &mut out,
            i == 0,
            family,
            "Kolmogorov-Smirnov statistic between the distributions over flows; beside it the Wasserstein-1 \
             distance, in the unit of the feature (times in microseconds, NetFlow's duration in milliseconds).",
            &format!("<th>feature{POINT_HEADS}<th class=n>Wasserstein-1<th class=n>real vs real"),
            |out| {
                let rows = r.flow_features.iter().filter(|f| f.family == family);
                rows.map(|f| {
                    let _ = write!(out, "<tr><td>{}", escape(&f.feature));
                    point_cells(out, &f.kolmogorov_smirnov);
                    for v in [f.wasserstein.synthetic, f.wasserstein.noise_floor] {
                        number_cell(out, "n", v, &short(v));
                    }
                    out.push_str("</tr>");
                })
                .count()
            },
        );
    }
    out
}

/// States and histories of connections.
pub(super) fn connections(r: &Report) -> String {
    let mut out = String::new();
    let of = |kind: &'static str| r.connections.iter().filter(move |c| c.kind == kind);
    let sums = |kind: &'static str| {
        of(kind)
            .fold([0_u64; 3], |[a, b, c], row| [a + row.real, b + row.synthetic, c + row.shuffled])
    };
    for (kind, title) in [("state", "Connection states"), ("history", "Connection histories")] {
        let [real, synthetic, shuffled] = sums(kind);
        folded(
            &mut out,
            true,
            title,
            "As Zeek names them: share of connections, and their number. Histories: S SYN, H SYN-ACK, A bare \
             acknowledgement, D payload, F FIN, R reset, T repeated payload, G hole, W zero window, I and Q odd flags; \
             capitals by the originator.",
            "<th>name<th class=n>synthetic<th class=n>real<th class=n>real, shuffled<th>meaning",
            |out| {
                for c in of(kind).take(SHOWN) {
                    let _ = write!(out, "<tr><td><code>{}</code>", escape(&c.name));
                    let counts = [(c.synthetic, synthetic), (c.real, real), (c.shuffled, shuffled)];
                    for (i, (count, all)) in counts.into_iter().enumerate() {
                        let share = (all > 0).then(|| count as f64 / all as f64);
                        let text =
                            format!("{} <small>{count}</small>", super::number::percent(share));
                        number_cell(out, if i == 0 { "n strong" } else { "n" }, share, &text);
                    }
                    let _ = write!(out, "<td class=small>{}</tr>", escape(&c.meaning));
                }
                of(kind).count()
            },
        );
    }
    out
}

/// Nearest captures and identifiers.
pub(super) fn privacy(r: &Report) -> String {
    let mut out = String::from(
        "<p class=quiet>The scores stand in the group <i>Privacy</i> above: distance to the closest record, copies, \
         membership inference, identifiers, diversity.</p>",
    );
    if r.identifiers.is_empty() {
        out.push_str(
            "<p>No address or connection of the training set was found in the output.</p>",
        );
    }
    folded(
        &mut out,
        true,
        "Identifiers of the training set in the output",
        "Addresses and connections of training captures that stand in synthetic ones.",
        "<th>kind<th>identifier<th class=n>training captures<th class=n>synthetic captures",
        |out| {
            for i in r.identifiers.iter().take(SHOWN) {
                let _ = write!(out, "<tr><td>{}<td class=name>{}", i.kind, escape(&i.identifier));
                for count in [i.real, i.synthetic] {
                    number_cell(out, "n", Some(count as f64), &count.to_string());
                }
                out.push_str("</tr>");
            }
            r.identifiers.len()
        },
    );
    folded(
        &mut out,
        false,
        "Closest training capture of each synthetic one",
        "Distance in standard deviations of the real sequence features; ratio: to the distance of the second closest.",
        "<th>synthetic<th>closest training capture<th>parent<th class=n>distance<th class=n>ratio",
        |out| {
            for c in r.closest.iter().take(SHOWN) {
                let _ = write!(
                    out,
                    "<tr><td class=name>{}<td class=name>{}<td class=quiet>{}",
                    escape(&c.synthetic),
                    escape(&c.real),
                    if c.is_parent { "parent" } else { "" }
                );
                for v in [Some(c.distance), c.ratio] {
                    number_cell(out, "n", v, &short(v));
                }
                out.push_str("</tr>");
            }
            r.closest.len()
        },
    );
    out
}
