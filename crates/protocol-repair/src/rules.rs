//! The rules as data: what each one reads, what it writes, and the order that follows.

use crate::draft::Draft;
use crate::report::Changes;
use crate::{compile, infer, plan, timing};
use nprint_codec::{Field, icmp, ipv4, ipv6, tcp, udp};

/// Something that a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// A field of the representation.
    Field(Field),
    /// The headers of each row.
    Stack,
    /// Which datagram a fragment belongs to.
    Fragments,
    /// Conversation and direction of each row.
    Flow,
    /// Bytes after the transport header.
    PayloadLength,
    /// Time of each row.
    Time,
    /// Numbers inside TCP options: time stamps, SACK edges.
    OptionNumbers,
}

/// One rule. Every item has one writer, so that reads and writes fix the order.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    reads: &'static [Item],
    writes: &'static [Item],
    pub(crate) apply: fn(&mut Draft<'_>),
}

use Item::{Field as F, Flow, Fragments, OptionNumbers, PayloadLength, Stack, Time};

/// Every rule, by theme; [`order`] says when each one runs.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "header stack",
        reads: &[],
        writes: &[
            Stack,
            F(ipv4::VERSION),
            F(ipv4::PROTOCOL),
            F(ipv6::VERSION),
            F(ipv6::NEXT_HEADER),
        ],
        apply: infer::stack::apply,
    },
    Rule {
        name: "fragments",
        reads: &[Stack, F(ipv4::PROTOCOL)],
        writes: &[Fragments, F(ipv4::MORE_FRAGMENTS), F(ipv4::RESERVED)],
        apply: infer::fragment::apply,
    },
    Rule {
        name: "icmp type",
        reads: &[Stack],
        writes: &[F(icmp::TYPE), F(icmp::CODE)],
        apply: infer::constants::icmp_type,
    },
    Rule {
        name: "flows and ports",
        reads: &[Stack, Fragments, F(icmp::TYPE), F(ipv4::PROTOCOL), F(ipv6::NEXT_HEADER)],
        writes: &[
            Flow,
            F(tcp::SOURCE_PORT),
            F(tcp::DESTINATION_PORT),
            F(udp::SOURCE_PORT),
            F(udp::DESTINATION_PORT),
        ],
        apply: infer::flow::apply,
    },
    Rule {
        name: "don't fragment",
        reads: &[Flow, Fragments, Stack],
        writes: &[F(ipv4::DONT_FRAGMENT)],
        apply: infer::fragment::dont_fragment,
    },
    Rule {
        name: "hop limits",
        reads: &[Flow, F(icmp::TYPE)],
        writes: &[F(ipv4::TTL), F(ipv6::HOP_LIMIT)],
        apply: infer::constants::hops,
    },
    Rule {
        name: "traffic classes",
        reads: &[Flow],
        writes: &[F(ipv4::TOS), F(ipv6::TRAFFIC_CLASS), F(ipv6::FLOW_LABEL)],
        apply: infer::constants::classes,
    },
    Rule {
        name: "tcp events",
        reads: &[Flow],
        writes: &[F(tcp::ACK), F(tcp::SYN), F(tcp::FIN), F(tcp::RST)],
        apply: plan::flags::apply,
    },
    Rule {
        name: "window and other flags",
        reads: &[Flow],
        writes: &[
            F(tcp::RESERVED),
            F(tcp::NS),
            F(tcp::CWR),
            F(tcp::ECE),
            F(tcp::URG),
            F(tcp::PSH),
            F(tcp::WINDOW),
            F(tcp::URGENT_POINTER),
        ],
        apply: infer::constants::tcp_rest,
    },
    Rule {
        name: "tcp options",
        reads: &[Flow, F(tcp::SYN)],
        writes: &[F(tcp::OPTIONS), F(tcp::DATA_OFFSET)],
        apply: plan::options::tcp_options,
    },
    Rule {
        name: "ipv4 options",
        reads: &[Stack],
        writes: &[F(ipv4::OPTIONS), F(ipv4::HEADER_LENGTH)],
        apply: plan::options::ipv4_options,
    },
    Rule {
        name: "lengths",
        reads: &[
            Flow,
            Fragments,
            F(ipv4::HEADER_LENGTH),
            F(ipv6::NEXT_HEADER),
            F(tcp::DATA_OFFSET),
            F(tcp::SYN),
            F(tcp::RST),
            F(icmp::TYPE),
        ],
        writes: &[PayloadLength, F(ipv4::TOTAL_LENGTH), F(ipv6::PAYLOAD_LENGTH), F(udp::LENGTH)],
        apply: compile::lengths::apply,
    },
    Rule {
        name: "fragment offsets",
        reads: &[Fragments, PayloadLength, F(ipv4::TOTAL_LENGTH), F(ipv4::HEADER_LENGTH)],
        writes: &[F(ipv4::FRAGMENT_OFFSET)],
        apply: compile::fragments::offsets,
    },
    Rule {
        name: "ip identification",
        reads: &[Flow, Fragments],
        writes: &[F(ipv4::ID)],
        apply: plan::ids::apply,
    },
    Rule {
        name: "tcp numbers",
        reads: &[Flow, PayloadLength, F(tcp::SYN), F(tcp::FIN), F(tcp::RST), F(tcp::ACK)],
        writes: &[F(tcp::SEQ), F(tcp::ACK_NUMBER)],
        apply: plan::numbers::apply,
    },
    Rule {
        name: "icmp rest of header",
        reads: &[Flow, PayloadLength, F(icmp::TYPE), F(icmp::CODE)],
        writes: &[F(icmp::REST)],
        apply: compile::icmp::rest,
    },
    Rule { name: "times", reads: &[Flow, PayloadLength], writes: &[Time], apply: timing::apply },
    Rule {
        name: "tcp option numbers",
        reads: &[
            Time,
            PayloadLength,
            F(tcp::OPTIONS),
            F(tcp::SEQ),
            F(tcp::ACK_NUMBER),
            F(tcp::ACK),
            F(tcp::DATA_OFFSET),
        ],
        writes: &[OptionNumbers],
        apply: compile::stamps::apply,
    },
];

