//! Pixels to cells, whatever their colour.

use nprint_codec::{Header, Layout, SoftMatrix, TernaryMatrix};
use serde::Serialize;

use crate::{Description, Error, Palette, Result, TraceImage};

/// Confidence below which a cell counts as ambiguous: a quarter of the way from the tie between
/// two colours to the colour itself.
pub const AMBIGUOUS_BELOW: u8 = 64;

/// How many cells are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CellCounts {
    /// Cells that are 1.
    pub one: usize,
    /// Cells that are 0.
    pub zero: usize,
    /// Vacant cells.
    pub vacant: usize,
}

/// What a tolerant decoder saw. Counts are over all rows of the image, padding included, and the
/// columns of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DecodeReport {
    /// Rows of the image.
    pub rows: usize,
    /// Rows up to the last packet: the rows of the matrix.
    pub packet_rows: usize,
    /// Rows that hold no packet, after the last one and between them.
    pub vacant_rows: usize,
    /// Cells of each kind.
    pub cells: CellCounts,
    /// Share of cells with a confidence below [`AMBIGUOUS_BELOW`], 0 to 1.
    pub ambiguous_share: f64,
    /// Mean confidence, 0 to 255.
    pub mean_confidence: f64,
}

/// Reads the cells of an image as their nearest palette colours, and how sure each one is.
///
/// The nearest colour (for pure red, green and blue: the largest channel) is what maximum
/// likelihood gives for noise that is alike in all channels. The **confidence** of a cell is its
/// log-likelihood ratio against the second nearest colour, `(d2² − d1²) / D²` with the distances
/// `d1`, `d2` to the two colours and `D` between them, scaled so that 0 is a tie and 255 is a
/// pixel that has exactly a palette colour; every other pixel has at most 254. In a tie vacant
/// wins over 0, and 0 over 1.
///
/// A row holds a packet where more than half of the first cells (64 at most) of any header are
/// present. Rows after the last such row are padding and not part of the matrix, unless the
/// description says how many rows are packets.
///
/// `description` is the image's own ([`TraceImage::description`]) or, for images that have none,
/// one that the caller knows.
///
/// # Errors
/// Those of [`Description::validate`]; [`Error::Resized`] where the image has not the size of the
/// canvas. Damage inside the image is no error.
///
/// # Example
/// ```
/// use trace_image::{Canvas, Description, TraceImage, decode_tolerant};
///
/// // A generated image: every pixel a bluish green.
/// let size = Canvas { rows: 4, columns: 1088 };
/// let image = TraceImage::from_rgb(size, [10, 200, 90].repeat(4 * 1088))?;
/// let description = Description { canvas: size, ..Description::default() };
/// let (soft, report) = decode_tolerant(&image, &description)?;
/// assert_eq!((soft.cells().rows(), report.cells.one), (4, 4 * 1088));
/// assert_eq!(soft.confidence()[0], 110); // 255 · (200 − 90) / 255
/// # Ok::<(), trace_image::Error>(())
/// ```
pub fn decode_tolerant(
    image: &TraceImage,
    description: &Description,
) -> Result<(SoftMatrix, DecodeReport)> {
    description.validate()?;
    let Description { palette, canvas, layout, packet_rows } = description;
    if image.size() != *canvas {
        return Err(Error::Resized { found: image.size(), canvas: *canvas });
    }
    let columns = layout.columns();
    let classifier = Classifier::new(palette);
    let mut cells = TernaryMatrix::vacant(layout.clone(), canvas.rows);
    let mut confidence = vec![0; canvas.rows * columns];
    let (mut present, mut value) = (vec![0; layout.words()], vec![0; layout.words()]);
    if columns > 0 {
        let rows = image.pixels().chunks_exact(canvas.columns * 3);
        for (i, (row, confidence)) in rows.zip(confidence.chunks_exact_mut(columns)).enumerate() {
            classifier.row(&row[..columns * 3], confidence, &mut present, &mut value);
            cells.row_mut(i).set_words(&present, &value);
        }
    }

    let heads = heads(layout);
    let packets: Vec<bool> =
        cells.iter().map(|row| holds_packet(row.present_words(), &heads)).collect();
    let last = packets.iter().rposition(|&packet| packet).map_or(0, |row| row + 1);
    let packet_rows = packet_rows.unwrap_or(last);
    let report = report(&cells, &confidence, packet_rows, &packets);
    let mut soft = SoftMatrix::new(cells, confidence)?;
    soft.truncate(packet_rows);
    Ok((soft, report))
}

fn report(
    cells: &TernaryMatrix,
    confidence: &[u8],
    packet_rows: usize,
    packets: &[bool],
) -> DecodeReport {
    let ones = |plane: &[u64]| plane.iter().map(|word| word.count_ones() as usize).sum::<usize>();
    let (present, one) = (ones(cells.present_plane()), ones(cells.value_plane()));
    let sum: u64 =
        confidence.chunks(1 << 16).map(|c| c.iter().map(|&c| u64::from(c)).sum::<u64>()).sum();
    let ambiguous = confidence.iter().filter(|&&c| c < AMBIGUOUS_BELOW).count();
    let count = confidence.len().max(1) as f64;
    DecodeReport {
        rows: cells.rows(),
        packet_rows,
        vacant_rows: packets.iter().filter(|&&packet| !packet).count(),
        cells: CellCounts { one, zero: present - one, vacant: confidence.len() - present },
        ambiguous_share: ambiguous as f64 / count,
        mean_confidence: sum as f64 / count,
    }
}

