//! The sections of the page.

use super::number::{base64, escape, percent, short};
use super::plot::{self, Plot};
use super::{Better, Confusion, Extras, Grade, Interval, Report, Scenario, UtilityRow};
use crate::compliance::{Count, RuleKind};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) fn summary(r: &Report) -> String {
    let mut out = String::from("<section id=summary>");
    let of = |grade: Grade| -> String {
        let titles = r.summary.iter().filter(|f| f.grade == grade).map(|f| f.title.as_str());
        escape(&titles.collect::<Vec<_>>().join(", "))
    };
    let words = [
        (Grade::Good, "good", "Near real"),
        (Grade::Middling, "middling", "Between real and wrong"),
        (Grade::Poor, "poor", "No better than wrong"),
    ];
    for (grade, class, words) in words {
        let titles = of(grade);
        if !titles.is_empty() {
            let _ = write!(out, "<p class=\"verdict {class}\"><b>{words}:</b> {titles}.</p>");
        }
    }
    out.push_str("<div class=cards>");
    for f in &r.summary {
        let (class, word) = match f.grade {
            Grade::Good => ("good", "near real"),
            Grade::Middling => ("middling", "between real and wrong"),
            Grade::Poor => ("poor", "no better than wrong"),
            Grade::Unknown => ("unknown", "no reference"),
        };
        let _ = write!(
            out,
            "<div class=\"card {class}\"><h3>{}</h3><p class=value>{}</p><p class=grade>{word}</p><p>{}</p></div>",
            escape(&f.title),
            escape(&f.value),
            escape(&f.text)
        );
    }
    out.push_str("</div><div class=sets>");
    for s in &r.sets {
        let labels: Vec<String> = s
            .labels
            .iter()
            .map(|(c, values)| {
                let list: Vec<String> = values.iter().map(|(v, n)| format!("{v} {n}")).collect();
                format!("<b>{}</b> {}", escape(c), escape(&list.join(", ")))
            })
            .collect();
        let _ = write!(
            out,
            "<p><b>{}</b>: {} captures, {} packets. <span class=quiet>{}</span></p>",
            escape(&s.name),
            s.captures,
            s.packets,
            labels.join(" · ")
        );
    }
    out.push_str("</div></section>");
    out
}

pub(super) fn pictures(extras: &Extras) -> String {
    let mut out = String::new();
    for row in &extras.pictures {
        let _ = write!(out, "<h3>{}</h3><div class=pictures>", escape(&row.title));
        for p in &row.pictures {
            let caption = escape(&p.caption);
            let _ = write!(
                out,
                "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{}\"><figcaption>{caption}</figcaption></figure>",
                base64(&p.png)
            );
        }
        out.push_str("</div>");
    }
    out
}

pub(super) fn scores(r: &Report) -> String {
    let words = ["synthetic", "real against real (noise floor)", "wrong class", "random"];
    let classes = ["synthetic", "real", "wrong", "random"];
    let legend: Vec<(&str, String)> = classes.into_iter().zip(words.map(str::to_owned)).collect();
    let mut out = plot::legend_html(&legend);
    let mut groups: Vec<&str> = Vec::new();
    for s in &r.scores {
        if !groups.contains(&s.group.as_str()) {
            groups.push(&s.group);
        }
    }
    for group in groups {
        let _ = write!(
            out,
            "<h3>{}</h3><table class=\"sortable scores\"><thead><tr><th>measure<th>scale<th class=n>synthetic<th class=n>\
             real vs real<th class=n>wrong class<th class=n>random<th>better</tr></thead><tbody>",
            escape(group)
        );
        for s in r.scores.iter().filter(|s| s.group == group) {
            let better = match s.better {
                Better::Lower => "lower",
                Better::Higher => "higher",
                Better::Half => "0.5",
                Better::Floor => "as real",
            };
            let _ = write!(
                out,
                "<tr><td title=\"{}\">{}<td>{}",
                escape(&s.meaning),
                escape(&s.metric),
                plot::scale(s)
            );
            for (class, v) in [
                ("n strong", s.synthetic),
                ("n", s.noise_floor),
                ("n", s.wrong_class),
                ("n", s.random),
            ] {
                number_cell(&mut out, class, v, &short(v));
            }
            let _ = write!(out, "<td class=quiet>{better}</tr>");
        }
        out.push_str("</tbody></table>");
        out.push_str("<details class=small><summary>What is measured</summary><dl>");
        let mut rows = r.scores.iter().filter(|s| s.group == group).peekable();
        while let Some(s) = rows.next() {
            let _ = write!(out, "<dt>{}", escape(&s.metric));
            // Measures that are explained together stand together.
            if rows.peek().is_none_or(|next| next.meaning != s.meaning) {
                let _ = write!(out, "<dd>{}", escape(&s.meaning));
            }
        }
        out.push_str("</dl></details>");
    }
    out
}

