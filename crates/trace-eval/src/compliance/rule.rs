//! The rules.

use serde::{Deserialize, Serialize};

/// Whether breaking a rule is wrong in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// A packet that breaks it is wrong.
    Error,
    /// Real captures break it now and then: compare the rates.
    Plausibility,
}

macro_rules! rules {
    ($($variant:ident $kind:ident $name:literal $source:literal $meaning:literal;)*) => {
        /// One rule of the audit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Rule { $(#[doc = $meaning] $variant),* }

        impl Rule {
            /// Every rule, in the order of reports.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// Short name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What the rule asks for.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// Where the rule comes from.
            pub const fn source(self) -> &'static str {
                match self { $(Self::$variant => $source),* }
            }

            /// Whether breaking it is wrong in itself.
            pub const fn kind(self) -> RuleKind {
                match self { $(Self::$variant => RuleKind::$kind),* }
            }
        }
    };
}

rules! {
    IsIp Plausibility "ip" "-" "The packet is IPv4 or IPv6.";
    IpHeader Error "ip.header" "RFC 791 3.1, RFC 8200 3" "Version, header length and total length fit together.";
    IpLength Error "ip.length" "RFC 791 3.1, RFC 8200 3" "The IP length is the length on the wire, Ethernet padding apart.";
    Ipv4Checksum Error "ipv4.checksum" "RFC 791 3.1" "The IPv4 header checksum is right.";
    TtlNotZero Error "ip.ttl" "RFC 791 3.2, RFC 8200 3" "Time to live or hop limit is not 0.";
    TcpHeader Error "tcp.header" "RFC 9293 3.1" "The data offset is at least 5 and fits into the segment.";
    TcpOptions Error "tcp.options" "RFC 9293 3.2" "The options can be parsed: lengths right, the rest padding.";
    TcpFlags Error "tcp.flags" "RFC 9293 3.10" "Flags are a legal combination: not none, not SYN with FIN or RST, ACK unless SYN or RST.";
    TcpChecksum Error "tcp.checksum" "RFC 9293 3.1" "The TCP checksum is right (packets captured whole).";
    UdpLength Error "udp.length" "RFC 768" "The UDP length is that of the IP payload.";
    UdpChecksum Error "udp.checksum" "RFC 768, RFC 8200 8.1" "The UDP checksum is right, or 0 over IPv4 (packets captured whole).";
    IcmpChecksum Error "icmp.checksum" "RFC 792, RFC 4443 2.3" "The ICMP checksum is right (packets captured whole).";
    IcmpType Error "icmp.type" "IANA ICMP and ICMPv6 parameters" "The message type is assigned.";
    TcpHandshake Error "tcp.handshake" "RFC 9293 3.5" "A connection that starts in the capture has SYN, SYN-ACK and ACK with exact numbers.";
    TcpState Error "tcp.state" "RFC 9293 3.3.2" "The segment is legal in the state of its connection.";
    TcpAckNotAhead Plausibility "tcp.ack-ahead" "RFC 9293 3.10.7.4" "The acknowledgement does not run ahead of what the peer has sent.";
    TcpAckNotBack Plausibility "tcp.ack-back" "RFC 9293 3.10.7.4" "The acknowledgement does not fall back.";
    TcpSequence Plausibility "tcp.sequence" "RFC 9293 3.4" "The segment continues or repeats its stream, without a hole.";
    TcpAckExact Plausibility "tcp.ack-exact" "RFC 9293 3.4" "The acknowledgement is exactly what the peer has sent so far.";
    TimeNotZero Error "time.zero" "-" "The time stamp is after 1970-01-01.";
    TimeOrder Error "time.order" "-" "Time stamps do not fall.";
    TimeVaries Error "time.varies" "-" "Not all packets have the same time stamp.";
}
