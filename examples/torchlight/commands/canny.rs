//! `canny`: edges of an image.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use torchlight::StopFlag;
use torchlight::controlnet_canny::{Canny, ColourMode, Norm, PixelView};
use torchlight::stages::edge_png;
use torchlight::trace_image::TraceImage;

use crate::files;
use crate::summary::{Common, Summary};

/// `torchlight canny`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight canny image.png -o edges.png --low 100 --high 200")]
pub struct CannyCommand {
    /// PNG of any colour type; `-` is standard input
    image: PathBuf,
    /// Gray PNG, 255 on an edge; `-` is standard output
    #[arg(short, long)]
    output: PathBuf,
    /// Gradient that a weak edge exceeds
    #[arg(long, default_value_t = 100.0)]
    low: f64,
    /// Gradient that a strong edge exceeds
    #[arg(long, default_value_t = 200.0)]
    high: f64,
    /// What the gradient is taken from
    #[arg(long, value_enum, default_value_t = Mode::Colour)]
    mode: Mode,
    /// Euclidean gradient in place of the sum of absolute values
    #[arg(long)]
    l2: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    #[value(alias = "color")]
    Colour,
    #[value(alias = "grey")]
    Gray,
}

impl CannyCommand {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        files::may_write(&self.output, common)?;
        let image = TraceImage::from_png(&files::read(&self.image, stop)?)?;
        let canny = Canny {
            low: self.low,
            high: self.high,
            norm: if self.l2 { Norm::L2 } else { Norm::L1 },
            mode: if self.mode == Mode::Gray { ColourMode::Gray } else { ColourMode::Colour },
        };
        let (width, height) = (image.size().columns, image.size().rows);
        let view = PixelView { data: image.pixels(), width, height, channels: 3 };
        let edges = canny.detect(view)?;
        files::write(&self.output, &edge_png(&edges)?, common)?;
        let mut summary = Summary::of(1)
            .fact("width", width)
            .fact("height", height)
            .fact("edge_pixels", edges.edge_pixels())
            .fact("output", self.output.display().to_string());
        summary.data_on_stdout = files::is_dash(&self.output);
        Ok(summary)
    }
}
