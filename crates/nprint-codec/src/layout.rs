//! Which columns a matrix has, and in which order.

use crate::{Field, Header};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A run of consecutive columns taken from one header.
///
/// Every segment starts and ends on a byte of the header, so that a row is filled by copying
/// header bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Segment {
    /// The header that the bits come from.
    pub header: Header,
    /// First byte of the header that is covered. Units: bytes.
    pub header_offset_bytes: usize,
    /// Length. Units: bytes.
    pub length_bytes: usize,
    /// First column.
    pub column: usize,
}

/// The ordered columns of a [`TernaryMatrix`](crate::TernaryMatrix).
///
/// A layout is built once and shared (`Arc`); two layouts with the same columns are equal.
///
/// # Layout
/// The reference layout has 1088 = 17 × 64 columns, nPrint's 1408 less the address fields:
/// ```text
/// column   0        416     480        960    1024   1088
///          | ipv4 416 | ipv6 64 | tcp 480 | udp 64 | icmp 64 |
/// ```
///
/// # Example
/// ```
/// use nprint_codec::{Layout, tcp};
/// let layout = Layout::reference();
/// assert_eq!(layout.columns(), 1088);
/// assert_eq!(layout.column_of(tcp::SEQ), Some(480 + 32));
/// assert_eq!(layout.column_name(512), Some("tcp_seq_0".to_owned()));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Layout {
    segments: Vec<Segment>,
    fields: Vec<(Field, usize)>,
    columns: usize,
    /// First column of each field by id; `u32::MAX` where the layout lacks the field.
    starts: [u32; Field::COUNT],
}

impl Layout {
    /// Builds a layout from whole fields, in the given order.
    ///
    /// # Errors
    /// [`Error::LayoutNotByteAligned`](crate::Error::LayoutNotByteAligned) where a run of
    /// neighbouring fields does not start and end on a byte;
    /// [`Error::LayoutRepeatsField`](crate::Error::LayoutRepeatsField) where a field comes twice.
    pub fn from_fields(fields: &[Field]) -> crate::Result<Self> {
        let mut starts = [u32::MAX; Field::COUNT];
        let mut placed = Vec::with_capacity(fields.len());
        let mut runs: Vec<(Header, usize, usize, usize)> = Vec::new(); // header, bit, bits, column
        let mut columns = 0;
        for field in fields {
            let slot = &mut starts[usize::from(field.id)];
            if *slot != u32::MAX {
                return Err(crate::Error::LayoutRepeatsField { field: field.name });
            }
            *slot = columns as u32;
            placed.push((*field, columns));
            let (offset, bits) = (usize::from(field.offset_bits), usize::from(field.bits));
            match runs.last_mut() {
                Some((header, bit, run, _)) if *header == field.header && *bit + *run == offset => {
                    *run += bits;
                }
                _ => runs.push((field.header, offset, bits, columns)),
            }
            columns += bits;
        }
        let mut segments = Vec::with_capacity(runs.len());
        for (header, bit, bits, column) in runs {
            if bit % 8 != 0 || bits % 8 != 0 {
                return Err(crate::Error::LayoutNotByteAligned { header, bit, bits });
            }
            segments.push(Segment {
                header,
                header_offset_bytes: bit >> 3,
                length_bytes: bits >> 3,
                column,
            });
        }
        Ok(Self { segments, fields: placed, columns, starts })
    }

    /// The reference layout: every field but the addresses, 1088 columns.
    pub fn reference() -> Arc<Self> {
        static REFERENCE: LazyLock<Arc<Layout>> = LazyLock::new(|| {
            let fields: Vec<Field> = Header::ALL
                .iter()
                .flat_map(|h| h.fields())
                .filter(|f| !f.name.ends_with("_src") && !f.name.ends_with("_dst"))
                .copied()
                .collect();
            Arc::new(Layout::from_fields(&fields).expect("the address fields are whole bytes"))
        });
        REFERENCE.clone()
    }

    /// Whole headers in the order of [`Header::WIRE_ORDER`], whatever that of `headers`, and the
    /// first `payload_bytes` bytes of payload last.
    ///
    /// # Errors
    /// [`Error::PayloadTooWide`](crate::Error::PayloadTooWide) above
    /// [`payload::MAX_BYTES`](crate::payload::MAX_BYTES).
    pub fn with_payload(headers: &[Header], payload_bytes: usize) -> crate::Result<Self> {
        let payload = crate::payload::field(payload_bytes);
        if payload.is_none() && payload_bytes > 0 {
            return Err(crate::Error::PayloadTooWide { bytes: payload_bytes });
        }
        let fields = Self::of_headers(headers).fields.into_iter().map(|(f, _)| f);
        Self::from_fields(&fields.chain(payload).collect::<Vec<_>>())
    }