pub(super) fn number_cell(out: &mut String, class: &str, value: Option<f64>, text: &str) {
    let key = value.map(|v| format!(" data-v={v}")).unwrap_or_default();
    let _ = write!(out, "<td class=\"{class}\"{key}>{text}");
}

pub(super) fn distributions(r: &Report) -> String {
    let mut out = String::new();
    if !r.spreads.is_empty() {
        let meanings: Vec<String> = r.spreads.iter().map(|s| escape(&s.meaning)).collect();
        let plots: Vec<Plot> = r.spreads.iter().map(plot::violin).collect();
        let _ = write!(
            out,
            "<h3>Captures one by one</h3><p class=quiet>{} Bars reach from quarter to quarter, circles are medians.</p>{}",
            meanings.join(" "),
            grid(&plots)
        );
    }
    if !r.distributions.is_empty() {
        let plots: Vec<Plot> = r.distributions.iter().map(plot::distribution).collect();
        let _ =
            write!(out, "<h3>All packets together</h3>{}{}", plots[0].legend_html(), grid(&plots));
    }
    out
}

/// Plots beside each other under their titles.
pub(super) fn grid(plots: &[Plot]) -> String {
    let figure = |p: &Plot| {
        format!("<figure><figcaption>{}</figcaption>{}</figure>", escape(&p.title), p.inline())
    };
    format!("<div class=plots>{}</div>", plots.iter().map(figure).collect::<String>())
}

pub(super) fn headers(r: &Report) -> String {
    let mut out = String::from(
        "<p class=quiet>Jensen-Shannon distance of every header bit, from 0 (blank) to 1 (full colour; the square root is \
         shown, so that small ones are seen). Upper strip: synthetic against real; lower strip: real against real. A pointer \
         over a field shows its mean.</p><div class=headers>",
    );
    for h in &r.headers {
        let _ = write!(out, "<h4>{}</h4>{}", escape(&h.header), plot::heat_map(h).inline());
    }
    out.push_str("</div>");
    out
}

