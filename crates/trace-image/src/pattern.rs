//! Labels from file names.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use nprint_codec::Labels;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// `<epoch>-c1.<short>.tiered.torchlight-<encryption>-a-video.<resolution>.<streaming>.<transport>.…`
const SEARCHLIGHT_VIDEO: &str = r"^\d+-[^.]+\.[^.]+\.tiered\.torchlight-(?<encryption>[^.-]+)-[^.-]+-video\.(?<resolution>[^.]+)\.(?<streaming>[^.]+)\.(?<transport>[^.]+)(?:\.|$)";
/// `<epoch>-c1.<short>.tiered.torchlight-none-a-<service>.ipv<4|6>.<seed>.…`
const SEARCHLIGHT_SERVICE: &str = r"^\d+-[^.]+\.[^.]+\.tiered\.torchlight-[^.-]+-[^.-]+-(?<service>[^.-]+)\.ipv(?<ip_version>[46])(?:\.|$)";
/// `<application>_…` or `<application>-…`
const NETDIFFUSION: &str = r"^(?<application>[^_.-]+)[_-]";

/// How a file name tells what the file holds.
///
/// In text and in configurations: `searchlight`, `netdiffusion`, or a regular expression whose
/// named groups are the categories.
///
/// # Example
/// ```
/// use trace_image::LabelPattern;
///
/// let name = "1795156790-c1.ovptp.tiered.torchlight-openvpnptp-a-video.360.dash.http1.pcap";
/// let labels = LabelPattern::searchlight().labels(name)?;
/// assert_eq!(labels.value("encryption"), Some("openvpnptp"));
/// assert_eq!(labels.value("transport"), Some("http1"));
///
/// let pattern: LabelPattern = r"^(?<app>\w+)-(?<run>\d+)\.pcap$".parse()?;
/// assert_eq!(pattern.labels("captures/teams-12.pcap")?.value("app"), Some("teams"));
/// # Ok::<(), trace_image::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelPattern {
    text: String,
    /// The first that matches counts.
    forms: Vec<Regex>,
}

impl LabelPattern {
    /// The names of mini-searchlight: `encryption`, `resolution`, `streaming`, `transport` of
    /// video captures; `service`, `ip_version` of service captures.
    pub fn searchlight() -> Self {
        Self::constant("searchlight", &[SEARCHLIGHT_VIDEO, SEARCHLIGHT_SERVICE])
    }

    /// The names of NetDiffusion's data: `application` is what stands before the first `_` or `-`.
    pub fn netdiffusion() -> Self {
        Self::constant("netdiffusion", &[NETDIFFUSION])
    }

    fn constant(name: &str, forms: &[&str]) -> Self {
        let compile = |form: &&str| Regex::new(form).expect("constant patterns, all in the tests");
        Self { text: name.to_owned(), forms: forms.iter().map(compile).collect() }
    }

    /// A regular expression; its named groups, in their order, are the categories. Groups that
    /// take no part in a match give no label.
    ///
    /// # Errors
    /// [`Error::Pattern`], [`Error::PatternWithoutGroups`].
    pub fn custom(pattern: &str) -> Result<Self> {
        let regex = Regex::new(pattern)
            .map_err(|source| Error::Pattern { pattern: pattern.to_owned(), source })?;
        if regex.capture_names().flatten().next().is_none() {
            return Err(Error::PatternWithoutGroups { pattern: pattern.to_owned() });
        }
        Ok(Self { text: pattern.to_owned(), forms: vec![regex] })
    }

    /// The labels in a file's name; folders before it do not count.
    ///
    /// # Errors
    /// [`Error::Unlabelled`] where the name does not match, or is not UTF-8.
    pub fn labels(&self, path: impl AsRef<Path>) -> Result<Labels> {
        let path = path.as_ref();
        let unlabelled =
            || Error::Unlabelled { name: path.display().to_string(), pattern: self.text.clone() };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unlabelled)?;
        let (form, groups) = self
            .forms
            .iter()
            .find_map(|form| Some((form, form.captures(name)?)))
            .ok_or_else(unlabelled)?;
        let labels: Labels = form
            .capture_names()
            .flatten()
            .filter_map(|category| Some((category, groups.name(category)?.as_str())))
            .collect();
        if labels.is_empty() { Err(unlabelled()) } else { Ok(labels) }
    }
}

impl fmt::Display for LabelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for LabelPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for LabelPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "searchlight" => Ok(Self::searchlight()),
            "netdiffusion" => Ok(Self::netdiffusion()),
            pattern => Self::custom(pattern),
        }
    }
}

impl TryFrom<String> for LabelPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<LabelPattern> for String {
    fn from(pattern: LabelPattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pattern: &LabelPattern, name: &str) -> Vec<(String, String)> {
        let labels = pattern.labels(name).expect("a labelled name");
        labels.iter().map(|(c, v)| (c.to_owned(), v.to_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(c, v)| ((*c).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn searchlight_names() {
        let pattern = LabelPattern::searchlight();
        let stem = "1795156798-c1.wgsts.tiered.torchlight-wireguardsts-a-video.576.hls.http1";
        let expected = owned(&[
            ("encryption", "wireguardsts"),
            ("resolution", "576"),
            ("streaming", "hls"),
            ("transport", "http1"),
        ]);
        for end in ["", ".pcap", ".pcap.xz", ".pcapng", ".png"] {
            assert_eq!(pairs(&pattern, &format!("some-a-video/{stem}{end}")), expected);
        }
        assert_eq!(
            pairs(&pattern, "1795156541-c1.plain.tiered.torchlight-none-a-web.ipv6.500000.pcap.xz"),
            owned(&[("service", "web"), ("ip_version", "6")])
        );
        for name in ["", "1-c1.x.tiered.torchlight-none-a-video.360.dash", "noise.pcap"] {
            assert!(matches!(pattern.labels(name), Err(Error::Unlabelled { .. })), "{name}");
        }
    }

    #[test]
    fn netdiffusion_names() {
        let pattern = LabelPattern::netdiffusion();
        for name in ["amazon_0.pcap", "amazon-7_b.pcap", "x/y_z/amazon_1"] {
            assert_eq!(pairs(&pattern, name), owned(&[("application", "amazon")]));
        }
        for name in ["amazon.pcap", "_1.pcap", ""] {
            assert!(pattern.labels(name).is_err(), "{name}");
        }
    }

    #[test]
    fn custom_patterns() {
        let pattern = LabelPattern::custom(r"^(?<b>\d)?(?P<a>x)").expect("a pattern");
        assert_eq!(pairs(&pattern, "1x"), owned(&[("b", "1"), ("a", "x")]));
        assert_eq!(pairs(&pattern, "x"), owned(&[("a", "x")]));
        assert!(matches!(LabelPattern::custom("("), Err(Error::Pattern { .. })));
        assert!(matches!("video".parse::<LabelPattern>(), Err(Error::PatternWithoutGroups { .. })));
    }
}
