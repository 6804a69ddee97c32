//! What is evaluated.

use crate::{Error, Result};
use nprint_codec::{Labels, TernaryMatrix, Trace};
use std::collections::{BTreeMap, BTreeSet};

/// A capture with its matrix and what is known of it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Name, unique among real captures (parents are found by it).
    pub name: String,
    /// The packets.
    pub trace: Trace,
    /// The header bits; all samples of an evaluation have one layout.
    pub matrix: TernaryMatrix,
    /// Labels by category.
    pub labels: Labels,
    /// For a synthetic capture, the name of the real one that it was made from, if any.
    pub parent: Option<String>,
}

/// All samples in one list: real, then held-out, then synthetic.
pub(crate) struct Pool<'a> {
    pub(crate) samples: Vec<&'a Sample>,
    pub(crate) real: std::ops::Range<usize>,
    pub(crate) held_out: std::ops::Range<usize>,
    pub(crate) synthetic: std::ops::Range<usize>,
    /// Index of the parent, for synthetic samples that have one.
    pub(crate) parents: Vec<Option<usize>>,
}

/// One label category, in class numbers.
pub(crate) struct Category {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
    /// Class of each sample of the pool; `None` where the label is missing.
    pub(crate) classes: Vec<Option<usize>>,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(
        real: &'a [Sample],
        held_out: &'a [Sample],
        synthetic: &'a [Sample],
    ) -> Result<Self> {
        for (set, samples) in [("real", real), ("synthetic", synthetic)] {
            if samples.is_empty() {
                return Err(Error::EmptySet { set, needed: 1 });
            }
        }
        let samples: Vec<&Sample> = real.iter().chain(held_out).chain(synthetic).collect();
        let (r, h) = (real.len(), real.len() + held_out.len());
        let layout = samples[0].matrix.layout();
        let mut names = BTreeMap::new();
        for (i, s) in samples.iter().enumerate() {
            let set = if i < r {
                "real"
            } else if i < h {
                "held-out"
            } else {
                "synthetic"
            };
            if s.matrix.rows() == 0 || s.trace.is_empty() {
                return Err(Error::EmptySample { set, name: s.name.clone() });
            }
            if s.matrix.layout() != layout {
                let (expected, found) = (layout.columns(), s.matrix.columns());
                return Err(Error::LayoutMismatch { name: s.name.clone(), expected, found });
            }
            if i < h && names.insert(s.name.as_str(), i).is_some() {
                return Err(Error::DuplicateName { name: s.name.clone() });
            }
        }
        let parent = |s: &&Sample| match &s.parent {
            None => Ok(None),
            Some(parent) => names.get(parent.as_str()).map(|i| Some(*i)).ok_or_else(|| {
                Error::UnknownParent { name: s.name.clone(), parent: parent.clone() }
            }),
        };
        let mut parents = vec![None; h];
        parents.extend(samples[h..].iter().map(parent).collect::<Result<Vec<_>>>()?);
        let all = samples.len();
        Ok(Self { samples, real: 0..r, held_out: r..h, synthetic: h..all, parents })
    }

    /// Categories of the real samples in order of appearance, classes in alphabetical order.
    pub(crate) fn categories(&self) -> Vec<Category> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.samples[..self.held_out.end].iter().flat_map(|s| s.labels.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let category = |name: &str| {
            let values: BTreeSet<&str> =
                self.samples.iter().filter_map(|s| s.labels.value(name)).collect();
            let class = |v: &str| values.iter().position(|w| *w == v);
            Category {
                name: name.to_owned(),
                classes: self
                    .samples
                    .iter()
                    .map(|s| s.labels.value(name).and_then(class))
                    .collect(),
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            }
        };
        names.into_iter().map(category).collect()
    }
}
