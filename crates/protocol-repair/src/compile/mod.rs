//! Everything that follows from what was decided.

mod addresses;
mod capture;
mod checksums;
pub(crate) mod fragments;
pub(crate) mod icmp;
pub(crate) mod lengths;
mod messages;
pub(crate) mod payload;
mod sack;
mod segments;
mod source;
pub(crate) mod stamps;
mod streams;

pub(crate) use capture::compile;
pub(crate) use source::dissect_all;
