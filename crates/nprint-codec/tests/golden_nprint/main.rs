//! What the C++ tool printed, byte for byte. The folder's README says where it comes from.
//!
//! `TORCHLIGHT_GOLDENS=DIR` takes `DIR/nprint` instead: the manifest there says which cases run. The
//! arguments of each case go through [`NprintArgs`](nprint_codec::NprintArgs), which is what the
//! command line of `torchlight nprint` is read with.

mod forward;
mod hexadecimal;
mod manifest;
mod quirks;
mod reverse;
mod stated;
