//! A timing model's file.

use super::TimingModel;
use super::stretch::Stretch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that is written and read.
const VERSION: u32 = 3;

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    version: u32,
    stretches: Vec<Stretch>,
    labels: BTreeMap<String, Vec<usize>>,
}

/// Refuses the text of another version, whose form may be any.
pub(super) fn check_version(text: &str) -> Result<()> {
    /// Files of version 1 do not say so.
    #[derive(Deserialize)]
    struct Head {
        #[serde(default = "first")]
        version: u32,
    }
    fn first() -> u32 {
        1
    }
    let Head { version } = serde_json::from_str(text)?;
    known(version)
}

fn known(version: u32) -> Result<()> {
    if version == VERSION {
        Ok(())
    } else {
        Err(Error::TimingVersion { found: version, expected: VERSION })
    }
}

impl TryFrom<File> for TimingModel {
    type Error = Error;

    fn try_from(file: File) -> Result<Self> {
        known(file.version)?;
        let stretches = file.stretches.len();
        for (label, own) in &file.labels {
            let label = || label.clone();
            if own.is_empty() {
                return Err(Error::TimingEmpty { label: label() });
            }
            if let Some(index) = own.iter().copied().find(|index| *index >= stretches) {
                return Err(Error::TimingIndex { label: label(), index, stretches });
            }
        }
        Ok(Self { stretches: file.stretches.into(), labels: file.labels })
    }
}

impl From<TimingModel> for File {
    fn from(model: TimingModel) -> Self {
        Self { version: VERSION, stretches: model.stretches.to_vec(), labels: model.labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        TimingModel::from_json(text).expect_err(text).to_string()
    }

    #[test]
    fn damaged_files_are_refused() {
        let stretch = |text: &str| {
            let stretch = format!(r#"{{"services":[[[17,53],32768]],"gaps":"{text}"}}"#);
            format!(r#"{{"version":3,"stretches":[{stretch}],"labels":{{}}}}"#)
        };
        assert!(TimingModel::from_json(&stretch("AAAAAB")).is_ok());
        assert!(TimingModel::from_json(&stretch("AAAAI")).is_ok());
        assert!(error(&stretch("AAAB")).contains("no gap at character 3"), "half a gap");
        assert!(error(&stretch("AB")).contains("no gap at character 0"), "more than a gap");
        assert!(error(&stretch("AAA__A")).contains("no gap at character 3"), "no code");
        assert!(error(&stretch("AAA?AA")).contains("no gap at character 3"), "no digit");
        assert!(error(&stretch("")).contains("no gap at character 0"), "empty");
        assert!(error(r#"{"version":3,"labels":{}}"#).contains("missing field `stretches`"));
    }

    #[test]
    fn labels_without_stretches_are_refused() {
        let labels = |text: &str| {
            TimingModel::from_json(&format!(
                r#"{{"version":3,"stretches":[{{"services":[],"gaps":"AA"}}],"labels":{text}}}"#
            ))
        };
        assert!(labels(r#"{"a":[0]}"#).is_ok());
        assert!(matches!(labels(r#"{"a":[]}"#), Err(Error::TimingEmpty { .. })));
        let missing = labels(r#"{"a":[0,1]}"#);
        assert!(matches!(missing, Err(Error::TimingIndex { index: 1, stretches: 1, .. })));
    }

    #[test]
    fn other_versions_are_refused() {
        let found = |text: &str| match TimingModel::from_json(text) {
            Err(Error::TimingVersion { found, expected: VERSION }) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(found(r#"{"fallback":["AA"],"labelled":{}}"#), 1);
        assert_eq!(found(r#"{"version":4,"something":{}}"#), 4);
        let inside =
            serde_json::from_str::<TimingModel>(r#"{"version":2,"stretches":[],"labels":{}}"#);
        assert!(inside.expect_err("version 2").to_string().contains("version 2, expected 3"));
    }
}
