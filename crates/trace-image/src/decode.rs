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

/// 1.5 · 2^52: numbers around it are integers, and their lowest byte is their units.
const UNITS: f64 = 6_755_399_441_055_744.0;
/// Cells in a word of a bit plane, and so in a block of the classifier.
const BLOCK: usize = 64;

/// Scores colours without square roots.
///
/// For a pixel `p` and a colour `c`, `|p − c|² = |p|² − (2 p·c − |c|²)`: the nearest colour has the
/// largest score `2 p·c − |c|²`, and the difference of two scores is that of the squared distances.
/// All of it is exact in 32 bits.
///
/// A block of 64 pixels goes through in passes over small arrays, which the compiler turns into
/// vector code; one pixel after the other took twice as long. Bench: `decode/1024x1088`.
struct Classifier {
    /// Twice the colours.
    weights: [[i16; 3]; 3],
    /// Squared lengths of the colours.
    lengths: [i32; 3],
    /// `255 / D²` of the two colours that are not the indexed one.
    scales: [f64; 3],
}

impl Classifier {
    fn new(palette: &Palette) -> Self {
        let mut colours = [[0; 3]; 3];
        colours[VACANT] = palette.vacant().map(i32::from);
        colours[ZERO] = palette.zero().map(i32::from);
        colours[ONE] = palette.one().map(i32::from);
        let squared = |[r, g, b]: [i32; 3]| r * r + g * g + b * b;
        Self {
            weights: colours.map(|colour| colour.map(|channel| 2 * channel as i16)),
            lengths: colours.map(squared),
            scales: std::array::from_fn(|loser| {
                let (a, b) = (colours[(loser + 1) % 3], colours[(loser + 2) % 3]);
                // Not 0: the colours of a palette differ.
                255.0 / f64::from(squared(std::array::from_fn(|i| a[i] - b[i])))
            }),
        }
    }

    /// Classifies as many pixels as there are confidences.
    fn row(&self, pixels: &[u8], confidence: &mut [u8], present: &mut [u64], value: &mut [u64]) {
        let words = present.iter_mut().zip(value);
        let blocks = pixels.as_chunks::<3>().0.chunks(BLOCK).zip(confidence.chunks_mut(BLOCK));
        for ((pixels, confidence), (present, value)) in blocks.zip(words) {
            let mut channels = [[0_i16; BLOCK]; 3];
            for (i, &[r, g, b]) in pixels.iter().enumerate() {
                (channels[0][i], channels[1][i], channels[2][i]) = (r.into(), g.into(), b.into());
            }
            let (is_present, is_one, sure) = self.block(&channels);
            let mask = u64::MAX << (BLOCK - pixels.len());
            *present = bits(&is_present) & mask;
            *value = bits(&is_one) & *present;
            confidence.copy_from_slice(&sure[..confidence.len()]);
        }
    }

    /// Present, nearer to one than to zero, confidence.
    fn block(&self, [r, g, b]: &[[i16; BLOCK]; 3]) -> ([u8; BLOCK], [u8; BLOCK], [u8; BLOCK]) {
        let mut scores = [[0_i32; BLOCK]; 3];
        for ((scores, weights), length) in scores.iter_mut().zip(self.weights).zip(self.lengths) {
            let [wr, wg, wb] = weights.map(i32::from);
            for i in 0..BLOCK {
                let products = wr * i32::from(r[i]) + wg * i32::from(g[i]) + wb * i32::from(b[i]);
                scores[i] = products - length;
            }
        }
        let (mut is_present, mut is_one, mut sure) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        let [vacant_scale, zero_scale, one_scale] = self.scales;
        for i in 0..BLOCK {
            let (vacant, zero, one) = (scores[VACANT][i], scores[ZERO][i], scores[ONE][i]);
            let (bit_best, bit_worst) = (zero.max(one), zero.min(one));
            is_one[i] = u8::from(one > zero);
            is_present[i] = u8::from(bit_best > vacant);
            let (best, second) = (bit_best.max(vacant), bit_worst.max(bit_best.min(vacant)));
            // Who is neither best nor second? Vacant, or the lesser bit.
            let bit_scale = if one > zero { zero_scale } else { one_scale };
            let scale = if vacant < bit_worst { vacant_scale } else { bit_scale };
            // Quotients are multiples of 1 / D² > 10^-6, so this one rounds to the exact one's floor.
            // (A cast would saturate, which is slower.)
            let scaled = (f64::from(best - second) * scale).min(254.0) - (0.5 - 1e-9);
            let scaled = (scaled + UNITS).to_bits() as u8;
            let [r, g, b] = [r[i], g[i], b[i]].map(i32::from);
            let exact = r * r + g * g + b * b == best;
            sure[i] = scaled | 0_u8.wrapping_sub(u8::from(exact));
        }
        (is_present, is_one, sure)
    }
}

/// The bits of a word, the first the most significant.
fn bits(flags: &[u8; BLOCK]) -> u64 {
    flags.iter().fold(0, |word, &flag| word << 1 | u64::from(flag))
}
