#![doc = include_str!("../README.md")]

mod checksum;
mod dissect;
mod encode;
mod error;
mod field;
mod layout;
mod matrix;
mod trace;

pub use checksum::Checksum;
pub use dissect::{Dissection, IpVersion, TransportKind, dissect};
pub use encode::{RowPolicy, encode, takes};
pub use error::{Error, Result};
pub use field::{Field, Header, icmp, ipv4, ipv6, tcp, udp};
pub use layout::{Layout, Segment};
pub use matrix::{Cell, Row, RowMut, SoftMatrix, TernaryMatrix};
pub use trace::{Labels, LinkType, Packet, Trace};
