//! The text of a row's cells.
//!
//! Representation: a row's planes are header bytes, so eight cells are printed at once: from a
//! table of 256 × 16 bytes where all eight are present, the fill eight times where none is; 64 at
//! once where a whole word is present, and all vacant words that follow each other in one copy.
//! Other copies have a fixed length, longer than the text where that varies: what is too much is
//! overwritten by the next copy. Bench: `csv_write/*`.

use crate::{Layout, Row};

/// Longest cell: `-128,`.
const CELL: usize = 5;
/// Vacant words that are printed at once; the first-level cache holds their text.
const FILL_WORDS: usize = 16;
/// Text of a bit or the fill with its comma, and its length.
type CellText = ([u8; 8], usize);

/// Prints the cells of rows of one layout.
#[derive(Debug)]
pub(super) struct CellPrinter {
    /// Eight present cells by their byte.
    bits: Box<[[u8; 16]; 256]>,
    zero: CellText,
    one: CellText,
    fill: CellText,
    fill_eight: [u8; 8 * CELL],
    /// The fill for [`FILL_WORDS`] words.
    fill_words: Vec<u8>,
    columns: usize,
    /// What is printed, where columns are dropped.
    kept: Option<Vec<Piece>>,
}

/// Columns that are printed together.
#[derive(Debug, Clone, Copy)]
enum Piece {
    /// The eight columns of this byte of the row.
    Byte(usize),
    /// One column.
    Cell(usize),
}

impl CellPrinter {
    pub(super) fn new(layout: &Layout, fill: i8, dropped_columns: &[usize]) -> Self {
        let mut bits = Box::new([[b','; 16]; 256]);
        for (byte, text) in bits.iter_mut().enumerate() {
            (0..8).for_each(|bit| text[2 * bit] = b'0' + ((byte >> (7 - bit)) & 1) as u8);
        }
        let cell = |text: &[u8]| {
            let mut padded = [0; 8];
            padded[..text.len()].copy_from_slice(text);
            (padded, text.len())
        };
        let fill_text = format!("{fill},").into_bytes();
        let mut fill_eight = [0; 8 * CELL];
        fill_eight[..8 * fill_text.len()].copy_from_slice(&fill_text.repeat(8));
        let mut printed = vec![true; layout.columns()];
        for column in dropped_columns {
            if let Some(printed) = printed.get_mut(*column) {
                *printed = false;
            }
        }
        Self {
            bits,
            zero: cell(b"0,"),
            one: cell(b"1,"),
            fill: cell(&fill_text),
            fill_eight,
            fill_words: fill_text.repeat(64 * FILL_WORDS),
            columns: layout.columns(),
            kept: printed.contains(&false).then(|| pieces(&printed)),
        }
    }

    /// The columns that are printed, in order.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        let all = if self.kept.is_none() { 0..self.columns } else { 0..0 };
        let kept = self.kept.iter().flatten().flat_map(|piece| match *piece {
            Piece::Byte(byte) => 8 * byte..8 * byte + 8,
            Piece::Cell(column) => column..column + 1,
        });
        all.chain(kept)
    }

    /// Room that [`print`](Self::print) needs.
    pub(super) fn max_bytes(&self) -> usize {
        CELL * self.columns + 8 * CELL
    }

    /// Prints the cells of `row`, each with a comma after it, and returns their length. `out` has
    /// at least [`max_bytes`](Self::max_bytes); what lies behind the text is undefined.
    pub(super) fn print(&self, row: &Row<'_>, out: &mut [u8]) -> usize {
        let (present, value) = (row.present_words(), row.value_words());
        let mut at = 0;
        if let Some(kept) = &self.kept {
            for piece in kept {
                at += match *piece {
                    Piece::Byte(byte) => {
                        let shift = 56 - 8 * (byte & 7);
                        let of = |plane: &[u64]| (plane[byte >> 3] >> shift) as u8;
                        self.byte(of(present), of(value), &mut out[at..])
                    }
                    Piece::Cell(column) => self.cell(row.cell(column).bit(), &mut out[at..]),
                };
            }
            return at;
        }
        let (mut word, bytes) = (0, self.columns >> 3);
        while word < present.len() {
            let bytes_left = bytes - 8 * word;
            match (present[word], out[at..].first_chunk_mut::<128>()) {
                (0, _) => {
                    let vacant = present[word..].iter().take(FILL_WORDS);
                    let words = vacant.take_while(|present| **present == 0).count();
                    let text = &self.fill_words[..bytes_left.min(8 * words) * 8 * self.fill.1];
                    out[at..at + text.len()].copy_from_slice(text);
                    at += text.len();
                    word += words;
                    continue;
                }
                (u64::MAX, Some(out)) => {
                    let slots = out.as_chunks_mut::<16>().0.iter_mut();
                    for (slot, value) in slots.zip(value[word].to_be_bytes()) {
                        *slot = self.bits[usize::from(value)];
                    }
                    at += 128;
                }
                (present, _) => {
                    let planes = present.to_be_bytes().into_iter().zip(value[word].to_be_bytes());
                    for (present, value) in planes.take(bytes_left) {
                        at += self.byte(present, value, &mut out[at..]);
                    }
                }
            }
            word += 1;
        }
        at
    }

    #[inline]
    fn byte(&self, present: u8, value: u8, out: &mut [u8]) -> usize {
        match present {
            0xff => copy(&self.bits[usize::from(value)], out, 16),
            0 => copy(&self.fill_eight, out, 8 * self.fill.1),
            _ => (0..8).rev().fold(0, |at, bit| {
                let is_present = (present >> bit) & 1 == 1;
                let cell = is_present.then_some((value >> bit) & 1 == 1);
                at + self.cell(cell, &mut out[at..])
            }),
        }
    }

    #[inline]
    fn cell(&self, cell: Option<bool>, out: &mut [u8]) -> usize {
        let (text, length) = match cell {
            None => &self.fill,
            Some(false) => &self.zero,
            Some(true) => &self.one,
        };
        copy(text, out, *length)
    }
}

/// Copies all of `text`, of which `length` bytes count.
#[inline]
fn copy<const N: usize>(text: &[u8; N], out: &mut [u8], length: usize) -> usize {
    if let Some(out) = out.first_chunk_mut() {
        *out = *text;
    }
    length
}

/// Whole bytes where all eight columns are printed.
fn pieces(printed: &[bool]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (byte, eight) in printed.chunks(8).enumerate() {
        if eight == [true; 8] {
            pieces.push(Piece::Byte(byte));
        } else {
            let kept = eight.iter().enumerate().filter(|(_, printed)| **printed);
            pieces.extend(kept.map(|(bit, _)| Piece::Cell(8 * byte + bit)));
        }
    }
    pieces
}
