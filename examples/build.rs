//! Bakes the folder of libtorch into this package's programs: as a run path (link arguments do
//! not propagate from `torch-sys`), and as text, to look for its CUDA part.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
