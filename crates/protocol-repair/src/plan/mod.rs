//! The legal course of events that agrees with the evidence best.

pub(crate) mod flags;
pub(crate) mod ids;
pub(crate) mod numbers;
pub(crate) mod options;
mod stream;
