//! The download of libtorch through pip, into a folder that only appears when it is whole.
//!
//! The wheels are those of one Python version, whichever Python runs pip: only the C++ side is
//! used, and their hashes can be pinned. pip checks each file against its hash before it unpacks.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::libtorch::{io, no_python, python};

/// One wheel of the package index.
pub struct Wheel {
    pub package: &'static str,
    pub version: &'static str,
    pub file: &'static str,
    pub sha256: &'static str,
}

/// torch, and the two of its dependencies that `libtorch_cpu.so` is linked to.
pub const WHEELS: [Wheel; 3] = [
    Wheel {
        package: "torch",
        version: "2.11.0",
        file: "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    },
    Wheel {
        package: "nvidia-cuda-runtime",
        version: "13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    },
    Wheel {
        package: "nvidia-cuda-cupti",
        version: "13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
];

/// Bytes of the three wheels together.
const DOWNLOAD_BYTES: u64 = 544_000_000;
const MEGABYTE: u64 = 1_000_000;
/// Older pip does not widen a platform by itself: every tag that one of the wheels carries.
const PLATFORMS: [&str; 4] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
];

/// Fetches the wheels into a folder beside `folder`, lets `seal` verify it, and renames it.
///
/// What an interrupted run left is removed first; the caller holds the lock.
pub fn fetch(root: &Path, folder: &Path, seal: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if (os, arch) != ("linux", "x86_64") {
        return Err(Failure::Platform { os, arch });
    }
    let part = root.join(".libtorch.part");
    remove(&part)?;
    // A folder of its own: the pip of a run that was killed may still be writing to its own.
    let own = part.join(std::process::id().to_string());
    let (site, scratch) = (own.join("site"), own.join("scratch"));
    fs::create_dir_all(&scratch).map_err(io("create", &scratch))?;
    let done = download(&own, &site, &scratch)
        .and_then(|()| seal(&site))
        .and_then(|()| fs::rename(&site, folder).map_err(io("rename the download to", folder)));
    let removed = remove(&part);
    done.and(removed)
}

fn download(part: &Path, site: &Path, scratch: &Path) -> Result<()> {
    let requirements = part.join("requirements.txt");
    let lines =
        WHEELS.map(|w| format!("{}=={} --hash=sha256:{}\n", w.package, w.version, w.sha256));
    fs::write(&requirements, lines.concat()).map_err(io("write", &requirements))?;
    let log_path = part.join("pip.log");
    let log = File::create(&log_path).map_err(io("create", &log_path))?;
    let log_too = log.try_clone().map_err(io("write", &log_path))?;
    let mut pip = pip(part)?;
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-cache-dir", "--no-compile", "--no-deps", "--only-binary=:all:"])
        .args(["--retries", "3", "--require-hashes", "--implementation", "cp"])
        .args(["--python-version", "3.12"])
        .args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]))
        .arg("--target")
        .arg(site)
        .arg("--requirement")
        .arg(&requirements)
        // Unpacked beside its target, it is renamed and not copied, and a small /tmp is enough.
        .env("TMPDIR", scratch)
        // A user's own settings that contradict --target.
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too);
    eprintln!("libtorch: fetching torch {} for the CPU, once, 544 MB", WHEELS[0].version);
    let child = pip.spawn().map_err(|_| no_python())?;
    if watch(child, part)?.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log_path).unwrap_or_default();
    Err(Failure::Download { said: said.trim().to_owned() })
}

/// A python that has pip: the user's, or a throw-away environment made with it.
fn pip(part: &Path) -> Result<Command> {
    let has_pip = python().args(["-m", "pip", "--version"]).output().map_err(|_| no_python())?;
    if has_pip.status.success() {
        return Ok(python());
    }
    let environment = part.join("environment");
    let made = python().args(["-m", "venv"]).arg(&environment).output().map_err(|_| no_python())?;
    if made.status.success() {
        return Ok(Command::new(environment.join("bin/python")));
    }
    Err(Failure::Missing {
        program: "pip".into(),
        needed_for: "to fetch libtorch, and python3 cannot make an environment that has it",
        provide: "On Debian and Ubuntu: apt install python3-pip. Or export LIBTORCH=FOLDER with \
                  torch 2.11's lib/ and include/",
    })
}

/// Waits for pip and shows how far it is, by what lies on disk.
fn watch(mut child: Child, part: &Path) -> Result<ExitStatus> {
    let terminal = std::io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    let (started, mut shown) = (Instant::now(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().map_err(io("wait for pip in", part))? {
            if terminal {
                eprint!("\r\x1b[K");
            }
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(200));
        if shown.elapsed() < every {
            continue;
        }
        shown = Instant::now();
        let (bytes, seconds) = (bytes_below(part), started.elapsed().as_secs());
        let line = if bytes < DOWNLOAD_BYTES {
            let (here, all) = (bytes.div_euclid(MEGABYTE), DOWNLOAD_BYTES.div_euclid(MEGABYTE));
            format!("libtorch: {here} of {all} MB after {seconds} s")
        } else {
            format!("libtorch: unpacking after {seconds} s")
        };
        if terminal {
            eprint!("\r\x1b[K{line}");
            // A progress line that cannot be shown is no reason to stop.
            std::io::stderr().flush().unwrap_or_default();
        } else {
            eprintln!("{line}");
        }
    }
}

/// Bytes of all files below a folder that is changing: what has just gone counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let mut folders = vec![PathBuf::from(folder)];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}
