//! Plots as SVG: inside the page in the page's colours, and alone as files.
//!
//! Each kind of plot is a function from rows of the report to a [`Plot`]; [`all`] lists those of a
//! report.

mod all;
mod axes;
mod canvas;
mod confusion;
mod distribution;
mod heat_map;
mod lines;
mod pixels;
mod scale;
mod violin;

pub(super) use all::all;
pub(super) use confusion::confusion;
pub(super) use distribution::distribution;
pub(super) use heat_map::heat_map;
pub(super) use lines::{curve, mixing, positions};
pub(super) use pixels::heat_map_png;
pub(super) use scale::scale;
pub(super) use violin::violin;

use super::number::escape;
use super::style;
use canvas::Canvas;
use std::fmt::Write as _;

/// What a colour stands for: class of the marks, and words.
pub(super) type Legend = Vec<(&'static str, String)>;

/// One plot.
pub(super) struct Plot {
    /// Name of its file, without ending.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) legend: Legend,
    canvas: Canvas,
}

/// Height of the title and of the legend of a plot alone. Units: pixels.
const BAND: f64 = 26.0;

impl Plot {
    /// The plot for the page, whose styles colour it.
    pub(super) fn inline(&self) -> String {
        let Canvas { width, height, body } = &self.canvas;
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">{body}</svg>",
            escape(&self.title)
        )
    }

    /// The plot as a file of its own: title, legend and colours inside, nothing fetched. Every viewer of
    /// SVG 1.1 shows it.
    pub(super) fn alone(&self) -> String {
        let Canvas { width, height, body } = &self.canvas;
        let below = if self.legend.is_empty() { 0.0 } else { BAND };
        let all = height + BAND + below;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {all}\" width=\"{width}\" height=\"{all}\">\
             <style>{}</style><rect class=\"paper\" width=\"{width}\" height=\"{all}\"/>\
             <text class=\"title\" x=\"12\" y=\"18\">{}</text><g transform=\"translate(0 {BAND})\">{body}</g>",
            style::of_plots_alone(),
            escape(&self.title)
        );
        let mut x = 12.0;
        for (class, words) in &self.legend {
            let y = all - 12.0;
            let _ = write!(
                out,
                "<rect class=\"key {class}\" x=\"{x}\" y=\"{:.1}\" width=\"10\" height=\"10\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 9.0,
                x + 15.0,
                escape(words)
            );
            x += 34.0 + 5.8 * words.chars().count() as f64;
        }
        out.push_str("</svg>\n");
        out
    }

    /// The legend for the page.
    pub(super) fn legend_html(&self) -> String {
        legend_html(&self.legend)
    }
}

/// Coloured squares with words, for the page.
pub(super) fn legend_html(legend: &[(&str, String)]) -> String {
    let mut out = String::from("<p class=legend>");
    for (class, words) in legend {
        let _ = write!(out, "<span><i class=\"swatch {class}\"></i>{}</span>", escape(words));
    }
    out.push_str("</p>");
    out
}

/// A name of a file from words: small letters, digits, hyphens.
pub(super) fn file_name(words: &str) -> String {
    let simple = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = words.chars().map(simple).collect();
    let parts: Vec<&str> = all.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "plot".to_owned() } else { parts.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(file_name("real → real, TCP (all)"), "real-real-tcp-all");
        assert_eq!(file_name("../.."), "plot");
    }
}
