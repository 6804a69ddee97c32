//! The trace while it is being decided.

use crate::config::RepairConfig;
use crate::evidence::{Evidence, Noise};
use crate::plan::stream::Placed;
use crate::timing::Drawn;
use nprint_codec::{Field, IpVersion, TernaryMatrix, ipv4, ipv6};
use std::rc::Rc;

/// Directions with fewer rows are decided together with others of their kind.
const POOLED_BELOW: usize = 16;

/// What follows the IP header in the representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    /// ICMP over IPv4, ICMPv6 over IPv6.
    Icmp,
    /// A fragment other than the first.
    Fragment,
    /// A protocol without columns.
    Other,
}

/// The headers of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) version: IpVersion,
    pub(crate) transport: Transport,
}

impl Stack {
    /// Protocol number of the transport header, where the stack names one.
    pub(crate) fn protocol(self) -> Option<u32> {
        match (self.transport, self.version) {
            (Transport::Tcp, _) => Some(6),
            (Transport::Udp, _) => Some(17),
            (Transport::Icmp, IpVersion::V4) => Some(1),
            (Transport::Icmp, IpVersion::V6) => Some(58),
            (Transport::Fragment | Transport::Other, _) => None,
        }
    }
}

/// What is decided about a row besides its cells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowFacts {
    pub(crate) stack: Stack,
    /// Index into [`Draft::flows`].
    pub(crate) flow: usize,
    /// 0 from the initiator to the responder, 1 back.
    pub(crate) direction: usize,
    /// For a later fragment: the row of the first one, where the trace has it.
    pub(crate) first_fragment: Option<usize>,
    /// Whether later fragments of this row's datagram may follow.
    pub(crate) more_fragments: bool,
    /// Bytes after the transport header (or, for a later fragment, after the IP header).
    pub(crate) payload_bytes: u32,
    /// Where the segment lies in its stream, if that was found together with its length.
    pub(crate) placed: Option<Placed>,
    /// Which TCP connection of the flow (port pairs are used again).
    pub(crate) connection: u32,
    /// Time after the first packet. Units: nanoseconds.
    pub(crate) time_ns: u64,
}

/// A conversation: rows of one IP version, transport and port pair.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) transport: Transport,
    /// Initiator's and responder's port; identifier and 0 for ICMP echo.
    pub(crate) ports: [u16; 2],
    /// Its rows in time order.
    pub(crate) rows: Vec<usize>,
}

/// One TCP connection of a flow, whose port pair may be used again.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Index into [`Draft::flows`].
    pub(crate) flow: usize,
    /// Its rows in time order.
    pub(crate) rows: Vec<usize>,
}

