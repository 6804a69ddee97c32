//! Columns chosen by name.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::Context as _;
use fancy_regex::Regex;
use torchlight::nprint_codec::{Header, Layout};

/// The layout of headers as the command line names them, in their order; the reference layout
/// where there are none.
pub fn layout(names: &[String]) -> anyhow::Result<Arc<Layout>> {
    if names.is_empty() {
        return Ok(Layout::reference());
    }
    let (mut headers, mut payload_bytes) = (Vec::new(), 0);
    for name in names {
        match name.as_str() {
            "eth" => headers.push(Header::Ethernet),
            "vlan" => headers.push(Header::Vlan),
            "ipv4" => headers.push(Header::Ipv4),
            "ipv6" => headers.push(Header::Ipv6),
            "tcp" => headers.push(Header::Tcp),
            "udp" => headers.push(Header::Udp),
            "icmp" => headers.push(Header::Icmp),
            "radiotap" => headers.push(Header::Radiotap),
            "wlan" => headers.push(Header::Wlan),
            other => {
                let bytes = other.strip_prefix("payload=");
                let bytes = bytes.with_context(|| format!("--headers {other}: no such header"))?;
                payload_bytes = bytes.parse().with_context(|| format!("--headers {other}"))?;
            }
        }
    }
    Ok(Arc::new(Layout::with_payload(&headers, payload_bytes)?))
}

/// An expression that a whole column name must match, look-ahead included, as in the C++ tool.
pub struct NamePattern {
    regex: Regex,
    /// Whether matching one name took too many steps; such a name counts as not matching.
    too_hard: Cell<bool>,
}

impl NamePattern {
    /// Compiles an expression.
    pub fn new(expression: &str) -> anyhow::Result<Self> {
        let regex = Regex::new(&format!("^(?:{expression})$"));
        let regex = regex.with_context(|| format!("expression {expression:?}"))?;
        Ok(Self { regex, too_hard: Cell::new(false) })
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name).unwrap_or_else(|error| {
            if !self.too_hard.replace(true) {
                eprintln!("torchlight: column {name}: {error}; taken as no match");
            }
            false
        })
    }
}
