//! What can go wrong before any packet is made.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The matrix has other columns than the reference layout.
    #[error(
        "repair reads the reference layout (1088 columns, fingerprint {expected:016x}); found {columns} columns, fingerprint {found:016x}"
    )]
    Layout {
        /// Columns of the matrix.
        columns: usize,
        /// Fingerprint of the reference layout.
        expected: u64,
        /// Fingerprint of the matrix's layout.
        found: u64,
    },
    /// A trace of windows has no window.
    #[error("a trace needs at least one window; found 0")]
    NoWindow,
    /// Addresses, payload or times are to be taken from a source that has another number of
    /// packets than the matrix has rows.
    #[error("{what} come from a source of {found} IP packets, but the matrix has {expected} rows")]
    SourceLength {
        /// What is taken from the source.
        what: &'static str,
        /// Rows that are not padding.
        expected: usize,
        /// IP packets in the source.
        found: usize,
    },
    /// The evidence breaks a rule, and strict mode was asked for
    /// ([`Mode::Strict`](crate::Mode::Strict)).
    #[error(
        "packet {packet} breaks rule \"{rule}\" in field {field}; {cells} cells in all would have to be changed"
    )]
    Refused {
        /// The first rule, in the order in which rules run, that would change a cell.
        rule: &'static str,
        /// The first packet that it would change, counted from 0.
        packet: usize,
        /// nPrint's name of the first field of that packet that it would change.
        field: &'static str,
        /// Cells that all rules together would change, once each rule has run.
        cells: u64,
    },
    /// The first time stamp would not be after 1970-01-01.
    #[error("the first time stamp must be positive; found {start_ns} ns")]
    StartTime {
        /// The configured start. Units: nanoseconds since 1970-01-01.
        start_ns: i64,
    },
    /// A subnet is too small for the hosts of a trace.
    #[error(
        "the {side} subnet of IPv{version} leaves {host_bits} host bits; at least {needed} are needed"
    )]
    Subnet {
        /// Which side, `initiator` or `responder`.
        side: &'static str,
        /// IP version.
        version: u8,
        /// Bits that the prefix leaves.
        host_bits: u8,
        /// Bits that are needed.
        needed: u8,
    },
    /// A timing model's label has nothing to sample from.
    #[error("timing model {label:?}: no stretches")]
    TimingEmpty {
        /// Label of the model.
        label: String,
    },
    /// A timing model's label has a stretch that is not there.
    #[error("timing model {label:?}: no stretch {index} of {stretches}")]
    TimingIndex {
        /// Label of the model.
        label: String,
        /// Which stretch.
        index: usize,
        /// How many there are.
        stretches: usize,
    },
    /// A timing model's file is of another version; `fit_timing` writes the expected one.
    #[error("timing model: version {found}, expected {expected}")]
    TimingVersion {
        /// Version of the file.
        found: u32,
        /// Version that is read.
        expected: u32,
    },
    /// A timing model's file is not JSON of the expected form.
    #[error("timing model: {0}")]
    TimingJson(#[from] serde_json::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
