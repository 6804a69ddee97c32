//! Columns chosen by name.

use std::cell::Cell;

use anyhow::Context as _;
use fancy_regex::Regex;

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
