//! A small vocabulary learned from captions.

use std::collections::BTreeMap;

use super::bpe::{byte_alphabet, pieces};
use super::{
    CLIP_MAX_LENGTH, Cleaning, ClipTokenizer, END_OF_WORD, END_TOKEN, START_TOKEN, Vocabulary,
};
use crate::Result;

/// Learns byte pairs from captions.
///
/// The most frequent pair is joined first, of equally frequent ones the first in the order of characters: the same
/// captions in any order give the same vocabulary. It always holds every byte, so that any text has tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpeTraining {
    /// Largest number of joins; the vocabulary is at most 514 larger. Learning stops earlier when every
    /// word is one token.
    pub merges: usize,
    /// Pairs seen less often than this are not joined.
    pub min_count: u64,
    /// Text of the padding token.
    pub pad_token: String,
    /// Tokens of a sequence, with start and end.
    pub max_length: usize,
}

impl Default for BpeTraining {
    /// Up to 2048 joins, each pair once at least, padding with the end token, 77 tokens.
    fn default() -> Self {
        Self {
            merges: 2048,
            min_count: 1,
            pad_token: END_TOKEN.to_owned(),
            max_length: CLIP_MAX_LENGTH,
        }
    }
}

impl BpeTraining {
    /// Learns a tokenizer.
    ///
    /// # Errors
    /// [`Error::Vocabulary`](crate::Error::Vocabulary) if the padding token is not in the vocabulary,
    /// [`Error::Config`](crate::Error::Config) for a maximum length below 2.
    pub fn train<S: AsRef<str>>(
        &self,
        captions: impl IntoIterator<Item = S>,
    ) -> Result<ClipTokenizer> {
        let pattern = Cleaning::Pipelines.words();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for caption in captions {
            let text = Cleaning::Pipelines.apply(caption.as_ref());
            for word in pattern.find_iter(&text) {
                *counts.entry(word.as_str().to_owned()).or_default() += 1;
            }
        }
        let mut words: Vec<(Vec<String>, u64)> =
            counts.into_iter().map(|(word, count)| (pieces(word.as_bytes()), count)).collect();

        let mut merges = Vec::new();
        while merges.len() < self.merges {
            let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for (word, count) in &words {
                for pair in word.windows(2) {
                    *pairs.entry((&pair[0], &pair[1])).or_default() += count;
                }
            }
            // The first of the largest: later ones must be larger to win.
            let best = pairs.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
            let Some(((left, right), count)) = best else { break };
            if count < self.min_count {
                break;
            }
            let (left, right) = (left.to_owned(), right.to_owned());
            for (word, _) in &mut words {
                join(word, &left, &right);
            }
            merges.push((left, right));
        }
        let vocabulary = Vocabulary::from_merges(merges);
        ClipTokenizer::new(vocabulary, &self.pad_token, self.max_length)
    }
}

/// Joins every occurrence of a pair, left to right.
fn join(word: &mut Vec<String>, left: &str, right: &str) {
    let mut at = 0;
    while at + 1 < word.len() {
        if word[at] == left && word[at + 1] == right {
            let tail = word.remove(at + 1);
            word[at].push_str(&tail);
        }
        at += 1;
    }
}

impl Vocabulary {
    /// CLIP's order: bytes, bytes at a word's end, joined pieces, start, end.
    pub(super) fn from_merges(merges: Vec<(String, String)>) -> Self {
        let mut ids = BTreeMap::new();
        let letters = byte_alphabet().map(|(_, letter)| letter.to_string());
        let finals = byte_alphabet().map(|(_, letter)| format!("{letter}{END_OF_WORD}"));
        let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
        let specials = [START_TOKEN, END_TOKEN].map(str::to_owned);
        for token in letters.chain(finals).chain(joined).chain(specials) {
            let next = ids.len() as u32;
            ids.entry(token).or_insert(next);
        }
        Self { ids, merges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_captions_does_not_matter() {
        let captions = ["netflix tcp 1080", "youtube udp 720", "netflix udp 480"];
        let forward = BpeTraining::default().train(captions).expect("plain captions");
        let backward = BpeTraining::default().train(captions.iter().rev()).expect("plain captions");
        assert_eq!(forward.vocabulary, backward.vocabulary);
        for word in ["netflix", "youtube", "tcp", "udp"] {
            assert_eq!(forward.tokenize(word).len(), 1, "{word}");
        }
        assert_eq!(forward.tokenize("1080").len(), 4, "digits stay apart");
        assert_eq!(forward.decode(&forward.encode("été ☃ netflix!").ids), "été ☃ netflix !");
    }

    #[test]
    fn limits_are_kept() {
        let training = BpeTraining { merges: 3, ..BpeTraining::default() };
        let tokenizer = training.train(["abcdef abcdef"]).expect("plain captions");
        assert_eq!(tokenizer.vocabulary.merges.len(), 3);
        assert_eq!(tokenizer.vocabulary_size(), 512 + 3 + 2);
        let rare = BpeTraining { min_count: 2, ..BpeTraining::default() };
        let tokenizer = rare.train(["abc abd"]).expect("plain captions");
        assert_eq!(tokenizer.vocabulary.merges, [("a".to_owned(), "b".to_owned())]);
        let padded = BpeTraining { pad_token: "<none>".to_owned(), ..BpeTraining::default() };
        assert!(padded.train(["a"]).is_err());
    }
}
