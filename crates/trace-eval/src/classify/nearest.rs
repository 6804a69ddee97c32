//! Nearest neighbours.

use super::{Gram, check_training};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of nearest neighbours. The default is scikit-learn's `KNeighborsClassifier()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NearestConfig {
    /// How many neighbours vote; all training samples where there are fewer.
    pub neighbours: usize,
}

impl Default for NearestConfig {
    fn default() -> Self {
        Self { neighbours: 5 }
    }
}

/// Classifies by the commonest class among the nearest training samples, by Euclidean distance.
///
/// Of equally distant samples the one that was listed first counts as nearer; of equally common
/// classes the lowest wins.
///
/// # Example
/// ```
/// use trace_eval::classify::{FeatureMatrix, NearestConfig, NearestNeighbours};
/// use trace_eval::distance::Planes;
/// let x = FeatureMatrix::from_planes(&Planes::from_cells(2, &[0, 0, 1, 1, 1, 0, 1, 1])?);
/// let gram = x.gram(&[]);
/// let config = NearestConfig { neighbours: 1 };
/// let nearest = NearestNeighbours::fit(&gram, &[0, 1, 0, 0], &[0, 1], &config)?;
/// assert_eq!(nearest.predict(&gram, &[2, 3]), vec![0, 1]);
/// # Ok::<(), trace_eval::Error>(())
/// ```
///
/// # Source
/// Cover, Hart, "Nearest neighbor pattern classification", 1967.
#[derive(Debug, Clone)]
pub struct NearestNeighbours {
    /// Sample and class.
    known: Vec<(usize, usize)>,
    classes: usize,
    neighbours: usize,
}

impl NearestNeighbours {
    /// Remembers the samples `train`; `gram` has the inner products of all samples.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`] unless two classes are among the training samples,
    /// [`Error::OutOfRange`] for bad indices, [`Error::Setting`] for no neighbours.
    pub fn fit(
        gram: &Gram,
        labels: &[usize],
        train: &[usize],
        config: &NearestConfig,
    ) -> Result<Self> {
        let classes = check_training(gram.samples(), labels, train)?;
        if config.neighbours == 0 {
            let (setting, value) = ("neighbours", 0.0);
            return Err(Error::Setting { setting, value, expected: "at least 1" });
        }
        let known = train.iter().map(|s| (*s, labels[*s])).collect();
        Ok(Self { known, classes, neighbours: config.neighbours })
    }

    /// Class of each of `samples`.
    pub fn predict(&self, gram: &Gram, samples: &[usize]) -> Vec<usize> {
        let class = |sample: &usize| {
            let distance = |k: &(usize, usize)| gram.squared_distance(*sample, k.0);
            let mut near: Vec<(f64, usize)> =
                self.known.iter().map(|k| (distance(k), k.1)).collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut votes = vec![0_usize; self.classes];
            near.iter().take(self.neighbours).for_each(|n| votes[n.1] += 1);
            let most = votes.iter().max().copied().unwrap_or(0);
            votes.iter().position(|v| *v == most).unwrap_or(0)
        };
        samples.iter().map(class).collect()
    }
}
