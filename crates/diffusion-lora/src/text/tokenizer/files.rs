//! `vocab.json`, `merges.txt` and the files beside them; CLIP's compressed merge list.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{CLIP_MAX_LENGTH, ClipTokenizer, END_TOKEN, START_TOKEN, Vocabulary};
use crate::{Error, Result};

/// Joins that CLIP takes from the 262,144 in its file: 49,152 tokens less 256 bytes and the 2 special ones.
const CLIP_MERGES: usize = 49_152 - 256 - 2;

/// The parts of `tokenizer_config.json` and `special_tokens_map.json` that matter here.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    pad_token: Option<SpecialToken>,
    /// Written as an integer beyond 64 bits where there is no limit.
    model_max_length: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// The parts of `tokenizer.json` that matter here.
#[derive(Deserialize)]
struct OneFile {
    model: OneFileModel,
}

#[derive(Deserialize)]
struct OneFileModel {
    vocab: BTreeMap<String, u32>,
    merges: Vec<MergeEntry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MergeEntry {
    Pair(String, String),
    Line(String),
}

impl ClipTokenizer {
    /// Reads the `tokenizer` folder of a diffusers model.
    ///
    /// Wanted are `vocab.json` and `merges.txt`, or else `tokenizer.json`. The padding token and the length of
    /// sequences come from `tokenizer_config.json` or `special_tokens_map.json` where they say so, else they are
    /// the end token and 77.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Io`], [`Error::Json`], [`Error::Merges`] with the line, and
    /// [`Error::Vocabulary`] for a token that the vocabulary lacks.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let one_file = folder.join("tokenizer.json");
        let vocabulary = if vocab.exists() || !one_file.exists() {
            read_vocabulary(&vocab, &merges)?
        } else {
            read_one_file(&one_file)?
        };
        let mut pad = None;
        let mut max_length = None;
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = folder.join(name);
            if path.exists() {
                let settings: Settings =
                    serde_json::from_str(&read_text(&path)?).map_err(Error::json(&path))?;
                pad = pad.or(settings.pad_token.map(SpecialToken::into_text));
                max_length = max_length.or(settings.model_max_length);
            }
        }
        let pad = pad.unwrap_or_else(|| END_TOKEN.to_owned());
        // Python writes 1e30 for "no limit".
        let max_length = max_length
            .filter(|length| *length <= 1e6)
            .map_or(CLIP_MAX_LENGTH, |length| length.max(0.0) as usize);
        Self::new(vocabulary, &pad, max_length)
    }

    /// Reads a vocabulary and its merge list; pads with the end token to 77.
    ///
    /// # Errors
    /// As [`from_folder`](Self::from_folder).
    pub fn from_files(vocab: &Path, merges: &Path) -> Result<Self> {
        Self::new(read_vocabulary(vocab, merges)?, END_TOKEN, CLIP_MAX_LENGTH)
    }

    /// Reads CLIP's original `bpe_simple_vocab_16e6.txt.gz` (or the same uncompressed): a merge list only, from
    /// which the 49,408 ids follow; pads with the end token to 77.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Merges`] with the line.
    pub fn from_clip_merges(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let mut text = String::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            // No published list has more than a few megabytes.
            flate2::read::GzDecoder::new(&*bytes)
                .take(64 << 20)
                .read_to_string(&mut text)
                .map_err(Error::io(path))?;
        } else {
            let invalid = |e| std::io::Error::new(std::io::ErrorKind::InvalidData, e);
            text = String::from_utf8(bytes).map_err(|e| Error::io(path)(invalid(e)))?;
        }
        let mut merges = parse_merges(&text, path, CLIP_MERGES)?;
        merges.truncate(CLIP_MERGES);
        Self::new(Vocabulary::from_merges(merges), END_TOKEN, CLIP_MAX_LENGTH)
    }

    /// Writes `vocab.json`, `merges.txt`, `tokenizer_config.json` and `special_tokens_map.json` as Python's
    /// `CLIPTokenizer` reads them, creating the folder if needed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io(&path))
        };
        // By id, one token a line, as published files have it.
        let entries: Vec<String> = self
            .texts
            .iter()
            .map(|(id, token)| format!("  {}: {id}", Value::from(&**token)))
            .collect();
        write("vocab.json", format!("{{\n{}\n}}\n", entries.join(",\n")))?;
        let pairs = self.vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}"));
        let lines: Vec<String> = ["#version: 0.2".to_owned()].into_iter().chain(pairs).collect();
        write("merges.txt", lines.join("\n") + "\n")?;
        let specials = serde_json::json!({
            "bos_token": START_TOKEN,
            "eos_token": END_TOKEN,
            "unk_token": END_TOKEN,
            "pad_token": self.pad_text,
        });
        let mut config = specials.clone();
        config["tokenizer_class"] = "CLIPTokenizer".into();
        config["model_max_length"] = self.max_length.into();
        config["do_lower_case"] = true.into();
        write("tokenizer_config.json", format!("{config:#}\n"))?;
        write("special_tokens_map.json", format!("{specials:#}\n"))
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(path))
}

