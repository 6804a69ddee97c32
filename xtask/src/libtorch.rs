//! Where libtorch comes from: what the user names, or `.libtorch` in the workspace.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::fetch::{self, WHEELS};

/// The release series that the bindings are made for.
const SERIES: &str = "2.11";
/// Written into `.libtorch` once its files have been verified; names what was verified.
const STAMP: &str = "torchlight-verified";

/// Makes sure that a libtorch is there, and says which.
pub fn ensure(root: &Path) -> Result<()> {
    compiler()?;
    let folder = root.join(".libtorch");
    // `.cargo/config.toml` gives LIBTORCH to this program too: only another value is the user's.
    let exported =
        std::env::var_os("LIBTORCH").filter(|path| Path::new(path) != folder.join("torch"));
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        let version = pytorch_version()?;
        check_series("LIBTORCH_USE_PYTORCH", &version)?;
        eprintln!("libtorch: {version} of the python3 in PATH (LIBTORCH_USE_PYTORCH)");
        Ok(())
    } else if let Some(path) = exported {
        let version = provided_version(Path::new(&path))?;
        check_series("LIBTORCH", &version)?;
        eprintln!("libtorch: {version} in {} (LIBTORCH)", path.display());
        Ok(())
    } else {
        own(root, &folder)
    }
}

/// `.libtorch`: verified before, put there by hand, or fetched now.
fn own(root: &Path, folder: &Path) -> Result<()> {
    if verified(folder) {
        eprintln!("libtorch: {} in {}", WHEELS[0].version, folder.display());
        return Ok(());
    }
    let lock_path = root.join(".libtorch.lock");
    let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
    if lock.try_lock().is_err() {
        eprintln!("libtorch: another run is fetching it; waiting");
        lock.lock().map_err(io("lock", &lock_path))?;
        if verified(folder) {
            return Ok(());
        }
    }
    if folder.join("torch").is_dir() {
        eprintln!("libtorch: {} is there, but not verified yet", folder.display());
        seal(folder)?;
    } else {
        if folder.exists() {
            let problem = "there is no torch folder in it".into();
            return Err(Failure::Broken { folder: folder.into(), problem });
        }
        fetch::fetch(root, folder, seal)?;
    }
    eprintln!("libtorch: ready in {}", folder.display());
    Ok(())
}

/// Verifies the files of unpacked wheels and leaves the two marks: the version file that the
/// bindings' build reads, and the stamp.
fn seal(folder: &Path) -> Result<()> {
    let torch = folder.join("torch");
    let version = version_py(&torch).ok_or_else(|| Failure::Broken {
        folder: folder.into(),
        problem: "torch/version.py has no version".into(),
    })?;
    let plain = version.split('+').next().unwrap_or_default();
    if plain != WHEELS[0].version {
        let problem = format!("it is torch {version}, not {}", WHEELS[0].version);
        return Err(Failure::Broken { folder: folder.into(), problem });
    }
    let requirements = WHEELS.iter().map(|w| format!("{}=={}", w.package, w.version));
    let output = python()
        .args(["-c", include_str!("verify.py")])
        .arg(folder)
        .args(requirements)
        .output()
        .map_err(|_| no_python())?;
    if !output.status.success() {
        let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::Broken { folder: folder.into(), problem });
    }
    eprintln!("libtorch: verified, {}", String::from_utf8_lossy(&output.stdout).trim());
    let build_version = torch.join("build-version");
    fs::write(&build_version, plain).map_err(io("write", &build_version))?;
    let stamp = folder.join(STAMP);
    fs::write(&stamp, stamp_text()).map_err(io("write", &stamp))
}

/// Whether the stamp is ours and the files the linker needs have not gone since.
fn verified(folder: &Path) -> bool {
    let stamped = fs::read_to_string(folder.join(STAMP)).is_ok_and(|text| text == stamp_text());
    stamped
        && ["torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/build-version"]
            .iter()
            .all(|file| folder.join(file).is_file())
}

fn stamp_text() -> String {
    WHEELS.map(|w| format!("{} sha256 {}\n", w.file, w.sha256)).concat()
}

/// The version of the torch in a folder the user names.
fn provided_version(torch: &Path) -> Result<String> {
    let provided = |problem| Failure::Provided { variable: "LIBTORCH", problem };
    let lib = std::env::var_os("LIBTORCH_LIB").map_or_else(|| torch.to_path_buf(), PathBuf::from);
    let library = lib.join("lib").join(library_name());
    if !library.is_file() {
        return Err(provided(format!("{} does not exist", library.display())));
    }
    let build_version = fs::read_to_string(torch.join("build-version")).ok();
    build_version.or_else(|| version_py(torch)).map(|text| text.trim().to_owned()).ok_or_else(
        || {
            provided(format!(
                "neither build-version nor version.py in {} says its version",
                torch.display()
            ))
        },
    )
}

fn library_name() -> &'static str {
    match std::env::consts::OS {
        "macos" => "libtorch_cpu.dylib",
        "windows" => "torch_cpu.dll",
        _ => "libtorch_cpu.so",
    }
}

/// `__version__` in a wheel's `torch/version.py`.
fn version_py(torch: &Path) -> Option<String> {
    let text = fs::read_to_string(torch.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(|c| c == '\'' || c == '"').to_owned())
}

fn pytorch_version() -> Result<String> {
    let output = python()
        .args(["-c", "import torch; print(torch.__version__)"])
        .output()
        .map_err(|_| no_python())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let problem = format!("`import torch` failed: {}", said.lines().last().unwrap_or_default());
    Err(Failure::Provided { variable: "LIBTORCH_USE_PYTORCH", problem })
}

fn check_series(variable: &'static str, version: &str) -> Result<()> {
    if version == SERIES || version.strip_prefix(SERIES).is_some_and(|rest| rest.starts_with('.')) {
        return Ok(());
    }
    let problem = format!("that is torch {version}, and {SERIES} is needed");
    Err(Failure::Provided { variable, problem })
}

/// The bindings compile a little C++: better to miss the compiler before a long download.
fn compiler() -> Result<()> {
    let program = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let name = program.split_whitespace().next().unwrap_or("c++");
    match Command::new(name).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Failure::Missing {
            program: format!("A C++ compiler (`{name}`)"),
            needed_for: "to build the bindings to libtorch",
            provide: "On Debian and Ubuntu: apt install g++",
        }),
    }
}

/// The interpreter that the bindings' build would ask too.
pub fn python() -> Command {
    let active = std::env::var_os("VIRTUAL_ENV").is_some();
    Command::new(OsStr::new(if active { "python" } else { "python3" }))
}

pub fn no_python() -> Failure {
    Failure::Missing {
        program: "python3".into(),
        needed_for: "to fetch and verify libtorch",
        provide: "Install it, or export LIBTORCH=FOLDER with torch 2.11's lib/ and include/",
    }
}

/// Names the file in an error of the operating system.
pub fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let path = path.to_path_buf();
    move |source| Failure::Io { what, path, source }
}
