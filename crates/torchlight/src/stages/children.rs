//! Whose child an image or a capture is: three categories beside its labels.

use nprint_codec::Labels;

/// Category that names a child's parent.
pub const CHILD_OF: &str = "child_of";
/// Category with the child's number among its parent's children, from 1.
pub const CHILD_COPY: &str = "child_copy";
/// Category with the seed that the child was drawn from.
pub const CHILD_SEED: &str = "child_seed";

/// A child's labels and its origin.
///
/// ```
/// use torchlight::stages::Child;
/// let labels = [("service", "dns"), ("child_of", "a"), ("child_seed", "7")].into_iter().collect();
/// let child = Child::of(&labels);
/// assert_eq!(child.parent.as_deref(), Some("a"));
/// assert_eq!(child.labels.iter().count(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The labels alone.
    pub labels: Labels,
    /// The parent's name; `None` for what is no child.
    pub parent: Option<String>,
}

impl Child {
    /// Takes the three categories out of `labels`.
    pub fn of(labels: &Labels) -> Self {
        let own = |category: &str| [CHILD_OF, CHILD_COPY, CHILD_SEED].contains(&category);
        Self {
            labels: labels.iter().filter(|(category, _)| !own(category)).collect(),
            parent: labels.value(CHILD_OF).map(str::to_owned),
        }
    }
}
