//! What the library examples share.

use std::path::PathBuf;

/// A path from the command line, by its place from 1 on, or `default`.
pub fn argument(place: usize, default: &str) -> PathBuf {
    std::env::args_os().nth(place).map_or_else(|| default.into(), PathBuf::from)
}
