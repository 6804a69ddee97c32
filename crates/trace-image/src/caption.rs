//! Captions from labels.

use std::fmt;

use nprint_codec::Labels;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Every label's value, in the order of the table or file name that the labels came from, e.g.
/// `pixelated network data: wireguardsts, 1080, html5, http2`. Source: Torchlight's prompts.
pub const DEFAULT_TEMPLATE: &str = "pixelated network data: {labels}";

/// What an image shows, in words that a text encoder reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Caption(String);

impl Caption {
    /// A caption of any text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Caption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fills a template: `{category}` is the value of a label, `{labels}` are the values of all of
/// them with commas between; `{{` and `}}` are braces.
///
/// # Errors
/// [`Error::Template`] where a placeholder is empty or not closed; [`Error::LabelMissing`] where
/// the labels lack it.
///
/// # Example
/// ```
/// use nprint_codec::Labels;
/// use trace_image::{DEFAULT_TEMPLATE, caption};
///
/// let labels: Labels = [("service", "dns"), ("ip_version", "6")].into_iter().collect();
/// assert_eq!(caption(&labels, DEFAULT_TEMPLATE)?.as_str(), "pixelated network data: dns, 6");
/// assert_eq!(caption(&labels, "{service} over IPv{ip_version}")?.as_str(), "dns over IPv6");
/// # Ok::<(), trace_image::Error>(())
/// ```
pub fn caption(labels: &Labels, template: &str) -> Result<Caption> {
    let wrong = |offset| Error::Template { template: template.to_owned(), offset };
    let missing = |category: &str| Error::LabelMissing {
        category: category.to_owned(),
        found: labels.iter().map(|(category, _)| category.to_owned()).collect(),
    };
    let mut text = String::new();
    let mut offset = 0;
    while let Some(brace) = template[offset..].find(['{', '}']).map(|found| offset + found) {
        text.push_str(&template[offset..brace]);
        let rest = &template[brace..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            text.push_str(&rest[..1]);
            offset = brace + 2;
            continue;
        }
        let end = rest.find('}').filter(|_| rest.starts_with('{')).ok_or_else(|| wrong(brace))?;
        match &rest[1..end] {
            "" => return Err(wrong(brace)),
            name if name.contains('{') => return Err(wrong(brace)),
            "labels" if labels.is_empty() => return Err(missing("labels")),
            "labels" => {
                let values: Vec<&str> = labels.iter().map(|(_, value)| value).collect();
                text.push_str(&values.join(", "));
            }
            category => text.push_str(labels.value(category).ok_or_else(|| missing(category))?),
        }
        offset = brace + end + 1;
    }
    text.push_str(&template[offset..]);
    Ok(Caption(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        [("b", "two"), ("a", "one")].into_iter().collect()
    }

    #[test]
    fn placeholders_are_filled() {
        let fill = |template| caption(&labels(), template).expect("a good template").to_string();
        assert_eq!(fill("{labels}"), "two, one");
        assert_eq!(fill("{a}{b} {{a}} ä{a}"), "onetwo {a} äone");
        assert_eq!(fill(""), "");
    }

    #[test]
    fn bad_templates_name_the_place() {
        let place = |template| match caption(&labels(), template) {
            Err(Error::Template { offset, .. }) => offset,
            other => panic!("{template}: {other:?}"),
        };
        assert_eq!(place("ab{a"), 2);
        assert_eq!(place("{a} } {b}"), 4);
        assert_eq!(place("x{}"), 1);
        assert_eq!(place("{a{b}"), 0);
    }

    #[test]
    fn missing_labels_are_named() {
        let error = caption(&labels(), "{c}").expect_err("no such label").to_string();
        assert_eq!(error, "the caption template wants `c`, but the labels are [b, a]");
        assert!(caption(&Labels::new(), DEFAULT_TEMPLATE).is_err());
    }
}
