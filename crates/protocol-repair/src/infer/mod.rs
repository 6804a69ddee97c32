//! What the rows say: headers, flows, directions, constants.

mod around;
mod client_ports;
pub(crate) mod constants;
mod conversations;
pub(crate) mod crowd;
mod dissolve;
mod ends;
pub(crate) mod extension;
pub(crate) mod flow;
pub(crate) mod fragment;
mod habits;
mod initiator;
mod moving;
mod port_noise;
mod ports;
mod repeated;
mod roles;
mod runs;
mod secede;
mod servers;
pub(crate) mod settle;
mod split;
pub(crate) mod stack;
mod trust;
mod weights;
