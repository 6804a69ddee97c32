//! Bringing libtorch's CUDA part into the process.
//!
//! The program is not linked to `libtorch_cuda.so`, or it could not start where there is none. It
//! must be loaded before libtorch is first used; without `unsafe` the way to do that is to start
//! the same program once more with the library in `LD_PRELOAD`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

const LIBRARY: &str = "libtorch_cuda.so";
const PRELOAD: &str = "LD_PRELOAD";

/// Starts the program anew with the CUDA part of libtorch, where this machine has a GPU driver
/// and that part is installed; else, and in the program so started, comes back at once.
pub fn preload() {
    let driver = Path::new("/dev/nvidiactl").exists();
    let before = std::env::var_os(PRELOAD).unwrap_or_default();
    if !driver || before.to_string_lossy().contains(LIBRARY) {
        return;
    }
    if let Some(library) = library() {
        again(&library, before);
    }
}

/// The library in the folders of `LD_LIBRARY_PATH`, then in the one that was built with.
fn library() -> Option<PathBuf> {
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let built_with = option_env!("TORCHLIGHT_LIBTORCH_LIB").map(PathBuf::from);
    let candidates = std::env::split_paths(&folders).chain(built_with);
    candidates.map(|folder| folder.join(LIBRARY)).find(|path| path.is_file())
}

#[cfg(unix)]
fn again(library: &Path, before: OsString) {
    use std::os::unix::process::CommandExt as _;

    let mut preload = library.as_os_str().to_owned();
    if !before.is_empty() {
        preload.push(":");
        preload.push(before);
    }
    let Ok(program) = std::env::current_exe() else { return };
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(PRELOAD, preload)
        .exec();
    eprintln!(
        "torchlight: cannot start with {}: {error}; going on without a GPU",
        library.display()
    );
}

#[cfg(not(unix))]
fn again(_: &Path, _: OsString) {}
