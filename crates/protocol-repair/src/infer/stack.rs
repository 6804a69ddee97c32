//! Which headers a row has.

use super::extension::EXTENSIONS;
use super::extension::Extensions;
use super::trust;
use crate::draft::{Draft, Stack, Transport};
use crate::evidence::{Evidence, Noise, any};
use nprint_codec::{Header, IpVersion, icmp, ipv4, ipv6, tcp, udp};

/// Columns of the fixed part of each header and of the two option areas, in the reference layout.
const REGIONS: [std::ops::Range<usize>; 7] =
    [0..96, 416..480, 480..640, 960..1024, 1024..1088, 96..416, 640..960];

/// Places in [`REGIONS`].
mod region {
    pub(super) const IPV4: usize = 0;
    pub(super) const IPV6: usize = 1;
    pub(super) const TCP: usize = 2;
    pub(super) const UDP: usize = 3;
    pub(super) const ICMP: usize = 4;
    pub(super) const IPV4_OPTIONS: usize = 5;
    pub(super) const TCP_OPTIONS: usize = 6;
}

/// Header stacks in the order in which equal costs are decided. `Other` stands for "no transport
/// columns" here.
const STACKS: [Stack; 8] = [
    Stack { version: IpVersion::V4, transport: Transport::Tcp },
    Stack { version: IpVersion::V4, transport: Transport::Udp },
    Stack { version: IpVersion::V4, transport: Transport::Icmp },
    Stack { version: IpVersion::V4, transport: Transport::Other },
    Stack { version: IpVersion::V6, transport: Transport::Tcp },
    Stack { version: IpVersion::V6, transport: Transport::Udp },
    Stack { version: IpVersion::V6, transport: Transport::Icmp },
    Stack { version: IpVersion::V6, transport: Transport::Other },
];

/// Nats for the first appearance of a stack that no row shows clearly.
const UNSEEN_STACK: f32 = 9.0;

/// What the cells of one row cost under each stack, and under "no packet". Units: cells.
struct Costs {
    stacks: [f32; 8],
    vacant: f32,
}

fn costs(evidence: &Evidence<'_>, row: usize) -> Costs {
    let regions = if evidence.is_certain() {
        let halves = evidence.halves(row);
        REGIONS.map(|columns| {
            let (all, present) = (columns.len() as u32, halves.ones(columns));
            (present as f32, (all - present) as f32)
        })
    } else {
        REGIONS.map(|columns| {
            let (present, vacant) = evidence.presence(row, columns);
            (present as f32 / 255.0, vacant as f32 / 255.0)
        })
    };
    let (v4, v6) = (regions[region::IPV4], regions[region::IPV6]);
    let v4_options = regions[region::IPV4_OPTIONS].0 * 0.5;
    let tcp_options = regions[region::TCP_OPTIONS].0 * 0.5;
    let transports = [regions[region::TCP], regions[region::UDP], regions[region::ICMP]];
    let all_transports: f32 = transports.iter().map(|t| t.0).sum();
    let vacant = v4.0 + v6.0 + v4_options + tcp_options + all_transports;
    let unit = Noise { bit_cost: 1.0, ..Noise::CLEAN };
    let cost = |field, value| evidence.cost(unit, row, field, value);
    let as_v4 = v4.1 + v6.0 + cost(ipv4::VERSION, 4) + cost(ipv4::HEADER_LENGTH, 5).min(1.0);
    let as_v6 = v6.1 + v4.0 + v4_options + cost(ipv6::VERSION, 6);
    let protocol = evidence.reader(unit, row, ipv4::PROTOCOL);
    let next_header = evidence.reader(unit, row, ipv6::NEXT_HEADER);
    let extension = EXTENSIONS.iter().map(|e| next_header.cost(*e) + 1.0).fold(f32::MAX, f32::min);
    let stacks = STACKS.map(|stack| {
        let index = match stack.transport {
            Transport::Tcp => Some(0),
            Transport::Udp => Some(1),
            Transport::Icmp => Some(2),
            Transport::Fragment | Transport::Other => None,
        };
        let mut transport = all_transports;
        if let Some(index) = index {
            transport += transports[index].1 - transports[index].0;
        }
        if stack.transport != Transport::Tcp {
            transport += tcp_options;
        }
        let (ip, protocol) = match (stack.version, stack.protocol()) {
            (IpVersion::V4, Some(p)) => (as_v4, protocol.cost(p)),
            (IpVersion::V6, Some(p)) => (as_v6, next_header.cost(p).min(extension)),
            (IpVersion::V4, None) => (as_v4, 0.0),
            (IpVersion::V6, None) => (as_v6, 0.0),
        };
        ip + transport + protocol
    });
    Costs { stacks, vacant }
}

