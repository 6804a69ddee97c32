//! What a stage leaves on disk, and whether it still holds.
//!
//! ```text
//! <out>/02-lora/inputs.json      written first: what the stage is made from
//!               …                the stage's own files
//!               manifest.json    written last: inputs, hashes of every file, seed, version, time
//! ```
//!
//! A folder with a manifest whose inputs are those of today and whose files are as they were is
//! finished. A folder without one, but with the same inputs, is an interrupted run that the stage
//! goes on with. Anything else that a stage has written is removed and made again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Problem, Result, Stage};

const INPUTS: &str = "inputs.json";
const MANIFEST: &str = "manifest.json";
/// What a stage keeps for itself while it is not finished.
const CHECKPOINT: &str = "checkpoint.";

/// What a stage is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The stage.
    pub stage: Stage,
    /// Version of this crate.
    pub version: String,
    /// The settings that the stage reads.
    pub settings: Value,
    /// The files that it reads: name and SHA-256.
    pub files: BTreeMap<String, String>,
}

impl Inputs {
    /// Inputs without files.
    pub fn new(stage: Stage, settings: Value) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { stage, version, settings, files: BTreeMap::new() }
    }

    /// Adds a file that is no stage's, under the name that it has in the record.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub fn add_file(&mut self, name: String, path: &Path, hashes: &mut Hashes) -> Result<()> {
        self.files.insert(name, hashes.of(path)?);
        Ok(())
    }

    /// Adds every file of a folder and the folders in it.
    ///
    /// # Errors
    /// [`Error::Io`] where something cannot be read.
    pub fn add_folder(&mut self, name: &str, folder: &Path, hashes: &mut Hashes) -> Result<()> {
        for file in files_below(folder)? {
            self.add_file(format!("{name}/{file}"), &folder.join(&file), hashes)?;
        }
        Ok(())
    }

    /// Adds what an earlier stage has made.
    pub fn add_stage(&mut self, manifest: &Manifest) {
        let folder = manifest.inputs.stage.folder();
        self.files.extend(
            manifest.outputs.iter().map(|(file, hash)| (format!("{folder}/{file}"), hash.clone())),
        );
    }
}

/// A finished stage's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What it was made from.
    pub inputs: Inputs,
    /// Every file that it has made: path in the folder and SHA-256.
    pub outputs: BTreeMap<String, String>,
    /// The run's seed.
    pub seed: u64,
    /// How long it took, the last of several attempts alone. Units: seconds.
    pub duration_s: f64,
    /// Inputs that could not be used.
    pub problems: Vec<Problem>,
}

impl Manifest {
    /// Reads the record of a finished stage.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn read(folder: &Path) -> Result<Self> {
        read_json(&folder.join(MANIFEST))
    }
}

/// A stage's folder before the stage runs.
#[derive(Debug)]
pub enum StageFolder {
    /// The stage is finished.
    Finished(Box<Manifest>),
    /// The stage is to be done; with what is left of an interrupted run of the same inputs.
    Open(OpenStage),
}

impl StageFolder {
    /// Looks at `<out>/<stage>`, and prepares it for work unless it is finished.
    ///
    /// # Errors
    /// [`Error::FolderTaken`] where the folder was not made by a stage; [`Error::Io`].
    pub fn open(out: &Path, inputs: Inputs) -> Result<Self> {
        let folder = out.join(inputs.stage.folder());
        if folder.join(MANIFEST).is_file() {
            // A damaged record, like another version's, is no record.
            let manifest = Manifest::read(&folder).ok();
            if let Some(manifest) = manifest.filter(|m| m.inputs == inputs && m.holds(&folder)) {
                return Ok(Self::Finished(Box::new(manifest)));
            }
            remove(&folder)?;
        } else if folder.join(INPUTS).is_file() {
            let before = read_json::<Inputs>(&folder.join(INPUTS)).ok();
            if before.is_none_or(|before| before != inputs) {
                remove(&folder)?;
            }
        } else if folder.exists() && fs::read_dir(&folder).is_ok_and(|mut e| e.next().is_some()) {
            return Err(Error::FolderTaken { folder });
        }
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let path = folder.join(INPUTS);
        if !path.is_file() {
            write_json(&path, &inputs)?;
        }
        Ok(Self::Open(OpenStage { folder, inputs }))
    }
}

/// A stage that is being done.
#[derive(Debug)]
pub struct OpenStage {
    folder: PathBuf,
    inputs: Inputs,
}

