//! `check`: a protocol audit.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use torchlight::trace_eval::compliance::{Audit, Rule, RuleKind, audit};
use torchlight::{Problem, StopFlag};

use crate::files::{self, shown};
use crate::summary::Summary;

/// `torchlight check`.
#[derive(Debug, Args)]
#[command(after_help = "Example: torchlight check children/*.pcap\n\
Exit status 1 where a capture breaks a rule that no implementation may break.")]
pub struct Check {
    /// Captures; `-` is standard input
    #[arg(required = true)]
    captures: Vec<PathBuf>,
}

impl Check {
    /// Does it.
    pub fn run(self, stop: &StopFlag) -> Summary {
        let (mut total, mut problems, mut clean, mut packets) =
            (Audit::default(), Vec::new(), 0, 0);
        for path in &self.captures {
            let input = shown(path);
            match files::capture(path, stop) {
                Ok(trace) => {
                    let found = audit(&trace);
                    packets += trace.len();
                    match found.violations().first() {
                        None => clean += 1,
                        Some(first) => problems.push(Problem {
                            input,
                            reason: format!(
                                "{} rules broken, the first at packet {}: {}",
                                found.errors(),
                                first.packet + 1,
                                first.rule.meaning()
                            ),
                        }),
                    }
                    total.add(&found);
                }
                Err(error) => problems.push(Problem { input, reason: format!("{error:#}") }),
            }
        }
        let rules: Vec<Value> = Rule::ALL.into_iter().map(|rule| row(rule, &total)).collect();
        // A broken rule is a finding, not a failure to look: there is always something done.
        let looked = if packets > 0 { clean.max(1) } else { clean };
        Summary::of(looked)
            .fact("captures", self.captures.len())
            .fact("without_fault", clean)
            .fact("packets", packets)
            .fact("rules", rules)
            .problems(&problems)
    }
}

fn row(rule: Rule, audit: &Audit) -> Value {
    let count = audit.count(rule);
    let kind = if rule.kind() == RuleKind::Error { "must" } else { "note" };
    json!({
        "rule": rule.name(),
        "kind": kind,
        "checked": count.checked,
        "broken": count.broken,
        "source": rule.source(),
    })
}
