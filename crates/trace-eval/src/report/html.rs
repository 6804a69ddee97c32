//! The page: one file, nothing fetched.

use super::number::escape;
use super::{Extras, Report, sections, study_section, style, tables};
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("page.js");

/// The report as one HTML page with everything inside: styles, script, plots and pictures.
///
/// The page asks for nothing from any network (its content security policy forbids it), follows the
/// reader's light or dark setting, and its tables sort by a click on a heading.
pub fn to_html(report: &Report, extras: &Extras) -> String {
    let title =
        if extras.title.is_empty() { "Synthetic traces beside real ones" } else { &extras.title };
    let mut parts: Vec<(&str, &str, String)> = Vec::new();
    if !extras.pictures.is_empty() {
        parts.push(("pictures", "Pictures", sections::pictures(extras)));
    }
    parts.push(("scores", "Scores", sections::scores(report)));
    if !(report.distributions.is_empty() && report.spreads.is_empty()) {
        parts.push(("distributions", "Distributions", sections::distributions(report)));
    }
    parts.push(("headers", "Header bits", sections::headers(report)));
    parts.push(("fields", "Fields", tables::fields(report)));
    parts.push(("flows", "Flows", tables::flows(report)));
    parts.push(("privacy", "Privacy", tables::privacy(report)));
    parts.push(("utility", "Utility", sections::utility(report)));
    if let Some(study) = &report.study {
        parts.push(("study", "Training with them", study_section::study(report, study)));
    }
    let rules = sections::compliance(report) + &tables::connections(report);
    parts.push(("compliance", "Protocol rules", rules));
    if !report.pairs.is_empty() {
        parts.push(("pairs", "Children and parents", sections::pairs(report)));
    }
    if !extras.tables.is_empty() {
        parts.push(("tables", "Repair and more", sections::extra_tables(extras)));
    }
    if !extras.curves.is_empty() {
        parts.push(("training", "Training", sections::curves(extras)));
    }
    parts.push(("facts", "Run", sections::facts(report, extras)));
    parts.push(("notes", "Notes", sections::notes(report)));

    let mut out = String::with_capacity(1 << 18);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src \
         'unsafe-inline'; img-src data:\"><title>{0}</title><style>{2}</style></head><body><header><h1>{0}</h1><p>{1}</p></header><nav>\
         <a href=#summary>Summary</a>",
        escape(title),
        escape(&extras.subtitle),
        style::of_page()
    );
    for (id, name, _) in &parts {
        let _ = write!(out, "<a href=#{id}>{name}</a>");
    }
    out.push_str("</nav><main>");
    out.push_str(&sections::summary(report));
    for (id, name, body) in &parts {
        let _ = write!(out, "<section id={id}><h2>{name}</h2>{body}</section>");
    }
    let _ = write!(
        out,
        "</main><dialog id=zoom><img alt=\"\"><p></p></dialog><script>{SCRIPT}</script></body></html>"
    );
    out
}