/// Number of rows up to the last one that is more likely a packet than padding.
pub(crate) fn packet_rows(evidence: &Evidence<'_>) -> usize {
    (0..evidence.rows())
        .rev()
        .find(|row| {
            if evidence.cells().row(*row).is_vacant() {
                return false;
            }
            let costs = costs(evidence, *row);
            costs.stacks.iter().any(|c| *c < costs.vacant)
        })
        .map_or(0, |row| row + 1)
}

/// Decides the stack of every row, clears the headers that it lacks and writes the fields that
/// name it; estimates the noise of the trace on the way.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let rows = draft.evidence.rows();
    let all: Vec<Costs> = (0..rows).map(|row| costs(draft.evidence, row)).collect();
    let cheapest = |costs: &Costs, prior: &[f32; 8]| {
        (0..8)
            .min_by(|a, b| {
                (costs.stacks[*a] + prior[*a]).total_cmp(&(costs.stacks[*b] + prior[*b]))
            })
            .unwrap_or(0)
    };
    // Rows are packets of conversations: a stack that the trace shows often is more likely.
    let mut seen = [0_usize; 8];
    for costs in &all {
        seen[cheapest(costs, &[0.0; 8])] += 1;
    }
    let prior = seen.map(|n| {
        if n == 0 { UNSEEN_STACK } else { (rows as f32 / n as f32).ln().min(UNSEEN_STACK) }
    });
    let stacks: Vec<Stack> = all.iter().map(|costs| STACKS[cheapest(costs, &prior)]).collect();
    for (facts, stack) in draft.rows.iter_mut().zip(&stacks) {
        facts.stack = *stack;
    }
    draft.noise = trust::noise(draft.evidence, &stacks);
    let extensions = Extensions::new(draft.evidence, &draft.rows, draft.noise);
    for row in 0..rows {
        write(draft, row, &extensions);
    }
}

/// The fixed parts of the headers, and whether a row with `stack` has them.
pub(super) fn fixed_regions(stack: Stack) -> [(std::ops::Range<usize>, bool); 5] {
    [
        (region::IPV4, stack.version == IpVersion::V4),
        (region::IPV6, stack.version == IpVersion::V6),
        (region::TCP, stack.transport == Transport::Tcp),
        (region::UDP, stack.transport == Transport::Udp),
        (region::ICMP, stack.transport == Transport::Icmp),
    ]
    .map(|(region, present)| (REGIONS[region].clone(), present))
}

/// Cells of the fixed headers whose presence contradicts `stack`, plus wrong version bits.
pub(super) fn wrong_cells(evidence: &Evidence<'_>, row: usize, stack: Stack) -> u32 {
    let halves = evidence.halves(row);
    let mut wrong = 0;
    for (columns, expected) in fixed_regions(stack) {
        let all = columns.len() as u32;
        let here = halves.ones(columns);
        wrong += if expected { all - here } else { here };
    }
    let (field, version) = match stack.version {
        IpVersion::V4 => (ipv4::VERSION, 4),
        IpVersion::V6 => (ipv6::VERSION, 6),
    };
    let reading = evidence.read(row, field);
    wrong + reading.wrong(version)
}

