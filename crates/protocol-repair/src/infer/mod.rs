//! What the rows say: headers, flows, directions, constants.

pub(crate) mod constants;
pub(crate) mod crowd;
pub(crate) mod flow;
pub(crate) mod fragment;
mod ports;
pub(crate) mod settle;
pub(crate) mod stack;
mod trust;
