//! Addresses and connections of the training set in the output.

use super::GROUP;
use crate::config::EvalConfig;
use crate::fidelity::References;
use crate::packet::{addresses, ports};
use crate::report::{Better, IdentifierRow, Score};
use crate::sample::Pool;
use nprint_codec::{LinkType, Trace, dissect};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an identifier names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IdentifierKind {
    /// A network card.
    Mac,
    /// A host.
    Address,
    /// Both ends of a connection, addresses and ports.
    Connection,
}

impl IdentifierKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Mac, Self::Address, Self::Connection];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mac => "MAC address",
            Self::Address => "IP address",
            Self::Connection => "connection",
        }
    }
}

/// Something in a packet that names a machine or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Identifier {
    /// Address of a network card.
    Mac([u8; 6]),
    /// Address of a host.
    Address(IpAddr),
    /// Protocol, and address and port of both ends, the lower end first.
    Connection(u8, (IpAddr, u16), (IpAddr, u16)),
}

impl Identifier {
    /// What it names.
    pub const fn kind(self) -> IdentifierKind {
        match self {
            Self::Mac(_) => IdentifierKind::Mac,
            Self::Address(_) => IdentifierKind::Address,
            Self::Connection(..) => IdentifierKind::Connection,
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Self::Address(address) => address.fmt(f),
            Self::Connection(protocol, (a, from), (b, to)) => {
                write!(f, "{a} port {from} and {b} port {to}, protocol {protocol}")
            }
        }
    }
}

/// The identifiers of each packet of a capture, in order.
///
/// Addresses that name no one machine are left out: broadcast, multicast, unspecified, loopback.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace};
/// use trace_eval::privacy::{IdentifierKind, identifiers};
/// let mut trace = Trace::new(LinkType::RawIp);
/// let ip = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 99, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255];
/// trace.push(1, &ip, 20);
/// let found = identifiers(&trace);
/// assert_eq!(found[0].len(), 1);
/// assert_eq!(found[0][0].kind(), IdentifierKind::Address);
/// assert_eq!(found[0][0].to_string(), "10.0.0.1");
/// ```
pub fn identifiers(trace: &Trace) -> Vec<Vec<Identifier>> {
    trace.iter().map(|packet| of_packet(trace.link_type(), packet.bytes)).collect()
}

fn of_packet(link: LinkType, bytes: &[u8]) -> Vec<Identifier> {
    let mut out = Vec::new();
    if link == LinkType::Ethernet {
        let macs = [bytes.get(0..6), bytes.get(6..12)];
        let macs = macs.into_iter().flatten().filter_map(|m| <[u8; 6]>::try_from(m).ok());
        out.extend(macs.filter(|m| m[0] & 1 == 0 && *m != [0; 6]).map(Identifier::Mac));
    }
    let Some(d) = dissect(link, bytes) else { return out };
    let Some((source, destination)) = addresses(&d) else { return out };
    let (Some(source), Some(destination)) = (address(source), address(destination)) else {
        return out;
    };
    let named = [source, destination].into_iter().filter(|a| names_a_host(*a));
    out.extend(named.map(Identifier::Address));
    if let Some((from, to)) = ports(&d)
        && names_a_host(source)
        && names_a_host(destination)
    {
        let (a, b) = ((source, from), (destination, to));
        out.push(Identifier::Connection(d.protocol, a.min(b), a.max(b)));
    }
    out
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| IpAddr::V4(Ipv4Addr::from(b)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b)))).ok()
}

fn names_a_host(address: IpAddr) -> bool {
    let everybody = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(everybody || address.is_multicast() || address.is_unspecified() || address.is_loopback())
}

/// Identifiers of one capture with the number of packets that carry each.
type Carried = BTreeMap<Identifier, usize>;

pub(super) fn identifier_scores(
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> (Vec<Score>, Vec<IdentifierRow>) {
    let per_packet: Vec<Vec<Vec<Identifier>>> =
        pool.samples.par_iter().map(|s| identifiers(&s.trace)).collect();
    let sets: Vec<Carried> = per_packet
        .par_iter()
        .map(|packets| {
            let mut carried = Carried::new();
            packets.iter().flatten().for_each(|i| *carried.entry(*i).or_insert(0) += 1);
            carried
        })
        .collect();
    let known = |of: &[usize]| -> BTreeSet<Identifier> {
        of.iter().flat_map(|s| sets[*s].keys().copied()).collect()
    };
    let training: Vec<usize> = pool.real.clone().collect();
    let of_training = known(&training);
    let score = |kind: IdentifierKind| {
        let leaked = |known: &BTreeSet<Identifier>, found: &[usize]| {
            let bears = |p: &Vec<Identifier>, known: &dyn Fn(&Identifier) -> bool| {
                p.iter().any(|i| i.kind() == kind && known(i))
            };
            let packets = || found.iter().flat_map(|s| &per_packet[*s]);
            let all = packets().filter(|p| bears(p, &|_| true)).count();
            let leaked = packets().filter(|p| bears(p, &|i| known.contains(i))).count();
            (all > 0).then(|| leaked as f64 / all as f64)
        };
        let mut points = references.compare(&[], |a, b| leaked(&known(a), b)).points(|v| *v);
        points.synthetic = leaked(&of_training, &references.synthetic);
        points.random = random_hits(kind, &of_training, config.seed);
        Score::new(
            GROUP,
            format!("packets with a training set's {}", kind.name()),
            "Share of packets that carry an identifier of a training capture, among those that carry one of \
             the kind. Real captures of one network share identifiers (floor: two halves of them); generated \
             ones need not. Random: identifiers drawn at random.",
            Better::Lower,
            points,
        )
    };
    let scores = IdentifierKind::ALL.into_iter().map(score).collect();
    let captures =
        |of: &[usize], i: &Identifier| of.iter().filter(|s| sets[**s].contains_key(i)).count();
    let mut rows: Vec<IdentifierRow> = of_training
        .iter()
        .map(|i| IdentifierRow {
            kind: i.kind().name().to_owned(),
            identifier: i.to_string(),
            real: captures(&training, i),
            synthetic: captures(&references.synthetic, i),
        })
        .filter(|row| row.synthetic > 0)
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.synthetic));
    (scores, rows)
}

/// Share of random identifiers that the training set holds; `None` where it has none of the kind.
fn random_hits(kind: IdentifierKind, known: &BTreeSet<Identifier>, seed: u64) -> Option<f64> {
    const DRAWS: usize = 1000;
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6c65_616b);
    let of_kind = known.iter().filter(|i| i.kind() == kind).count();
    let mut host = || IpAddr::V4(Ipv4Addr::from(rng.random::<u32>()));
    let mut draw = || match kind {
        IdentifierKind::Address => Identifier::Address(host()),
        IdentifierKind::Connection => {
            let (a, b) = ((host(), 443), (host(), 50_000));
            Identifier::Connection(6, a.min(b), a.max(b))
        }
        IdentifierKind::Mac => {
            let IpAddr::V4(tail) = host() else { return Identifier::Mac([2; 6]) };
            let [a, b, c, d] = tail.octets();
            Identifier::Mac([2, 0, a, b, c, d])
        }
    };
    let hits = (0..DRAWS).filter(|_| known.contains(&draw())).count();
    (of_kind > 0).then(|| hits as f64 / DRAWS as f64)
}
