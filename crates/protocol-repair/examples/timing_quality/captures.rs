//! Captures by class.

use crate::distances::Gaps;
use nprint_codec::{Layout, RowPolicy, SoftMatrix, Trace, dissect, encode, read_capture};
use std::collections::BTreeMap;
use std::path::Path;

/// Packets of a capture that are used: the rows of an image.
const ROWS: usize = 1024;

/// The IP packets of a capture that are used.
pub(crate) struct Capture {
    pub(crate) trace: Trace,
    pub(crate) soft: SoftMatrix,
    pub(crate) gaps: Gaps,
}

pub(crate) type Classes = BTreeMap<String, Vec<Capture>>;

pub(crate) fn load_all(paths: &[String]) -> Result<Classes, Box<dyn std::error::Error>> {
    let mut classes = Classes::new();
    for path in paths {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        classes.entry(class(&name)).or_default().push(load(path)?);
    }
    Ok(classes)
}

/// Tunnel of a video capture, service of the others.
fn class(name: &str) -> String {
    let rest = name.split_once("torchlight-").map_or(name, |(_, rest)| rest);
    let (tunnel, service) = rest.split_once("-a-").unwrap_or((rest, ""));
    let service = service.split('.').next().unwrap_or_default();
    if tunnel == "none" { format!("none {service}") } else { tunnel.to_owned() }
}

fn load(path: &str) -> Result<Capture, Box<dyn std::error::Error>> {
    let whole = read_capture(path)?;
    let mut trace = Trace::new(whole.link_type());
    let ip = |bytes: &[u8]| dissect(whole.link_type(), bytes).is_some();
    for packet in whole.iter().filter(|p| ip(p.bytes)).take(ROWS) {
        trace.push(packet.time_ns, packet.bytes, packet.original_length);
    }
    let cells = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    Ok(Capture { gaps: Gaps::of(&trace), trace, soft: SoftMatrix::certain(cells) })
}