/// Why the rules have no order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// Two rules write the same item.
    TwoWriters(Item, &'static str, &'static str),
    /// A rule reads an item that no rule writes.
    NoWriter(Item, &'static str),
    /// These rules wait for each other.
    Cycle(Vec<&'static str>),
}

/// The order in which every rule runs after the writers of what it reads; rules that may run at
/// the same time keep their place in the table.
pub(crate) fn order(rules: &[Rule]) -> Result<Vec<usize>, OrderError> {
    let writer = |item: &Item| rules.iter().position(|r| r.writes.contains(item));
    let mut waits: Vec<Vec<usize>> = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        for item in rule.writes {
            if let Some(first) = writer(item).filter(|w| *w != index) {
                return Err(OrderError::TwoWriters(*item, rules[first].name, rule.name));
            }
        }
        let mut before = Vec::new();
        for item in rule.reads {
            match writer(item) {
                Some(w) => before.push(w),
                None => return Err(OrderError::NoWriter(*item, rule.name)),
            }
        }
        waits.push(before);
    }
    let mut done = vec![false; rules.len()];
    let mut order = Vec::with_capacity(rules.len());
    while order.len() < rules.len() {
        let ready = (0..rules.len()).find(|r| !done[*r] && waits[*r].iter().all(|w| done[*w]));
        let Some(ready) = ready else {
            let left = (0..rules.len()).filter(|r| !done[*r]).map(|r| rules[r].name).collect();
            return Err(OrderError::Cycle(left));
        };
        done[ready] = true;
        order.push(ready);
    }
    Ok(order)
}

/// Runs every rule once and counts what each one changed.
pub(crate) fn run(draft: &mut Draft<'_>, changes: &mut Changes) {
    let order = order(RULES).expect("a unit test proves that the table has an order");
    for index in order {
        let rule = &RULES[index];
        let before = (draft.cells.present_plane().to_vec(), draft.cells.value_plane().to_vec());
        (rule.apply)(draft);
        let changed = before
            .0
            .iter()
            .zip(draft.cells.present_plane())
            .zip(before.1.iter().zip(draft.cells.value_plane()))
            .map(|((p, q), (v, w))| u64::from(((p ^ q) | (v ^ w)).count_ones()))
            .sum();
        changes.add_rule(rule.name, changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_an_order() {
        let order = order(RULES).expect("no cycle, one writer an item");
        let place = |name: &str| order.iter().position(|r| RULES[*r].name == name);
        assert!(place("lengths") < place("times"));
        assert!(place("times") < place("tcp option numbers"));
    }

    #[test]
    fn every_field_has_a_writer_apart_from_checksums() {
        for (field, _) in nprint_codec::Layout::reference().fields() {
            let written = RULES.iter().any(|r| r.writes.contains(&F(field)));
            assert_ne!(written, field.name.ends_with("_cksum"), "{}", field.name);
        }
    }

    #[test]
    fn a_cycle_is_found() {
        let nothing: fn(&mut Draft<'_>) = |_| {};
        let rules = [
            Rule { name: "a", reads: &[Time], writes: &[Flow], apply: nothing },
            Rule { name: "b", reads: &[Flow], writes: &[Time], apply: nothing },
        ];
        assert_eq!(order(&rules), Err(OrderError::Cycle(vec!["a", "b"])));
        let two = [
            Rule { name: "a", reads: &[], writes: &[Flow], apply: nothing },
            Rule { name: "b", reads: &[], writes: &[Flow], apply: nothing },
        ];
        assert_eq!(order(&two), Err(OrderError::TwoWriters(Flow, "a", "b")));
    }
}
