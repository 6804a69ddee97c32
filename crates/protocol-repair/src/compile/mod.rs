//! Everything that follows from what was decided.

pub(crate) mod addresses;
pub(crate) mod bytes;
pub(crate) mod fragments;
pub(crate) mod icmp;
pub(crate) mod lengths;
pub(crate) mod payload;
pub(crate) mod stamps;