impl OpenStage {
    /// The stage's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Hashes what is in the folder and writes the record.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self, seed: u64, duration_s: f64, problems: &[Problem]) -> Result<Manifest> {
        let mut outputs = BTreeMap::new();
        for file in files_below(&self.folder)? {
            let ending = Path::new(&file).extension().unwrap_or_default();
            let passing = file == INPUTS || ending == "part" || file.starts_with(CHECKPOINT);
            if !passing {
                let hash = sha256(&self.folder.join(&file))?;
                outputs.insert(file, hash);
            }
        }
        let problems = problems.to_vec();
        let manifest = Manifest { inputs: self.inputs, outputs, seed, duration_s, problems };
        write_json(&self.folder.join(MANIFEST), &manifest)?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Whether every file is as it was.
    fn holds(&self, folder: &Path) -> bool {
        self.outputs.iter().all(|(file, hash)| sha256(&folder.join(file)).is_ok_and(|h| h == *hash))
    }
}

/// Hashes of input files, each read once in a run as long as it is not touched.
#[derive(Debug, Default)]
pub struct Hashes(BTreeMap<PathBuf, (u64, Option<SystemTime>, String)>);

impl Hashes {
    /// SHA-256 of a file, in hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(&mut self, path: &Path) -> Result<String> {
        let meta = fs::metadata(path).map_err(Error::file("read", path))?;
        let state = (meta.len(), meta.modified().ok());
        if let Some((length, time, hash)) = self.0.get(path)
            && (*length, *time) == state
        {
            return Ok(hash.clone());
        }
        let hash = sha256(path)?;
        self.0.insert(path.to_owned(), (state.0, state.1, hash.clone()));
        Ok(hash)
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(Error::file("read", path))?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// A number from a text that depends on all of it, for seeds that must differ.
pub(crate) fn seed_of(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

/// Paths of all files below a folder, relative to it, with `/`, sorted.
fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let at = folder.join(&inner);
        for entry in fs::read_dir(&at).map_err(Error::file("list", &at))? {
            let name = entry.map_err(Error::file("list", &at))?.file_name();
            let path = inner.join(&name);
            if folder.join(&path).is_dir() {
                open.push(path);
            } else {
                files.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).map_err(Error::file("remove", folder))
}

pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(Error::json(path))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Error::json(path))?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// Writes beside the file, flushes to the disk and renames: there is the old file, the whole new
/// one, or none.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::file("write", &part))?;
    fs::rename(&part, path).map_err(Error::file("rename to", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn open(out: &Path, settings: Value) -> StageFolder {
        StageFolder::open(out, Inputs::new(Stage::Edges, settings)).expect("a folder")
    }

    fn work(folder: StageFolder) -> OpenStage {
        match folder {
            StageFolder::Open(open) => open,
            StageFolder::Finished(_) => panic!("nothing has been done"),
        }
    }

    #[test]
    fn a_finished_stage_holds_until_something_changes() {
        let out = tempfile::tempdir().expect("a temporary folder");
        let out = out.path();
        let stage = work(open(out, json!(1)));
        let file = stage.folder().join("a");
        write_atomic(&file, b"text").expect("written");
        stage.finish(7, 0.5, &[]).expect("finished");
        match open(out, json!(1)) {
            StageFolder::Finished(manifest) => {
                assert_eq!((manifest.seed, manifest.outputs.len()), (7, 1));
            }
            StageFolder::Open(_) => panic!("it is finished"),
        }
        fs::write(&file, b"tex").expect("written");
        let stage = work(open(out, json!(1)));
        assert!(!file.exists(), "a stage whose files were touched starts afresh");
        write_atomic(&file, b"text").expect("written");
        drop(stage);
        let stage = work(open(out, json!(1)));
        assert!(file.exists(), "an interrupted stage goes on");
        drop(stage);
        work(open(out, json!(2)));
        assert!(!file.exists(), "other settings start afresh");
    }

    #[test]
    fn folders_of_others_are_left_alone() {
        let out = tempfile::tempdir().expect("a temporary folder");
        let folder = out.path().join(Stage::Edges.folder());
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("mine"), b"x").expect("written");
        let result = StageFolder::open(out.path(), Inputs::new(Stage::Edges, json!(1)));
        assert!(matches!(result, Err(Error::FolderTaken { .. })));
        assert!(folder.join("mine").exists());
    }

    #[test]
    fn seeds_depend_on_every_part() {
        let seeds =
            [seed_of(&["1", "ab", "0"]), seed_of(&["1", "a", "b0"]), seed_of(&["1", "ab", "1"])];
        assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2]);
    }
}