    /// Whole headers in the order of [`Header::WIRE_ORDER`], whatever that of `headers`;
    /// [`Header::Payload`] needs a length, see [`with_payload`](Self::with_payload).
    pub fn of_headers(headers: &[Header]) -> Self {
        let fields: Vec<Field> = Header::WIRE_ORDER
            .iter()
            .filter(|h| headers.contains(h))
            .flat_map(|h| h.fields())
            .copied()
            .collect();
        Self::from_fields(&fields).expect("headers are whole bytes and each comes once")
    }

    /// Number of columns. Units: bits.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// `u64` words that one bit plane of a row takes.
    pub fn words(&self) -> usize {
        self.columns.div_ceil(64)
    }

    /// The runs of header bytes, in column order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// First column of `field`, or `None` where the layout lacks it.
    #[inline]
    pub fn column_of(&self, field: Field) -> Option<usize> {
        let start = self.starts[usize::from(field.id)];
        let here = start != u32::MAX && (field.header != Header::Payload || self.has(field));
        here.then_some(start as usize)
    }

    fn has(&self, field: Field) -> bool {
        self.fields.iter().any(|(f, _)| *f == field)
    }

    /// The fields with their first column, in column order.
    pub fn fields(&self) -> impl Iterator<Item = (Field, usize)> + '_ {
        self.fields.iter().copied()
    }

    /// The field that `column` belongs to and the bit of it, most significant first.
    pub fn field_at(&self, column: usize) -> Option<(Field, usize)> {
        self.fields()
            .find(|(f, start)| (*start..*start + usize::from(f.bits)).contains(&column))
            .map(|(f, start)| (f, column - start))
    }

    /// nPrint's name of a column, e.g. `ipv4_ttl_7`.
    pub fn column_name(&self, column: usize) -> Option<String> {
        self.field_at(column).map(|(f, bit)| format!("{}_{bit}", f.name))
    }

    /// A number that is the same for the same columns in every build (64-bit FNV-1a over field
    /// names and widths), stored beside data so that a file can be checked when it is read back.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |byte: u8| {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        };
        for (field, _) in self.fields() {
            field.name.bytes().for_each(&mut eat);
            field.bits.to_le_bytes().into_iter().for_each(&mut eat);
        }
        hash
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("columns", &self.columns)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{icmp, ipv4, ipv6, udp};

    #[test]
    fn reference_layout_has_the_documented_columns() {
        let layout = Layout::reference();
        assert_eq!((layout.columns(), layout.words()), (1088, 17));
        let starts = [ipv4::VERSION, ipv6::VERSION, crate::tcp::SOURCE_PORT, udp::SOURCE_PORT];
        assert_eq!(starts.map(|f| layout.column_of(f)), [Some(0), Some(416), Some(480), Some(960)]);
        assert_eq!(layout.column_of(icmp::REST), Some(1056));
        assert_eq!(layout.column_of(ipv4::SOURCE), None);
        assert_eq!(layout.column_of(ipv4::OPTIONS), Some(96));
    }

    #[test]
    fn every_column_has_one_name() {
        let layout = Layout::of_headers(&Header::ALL);
        assert_eq!(layout.columns(), 1408);
        let mut names: Vec<_> = (0..1408).map(|c| layout.column_name(c)).collect();
        assert!(names.iter().all(Option::is_some));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1408);
        assert_eq!(layout.column_name(1408), None);
    }

    #[test]
    fn fingerprints_stay() {
        // FNV-1a over nPrint's names and widths, computed apart from this crate: files hold them.
        assert_eq!(Layout::reference().fingerprint(), 0xd8ed_a80f_7dd4_39be);
        assert_eq!(Layout::of_headers(&Header::ALL).fingerprint(), 0x4006_c89b_d96c_8902);
    }

    #[test]
    fn bad_layouts_are_refused() {
        assert!(Layout::from_fields(&[ipv4::VERSION]).is_err());
        assert!(Layout::from_fields(&[ipv4::TTL, ipv4::TTL]).is_err());
        assert!(Layout::with_payload(&Header::ALL, 9000).is_err());
    }

    #[test]
    fn ethernet_comes_first_and_payload_last() {
        let layout = Layout::with_payload(&[Header::Udp, Header::Ethernet], 10).expect("small");
        assert_eq!(layout.columns(), 112 + 64 + 80);
        assert_eq!(layout.column_name(0), Some("eth_dhost_0".to_owned()));
        assert_eq!(layout.column_name(112 + 64 + 79), Some("payload_bit_79".to_owned()));
        let ten = crate::payload::field(10).expect("small");
        let twenty = crate::payload::field(20).expect("small");
        assert_eq!((layout.column_of(ten), layout.column_of(twenty)), (Some(176), None));
    }
}
