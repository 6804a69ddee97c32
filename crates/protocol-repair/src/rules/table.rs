//! The table of the rules.

use super::Item::{Field as F, Flow, Fragments, OptionNumbers, PayloadLength, Stack, Time};
use super::{Rule, Stage};
use crate::{compile, infer, plan, timing};
use nprint_codec::{icmp, ipv4, ipv6, tcp, udp};

/// Every rule, by theme; [`order`](super::order) says when each one runs.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "header stack",
        stage: Stage::Infer,
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
        stage: Stage::Infer,
        reads: &[Stack, F(ipv4::PROTOCOL)],
        writes: &[Fragments, F(ipv4::MORE_FRAGMENTS), F(ipv4::RESERVED)],
        apply: infer::fragment::apply,
    },
    Rule {
        name: "icmp type",
        stage: Stage::Infer,
        reads: &[Stack],
        writes: &[F(icmp::TYPE), F(icmp::CODE)],
        apply: infer::constants::icmp_type,
    },
    Rule {
        name: "flows and ports",
        stage: Stage::Infer,
        reads: &[Stack, Fragments, F(icmp::TYPE), F(ipv4::PROTOCOL), F(ipv6::NEXT_HEADER)],
        writes: &[
            Flow,
            F(tcp::SOURCE_PORT),
            F(tcp::DESTINATION_PORT),
            F(udp::SOURCE_PORT),
            F(udp::DESTINATION_PORT),
        ],
        apply: |draft| {
            infer::flow::apply(draft);
            plan::strays::apply(draft);
            draft.find_directions();
        },
    },
    Rule {
        name: "don't fragment",
        stage: Stage::Infer,
        reads: &[Flow, Fragments, Stack],
        writes: &[F(ipv4::DONT_FRAGMENT)],
        apply: infer::fragment::dont_fragment,
    },
    Rule {
        name: "hop limits",
        stage: Stage::Infer,
        reads: &[Flow, F(icmp::TYPE)],
        writes: &[F(ipv4::TTL), F(ipv6::HOP_LIMIT)],
        apply: infer::constants::hops,
    },
    Rule {
        name: "traffic classes",
        stage: Stage::Infer,
        reads: &[Flow],
        writes: &[F(ipv4::TOS), F(ipv6::TRAFFIC_CLASS), F(ipv6::FLOW_LABEL)],
        apply: infer::constants::classes,
    },
    Rule {
        name: "tcp events",
        stage: Stage::Plan,
        reads: &[Flow],
        writes: &[F(tcp::ACK), F(tcp::SYN), F(tcp::FIN), F(tcp::RST)],
        apply: plan::flags::apply,
    },
    Rule {
        name: "other flags",
        stage: Stage::Infer,
        reads: &[Flow],
        writes: &[
            F(tcp::RESERVED),
            F(tcp::NS),
            F(tcp::CWR),
            F(tcp::ECE),
            F(tcp::URG),
            F(tcp::URGENT_POINTER),
        ],
        apply: infer::constants::tcp_rest,
    },
    Rule {
        name: "tcp options",
        stage: Stage::Plan,
        reads: &[Flow, F(tcp::SYN)],
        writes: &[F(tcp::OPTIONS), F(tcp::DATA_OFFSET)],
        apply: plan::options::tcp_options,
    },
    Rule {
        name: "ipv4 options",
        stage: Stage::Plan,
        reads: &[Stack],
        writes: &[F(ipv4::OPTIONS), F(ipv4::HEADER_LENGTH)],
        apply: plan::ip_options::apply,
    },
    Rule {
        name: "lengths",
        stage: Stage::Compile,
        reads: &[
            Flow,
            Fragments,
            F(ipv4::HEADER_LENGTH),
            F(ipv6::NEXT_HEADER),
            F(tcp::DATA_OFFSET),
            F(tcp::OPTIONS),
            F(tcp::SYN),
            F(tcp::FIN),
            F(tcp::RST),
            F(icmp::TYPE),
        ],
        writes: &[PayloadLength, F(ipv4::TOTAL_LENGTH), F(ipv6::PAYLOAD_LENGTH), F(udp::LENGTH)],
        apply: compile::lengths::apply,
    },
    Rule {
        name: "push flag",
        stage: Stage::Plan,
        reads: &[Flow, PayloadLength],
        writes: &[F(tcp::PSH)],
        apply: plan::push::apply,
    },
    Rule {
        name: "fragment offsets",
        stage: Stage::Compile,
        reads: &[Fragments, PayloadLength, F(ipv4::TOTAL_LENGTH), F(ipv4::HEADER_LENGTH)],
        writes: &[F(ipv4::FRAGMENT_OFFSET)],
        apply: compile::fragments::offsets,
    },
    Rule {
        name: "ip identification",
        stage: Stage::Plan,
        reads: &[Flow, Fragments],
        writes: &[F(ipv4::ID)],
        apply: plan::ids::apply,
    },
    Rule {
        name: "tcp numbers",
        stage: Stage::Plan,
        reads: &[
            Flow,
            PayloadLength,
            F(tcp::SYN),
            F(tcp::FIN),
            F(tcp::RST),
            F(tcp::ACK),
            F(tcp::OPTIONS),
        ],
        writes: &[F(tcp::SEQ), F(tcp::ACK_NUMBER)],
        apply: plan::numbers::apply,
    },
    Rule {
        name: "windows",
        stage: Stage::Plan,
        reads: &[
            Flow,
            PayloadLength,
            F(tcp::OPTIONS),
            F(tcp::SEQ),
            F(tcp::ACK_NUMBER),
            F(tcp::ACK),
            F(tcp::SYN),
            F(tcp::RST),
        ],
        writes: &[F(tcp::WINDOW)],
        apply: plan::windows::apply,
    },
    Rule {
        name: "icmp rest of header",
        stage: Stage::Compile,
        reads: &[Flow, PayloadLength, F(icmp::TYPE), F(icmp::CODE)],
        writes: &[F(icmp::REST)],
        apply: compile::icmp::rest,
    },
    Rule {
        name: "times",
        stage: Stage::Plan,
        reads: &[Flow, PayloadLength, F(tcp::SYN), F(tcp::FIN), F(tcp::RST)],
        writes: &[Time],
        apply: timing::apply,
    },
    Rule {
        name: "tcp option numbers",
        stage: Stage::Compile,
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
