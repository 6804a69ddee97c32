//! What the fuzz targets share: the whole way of a capture, and what must hold on it.

use nprint_codec::{
    CsvOptions, Header, Layer, Layers, Layout, NpyForm, RowPolicy, TernaryMatrix, Trace, decode,
    encode, read_capture_from, read_csv_from, read_npy, write_capture_to, write_csv, write_npy,
};
use std::sync::Arc;

/// Packets that go the whole way; text of more would only be slow.
const PACKETS: usize = 4;

/// Layers by the last two bytes of the input, so that the fuzzer chooses them.
pub fn layers_of(input: &[u8]) -> Layers {
    let bits = input.last_chunk().map_or(0, |last| u16::from_le_bytes(*last));
    let chosen = Layer::ALL.into_iter().enumerate();
    chosen.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, layer)| layer).collect()
}

/// One or two headers and a few bytes of payload, by the byte before [`layers_of`]'s. (With every
/// column a run would take a hundred times as long.)
fn layout_of(input: &[u8]) -> Arc<Layout> {
    let choice = usize::from(input.iter().rev().nth(2).copied().unwrap_or(0));
    let headers = [choice & 15, choice >> 4].map(|at| Header::WIRE_ORDER[at % 9]);
    Arc::new(Layout::with_payload(&headers, choice & 3).expect("3 bytes fit"))
}

/// capture → planes under every kind of policy, and under the one that the input chooses
/// → CSV and NPY → planes → capture → planes.
///
/// # Panics
/// Where a step does not give what the step before it had.
pub fn whole_way(trace: &Trace, input: &[u8]) {
    let every = Arc::new(Layout::with_payload(&Header::WIRE_ORDER, 8).expect("8 bytes fit"));
    let chosen = RowPolicy::Through(layers_of(input));
    let all = RowPolicy::Through(Layers::ALL);
    for policy in [RowPolicy::EveryIpPacket, RowPolicy::NPrint, all, chosen] {
        assert!(encode(trace, &every, policy).rows() <= trace.len());
    }
    let mut first = Trace::new(trace.link_type());
    for packet in trace.iter().take(PACKETS) {
        first.push(packet.time_ns, packet.bytes, packet.original_length);
    }
    capture_of(&encode(&first, &every, chosen), &[]);
    let layout = layout_of(input);
    let matrix = encode(&first, &layout, chosen);
    let options = CsvOptions { policy: chosen, absolute_time: true, ..CsvOptions::default() };
    let mut csv = Vec::new();
    let rows = write_csv(&mut csv, &first, &layout, &options).expect("memory takes everything");
    let table = read_csv_from(&csv[..], "own").expect("own text is read");
    assert_eq!((rows, &table.matrix), (matrix.rows(), &matrix));
    arrays(&matrix);
    capture_of(&matrix, table.times_ns.as_deref().unwrap_or_default());
}

/// Both forms of an array give the matrix again.
///
/// # Panics
/// Where they do not.
pub fn arrays(matrix: &TernaryMatrix) {
    for form in [NpyForm::Cells, NpyForm::Planes] {
        let mut array = Vec::new();
        write_npy(&mut array, matrix, form).expect("memory takes everything");
        let again = read_npy(&array[..], "own", matrix.layout()).expect("own array is read");
        assert_eq!(&again, matrix);
    }
}

/// The rows as packets, written and read again, have the same bytes, and no new rows.
///
/// # Panics
/// Where they have others.
pub fn capture_of(matrix: &TernaryMatrix, times_ns: &[i64]) {
    let decoded = decode(matrix, times_ns);
    assert!(decoded.len() <= matrix.rows());
    let mut file = Vec::new();
    if write_capture_to(&mut file, &decoded).is_ok() {
        let again = read_capture_from(&file[..], "own").expect("what was written is read");
        assert!(again.iter().map(|p| p.bytes).eq(decoded.iter().map(|p| p.bytes)));
    }
    let policy = RowPolicy::Through(Layers::ALL);
    assert!(encode(&decoded, matrix.layout(), policy).rows() <= decoded.len());
}
