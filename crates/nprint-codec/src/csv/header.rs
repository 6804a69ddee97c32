//! The header line: columns are known by their names.

use super::{CsvIndex, MICROSECONDS, RELATIVE_TIME, SECONDS};
use crate::{Error, Field, Header, Layout, Result, payload};

/// What a column of the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Bit(usize),
    Index(CsvIndex),
    Relative,
    Seconds,
    Microseconds,
    Skip,
}

/// The bits of one field among the columns of the file.
struct FieldColumns {
    name: String,
    field: Option<Field>,
    /// Column of the file by bit.
    bits: Vec<Option<usize>>,
}

/// The layout of the header line, and what each column of the file is.
pub(super) fn read_header(line: &[u8], file: &str) -> Result<(Layout, Vec<(Slot, String)>)> {
    let text = String::from_utf8_lossy(line);
    let names: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .split(',')
        .map(|n| n.trim().trim_matches('"'))
        .collect();
    read_names(&names, file)
}

/// The layout of columns with these names, and what each of them is.
pub(super) fn read_names(names: &[&str], file: &str) -> Result<(Layout, Vec<(Slot, String)>)> {
    let mut found: Vec<FieldColumns> = Vec::new();
    for (column, (name, bit)) in
        names.iter().enumerate().filter_map(|(c, n)| Some((c, bit_column(n)?)))
    {
        let at = found.iter().position(|f| f.name == name).unwrap_or_else(|| {
            let field = Field::by_name(name);
            let bits = vec![None; field.map_or(0, |f| f.bits.into())];
            found.push(FieldColumns { name: name.to_owned(), field, bits });
            found.len() - 1
        });
        let known = &mut found[at];
        if bit >= known.bits.len() {
            known.bits.resize(bit + 1, None);
        }
        if known.bits[bit].replace(column).is_some() {
            return Err(field_error(file, known, bit, true, column));
        }
    }
    if found.is_empty() {
        return Err(Error::CsvUnknownLayout { file: file.to_owned(), columns: names.len() });
    }
    let mut fields = Vec::with_capacity(found.len());
    for known in &mut found {
        let whole_bytes = known.bits.len().next_multiple_of(8);
        if known.field.is_none() {
            known.bits.resize(whole_bytes, None);
            known.field = payload::field(whole_bytes >> 3);
        }
        let first = known.bits.iter().flatten().min().copied().unwrap_or(0);
        if let Some(bit) = known.bits.iter().position(Option::is_none) {
            return Err(field_error(file, known, bit, false, first));
        }
        fields.extend(known.field);
    }
    let layout = Layout::from_fields(&fields).or_else(|_| {
        fields.sort_by_key(|f| {
            (Header::WIRE_ORDER.iter().position(|h| *h == f.header), f.offset_bits)
        });
        Layout::from_fields(&fields)
            .map_err(|e| Error::CsvLayout { file: file.to_owned(), source: Box::new(e) })
    })?;
    let mut slots: Vec<(Slot, String)> =
        names.iter().map(|n| (other_column(n), (*n).to_owned())).collect();
    for known in &found {
        let start = known.field.and_then(|f| layout.column_of(f)).unwrap_or(0);
        for (bit, column) in known.bits.iter().enumerate() {
            if let Some(column) = column {
                slots[*column].0 = Slot::Bit(start + bit);
            }
        }
    }
    Ok((layout, slots))
}

/// `ipv4_ttl_7` is bit 7 of `ipv4_ttl`; nothing for columns that are no bits of known fields.
fn bit_column(name: &str) -> Option<(&str, usize)> {
    let (field, bit) = name.rsplit_once('_')?;
    let bit: usize = bit.parse().ok()?;
    let limit = if field == "payload_bit" {
        8 * payload::MAX_BYTES
    } else {
        Field::by_name(field)?.bits.into()
    };
    (bit < limit).then_some((field, bit))
}

fn other_column(name: &str) -> Slot {
    match name {
        RELATIVE_TIME => Slot::Relative,
        SECONDS => Slot::Seconds,
        MICROSECONDS => Slot::Microseconds,
        _ => CsvIndex::ALL
            .into_iter()
            .find(|i| i.column_name() == Some(name))
            .map_or(Slot::Skip, Slot::Index),
    }
}

fn field_error(file: &str, f: &FieldColumns, bit: usize, repeated: bool, column: usize) -> Error {
    Error::CsvField {
        file: file.to_owned(),
        field: f.name.clone(),
        bits: f.bits.len(),
        bit,
        repeated,
        column: column + 1,
    }
}