/// Every column of a header in the reference layout, options included.
fn columns_of(header: Header) -> std::ops::Range<usize> {
    match header {
        Header::Ipv4 => 0..416,
        Header::Ipv6 => 416..480,
        Header::Tcp => 480..960,
        Header::Udp => 960..1024,
        Header::Icmp => 1024..1088,
        _ => 0..0,
    }
}

fn write(draft: &mut Draft<'_>, row: usize, extensions: &Extensions<'_>) {
    let noise = draft.noise;
    let stack = draft.rows[row].stack;
    let evidence = draft.evidence;
    let mut cells = draft.cells.row_mut(row);
    for (header, kept) in [
        (Header::Ipv4, stack.version == IpVersion::V4),
        (Header::Ipv6, stack.version == IpVersion::V6),
        (Header::Tcp, stack.transport == Transport::Tcp),
        (Header::Udp, stack.transport == Transport::Udp),
        (Header::Icmp, stack.transport == Transport::Icmp),
    ] {
        let columns = columns_of(header);
        if !kept && any(cells.as_row().present_words(), columns) {
            cells.clear(header);
        }
    }
    // Whole headers: checksums are computed with the bytes, but their cells are there.
    let checksums = [
        (ipv4::CHECKSUM, stack.version == IpVersion::V4),
        (tcp::CHECKSUM, stack.transport == Transport::Tcp),
        (udp::CHECKSUM, stack.transport == Transport::Udp),
        (icmp::CHECKSUM, stack.transport == Transport::Icmp),
    ];
    for (field, _) in checksums.iter().filter(|(_, there)| *there) {
        cells.set(*field, evidence.read(row, *field).value);
    }
    match stack.version {
        IpVersion::V4 => {
            cells.set(ipv4::VERSION, 4);
            let protocol = stack.protocol().unwrap_or_else(|| {
                let reading = evidence.read(row, ipv4::PROTOCOL);
                if reading.is_full() && noise.is_clean() {
                    return reading.value;
                }
                nearest(&[17, 6, 1, 50], |p| evidence.cost(noise, row, ipv4::PROTOCOL, p))
            });
            cells.set(ipv4::PROTOCOL, protocol);
            if stack.transport == Transport::Other {
                let offset = evidence.read(row, ipv4::FRAGMENT_OFFSET);
                // A transport without columns of its own, or data without a transport header.
                let fragment = matches!(protocol, 1 | 6 | 17)
                    || (offset.value != 0 && noise.is_clean() && offset.is_full());
                if fragment {
                    draft.rows[row].stack.transport = Transport::Fragment;
                }
            }
        }
        IpVersion::V6 => {
            cells.set(ipv6::VERSION, 6);
            let cost = |p: u32| evidence.cost(noise, row, ipv6::NEXT_HEADER, p);
            let next = if let Some(own) = stack.protocol() {
                extensions.next_header(row, stack, own)
            } else {
                let reading = evidence.read(row, ipv6::NEXT_HEADER);
                match reading.value {
                    1 | 6 | 17 | 58 => 59,
                    _ if !reading.is_full() || !noise.is_clean() => nearest(&[59, 44, 50], cost),
                    other => other,
                }
            };
            cells.set(ipv6::NEXT_HEADER, next);
            if stack.transport == Transport::Other && next == 44 {
                draft.rows[row].stack.transport = Transport::Fragment;
            }
        }
    }
}

/// The cheapest candidate, the first one among equals.
pub(crate) fn nearest(candidates: &[u32], cost: impl Fn(u32) -> f32) -> u32 {
    let mut best = (f32::MAX, candidates.first().copied().unwrap_or(0));
    for candidate in candidates {
        let cost = cost(*candidate);
        if cost < best.0 {
            best = (cost, *candidate);
        }
    }
    best.1
}
