//! The legal course of events that agrees with the evidence best.

mod acks;
mod astray;
pub(crate) mod bases;
mod beam;
pub(crate) mod candidates;
mod course;
pub(crate) mod flags;
mod holes;
pub(crate) mod ids;
pub(crate) mod ip_options;
mod known;
pub(crate) mod numbers;
pub(crate) mod options;
mod place;
pub(crate) mod push;
mod reach;
pub(crate) mod segment;
mod sequence;
pub(crate) mod strays;
pub(crate) mod stream;
pub(crate) mod windows;
