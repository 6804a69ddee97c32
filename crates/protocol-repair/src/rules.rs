//! The rules as data: what each one reads, what it writes, and the order that follows.

use crate::draft::Draft;
use crate::evidence::ROW_WORDS;
use crate::report::Changes;
use nprint_codec::{Field, Layout, TernaryMatrix, tcp};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

mod table;

use Item::{Field as F, Flow, Fragments, OptionNumbers, PayloadLength, Stack, Time};
use table::RULES;

/// Something that a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// A field of the representation.
    Field(Field),
    /// The headers of each row.
    Stack,
    /// Which datagram a fragment belongs to.
    Fragments,
    /// Conversation and direction of each row.
    Flow,
    /// Bytes after the transport header.
    PayloadLength,
    /// Time of each row.
    Time,
    /// Numbers inside TCP options: time stamps, SACK edges.
    OptionNumbers,
}

/// Which part of repair a rule belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What the evidence says: headers, conversations, constant fields.
    Infer,
    /// The legal course of events.
    Plan,
    /// What follows from the rest.
    Compile,
}

/// One rule. Every item has one writer, so that reads and writes fix the order.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) stage: Stage,
    reads: &'static [Item],
    writes: &'static [Item],
    apply: fn(&mut Draft<'_>),
}

/// Why the rules have no order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// Two rules write the same item.
    TwoWriters(Item, &'static str, &'static str),
    /// A rule reads an item that no rule writes.
    NoWriter(Item, &'static str),
    /// These rules wait for each other.
    Cycle(Vec<&'static str>),
}

/// The order in which every rule runs after the writers of what it reads; rules that may run at
/// the same time keep their place in the table.
pub(crate) fn order(rules: &[Rule]) -> Result<Vec<usize>, OrderError> {
    let writer = |item: &Item| rules.iter().position(|r| r.writes.contains(item));
    let mut waits: Vec<Vec<usize>> = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        for item in rule.writes {
            if let Some(first) = writer(item).filter(|w| *w != index) {
                return Err(OrderError::TwoWriters(*item, rules[first].name, rule.name));
            }
        }
        let mut before = Vec::new();
        for item in rule.reads {
            match writer(item) {
                Some(w) => before.push(w),
                None => return Err(OrderError::NoWriter(*item, rule.name)),
            }
        }
        waits.push(before);
    }
    let mut done = vec![false; rules.len()];
    let mut order = Vec::with_capacity(rules.len());
    while order.len() < rules.len() {
        let ready = (0..rules.len()).find(|r| !done[*r] && waits[*r].iter().all(|w| done[*w]));
        let Some(ready) = ready else {
            let left = (0..rules.len()).filter(|r| !done[*r]).map(|r| rules[r].name).collect();
            return Err(OrderError::Cycle(left));
        };
        done[ready] = true;
        order.push(ready);
    }
    Ok(order)
}

/// The words of a row that hold what a rule writes.
fn words_of(rule: &Rule, layout: &Layout) -> Vec<usize> {
    let mut words: Vec<usize> = Vec::new();
    for item in rule.writes {
        let field = match item {
            // A header that a row lacks is cleared.
            Stack => return (0..layout.words()).collect(),
            OptionNumbers => tcp::OPTIONS,
            F(field) => *field,
            Fragments | Flow | PayloadLength | Time => continue,
        };
        if let Some(column) = layout.column_of(field) {
            words.extend(column >> 6..=(column + usize::from(field.bits) - 1) >> 6);
        }
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// Cells as the rules before left them, to count what the next one changes.
pub(crate) struct Before {
    present: Vec<u64>,
    value: Vec<u64>,
}

impl Before {
    pub(crate) fn new(cells: &TernaryMatrix) -> Self {
        Self { present: cells.present_plane().to_vec(), value: cells.value_plane().to_vec() }
    }

    /// Takes over some words of every row; how many cells changed, and the first one's row and column.
    fn update(&mut self, cells: &TernaryMatrix, words: &[usize]) -> (u64, Option<(usize, usize)>) {
        let (mut count, mut first) = (0, None);
        if words.is_empty() {
            return (count, first);
        }
        let before = self.present.as_chunks_mut::<ROW_WORDS>().0.iter_mut();
        let before = before.zip(self.value.as_chunks_mut::<ROW_WORDS>().0);
        let after = cells.present_plane().as_chunks::<ROW_WORDS>().0.iter();
        let after = after.zip(cells.value_plane().as_chunks::<ROW_WORDS>().0);
        for (row, ((old_present, old_value), (present, value))) in before.zip(after).enumerate() {
            for &word in words {
                let difference =
                    (old_present[word] ^ present[word]) | (old_value[word] ^ value[word]);
                if difference != 0 {
                    (old_present[word], old_value[word]) = (present[word], value[word]);
                    count += u64::from(difference.count_ones());
                    let column = 64 * word + difference.leading_zeros() as usize;
                    first = first.or(Some((row, column)));
                }
            }
        }
        (count, first)
    }

    fn is(&self, cells: &TernaryMatrix) -> bool {
        self.present == cells.present_plane() && self.value == cells.value_plane()
    }
}

/// Runs every rule once, counts what each one changed, and tells `timed` what each one cost. `before` are
/// the draft's cells, and afterwards are so again.
///
/// Only the words that a rule declares are compared. Builds with debug assertions check that the rest
/// did not change.
pub(crate) fn run(
    draft: &mut Draft<'_>,
    before: &mut Before,
    changes: &mut Changes,
    mut timed: impl FnMut(&Rule, u64),
) {
    static ORDER: LazyLock<Vec<usize>> =
        LazyLock::new(|| order(RULES).expect("a unit test proves that the table has an order"));
    let layout = draft.cells.layout().clone();
    debug_assert!(before.is(&draft.cells), "another draft's cells");
    for index in ORDER.iter() {
        let rule = &RULES[*index];
        let start = std::time::Instant::now();
        (rule.apply)(draft);
        timed(rule, start.elapsed().as_nanos() as u64);
        let (cells, first) = before.update(&draft.cells, &words_of(rule, &layout));
        debug_assert!(before.is(&draft.cells), "{} writes what it does not declare", rule.name);
        changes.add_rule(rule.name, cells, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_an_order() {
        let order = order(RULES).expect("no cycle, one writer an item");
        let place = |name: &str| order.iter().position(|r| RULES[*r].name == name);
        assert!(place("lengths") < place("times"));
        assert!(place("times") < place("tcp option numbers"));
    }

    #[test]
    fn every_field_has_a_writer_apart_from_checksums() {
        for (field, _) in nprint_codec::Layout::reference().fields() {
            let written = RULES.iter().any(|r| r.writes.contains(&F(field)));
            assert_ne!(written, field.name.ends_with("_cksum"), "{}", field.name);
        }
    }

    #[test]
    fn a_cycle_is_found() {
        let nothing: fn(&mut Draft<'_>) = |_| {};
        let rules = [
            Rule { name: "a", stage: Stage::Plan, reads: &[Time], writes: &[Flow], apply: nothing },
            Rule { name: "b", stage: Stage::Plan, reads: &[Flow], writes: &[Time], apply: nothing },
        ];
        assert_eq!(order(&rules), Err(OrderError::Cycle(vec!["a", "b"])));
        let two = [
            Rule { name: "a", stage: Stage::Plan, reads: &[], writes: &[Flow], apply: nothing },
            Rule { name: "b", stage: Stage::Plan, reads: &[], writes: &[Flow], apply: nothing },
        ];
        assert_eq!(order(&two), Err(OrderError::TwoWriters(Flow, "a", "b")));
    }
}