/// The trace while rules decide it, one field after the other.
pub(crate) struct Draft<'a> {
    pub(crate) evidence: &'a Evidence<'a>,
    pub(crate) config: &'a RepairConfig,
    pub(crate) noise: Noise,
    pub(crate) cells: TernaryMatrix,
    pub(crate) rows: Vec<RowFacts>,
    pub(crate) flows: Vec<Flow>,
    /// TCP rows whose numbers the evidence explains, and TCP rows.
    pub(crate) explained: (usize, usize),
    /// The gaps between rows that were drawn last, also by a pass before.
    pub(crate) drawn: Option<Drawn>,
    /// What [`Self::directions`] and [`Self::pooled_directions`] say.
    directions: Rc<[Vec<usize>]>,
    pooled: Rc<[Vec<usize>]>,
    /// What [`Self::connections`] says.
    connections: Rc<[Connection]>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(evidence: &'a Evidence<'a>, config: &'a RepairConfig) -> Self {
        let mut cells = evidence.cells().clone();
        cells.truncate(evidence.rows());
        let row = RowFacts {
            stack: Stack { version: IpVersion::V4, transport: Transport::Other },
            flow: 0,
            direction: 0,
            first_fragment: None,
            more_fragments: false,
            payload_bytes: 0,
            placed: None,
            connection: 0,
            time_ns: 0,
        };
        Self {
            evidence,
            config,
            noise: Noise::CLEAN,
            cells,
            rows: vec![row; evidence.rows()],
            flows: Vec::new(),
            explained: (0, 0),
            drawn: None,
            directions: Rc::default(),
            pooled: Rc::default(),
            connections: Rc::default(),
        }
    }

    /// The decided value of a field, 0 where it is vacant.
    #[inline]
    pub(crate) fn value(&self, row: usize, field: Field) -> u32 {
        self.cells.row(row).get(field).unwrap_or(0)
    }

    /// The decided protocol number of a row, or its IPv6 next header.
    pub(crate) fn protocol(&self, row: usize) -> u32 {
        match self.rows[row].stack.version {
            IpVersion::V4 => self.value(row, ipv4::PROTOCOL),
            IpVersion::V6 => self.value(row, ipv6::NEXT_HEADER),
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, row: usize, field: Field, value: u32) {
        self.cells.row_mut(row).set(field, value);
    }

    /// Rows with a transport.
    pub(crate) fn rows_of(&self, transport: Transport) -> Vec<usize> {
        (0..self.rows.len()).filter(|r| self.rows[*r].stack.transport == transport).collect()
    }

    /// The rows of a flow that have a TCP header: all but later fragments.
    pub(crate) fn tcp_rows(&self, flow: usize) -> Vec<usize> {
        let is_tcp = |row: &usize| self.rows[*row].stack.transport == Transport::Tcp;
        let mut rows = Vec::with_capacity(self.flows[flow].rows.len());
        rows.extend(self.flows[flow].rows.iter().copied().filter(is_tcp));
        rows
    }

    /// The TCP connections, flow by flow, those of a flow one after the other.
    pub(crate) fn connections(&self) -> Rc<[Connection]> {
        self.connections.clone()
    }

    /// Finds the connections once it is decided which of its flow's every row belongs to: many rules go by
    /// them.
    pub(crate) fn find_connections(&mut self) {
        let same = |a: &usize, b: &usize| self.rows[*a].connection == self.rows[*b].connection;
        let tcp = |flow: &usize| self.flows[*flow].transport == Transport::Tcp;
        let mut all = Vec::with_capacity(self.flows.len());
        for flow in (0..self.flows.len()).filter(tcp) {
            let rows = self.tcp_rows(flow);
            all.extend(rows.chunk_by(same).map(|rows| Connection { flow, rows: rows.to_vec() }));
        }
        self.connections = all.into();
    }

    /// The rows of each direction of each flow, flow by flow.
    pub(crate) fn directions(&self) -> Rc<[Vec<usize>]> {
        self.directions.clone()
    }

    /// As [`directions`](Self::directions), but short conversations of the same kind are put
    /// together: one DNS query says little about the next header's constants, five hundred do.
    pub(crate) fn pooled_directions(&self) -> Rc<[Vec<usize>]> {
        self.pooled.clone()
    }

    /// Finds the directions once it is decided whose every row is: many rules go by them.
    pub(crate) fn find_directions(&mut self) {
        let mut all = Vec::with_capacity(2 * self.flows.len());
        for flow in &self.flows {
            let (back, along): (Vec<usize>, Vec<usize>) =
                flow.rows.iter().partition(|r| self.rows[**r].direction == 1);
            all.extend([along, back].into_iter().filter(|rows| !rows.is_empty()));
        }
        let mut pooled = Vec::with_capacity(all.len());
        let mut pools: Vec<((IpVersion, Transport, usize), Vec<usize>)> = Vec::new();
        for rows in &all {
            if rows.len() >= POOLED_BELOW {
                pooled.push(rows.clone());
                continue;
            }
            let facts = self.rows[rows[0]];
            let key = (facts.stack.version, self.flows[facts.flow].transport, facts.direction);
            match pools.iter_mut().find(|(k, _)| *k == key) {
                Some((_, pool)) => pool.extend(rows),
                None => pools.push((key, rows.clone())),
            }
        }
        pooled.extend(pools.into_iter().map(|(_, mut rows)| {
            rows.sort_unstable();
            rows
        }));
        (self.directions, self.pooled) = (all.into(), pooled.into());
    }
}
