//! Colours and styles, of the page and of plots alone.

use std::fmt::Write as _;

const PAGE: &str = include_str!("page.css");
const PLOT: &str = include_str!("plot.css");

/// A colour: its name, as it is on light and on dark paper.
type Colour = (&'static str, &'static str, &'static str);

const COLOURS: [Colour; 11] = [
    ("bg", "#fbfbf9", "#14171b"),
    ("panel", "#ffffff", "#1c2026"),
    ("ink", "#1d232b", "#e6e9ed"),
    ("quiet", "#68727f", "#98a2af"),
    ("line", "#e3e5e8", "#2f353d"),
    ("accent", "#2463c5", "#79a8f0"),
    ("hot", "#ce4630", "#f06e54"),
    ("cool", "#2463c5", "#6096eb"),
    ("good", "#2b8a57", "#5cbf8a"),
    ("middling", "#c48a12", "#e0b04a"),
    ("poor", "#b6402f", "#e0705d"),
];

/// The colours of marks: what is compared, and classifiers.
const MARKS: [Colour; 9] = [
    ("real", "#7d8998", "#8592a3"),
    ("synthetic", "#2463c5", "#79a8f0"),
    ("wrong", "#d58a1c", "#e0a54a"),
    ("random", "#b6402f", "#e0705d"),
    ("series-1", "#2b8a57", "#5cbf8a"),
    ("series-2", "#2463c5", "#79a8f0"),
    ("series-3", "#c4478f", "#e58abf"),
    ("series-4", "#d58a1c", "#e0a54a"),
    ("series-5", "#6b54b8", "#a593e8"),
];

/// How marks of every kind take their colour.
const KINDS: [(&str, &str); 8] = [
    ("area", "fill:C;stroke:C"),
    ("band", "fill:C"),
    ("line", "stroke:C"),
    ("box", "stroke:C"),
    ("dot", "fill:C"),
    ("median", "stroke:C"),
    ("key", "fill:C"),
    ("swatch", "background:C"),
];

/// The styles of the page; it follows the reader's light or dark setting.
pub(super) fn of_page() -> String {
    let variables = |pick: fn(&Colour) -> &'static str| {
        COLOURS
            .iter()
            .chain(&MARKS)
            .fold(String::new(), |all, c| all + "--" + c.0 + ":" + pick(c) + ";")
    };
    let mut out = format!(
        ":root{{{}color-scheme:light dark}}@media(prefers-color-scheme:dark){{:root{{{}}}}}",
        variables(|c| c.1),
        variables(|c| c.2)
    );
    out.push_str(&marks());
    out.push_str(PLOT);
    out.push_str(PAGE);
    out
}

/// The styles of a plot alone, on light paper and without variables, which few programs for SVG know.
pub(super) fn of_plots_alone() -> String {
    let mut out = marks() + PLOT;
    for (name, light, _) in COLOURS.iter().chain(&MARKS) {
        out = out.replace(&format!("var(--{name})"), light);
    }
    out
}

fn marks() -> String {
    let mut out = String::new();
    for (name, ..) in MARKS {
        for (kind, rule) in KINDS {
            let rule = rule.replace('C', &format!("var(--{name})"));
            let _ = write!(out, ".{kind}.{name}{{{rule}}}");
        }
    }
    out
}

/// The 51 shades of heat maps on light paper, red, green, blue.
pub(super) fn shades() -> Vec<u8> {
    const PAPER: [f64; 3] = [255.0, 255.0, 255.0];
    const HOT: [f64; 3] = [206.0, 70.0, 48.0];
    (0..=50)
        .flat_map(|level| {
            let part = f64::from(level) / 50.0;
            [0, 1, 2].map(|c| (PAPER[c] + (HOT[c] - PAPER[c]) * part).round() as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_alone_know_every_colour() {
        let style = of_plots_alone();
        assert!(!style.contains("var("), "{style}");
        assert!(style.contains(".area.synthetic{fill:#2463c5;stroke:#2463c5}"));
        assert_eq!(shades()[..3], [255, 255, 255]);
        assert_eq!(shades()[150..], [206, 70, 48]);
    }

    #[test]
    fn styles_ask_for_nothing() {
        for text in [of_page(), of_plots_alone()] {
            assert!(!text.contains("url(") && !text.contains("@import") && !text.contains("http"));
        }
    }
}
