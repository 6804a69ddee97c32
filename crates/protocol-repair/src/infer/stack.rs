//! Which headers a row has.

use super::extension::EXTENSIONS;
use super::extension::Extensions;
use super::trust;
use crate::draft::{Draft, Stack, Transport};
use crate::evidence::{Evidence, FieldCells, Halves, Noise, any};
use nprint_codec::{Field, Header, IpVersion, icmp, ipv4, ipv6, tcp, udp};

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

/// Most that the fields which name the headers, and how often a stack is seen, may say for one stack and
/// against another. Units: cells.
const NAMED: f32 = 4.0 + 1.0 + 8.0 + UNSEEN_STACK;

/// What the presence of one row's cells costs. Units: cells.
struct Presence {
    /// Of each IP version.
    versions: [f32; 2],
    /// Of each transport, in the order of [`STACKS`].
    transports: [f32; 4],
    /// Of no packet.
    vacant: f32,
}

impl Presence {
    fn of(evidence: &Evidence<'_>, row: usize, halves: &Halves) -> Self {
        let regions = if evidence.is_certain() {
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
        let [tcp, udp, icmp] = [region::TCP, region::UDP, region::ICMP].map(|r| regions[r]);
        let none = tcp.0 + udp.0 + icmp.0;
        Self {
            versions: [v4.1 + v6.0, v6.1 + v4.0 + v4_options],
            transports: [
                none + (tcp.1 - tcp.0),
                none + (udp.1 - udp.0) + tcp_options,
                none + (icmp.1 - icmp.0) + tcp_options,
                none + tcp_options,
            ],
            vacant: v4.0 + v6.0 + v4_options + tcp_options + none,
        }
    }

    /// Whether one stack is so much cheaper than all others that no field that names it matters.
    fn is_clear(&self) -> bool {
        let [v4, v6] = self.versions;
        let mut transports = self.transports;
        transports.sort_unstable_by(f32::total_cmp);
        (v4 - v6).abs() > NAMED && transports[1] - transports[0] > NAMED
    }

    /// Costs of each stack.
    fn stacks(&self, named: &Named) -> [f32; 8] {
        std::array::from_fn(|stack| {
            let (version, transport) = (stack >> 2, stack & 3);
            let ip = self.versions[version] + named.versions[version];
            ip + self.transports[transport] + named.transports[version][transport]
        })
    }
}

/// What the fields cost that name the version and the transport. Units: cells.
#[derive(Default)]
struct Named {
    versions: [f32; 2],
    /// For each version, in the order of [`STACKS`].
    transports: [[f32; 4]; 2],
}

impl Named {
    fn of(evidence: &Evidence<'_>, row: usize) -> Self {
        let unit = Noise { bit_cost: 1.0, lone_cost: 1.0, ..Noise::CLEAN };
        let cost = |field, value| evidence.cost(unit, row, field, value);
        let header_length = cost(ipv4::HEADER_LENGTH, 5).min(1.0);
        let protocol = evidence.reader(unit, row, ipv4::PROTOCOL);
        let next_header = evidence.reader(unit, row, ipv6::NEXT_HEADER);
        let extensions = EXTENSIONS.iter().map(|e| next_header.cost(*e) + 1.0);
        let extension = extensions.fold(f32::MAX, f32::min);
        let of = |stack: usize| STACKS[stack].protocol();
        Self {
            versions: [cost(ipv4::VERSION, 4) + header_length, cost(ipv6::VERSION, 6)],
            transports: [
                std::array::from_fn(|t| of(t).map_or(0.0, |p| protocol.cost(p))),
                std::array::from_fn(|t| {
                    of(4 + t).map_or(0.0, |p| next_header.cost(p).min(extension))
                }),
            ],
        }
    }
}

/// Number of rows up to the last one that is more likely a packet than padding.
pub(crate) fn packet_rows(evidence: &Evidence<'_>) -> usize {
    (0..evidence.rows())
        .rev()
        .find(|row| {
            if evidence.cells().row(*row).is_vacant() {
                return false;
            }
            let presence = Presence::of(evidence, *row, &evidence.halves(*row));
            let stacks = presence.stacks(&Named::of(evidence, *row));
            stacks.iter().any(|c| *c < presence.vacant)
        })
        .map_or(0, |row| row + 1)
}

/// The place of the cheapest stack, the first one among equals.
fn cheapest(costs: &[f32; 8], prior: &[f32; 8]) -> usize {
    let cost = |stack: usize| costs[stack] + prior[stack];
    (1..8).fold(0, |best, stack| if cost(stack) < cost(best) { stack } else { best })
}

/// Decides the stack of every row, clears the headers that it lacks and writes the fields that
/// name it; estimates the noise of the trace on the way.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let evidence = draft.evidence;
    let rows = evidence.rows();
    let halves: Vec<Halves> = (0..rows).map(|row| evidence.halves(row)).collect();
    let all: Vec<[f32; 8]> = halves
        .iter()
        .enumerate()
        .map(|(row, halves)| {
            let presence = Presence::of(evidence, row, halves);
            let clear = presence.is_clear();
            presence.stacks(&if clear { Named::default() } else { Named::of(evidence, row) })
        })
        .collect();
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
    draft.noise = trust::noise(evidence, &halves, &stacks);
    let extensions = Extensions::new(evidence, &draft.rows, draft.noise);
    let fields = Fields::of(evidence);
    for row in 0..rows {
        write(draft, row, &fields, &extensions);
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

/// A field and its cells.
type Written<'a> = (Field, FieldCells<'a>);

/// The fields that are written with the headers: for each IP version the version and what names the
/// transport.
struct Fields<'a> {
    versions: [[Written<'a>; 2]; 2],
    checksums: [Written<'a>; 4],
}

impl<'a> Fields<'a> {
    fn of(evidence: &'a Evidence<'a>) -> Self {
        let named = |field| (field, evidence.field(field));
        Self {
            versions: [[ipv4::VERSION, ipv4::PROTOCOL], [ipv6::VERSION, ipv6::NEXT_HEADER]]
                .map(|fields| fields.map(named)),
            checksums: [ipv4::CHECKSUM, tcp::CHECKSUM, udp::CHECKSUM, icmp::CHECKSUM].map(named),
        }
    }
}

fn write(draft: &mut Draft<'_>, row: usize, fields: &Fields<'_>, extensions: &Extensions<'_>) {
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
    let mut set = |(field, shown): &Written<'_>, value: u32| {
        if !shown.are(row, value) {
            cells.set(*field, value);
        }
    };
    // Whole headers: checksums are computed with the bytes, but their cells are there.
    let transport = match stack.transport {
        Transport::Tcp => Some(1),
        Transport::Udp => Some(2),
        Transport::Icmp => Some(3),
        Transport::Fragment | Transport::Other => None,
    };
    let ip = (stack.version == IpVersion::V4).then_some(0);
    for place in ip.into_iter().chain(transport) {
        let checksum = &fields.checksums[place];
        set(checksum, checksum.1.read(row).value);
    }
    let [version, protocol_field] = &fields.versions[usize::from(stack.version == IpVersion::V6)];
    match stack.version {
        IpVersion::V4 => {
            set(version, 4);
            let protocol = stack.protocol().unwrap_or_else(|| {
                let reading = evidence.read(row, ipv4::PROTOCOL);
                if reading.is_full() && noise.is_clean() {
                    return reading.value;
                }
                nearest(&[17, 6, 1, 50], |p| evidence.cost(noise, row, ipv4::PROTOCOL, p))
            });
            set(protocol_field, protocol);
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
            set(version, 6);
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
            set(protocol_field, next);
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
