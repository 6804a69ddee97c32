//! CLIP's byte-level byte-pair tokenizer.

mod bpe;
mod clean;
mod files;
mod train;

use std::collections::BTreeMap;

use regex::Regex;
use tch::Tensor;

use crate::{Error, Result};
use bpe::Merger;
pub use clean::Cleaning;
pub use train::BpeTraining;

/// Mark of a word's last piece.
const END_OF_WORD: &str = "</w>";
/// Text of the token that opens every sequence.
pub const START_TOKEN: &str = "<|startoftext|>";
/// Text of the token that closes every sequence.
pub const END_TOKEN: &str = "<|endoftext|>";
/// Tokens of a sequence in CLIP's text encoders, with start and end.
pub const CLIP_MAX_LENGTH: usize = 77;

/// A vocabulary and the order in which pieces are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vocabulary {
    /// Text to id. Pieces are written in the byte alphabet, word ends with `</w>`.
    pub(crate) ids: BTreeMap<String, u32>,
    /// Pairs of pieces, first to join first.
    pub(crate) merges: Vec<(String, String)>,
}

/// One text as a text encoder takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Start, text, end, padding: always `max_length` ids.
    pub ids: Vec<i64>,
    /// How many of them come before the padding.
    pub length: usize,
    /// Whether the text had more tokens than fit.
    pub truncated: bool,
}

/// Turns captions into token ids.
///
/// Text is normalised (NFC), white space becomes single spaces, letters become lower case. Words, single digits,
/// runs of other characters, and English contractions are split from each other; each is written as bytes and its
/// pieces are joined in the order of the merge list. Sequences are cut or padded to
/// [`max_length`](Self::max_length).
///
/// Stable Diffusion 1 pads with the end token, Stable Diffusion 2 with `!`; as in the published tokenizers, the text of
/// the padding token is then taken as that token wherever it occurs.
///
/// ```
/// use diffusion_lora::text::tokenizer::BpeTraining;
///
/// let tokenizer = BpeTraining::default().train(["tcp netflix trace", "udp netflix trace"])?;
/// let encoding = tokenizer.encode("UDP netflix");
/// assert_eq!(encoding.ids.len(), 77);
/// assert_eq!(encoding.length, 4); // start, udp, netflix, end
/// assert_eq!(tokenizer.decode(&encoding.ids), "udp netflix");
/// # Ok::<(), diffusion_lora::Error>(())
/// ```
///
/// # Source
/// Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"; ids agree with
/// `CLIPTokenizer` of transformers 5 ([`Cleaning::Pipelines`]) and with `open_clip` ([`Cleaning::OpenClip`]).
#[derive(Clone, Debug)]
pub struct ClipTokenizer {
    vocabulary: Vocabulary,
    texts: BTreeMap<u32, String>,
    merger: Merger,
    words: Regex,
    start: u32,
    end: u32,
    pad: u32,
    pad_text: String,
    max_length: usize,
    cleaning: Cleaning,
}

impl ClipTokenizer {
    /// Checks a vocabulary and prepares it.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if a special token, the padding token or a piece of a merge is missing.
    pub(crate) fn new(vocabulary: Vocabulary, pad_text: &str, max_length: usize) -> Result<Self> {
        check_max_length(max_length)?;
        let id = |token: &str| {
            vocabulary
                .ids
                .get(token)
                .copied()
                .ok_or_else(|| Error::Vocabulary { token: token.to_owned() })
        };
        let (start, end, pad) = (id(START_TOKEN)?, id(END_TOKEN)?, id(pad_text)?);
        let merger = Merger::new(&vocabulary, end)?;
        let texts = vocabulary.ids.iter().map(|(text, &id)| (id, text.clone())).collect();
        Ok(Self {
            merger,
            texts,
            words: Cleaning::default().words(),
            start,
            end,
            pad,
            pad_text: pad_text.to_owned(),
            max_length,
            cleaning: Cleaning::default(),
            vocabulary,
        })
    }

    /// The same tokenizer with another length of sequences, at least 2.
    ///
    /// # Errors
    /// [`Error::Config`] for a length that has no room for start and end.
    pub fn with_max_length(mut self, max_length: usize) -> Result<Self> {
        check_max_length(max_length)?;
        self.max_length = max_length;
        Ok(self)
    }

    /// The same tokenizer, padding with another token of its vocabulary.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if there is no such token.
    pub fn with_pad_token(mut self, token: &str) -> Result<Self> {
        self.pad = *self
            .vocabulary
            .ids
            .get(token)
            .ok_or_else(|| Error::Vocabulary { token: token.to_owned() })?;
        token.clone_into(&mut self.pad_text);
        Ok(self)
    }

