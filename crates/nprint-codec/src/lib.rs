#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod capture;
mod checksum;
mod csv;
mod decode;
mod dissect;
mod encode;
mod error;
mod field;
mod filter;
mod flow;
mod hex;
mod layers;
mod layout;
mod link;
mod matrix;
mod nprint_args;
mod npy;
mod selection;
mod statistics;
mod trace;
mod wireless;

pub use capture::{
    CaptureFormat, CaptureReader, CaptureWriter, CapturedPacket, Losses, Salvage, read_capture,
    read_capture_from, read_capture_lossy, read_capture_lossy_from, salvage_capture,
    salvage_capture_from, write_capture, write_capture_as, write_capture_to, write_capture_with,
};
pub use checksum::Checksum;
pub use csv::{
    CsvIndex, CsvOptions, CsvReader, CsvRow, CsvTable, CsvWriter, read_csv, read_csv_from,
    write_csv, write_matrix_csv,
};
#[cfg(feature = "polars")]
pub use csv::{read_parquet, read_parquet_from, write_parquet};
pub use decode::{RowDecoder, decode, decode_into};
pub use dissect::{Dissection, IpVersion, TransportKind, dissect, dissect_through};
pub use encode::{RowEncoder, RowPolicy, encode, encode_into, takes};
pub use error::{Error, Place, Result};
pub use field::{
    Field, Header, ethernet, icmp, ipv4, ipv6, payload, radiotap, tcp, udp, vlan, wlan,
};
pub use filter::PacketFilter;
pub use flow::{Flow, FlowKey, flows};
pub use hex::{HexPacket, HexReader, write_hex_csv};
pub use layers::{Layer, Layers};
pub use layout::{Layout, Segment};
pub use matrix::{Cell, Row, RowMut, SoftMatrix, TernaryMatrix};
pub use nprint_args::NprintArgs;
pub use npy::{NpyForm, NpyReader, NpyWriter, read_npy, write_npy};
pub use selection::{Selection, Selector};
pub use statistics::HeaderStatistics;
pub use trace::{Labels, LinkType, Packet, Trace};