fn read_vocabulary(vocab: &Path, merges: &Path) -> Result<Vocabulary> {
    for (path, purpose) in [(vocab, "the tokenizer's ids"), (merges, "the tokenizer's merge list")]
    {
        if !path.exists() {
            return Err(Error::MissingFile { path: path.to_owned(), purpose });
        }
    }
    let ids = serde_json::from_str(&read_text(vocab)?).map_err(Error::json(vocab))?;
    let merges = parse_merges(&read_text(merges)?, merges, usize::MAX)?;
    Ok(Vocabulary { ids, merges })
}

fn read_one_file(path: &Path) -> Result<Vocabulary> {
    let file: OneFile = serde_json::from_str(&read_text(path)?).map_err(Error::json(path))?;
    let merges = file
        .model
        .merges
        .into_iter()
        .enumerate()
        .map(|(i, entry)| match entry {
            MergeEntry::Pair(left, right) => Ok((left, right)),
            MergeEntry::Line(line) => split_merge(&line, path, i + 1),
        })
        .collect::<Result<_>>()?;
    Ok(Vocabulary { ids: file.model.vocab, merges })
}

/// Pairs of a merge list, at most `limit`. The first line is a version if it says so; published lists end in an empty line.
fn parse_merges(text: &str, path: &Path, limit: usize) -> Result<Vec<(String, String)>> {
    let mut merges = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let version = i == 0 && line.contains("#version");
        if version || line.is_empty() {
            continue;
        }
        if merges.len() == limit {
            break;
        }
        merges.push(split_merge(line, path, i + 1)?);
    }
    Ok(merges)
}

fn split_merge(line: &str, path: &Path, number: usize) -> Result<(String, String)> {
    match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(Error::Merges {
            path: path.to_owned(),
            line: number,
            text: line.chars().take(80).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokenizer::BpeTraining;

    #[test]
    fn saved_folder_reads_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let written =
            BpeTraining { pad_token: "!".to_owned(), max_length: 16, ..Default::default() }
                .train(["pixelated network data: udp, 1080 \"x\\y\""])
                .expect("plain captions");
        written.save(folder.path()).expect("a writable folder");
        let read = ClipTokenizer::from_folder(folder.path()).expect("own files");
        assert_eq!(read.vocabulary, written.vocabulary);
        assert_eq!((read.pad_id(), read.max_length()), (0, 16));
        assert_eq!(read.encode("network data!"), written.encode("network data!"));
    }

    #[test]
    fn damaged_files_name_their_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        assert!(matches!(ClipTokenizer::from_folder(path), Err(Error::MissingFile { .. })));
        let put = |name: &str, text: &str| std::fs::write(path.join(name), text).expect("writable");
        put("vocab.json", r#"{"a": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}"#);
        put("merges.txt", "#version: 0.2\na b c\n");
        assert!(matches!(ClipTokenizer::from_folder(path), Err(Error::Merges { line: 2, .. })));
        put("merges.txt", "#version: 0.2\na b\n");
        assert!(matches!(ClipTokenizer::from_folder(path), Err(Error::Vocabulary { .. })));
        put("merges.txt", "");
        assert!(ClipTokenizer::from_folder(path).is_ok());
        put("tokenizer_config.json", r#"{"model_max_length": 1}"#);
        assert!(matches!(ClipTokenizer::from_folder(path), Err(Error::Config { .. })));
        put(
            "tokenizer_config.json",
            r#"{"pad_token": {"content": "a"}, "model_max_length": 1e30}"#,
        );
        let tokenizer = ClipTokenizer::from_folder(path).expect("a padding token as an object");
        assert_eq!((tokenizer.pad_id(), tokenizer.max_length()), (0, 77));
        // Bytes that the vocabulary lacks are unknown, not a panic.
        assert_eq!(tokenizer.tokenize("zz"), [2, 2]);
        put("vocab.json", r#"{"a": -1}"#);
        assert!(matches!(ClipTokenizer::from_folder(path), Err(Error::Json { .. })));
    }
}
