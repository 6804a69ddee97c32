//! The codec once more, byte by byte and cell by cell: slow, short, and the same in every bit.
//! The laws compare the fast paths with it, and the benches take their "before" from it.

pub mod capture;
pub mod csv;
pub mod matrix;
