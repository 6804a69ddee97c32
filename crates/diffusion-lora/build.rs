//! Bakes the folder of libtorch into this package's tests and programs as a run path (link
//! arguments do not propagate from `torch-sys`), and into the library as the place to look for
//! its CUDA part.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-env=TORCHLIGHT_LIBTORCH_LIB={lib}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
