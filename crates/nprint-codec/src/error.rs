//! What can go wrong, with the place where it did.

use crate::{Header, LinkType};
use std::fmt;
use std::io;

/// A place in a capture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path or other name of the file.
    pub file: String,
    /// The packet that was being read, counted from 1; 0 in front of the first record.
    pub packet: usize,
    /// Offset of the record or block, in the uncompressed file. Units: bytes.
    pub offset_bytes: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packet {
            0 => write!(f, "{}, byte {}", self.file, self.offset_bytes),
            packet => write!(f, "{}, packet {packet}, byte {}", self.file, self.offset_bytes),
        }
    }
}

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layout names a field twice.
    #[error("field {field} comes twice in the layout")]
    LayoutRepeatsField {
        /// nPrint's name of the field.
        field: &'static str,
    },
    /// Fields next to each other do not fill whole bytes.
    #[error("the layout takes {bits} bits from bit {bit} of the {} header; runs must be whole bytes", header.name())]
    LayoutNotByteAligned {
        /// The header that the run comes from.
        header: Header,
        /// First bit of the run in the header.
        bit: usize,
        /// Length of the run in bits.
        bits: usize,
    },
    /// More payload columns than a layout can hold.
    #[error(
        "{bytes} bytes of payload columns; a layout holds at most {}",
        crate::payload::MAX_BYTES
    )]
    PayloadTooWide {
        /// The number asked for.
        bytes: usize,
    },
    /// The number of confidences differs from the number of cells.
    #[error("a soft matrix needs one confidence a cell: expected {expected}, found {found}")]
    ConfidenceLength {
        /// Number of cells.
        expected: usize,
        /// Number of confidences.
        found: usize,
    },
    /// Cells that make no whole rows.
    #[error("{found} cells make no whole rows of {columns} columns")]
    CellCount {
        /// Width of a row.
        columns: usize,
        /// Number of cells.
        found: usize,
    },
    /// A number that is no cell.
    #[error("row {row}, column {column}: {found}, expected -1, 0 or 1")]
    CellValue {
        /// The row, from 1.
        row: usize,
        /// The column, from 1.
        column: usize,
        /// The number.
        found: i8,
    },
    /// A file that is no array file, or not one of a matrix of this layout.
    #[error(
        "{file}: {found:?} is no header of a matrix of {columns} columns; expected NumPy's format 1.0 with '|i1' of shape (rows, {columns}), or '|u1' of shape (rows, 2, {}), in C order",
        columns >> 3
    )]
    NpyHeader {
        /// Path or other name of the file.
        file: String,
        /// What stands in the header's place.
        found: String,
        /// Columns of the layout.
        columns: usize,
    },
    /// An array file that ends before its last row.
    #[error(
        "{file}: row {row} of {rows} has {found} bytes, expected {expected} as its header says"
    )]
    NpyLength {
        /// Path or other name of the file.
        file: String,
        /// Rows by the header.
        rows: usize,
        /// The row that is incomplete, from 1.
        row: usize,
        /// Bytes of a row.
        expected: usize,
        /// Bytes that the file still has for this one.
        found: usize,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// `open`, `read`, `write` …
        action: &'static str,
        /// Path or other name of the file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file has no byte.
    #[error("{file} is empty; a capture has at least a header of 24 bytes")]
    EmptyFile {
        /// Path or other name of the file.
        file: String,
    },
    /// The file starts with no magic number of a capture.
    #[error(
        "{file} is not a capture: it starts with {found:02x?}, expected a1b2c3d4 or a1b23c4d in \
         either byte order (pcap), 0a0d0d0a (pcapng), or gzip, zstd or xz of one"
    )]
    NotACapture {
        /// Path or other name of the file.
        file: String,
        /// The first bytes, at most 4.
        found: Vec<u8>,
    },
    /// The file ends inside a header, record or block.
    #[error(
        "{place}: the file ends inside a {what}: {expected_bytes} bytes expected ({expected_by}), {found_bytes} left"
    )]
    Truncated {
        /// Where the record starts.
        place: Place,
        /// What is incomplete.
        what: &'static str,
        /// Where the expectation comes from.
        expected_by: &'static str,
        /// The record's full size. Units: bytes.
        expected_bytes: u64,
        /// What the file still has. Units: bytes.
        found_bytes: u64,
    },
    /// A pcapng block that breaks the format.
    #[error(
        "{place}: pcapng block of type {block_type:#x}: {expected} (IETF draft-ietf-opsawg-pcapng section 3.1 and 4)"
    )]
    MalformedBlock {
        /// Where the block starts.
        place: Place,
        /// The block's type.
        block_type: u32,
        /// The rule that it breaks.
        expected: &'static str,
    },
    /// A packet of an interface that no block has described.
    #[error(
        "{place}: a packet of interface {interface}, but {declared} interfaces are described before it"
    )]
    UnknownInterface {
        /// Where the packet's block starts.
        place: Place,
        /// The interface's number, from 0.
        interface: u32,
        /// Number of interfaces described so far in this section.
        declared: usize,
    },
    /// A trace has one link type; this file has several.
    #[error("{place}: link type {} after {}; a trace has one link type", second.number(), first.number())]
    MixedLinkTypes {
        /// Where the first packet of the second link type is.
        place: Place,
        /// Link type of the packets before.
        first: LinkType,
        /// Link type of this packet.
        second: LinkType,
    },
    /// A time that does not fit 64-bit nanoseconds since 1970.
    #[error(
        "{place}: a time of {ticks} units of 1/{units_per_second} s does not fit 64-bit nanoseconds since 1970"
    )]
    TimeOutOfRange {
        /// Where the packet's block starts.
        place: Place,
        /// The stored number.
        ticks: u64,
        /// The interface's resolution. Units: 1/s.
        units_per_second: u64,
    },
    /// A record or block that states more bytes than any writer puts into one.
    #[error(
        "{place}: a {what} of {stated_bytes} bytes is stated; none is longer than {limit_bytes}, so the length is damaged"
    )]
    RecordTooLong {
        /// Where the record starts.
        place: Place,
        /// Record or block.
        what: &'static str,
        /// The stated size. Units: bytes.
        stated_bytes: u64,
        /// The most that is believed. Units: bytes.
        limit_bytes: u64,
    },
    /// A record header that no writer makes; looked for where damage is expected.
    #[error("{place}: the record header says {what} {found}, expected {expected}")]
    ImplausibleRecord {
        /// Where the record starts.
        place: Place,
        /// The field.
        what: &'static str,
        /// What it holds.
        found: u32,
        /// What it may hold.
        expected: &'static str,
    },
    /// Damaged compressed data.
    #[error(
        "{file}: {format} data is damaged after {decompressed_bytes} bytes of the capture: {source}"
    )]
    Decompression {
        /// Path or other name of the file.
        file: String,
        /// gzip, zstd or xz.
        format: &'static str,
        /// Bytes that could be decompressed.
        decompressed_bytes: u64,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A compressed file whose format this build cannot read.
    #[error(
        "{file} is compressed with {format}; this build lacks feature `{format}`, which reads it"
    )]
    CompressionNotBuilt {
        /// Path or other name of the file.
        file: String,
        /// The format, and the name of the cargo feature.
        format: &'static str,
    },
    /// A time that the format cannot hold: seconds of pcap are an unsigned 32-bit number, and
    /// pcapng counts from 1970 on.
    #[error("packet {packet} is at {time_ns} ns; {format} holds {range}")]
    TimeNotWritable {
        /// pcap or pcapng.
        format: &'static str,
        /// The times that it holds.
        range: &'static str,
        /// The packet, counted from 1.
        packet: usize,
        /// Its time. Units: nanoseconds since 1970.
        time_ns: i64,
    },
    /// A data frame or a Parquet file that cannot be made, written or read.
    #[cfg(feature = "polars")]
    #[error("cannot {action} {file}: {source}")]
    Table {
        /// `make`, `write` or `read`.
        action: &'static str,
        /// Path or other name of the file.
        file: String,
        /// What polars said.
        source: Box<polars::error::PolarsError>,
    },
    /// A Parquet file in which the reader came to a halt.
    #[error("{file} is damaged: the reader of Parquet stopped with {reason:?}")]
    DamagedTable {
        /// Path or other name of the file.
        file: String,
        /// What it said.
        reason: String,
    },
    /// A column of a table that is of another type.
    #[error("{file}, column {name}: values of type {found}, expected {expected}")]
    TableColumn {
        /// Path or other name of the table.
        file: String,
        /// Name of the column.
        name: String,
        /// The type.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// A cell of a table that is no bit.
    #[error("{file}, row {row}, column {name}: {found}, expected {expected}")]
    TableCell {
        /// Path or other name of the table.
        file: String,
        /// The row, from 1.
        row: usize,
        /// Name of the column.
        name: String,
        /// What the cell holds.
        found: f64,
        /// What it may hold.
        expected: &'static str,
    },
    /// Columns that are not the ones that were written.
    #[error(
        "{file}: its columns make a layout of fingerprint {found:016x}; {stored:016x} is stored beside them"
    )]
    LayoutFingerprint {
        /// Path or other name of the file.
        file: String,
        /// Of the layout that was written.
        stored: u64,
        /// Of the layout that was read.
        found: u64,
    },
    /// No column of a CSV file is a header bit.
    #[error(
        "{file}: none of the {columns} columns is a bit of a known header; expected nPrint's names such as {}",
        "ipv4_ttl_0"
    )]
    CsvUnknownLayout {
        /// Path or other name of the file.
        file: String,
        /// Number of columns.
        columns: usize,
    },
    /// A CSV file has some bits of a field only, or a bit twice.
    #[error("{file}, column {column}: field {field} needs each of its {bits} bits once; bit {bit} is {}", if *repeated { "repeated" } else { "missing" })]
    CsvField {
        /// Path or other name of the file.
        file: String,
        /// nPrint's name of the field.
        field: String,
        /// Width of the field. Units: bits.
        bits: usize,
        /// The bit in question, from 0.
        bit: usize,
        /// Whether it comes twice; else it is missing.
        repeated: bool,
        /// Column of the file, from 1, of this or the field's first bit.
        column: usize,
    },
    /// The fields of a CSV file make no layout.
    #[error("{file}: {source}")]
    CsvLayout {
        /// Path or other name of the file.
        file: String,
        /// Why not.
        source: Box<Error>,
    },
    /// A CSV row has another number of cells than the header line.
    #[error("{file}, line {line}: {found} cells, expected {expected} as in line 1")]
    CsvRowLength {
        /// Path or other name of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Cells of the header line.
        expected: usize,
        /// Cells of this line.
        found: usize,
    },
    /// A line of a CSV file that does not end.
    #[error("{file}, line {line}: no line end within {limit_bytes} bytes; this is no nPrint CSV")]
    CsvLineTooLong {
        /// Path or other name of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The longest line that is read. Units: bytes.
        limit_bytes: usize,
    },
    /// A CSV cell that is no bit.
    #[error("{file}, line {line}, column {column} ({name}): {found:?}, expected {expected}")]
    CsvCell {
        /// Path or other name of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column of the file, from 1.
        column: usize,
        /// Name of the column.
        name: String,
        /// What the cell holds.
        found: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A filter expression that is none.
    #[error(
        "filter {expression:?}, column {column}: {}, expected {expected}",
        if found.is_empty() { "it ends here".to_owned() } else { format!("found {found:?}") }
    )]
    Filter {
        /// The whole expression.
        expression: String,
        /// Where it goes wrong, in characters from 1.
        column: usize,
        /// The word there; empty at the end.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// A text that names no flow.
    #[error("flow {text:?}: expected {expected}, as in 10.0.0.1_10.0.0.2_53_51202_UDP")]
    FlowText {
        /// The text.
        text: String,
        /// What would do.
        expected: &'static str,
    },
    /// A line of a CSV file of packets in hexadecimal digits that holds none.
    #[error("{file}, line {line}: {found}, expected {expected}")]
    HexLine {
        /// Path or other name of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is there.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// No layer has this name.
    #[error(
        "{name:?} is no layer; expected one of {}",
        crate::Layer::ALL.map(crate::Layer::name).join(", ")
    )]
    UnknownLayer {
        /// The name.
        name: String,
    },
    /// A command line that nPrint would not take.
    #[error("nPrint argument {argument:?}: expected {expected}")]
    NprintArgument {
        /// The argument.
        argument: String,
        /// What would do.
        expected: &'static str,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
