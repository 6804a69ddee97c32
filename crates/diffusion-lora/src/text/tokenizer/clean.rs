//! What happens to a text before it is split into words.

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// Which published tokenizer's treatment of text to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cleaning {
    /// The tokenizer of Stable Diffusion's pipelines (`CLIPTokenizer` of transformers): canonical composition,
    /// single spaces, lower case letter by letter. `<|startoftext|>`, `<|endoftext|>` and the padding token's text are
    /// tokens.
    #[default]
    Pipelines,
    /// The tokenizer that CLIP was trained with (`open_clip`): HTML entities are resolved (the basic named ones and
    /// numbers) and `<start_of_text>`, `<end_of_text>` are tokens. Its repair of wrongly decoded text is not
    /// reproduced.
    OpenClip,
}

impl Cleaning {
    /// Special tokens, contractions, runs of letters, single digits, runs of anything else but white
    /// space.
    pub(super) fn words(self) -> Regex {
        let specials = match self {
            Self::Pipelines => r"<\|startoftext\|>|<\|endoftext\|>",
            Self::OpenClip => r"<start_of_text>|<end_of_text>",
        };
        let words = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";
        Regex::new(&format!("{specials}|{words}"))
            .expect("constant patterns that the tests compile")
    }

    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Pipelines => {
                let composed: String = text.nfc().collect();
                spaced(&composed).chars().flat_map(char::to_lowercase).collect()
            }
            Self::OpenClip => {
                let resolved = unescape(&unescape(text));
                let composed: String = resolved.nfc().collect();
                spaced(composed.trim()).to_lowercase()
            }
        }
    }
}

/// Runs of white space as single spaces.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_space = false;
    for c in text.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !after_space {
            out.push(' ');
        }
        after_space = c.is_whitespace();
    }
    out
}

/// Resolves `&amp;`, `&lt;`, `&gt;`, `&quot;`, `&apos;`, `&nbsp;` and numbered characters.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let resolved = rest.find(';').and_then(|end| Some((entity(&rest[1..end])?, end)));
        if let Some((c, end)) = resolved {
            out.push(c);
            rest = &rest[end + 1..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_clip() {
        let words = |text: &str| -> Vec<String> {
            Cleaning::Pipelines.words().find_iter(text).map(|m| m.as_str().to_owned()).collect()
        };
        assert_eq!(words("it's type-10"), ["it", "'s", "type", "-", "1", "0"]);
        assert_eq!(words("they'll've ''s"), ["they", "'ll", "'ve", "''", "s"]);
        assert_eq!(words("<|endoftext|>!!"), ["<|endoftext|>", "!!"]);
        assert_eq!(words("<end_of_text>"), ["<", "end", "_", "of", "_", "text", ">"]);
        assert_eq!(Cleaning::OpenClip.words().find_iter("<end_of_text>").count(), 1);
        assert_eq!(words("Ⅻ½e\u{301}"), ["Ⅻ", "½", "e", "\u{301}"]);
    }

    #[test]
    fn cleaning() {
        assert_eq!(Cleaning::Pipelines.apply("Cafe\u{301} \t\nΑΣ"), "café ας".replace('ς', "σ"));
        assert_eq!(Cleaning::OpenClip.apply(" a &amp;lt; b&#33; &x "), "a < b! &x");
    }
}
