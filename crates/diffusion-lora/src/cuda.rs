//! Making libtorch's CUDA part known to a program that does not link it.
//!
//! Linking `libtorch_cuda.so` would make every program unable to start on a machine without
//! NVIDIA's libraries, and the linker leaves it out anyway, as no symbol of it is used. So it is
//! opened at run time: its initialisers register the CUDA device with libtorch.

use std::sync::OnceLock;

use tch::Device;

/// The first GPU that libtorch sees, else the CPU.
///
/// Opens libtorch's CUDA part the first time; call it before any other use of a GPU.
///
/// ```
/// let device = diffusion_lora::cuda::device_if_available();
/// assert!(device == tch::Device::Cpu || device.is_cuda());
/// ```
pub fn device_if_available() -> Device {
    if gpu_count() > 0 { Device::Cuda(0) } else { Device::Cpu }
}

/// Number of GPUs that libtorch sees, after its CUDA part was opened.
pub fn gpu_count() -> usize {
    if load() { tch::Cuda::device_count().max(0) as usize } else { 0 }
}

/// Opens `libtorch_cuda.so`, by name (`LD_LIBRARY_PATH`) and then in the folder that this program was
/// built against; false where neither can be opened, e.g. without NVIDIA's libraries.
fn load() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    *LOADED.get_or_init(|| {
        let name = "libtorch_cuda.so";
        let built_against =
            option_env!("TORCHLIGHT_LIBTORCH_LIB").map(|lib| format!("{lib}/{name}"));
        [Some(name.to_owned()), built_against].into_iter().flatten().any(|path| open(&path))
    })
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // opening a library runs its initialisers, which no signature can vouch for
fn open(path: &str) -> bool {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is libtorch's own, of the version this crate is built for, and its
    // initialisers only register kernels with the libtorch that is loaded already.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            // Never closed: libtorch keeps pointers into it.
            std::mem::forget(library);
            true
        }
        Err(error) => {
            tracing::debug!(path, %error, "libtorch's CUDA part cannot be opened");
            false
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open(_path: &str) -> bool {
    false
}
