//! Which colour means 1, 0 and vacant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// The colours of the three kinds of cells; they differ.
///
/// In text and in configurations a palette is `torchlight`, `netdiffusion`, or
/// `one=#rrggbb zero=#rrggbb vacant=#rrggbb`.
///
/// # Example
/// ```
/// use trace_image::Palette;
/// assert_eq!(Palette::default(), Palette::TORCHLIGHT);
/// let gray: Palette = "one=#ffffff zero=#808080 vacant=#000000".parse()?;
/// assert_eq!(gray.zero(), [128; 3]);
/// assert!(Palette::new([1; 3], [2; 3], [1; 3]).is_err());
/// # Ok::<(), trace_image::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Palette {
    one: Rgb,
    zero: Rgb,
    vacant: Rgb,
}

impl Palette {
    /// 1 green, 0 red, vacant blue. Source: Torchlight (paper, figure of the image form).
    pub const TORCHLIGHT: Self = Self { one: [0, 255, 0], zero: [255, 0, 0], vacant: [0, 0, 255] };
    /// 1 red, 0 green, vacant blue. Source: NetDiffusion's `nprint_to_png`.
    pub const NETDIFFUSION: Self =
        Self { one: [255, 0, 0], zero: [0, 255, 0], vacant: [0, 0, 255] };

    /// Any three different colours.
    ///
    /// # Errors
    /// [`Error::PaletteNotDistinct`] where two are the same.
    pub fn new(one: Rgb, zero: Rgb, vacant: Rgb) -> Result<Self> {
        if one == zero || one == vacant || zero == vacant {
            return Err(Error::PaletteNotDistinct { one, zero, vacant });
        }
        Ok(Self { one, zero, vacant })
    }

    /// Colour of 1.
    pub fn one(&self) -> Rgb {
        self.one
    }

    /// Colour of 0.
    pub fn zero(&self) -> Rgb {
        self.zero
    }

    /// Colour of vacant cells.
    pub fn vacant(&self) -> Rgb {
        self.vacant
    }
}

impl Default for Palette {
    fn default() -> Self {
        Self::TORCHLIGHT
    }
}

impl fmt::Display for Palette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TORCHLIGHT => f.write_str("torchlight"),
            Self::NETDIFFUSION => f.write_str("netdiffusion"),
            Self { one, zero, vacant } => {
                let hex = |[r, g, b]: Rgb| format!("#{r:02x}{g:02x}{b:02x}");
                write!(f, "one={} zero={} vacant={}", hex(one), hex(zero), hex(vacant))
            }
        }
    }
}

impl FromStr for Palette {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "torchlight" => return Ok(Self::TORCHLIGHT),
            "netdiffusion" => return Ok(Self::NETDIFFUSION),
            _ => {}
        }
        let wrong = || Error::PaletteText { found: text.to_owned() };
        let mut colours = [None; 3];
        for part in text.split_whitespace() {
            let (name, colour) = part.split_once("=#").ok_or_else(wrong)?;
            let slot = match name {
                "one" => 0,
                "zero" => 1,
                "vacant" => 2,
                _ => return Err(wrong()),
            };
            let hex = colour.len() == 6 && colour.bytes().all(|b| b.is_ascii_hexdigit());
            let number = u32::from_str_radix(colour, 16).ok().filter(|_| hex).ok_or_else(wrong)?;
            let [_, red, green, blue] = number.to_be_bytes();
            if colours[slot].replace([red, green, blue]).is_some() {
                return Err(wrong());
            }
        }
        match colours {
            [Some(one), Some(zero), Some(vacant)] => Self::new(one, zero, vacant),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Palette {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Palette> for String {
    fn from(palette: Palette) -> Self {
        palette.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back() {
        let odd = Palette::new([1, 2, 3], [255, 254, 253], [9, 0, 128]).expect("three colours");
        for palette in [Palette::TORCHLIGHT, Palette::NETDIFFUSION, odd] {
            assert_eq!(palette.to_string().parse::<Palette>().expect("our own text"), palette);
        }
        assert_eq!(
            "vacant=#0000FF zero=#ff0000 one=#00ff00".parse::<Palette>().expect("any order"),
            Palette::TORCHLIGHT
        );
    }

    #[test]
    fn wrong_text_is_refused() {
        for text in [
            "",
            "Torchlight",
            "one=#00ff00 zero=#ff0000",
            "one=#00ff00 zero=#ff0000 vacant=#0000f",
            "one=#00ff00 zero=#ff0000 vacant=#+000ff",
            "one=#00ff00 zero=#ff0000 vacant=#0000ff one=#000001",
            "one=#00ff00 zero=#ff0000 vacant=#ff0000",
            "one=#äöü zero=#ff0000 vacant=#ff0000",
        ] {
            assert!(text.parse::<Palette>().is_err(), "{text}");
        }
    }
}