/// First column and length of the first run of every header, 64 columns at most.
fn heads(layout: &Layout) -> Vec<(usize, usize)> {
    Header::ALL
        .iter()
        .filter_map(|header| layout.segments().iter().find(|s| s.header == *header))
        .map(|segment| (segment.column, (segment.length_bytes * 8).min(64)))
        .collect()
}

/// Whether more than half of some header's first cells are present.
fn holds_packet(present: &[u64], heads: &[(usize, usize)]) -> bool {
    heads.iter().any(|&(start, length)| {
        // Runs are whole bytes, and a byte does not straddle two words.
        let bits = (start..start + length)
            .step_by(8)
            .map(|column| ((present[column >> 6] >> (56 - (column & 63))) & 0xff).count_ones())
            .sum::<u32>();
        2 * bits as usize > length
    })
}

/// Index of each kind of cell, in the order in which ties are won.
const VACANT: usize = 0;
const ZERO: usize = 1;
const ONE: usize = 2;

/// Scores colours without square roots.
///
/// For a pixel `p` and a colour `c`, `|p − c|² = |p|² − (2 p·c − |c|²)`: the nearest colour has the
/// largest score `2 p·c − |c|²`, and the difference of two scores is that of the squared distances.
/// All of it is exact in 32 bits.
struct Classifier {
    /// Twice the colours.
    weights: [[i32; 3]; 3],
    /// Squared lengths of the colours.
    lengths: [i32; 3],
    /// `255 · 2^40 / D²` of the two colours that are not the indexed one, rounded up. With 40 bits
    /// the product with any margin rounds down to the exact quotient and fits 64 bits.
    scales: [u64; 3],
}

impl Classifier {
    fn new(palette: &Palette) -> Self {
        let mut colours = [[0; 3]; 3];
        colours[VACANT] = palette.vacant().map(i32::from);
        colours[ZERO] = palette.zero().map(i32::from);
        colours[ONE] = palette.one().map(i32::from);
        let squared = |[r, g, b]: [i32; 3]| r * r + g * g + b * b;
        Self {
            weights: colours.map(|colour| colour.map(|channel| 2 * channel)),
            lengths: colours.map(squared),
            scales: std::array::from_fn(|loser| {
                let (a, b) = (colours[(loser + 1) % 3], colours[(loser + 2) % 3]);
                let distance = squared(std::array::from_fn(|i| a[i] - b[i])) as u64;
                (255_u64 << 40).div_ceil(distance) // colours of a palette differ
            }),
        }
    }

    /// Classifies as many pixels as there are confidences.
    fn row(&self, pixels: &[u8], confidence: &mut [u8], present: &mut [u64], value: &mut [u64]) {
        let words = present.iter_mut().zip(value);
        let blocks = pixels.chunks(64 * 3).zip(confidence.chunks_mut(64));
        for ((pixels, confidence), (present, value)) in blocks.zip(words) {
            let (mut present_bits, mut value_bits) = (0_u64, 0_u64);
            let pixels = pixels.as_chunks::<3>().0;
            for (pixel, confidence) in pixels.iter().zip(&mut *confidence) {
                let (is_present, is_one, sure) = self.pixel(*pixel);
                present_bits = present_bits << 1 | u64::from(is_present);
                value_bits = value_bits << 1 | u64::from(is_one);
                *confidence = sure;
            }
            let spare = 64 - confidence.len();
            *present = present_bits << spare;
            *value = value_bits << spare;
        }
    }

    /// Present, one, confidence.
    #[inline]
    fn pixel(&self, pixel: [u8; 3]) -> (bool, bool, u8) {
        let [r, g, b] = pixel.map(i32::from);
        let score = |class: usize| {
            let [wr, wg, wb] = self.weights[class];
            wr * r + wg * g + wb * b - self.lengths[class]
        };
        let (vacant, zero, one) = (score(VACANT), score(ZERO), score(ONE));
        let (bit_best, bit_worst) = (zero.max(one), zero.min(one));
        let is_one = one > zero;
        let is_present = bit_best > vacant;
        let (best, second) = (bit_best.max(vacant), bit_worst.max(bit_best.min(vacant)));
        // Who is neither best nor second? Vacant, or the lesser bit.
        let loser = if vacant < bit_worst {
            VACANT
        } else if is_one {
            ZERO
        } else {
            ONE
        };
        let margin = (best - second) as u64;
        let scaled = ((margin * self.scales[loser]) >> 40).min(254) as u8;
        let exact = r * r + g * g + b * b == best;
        (is_present, is_present & is_one, if exact { 255 } else { scaled })
    }
}
