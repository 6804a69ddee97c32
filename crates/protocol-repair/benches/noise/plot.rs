//! Curves of packets that are wrong over cells that are.

use crate::common::score::GROUPS;
use crate::table::{Line, percent};
use std::fmt::Write;

/// Groups that are drawn, with the most packets that may be wrong at 1, 2, 5 and 10 % of the cells.
const PANELS: [(&str, Option<[f64; 4]>); 8] = [
    ("header stack", Some([0.1, 0.1, 0.5, 1.0])),
    ("ports", Some([0.1, 0.1, 0.5, 1.0])),
    ("flow, direction", Some([0.5, 1.0, 2.0, 5.0])),
    ("ttl", Some([0.1, 0.1, 0.5, 1.0])),
    ("tcp flags", Some([1.0, 2.0, 5.0, 10.0])),
    ("length", Some([2.0, 5.0, 12.0, 25.0])),
    ("window", None),
    ("seq", None),
];
/// Shares of wrong cells. Units: percent.
const RATES: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Lines with their colours and dashes.
const CURVES: [(&str, &str, &str); 4] = [
    ("bits as they are", "#999", ""),
    ("repaired", "#06c", ""),
    ("best, knowing the field statistics", "#d60", "4 3"),
    ("best, knowing the conversations (ports)", "#293", "1 3"),
];
/// A panel and what is around it. Units: pixels.
const PANEL: [f64; 2] = [150.0, 120.0];
const GAP: [f64; 2] = [50.0, 46.0];
/// Ends of the vertical axis. Units: percent.
const RANGE: [f64; 2] = [0.01, 100.0];

/// Four lines of a table, those of 1, 2, 5 and 10 %, as an SVG image.
pub fn curves(lines: &[Line], title: &str) -> String {
    let [width, height] = [4.0 * (PANEL[0] + GAP[0]) + 10.0, 2.0 * (PANEL[1] + GAP[1]) + 66.0];
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' \
         font-family='sans-serif' font-size='10'>\n<rect width='100%' height='100%' fill='#fff'/>\n\
         <text x='10' y='16' font-size='12'>{title}</text>\n"
    );
    let mut left = 10.0;
    for (name, colour, dash) in CURVES {
        let end = left + 22.0;
        let _ = writeln!(
            svg,
            "<path d='M{left} 30h22' stroke='{colour}' stroke-width='1.5' stroke-dasharray='{dash}'/>\
             <text x='{}' y='33'>{name}</text>",
            end + 4.0
        );
        left = end + 14.0 + 4.8 * name.len() as f64;
    }
    let _ = writeln!(svg, "<text x='{left}' y='33'>— goal</text>");
    for (index, (name, allowed)) in PANELS.iter().enumerate() {
        let origin = [
            40.0 + (index % 4) as f64 * (PANEL[0] + GAP[0]),
            58.0 + (index >> 2) as f64 * (PANEL[1] + GAP[1]),
        ];
        panel(&mut svg, origin, name, *allowed, lines);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(
    svg: &mut String,
    origin: [f64; 2],
    name: &str,
    allowed: Option<[f64; 4]>,
    lines: &[Line],
) {
    let [left, top] = origin;
    let x = |rate: f64| left + PANEL[0] * (0.05 + 0.9 * rate.log10());
    let (low, high) = (RANGE[0].log10(), RANGE[1].log10());
    let y = |wrong: f64| {
        top + PANEL[1] * (high - wrong.clamp(RANGE[0], RANGE[1]).log10()) / (high - low)
    };
    let _ = writeln!(
        svg,
        "<text x='{left}' y='{}'>{name}</text><rect x='{left}' y='{top}' width='{}' height='{}' \
         fill='none' stroke='#ccc'/>",
        top - 4.0,
        PANEL[0],
        PANEL[1]
    );
    for wrong in [0.01, 0.1, 1.0, 10.0, 100.0] {
        let _ = writeln!(
            svg,
            "<path d='M{left} {:.1}h{}' stroke='#eee'/><text x='{}' y='{:.1}' text-anchor='end' \
             fill='#555'>{wrong}</text>",
            y(wrong),
            PANEL[0],
            left - 3.0,
            y(wrong) + 3.0
        );
    }
    for rate in RATES {
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{}' text-anchor='middle' fill='#555'>{rate}</text>",
            x(rate),
            top + PANEL[1] + 11.0
        );
    }
    let Some(group) = GROUPS.iter().position(|g| g.0 == name) else { return };
    let score = |line: &Line, curve: usize| match curve {
        0 => Some(line.raw[group]),
        1 => Some(line.repaired[group]),
        2 => Some(line.known[group]),
        _ => (name == "ports").then_some(line.conversations),
    };
    for (curve, (_, colour, dash)) in CURVES.iter().enumerate() {
        let points: Vec<String> = lines
            .iter()
            .zip(RATES)
            .filter_map(|(line, rate)| {
                let wrong = 100.0 - percent(score(line, curve)?);
                Some(format!("{:.1},{:.1}", x(rate), y(wrong)))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='1.5' \
             stroke-dasharray='{dash}'/>",
            points.join(" ")
        );
    }
    for (rate, wrong) in RATES.iter().zip(allowed.into_iter().flatten()) {
        let _ =
            writeln!(svg, "<path d='M{:.1} {:.1}h12' stroke='#000'/>", x(*rate) - 6.0, y(wrong));
    }
}
