//! The byte alphabet and the joining of pieces.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{END_OF_WORD, Vocabulary};
use crate::{Error, Result};

/// Bytes that are written as the character of the same number.
fn is_printable(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// The 256 bytes with their characters, printable ones first: the order of CLIP's vocabulary.
pub(super) fn byte_alphabet() -> impl Iterator<Item = (u8, char)> {
    let printable = (0..=255_u8).filter(|&b| is_printable(b)).map(|b| (b, char::from(b)));
    // The others take the characters from U+0100 on, so that no piece holds white space.
    let others = (0..=255_u8).filter(|&b| !is_printable(b)).zip('\u{100}'..);
    printable.chain(others)
}

/// The byte that a character of the alphabet stands for.
pub(super) fn byte_of_letter(letter: char) -> Option<u8> {
    byte_alphabet().find(|&(_, l)| l == letter).map(|(byte, _)| byte)
}

/// A word in the byte alphabet, one piece a byte, the last with the mark of a word's end.
pub(super) fn pieces(word: &[u8]) -> Vec<String> {
    let letters: HashMap<u8, char> = byte_alphabet().collect();
    let mut pieces: Vec<String> = word.iter().map(|b| letters[b].to_string()).collect();
    if let Some(last) = pieces.last_mut() {
        last.push_str(END_OF_WORD);
    }
    pieces
}

/// Joins the bytes of words into pieces of a vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Merger {
    /// Id of each byte inside a word and at its end; the unknown id where the vocabulary lacks it.
    inner: Vec<u32>,
    last: Vec<u32>,
    /// Pair of ids to its rank and the id of the joined piece.
    joins: HashMap<(u32, u32), (u32, u32)>,
}

impl Merger {
    pub(super) fn new(vocabulary: &Vocabulary, unknown: u32) -> Result<Self> {
        let mut inner = vec![unknown; 256];
        let mut last = vec![unknown; 256];
        for (byte, letter) in byte_alphabet() {
            if let Some(&id) = vocabulary.ids.get(&letter.to_string()) {
                inner[usize::from(byte)] = id;
            }
            if let Some(&id) = vocabulary.ids.get(&format!("{letter}{END_OF_WORD}")) {
                last[usize::from(byte)] = id;
            }
        }
        let id = |token: &str| {
            let missing = || Error::Vocabulary { token: token.to_owned() };
            vocabulary.ids.get(token).copied().ok_or_else(missing)
        };
        let mut joins = HashMap::with_capacity(vocabulary.merges.len());
        for (rank, (left, right)) in vocabulary.merges.iter().enumerate() {
            let joined = id(&format!("{left}{right}"))?;
            joins.entry((id(left)?, id(right)?)).or_insert((rank as u32, joined));
        }
        Ok(Self { inner, last, joins })
    }

    /// Appends the ids of one word.
    ///
    /// The pair of lowest rank is joined first, of equal ones the leftmost. A heap of candidate pairs over
    /// a linked list keeps long words at `n log n`.
    pub(super) fn word(&self, word: &[u8], ids: &mut Vec<u32>) {
        let Some((&final_byte, head)) = word.split_last() else { return };
        let mut symbols: Vec<u32> = head.iter().map(|&b| self.inner[usize::from(b)]).collect();
        symbols.push(self.last[usize::from(final_byte)]);
        let count = symbols.len();
        // Neighbours of every symbol; a joined symbol lives on at the place of its left part.
        let mut next: Vec<usize> = (1..=count).collect();
        let mut previous: Vec<usize> = (0..count).map(|i| i.wrapping_sub(1)).collect();
        let mut alive = vec![true; count];
        let mut heap = BinaryHeap::new();
        let candidate = |symbols: &[u32], left: usize, right: usize| {
            self.joins
                .get(&(symbols[left], symbols[right]))
                .map(|&(rank, id)| Reverse((rank, left, right, symbols[left], symbols[right], id)))
        };
        heap.extend((1..count).filter_map(|right| candidate(&symbols, right - 1, right)));
        while let Some(Reverse((_, left, right, left_id, right_id, id))) = heap.pop() {
            // Out of date if either side has been joined since.
            let current = alive[left] && alive[right] && next[left] == right;
            if !current || symbols[left] != left_id || symbols[right] != right_id {
                continue;
            }
            symbols[left] = id;
            alive[right] = false;
            next[left] = next[right];
            if next[left] < count {
                previous[next[left]] = left;
                heap.extend(candidate(&symbols, left, next[left]));
            }
            if previous[left] < count {
                heap.extend(candidate(&symbols, previous[left], left));
            }
        }
        ids.extend(symbols.into_iter().zip(alive).filter(|&(_, alive)| alive).map(|(id, _)| id));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn alphabet_is_a_bijection_without_white_space() {
        let letters: BTreeSet<char> = byte_alphabet().map(|(_, letter)| letter).collect();
        assert_eq!(letters.len(), 256);
        assert!(letters.iter().all(|l| !l.is_whitespace() && !l.is_control()));
        for (byte, letter) in byte_alphabet() {
            assert_eq!(byte_of_letter(letter), Some(byte));
        }
        assert_eq!(byte_of_letter('€'), None);
        assert_eq!(byte_alphabet().next(), Some((33, '!')));
        assert_eq!(byte_alphabet().nth(188), Some((0, '\u{100}')));
    }

    /// The plain way: scan for the best pair, join it, begin again.
    fn naive(merger: &Merger, word: &[u8]) -> Vec<u32> {
        let mut symbols: Vec<u32> = word.iter().map(|&b| merger.inner[usize::from(b)]).collect();
        if let (Some(symbol), Some(&byte)) = (symbols.last_mut(), word.last()) {
            *symbol = merger.last[usize::from(byte)];
        }
        loop {
            let best = (1..symbols.len())
                .filter_map(|i| {
                    merger.joins.get(&(symbols[i - 1], symbols[i])).map(|&(rank, id)| (rank, i, id))
                })
                .min();
            let Some((_, at, id)) = best else { return symbols };
            symbols[at - 1] = id;
            symbols.remove(at);
        }
    }

    #[test]
    fn heap_agrees_with_scanning() {
        let merges = ["a a", "aa a", "a b", "b a", "ab ab", "b a</w>", "aa a</w>", "a a</w>"];
        let merges: Vec<(String, String)> = merges
            .iter()
            .filter_map(|m| m.split_once(' '))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        let mut texts: BTreeSet<String> =
            ["a", "b", "a</w>", "b</w>", "?"].into_iter().map(str::to_owned).collect();
        texts.extend(merges.iter().map(|(a, b)| format!("{a}{b}")));
        let ids = texts.into_iter().zip(0..).collect();
        let merger = Merger::new(&Vocabulary { ids, merges }, 99).expect("complete");
        for length in 0..=12_u32 {
            for pattern in 0..1_u32 << length {
                let word: Vec<u8> =
                    (0..length).map(|i| if pattern >> i & 1 == 1 { b'a' } else { b'b' }).collect();
                let mut ids = Vec::new();
                merger.word(&word, &mut ids);
                assert_eq!(ids, naive(&merger, &word), "{word:?}");
            }
        }
        let mut ids = Vec::new();
        merger.word(&vec![b'a'; 200_000], &mut ids);
        assert_eq!(ids.len(), 100_000);
    }
}