    /// The same tokenizer with another treatment of text before it is split.
    pub fn with_cleaning(mut self, cleaning: Cleaning) -> Self {
        self.words = cleaning.words();
        self.cleaning = cleaning;
        self
    }

    /// Number of ids of every encoding.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Size that a text encoder's embedding table needs: one more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.texts.last_key_value().map_or(0, |(&id, _)| id as usize + 1)
    }

    /// Id of the start token.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// Id of the end token.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// Id of the padding token.
    pub fn pad_id(&self) -> u32 {
        self.pad
    }

    /// Id of a token given in the vocabulary's own writing, for example `data</w>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.vocabulary.ids.get(token).copied()
    }

    /// Ids of the text alone: no start, end, padding or limit.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        match self.cleaning {
            Cleaning::Pipelines => {
                // Special tokens are taken from the text as it was written.
                let specials =
                    [(START_TOKEN, self.start), (END_TOKEN, self.end), (&*self.pad_text, self.pad)];
                let mut rest = text;
                while let Some((at, token, id)) = first_special(rest, &specials) {
                    self.plain(&rest[..at], &mut ids);
                    ids.push(id);
                    rest = &rest[at + token.len()..];
                }
                self.plain(rest, &mut ids);
            }
            Cleaning::OpenClip => self.plain(text, &mut ids),
        }
        ids
    }

    /// Ids of text without special tokens.
    fn plain(&self, text: &str, ids: &mut Vec<u32>) {
        let clean = self.cleaning.apply(text);
        for word in self.words.find_iter(&clean) {
            match (self.cleaning, word.as_str()) {
                // The special tokens' texts that appear only now, by lower-casing, are not special.
                (Cleaning::Pipelines, START_TOKEN | END_TOKEN) => {
                    let inner = &word.as_str()[2..word.len() - 2];
                    for part in ["<|", inner, "|>"] {
                        self.merger.word(part.as_bytes(), ids);
                    }
                }
                (Cleaning::OpenClip, "<start_of_text>") => ids.push(self.start),
                (Cleaning::OpenClip, "<end_of_text>") => ids.push(self.end),
                (_, word) => self.merger.word(word.as_bytes(), ids),
            }
        }
    }

    /// One caption as a text encoder takes it.
    pub fn encode(&self, text: &str) -> Encoding {
        let tokens = self.tokenize(text);
        let room = self.max_length - 2;
        let kept = &tokens[..tokens.len().min(room)];
        let mut ids = Vec::with_capacity(self.max_length);
        ids.push(i64::from(self.start));
        ids.extend(kept.iter().map(|&id| i64::from(id)));
        ids.push(i64::from(self.end));
        let length = ids.len();
        ids.resize(self.max_length, i64::from(self.pad));
        Encoding { ids, length, truncated: tokens.len() > room }
    }

    /// Captions as one tensor.
    ///
    /// # Shapes
    /// `[texts, max_length]` of `i64`, on the CPU.
    pub fn batch<S: AsRef<str>>(&self, texts: &[S]) -> Tensor {
        let ids: Vec<i64> = texts.iter().flat_map(|text| self.encode(text.as_ref()).ids).collect();
        Tensor::from_slice(&ids).reshape([texts.len() as i64, self.max_length as i64])
    }

    /// The text of ids, without start, end and padding after the end; unknown ids are left out.
    pub fn decode(&self, ids: &[i64]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            let Ok(id) = u32::try_from(id) else { continue };
            if id == self.end {
                break;
            }
            if id == self.start {
                continue;
            }
            if let Some(text) = self.texts.get(&id) {
                let (piece, ends) = match text.strip_suffix(END_OF_WORD) {
                    Some(piece) => (piece, true),
                    None => (&**text, false),
                };
                bytes.extend(piece.chars().filter_map(bpe::byte_of_letter));
                if ends {
                    bytes.push(b' ');
                }
            }
        }
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

fn check_max_length(max_length: usize) -> Result<()> {
    if (2..=1 << 20).contains(&max_length) {
        return Ok(());
    }
    Err(Error::Config {
        class: "CLIPTokenizer",
        field: "model_max_length",
        value: max_length.to_string(),
        expected: "2 to 1048576",
    })
}

/// The first special token in a text; of several at one place the longest.
fn first_special<'a>(text: &str, specials: &[(&'a str, u32)]) -> Option<(usize, &'a str, u32)> {
    specials
        .iter()
        .filter(|(token, _)| !token.is_empty())
        .filter_map(|&(token, id)| text.find(token).map(|at| (at, token, id)))
        .min_by_key(|&(at, token, _)| (at, usize::MAX - token.len()))
}
