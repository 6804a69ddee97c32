//! Which captures are measured.

use nprint_codec::{Trace, read_capture};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Seed of the draw, so that another run takes the same captures.
const SEED: u64 = 4;

/// A capture with the folder that it comes from.
pub struct Member {
    pub folder: String,
    pub name: String,
    pub trace: Trace,
}

/// Files and the captures of folders; of all these, `count` drawn by seed, each folder with the
/// share that it has of them.
pub fn population(paths: &[String], count: Option<usize>) -> Result<Vec<Member>, Box<dyn Error>> {
    let mut folders: Vec<(String, Vec<PathBuf>)> = Vec::new();
    for path in paths.iter().map(Path::new) {
        let (folder, mut files) = if path.is_dir() {
            let files = std::fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
            (Some(path), files)
        } else {
            (path.parent(), vec![path.to_owned()])
        };
        let folder = folder.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        match folders.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, known)) => known.append(&mut files),
            None => folders.push((folder.into_owned(), files)),
        }
    }
    let all: usize = folders.iter().map(|(_, files)| files.len()).sum();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut members = Vec::new();
    for (folder, mut files) in folders {
        files.sort();
        if let Some(count) = count.filter(|count| *count < all) {
            files.shuffle(&mut random);
            files.truncate((files.len() as f64 * count as f64 / all as f64).round() as usize);
            files.sort();
        }
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            members.push(Member { folder: folder.clone(), name, trace: read_capture(&file)? });
        }
    }
    Ok(members)
}