pub(super) fn utility(r: &Report) -> String {
    let mut out = String::from(
        "<p class=quiet>Accuracy (and macro F1) of classifiers. Mean over runs, in brackets the interval that holds 95 % of \
         the runs. <b>real → real</b> is the ceiling; <b>shuffled labels</b> and <b>guessing</b> are the ground. A child of a \
         test capture is never trained on.</p>",
    );
    let mut tables: Vec<&str> = Vec::new();
    for row in &r.utility {
        if !tables.contains(&row.category.as_str()) {
            tables.push(&row.category);
        }
    }
    let scenarios = [
        Scenario::RealReal,
        Scenario::SyntheticReal,
        Scenario::RealSynthetic,
        Scenario::ShuffledLabels,
    ];
    for (i, category) in tables.iter().enumerate() {
        let rows: Vec<&UtilityRow> = r.utility.iter().filter(|u| u.category == *category).collect();
        let classes = rows.iter().map(|u| u.classes).max().unwrap_or(0);
        let _ = write!(
            out,
            "<details {}><summary>{} <span class=quiet>{classes} classes</span></summary><table class=sortable><thead><tr><th>view<th>classifier",
            if i < 2 { "open" } else { "" },
            escape(category)
        );
        for s in scenarios {
            let _ = write!(out, "<th class=n>{}", s.name());
        }
        out.push_str("<th class=n>guessing</tr></thead><tbody>");
        let mut keys: Vec<(usize, usize)> = Vec::new();
        let position = |u: &UtilityRow| (u.view as usize, u.classifier as usize);
        for u in &rows {
            if !keys.contains(&position(u)) {
                keys.push(position(u));
            }
        }
        for key in keys {
            let of: Vec<&&UtilityRow> = rows.iter().filter(|u| position(u) == key).collect();
            let Some(first) = of.first() else { continue };
            let _ = write!(out, "<tr><td>{}<td>{}", first.view.name(), first.classifier.name());
            for scenario in scenarios {
                match of.iter().find(|u| u.scenario == scenario) {
                    Some(u) => {
                        let text = format!(
                            "{}<small>F1 {:.2}</small>",
                            interval(&u.accuracy),
                            u.macro_f1.mean
                        );
                        number_cell(&mut out, "n", Some(u.accuracy.mean), &text);
                    }
                    None => out.push_str("<td class=n>–"),
                }
            }
            number_cell(&mut out, "n quiet", Some(first.chance), &percent(Some(first.chance)));
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
        let matrices: Vec<&Confusion> =
            r.confusions.iter().filter(|c| c.category == *category).collect();
        if !matrices.is_empty() {
            out.push_str(
                "<p class=\"quiet small\">Confusion of the forest on bits without leak-prone fields, per cent of each true \
                 class, all runs together:</p><div class=confusions>",
            );
            for c in matrices {
                let _ = write!(
                    out,
                    "<figure><figcaption>{}</figcaption>{}</figure>",
                    c.scenario.name(),
                    plot::confusion(c).inline()
                );
            }
            out.push_str("</div>");
        }
        out.push_str("</details>");
    }
    if tables.is_empty() {
        out.push_str("<p>No utility test was possible; the notes say why.</p>");
    }
    out
}

pub(super) fn interval(i: &Interval) -> String {
    format!("<b>{:.2}</b> <small>[{:.2}, {:.2}]</small>", i.mean, i.low, i.high)
}

pub(super) fn compliance(r: &Report) -> String {
    let mut out = String::from(
        "<p class=quiet>Share of checks that fail. Rules marked <i>plausibility</i> are broken by real captures too (lost \
         packets, mid-stream starts): there the rate should be like the real one. Shuffled: real captures with their \
         packets in random order.</p><table class=sortable><thead><tr><th>rule<th>kind<th class=n>synthetic<th class=n>real<th \
         class=n>real, shuffled<th>what it asks for</tr></thead><tbody>",
    );
    for row in &r.compliance {
        let kind = match row.kind {
            RuleKind::Error => "error",
            RuleKind::Plausibility => "plausibility",
        };
        let bad = row.kind == RuleKind::Error
            && row.synthetic.broken > 0
            && row.synthetic.rate() > row.real.rate();
        let _ = write!(out, "<tr><td><code>{}</code><td class=quiet>{kind}", row.rule);
        count_cell(&mut out, if bad { "n strong bad" } else { "n strong" }, row.synthetic);
        count_cell(&mut out, "n", row.real);
        count_cell(&mut out, "n", row.shuffled);
        let _ = write!(
            out,
            "<td class=small>{} <span class=quiet>{}</span></tr>",
            escape(&row.meaning),
            escape(&row.source)
        );
    }
    out.push_str("</tbody></table>");
    out
}

fn count_cell(out: &mut String, class: &str, c: Count) {
    let text = format!("{} <small>{} / {}</small>", percent(c.rate()), c.broken, c.checked);
    number_cell(out, class, c.rate(), &text);
}

pub(super) fn pairs(r: &Report) -> String {
    let mut out = String::from(
        "<table class=sortable><thead><tr><th>child<th>parent<th class=n>JS distance<th class=n>total variation<th \
         class=n>Hellinger<th class=n>cells differ<th class=n>same length<th class=n>same direction</tr></thead><tbody>",
    );
    for p in &r.pairs {
        let _ = write!(
            out,
            "<tr><td class=name>{}<td class=name>{}",
            escape(&p.synthetic),
            escape(&p.parent)
        );
        for v in [p.js_distance, p.total_variation, p.hellinger] {
            number_cell(&mut out, "n", v, &short(v));
        }
        for v in [p.hamming, p.same_length, p.same_direction] {
            number_cell(&mut out, "n", v, &percent(v));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    out
}

pub(super) fn curves(extras: &Extras) -> String {
    let mut out = String::from("<div class=plots>");
    for c in &extras.curves {
        let finite: Vec<&(f64, f64)> = c.points.iter().filter(|p| p.1.is_finite()).collect();
        let ends = finite.first().zip(finite.last());
        let text = ends.map_or_else(String::new, |(a, b)| {
            format!("{} → {} in {} steps", short(Some(a.1)), short(Some(b.1)), short(Some(b.0)))
        });
        let drawn = plot::curve(c).map(|p| p.inline());
        let _ = write!(
            out,
            "<figure><figcaption>{} <span class=quiet>{text}</span></figcaption>{}</figure>",
            escape(&c.name),
            drawn.as_deref().unwrap_or("<p class=quiet>no points</p>")
        );
    }
    out.push_str("</div>");
    out
}

pub(super) fn extra_tables(extras: &Extras) -> String {
    let mut out = String::new();
    for t in &extras.tables {
        let _ = write!(
            out,
            "<h3>{}</h3><p class=quiet>{}</p><table class=sortable><thead><tr>",
            escape(&t.title),
            escape(&t.note)
        );
        let number =
            |cell: Option<&String>| cell.and_then(|c| c.trim_end_matches(" %").parse::<f64>().ok());
        let numeric: Vec<bool> = (0..t.columns.len())
            .map(|c| !t.rows.is_empty() && t.rows.iter().all(|r| number(r.get(c)).is_some()))
            .collect();
        for (name, numeric) in t.columns.iter().zip(&numeric) {
            let _ = write!(out, "<th{}>{}", if *numeric { " class=n" } else { "" }, escape(name));
        }
        out.push_str("</tr></thead><tbody>");
        for row in &t.rows {
            out.push_str("<tr>");
            for (c, numeric) in numeric.iter().enumerate() {
                let cell = row.get(c);
                let class = if *numeric { "n" } else { "" };
                number_cell(
                    &mut out,
                    class,
                    number(cell),
                    &escape(cell.map_or("", String::as_str)),
                );
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
    }
    out
}

pub(super) fn facts(r: &Report, extras: &Extras) -> String {
    let c = &r.config;
    let mut rows: BTreeMap<usize, (String, String)> = BTreeMap::new();
    let own = [
        ("rows seen by bit views", c.rows.to_string()),
        ("packets seen by sequence features", c.packets.to_string()),
        ("runs, folds, trees", format!("{}, {}, {}", c.runs, c.folds, c.trees)),
        ("splits behind each noise floor", c.floor_splits.to_string()),
        ("seed of the evaluation", c.seed.to_string()),
    ];
    let own = own.into_iter().map(|(k, v)| (k.to_owned(), v));
    for (i, fact) in extras.facts.iter().cloned().chain(own).enumerate() {
        rows.insert(i, fact);
    }
    let mut out = String::from("<table class=facts><tbody>");
    for (name, value) in rows.values() {
        let _ = write!(out, "<tr><td>{}<td>{}</tr>", escape(name), escape(value));
    }
    out.push_str("</tbody></table>");
    out
}

pub(super) fn notes(r: &Report) -> String {
    let all = r.notes.iter().chain(r.study.iter().flat_map(|s| &s.notes));
    let items: Vec<String> = all.map(|n| format!("<li>{}</li>", escape(n))).collect();
    if items.is_empty() {
        "<p>Nothing was left out.</p>".to_owned()
    } else {
        format!("<ul>{}</ul>", items.concat())
    }
}
