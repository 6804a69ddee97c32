//! The header fields: one const table per header, in wire order.
//!
//! A [`Field`] is a run of bits inside a header, named as nPrint names its columns. The tables
//! are the only place where names, widths and offsets are written down; layouts, the CSV module
//! and typed access ([`Row::get`](crate::Row::get)) read them from here.

use serde::{Deserialize, Serialize};

/// A protocol header of the representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Header {
    /// Radiotap, the radio's own header in front of an 802.11 frame: the first 56 bytes, in the
    /// one field order that nPrint knows.
    Radiotap,
    /// The first 10 bytes of an IEEE 802.11 frame; vacant for other link layers.
    Wlan,
    /// Ethernet II, 14 bytes; vacant for other link layers.
    Ethernet,
    /// The first two VLAN tags, IEEE 802.1Q and 802.1ad, 4 bytes each; not in nPrint, and vacant
    /// where [`Layer::VlanTags`](crate::Layer::VlanTags) is not looked through.
    Vlan,
    /// IPv4, RFC 791: at most 60 bytes.
    Ipv4,
    /// IPv6 fixed header, RFC 8200: 40 bytes.
    Ipv6,
    /// TCP, RFC 9293: at most 60 bytes.
    Tcp,
    /// UDP, RFC 768: 8 bytes.
    Udp,
    /// ICMP, RFC 792, or the first 8 bytes of ICMPv6, RFC 4443.
    Icmp,
    /// The bytes after the transport header, as many as the layout says.
    Payload,
}

impl Header {
    /// The network and transport headers, in the fixed column order of nPrint.
    pub const ALL: [Self; 5] = [Self::Ipv4, Self::Ipv6, Self::Tcp, Self::Udp, Self::Icmp];

    /// What nPrint has columns for, in its fixed order.
    pub const NPRINT: [Self; 9] = [
        Self::Radiotap,
        Self::Wlan,
        Self::Ethernet,
        Self::Ipv4,
        Self::Ipv6,
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Payload,
    ];

    /// Everything that can have columns, in the order of the wire, which is nPrint's.
    pub const WIRE_ORDER: [Self; 10] = [
        Self::Radiotap,
        Self::Wlan,
        Self::Ethernet,
        Self::Vlan,
        Self::Ipv4,
        Self::Ipv6,
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Payload,
    ];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Radiotap => "radiotap",
            Self::Wlan => "wlan",
            Self::Ethernet => "ethernet",
            Self::Vlan => "vlan",
            Self::Payload => "payload",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// The fields of this header in wire order; together they cover it without gaps. None for
    /// [`Payload`](Self::Payload), whose one field is as wide as the layout makes it.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Payload => &[],
            Self::Radiotap => radiotap::ALL,
            Self::Wlan => wlan::ALL,
            Self::Ethernet => ethernet::ALL,
            Self::Vlan => vlan::ALL,
            Self::Ipv4 => ipv4::ALL,
            Self::Ipv6 => ipv6::ALL,
            Self::Tcp => tcp::ALL,
            Self::Udp => udp::ALL,
            Self::Icmp => icmp::ALL,
        }
    }

    /// Largest size of the header. Units: bits.
    pub const fn max_bits(self) -> usize {
        match self {
            Self::Radiotap => 448,
            Self::Wlan => 80,
            Self::Ethernet => 112,
            Self::Payload => payload::MAX_BYTES * 8,
            Self::Ipv4 | Self::Tcp => 480,
            Self::Ipv6 => 320,
            Self::Vlan | Self::Udp | Self::Icmp => 64,
        }
    }
}

/// A named run of bits inside one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    pub(crate) id: u8,
    /// The header that the field belongs to.
    pub header: Header,
    /// nPrint's name without the bit number, e.g. `tcp_seq`.
    pub name: &'static str,
    /// Distance from the start of the header. Units: bits.
    pub offset_bits: u16,
    /// Width. Units: bits. Fields wider than 32 bits (addresses of IPv6, options) are read as
    /// bytes, not as numbers.
    pub bits: u16,
    /// Where the field is defined.
    pub source: &'static str,
}

impl Field {
    /// Number of fields in all tables.
    pub(crate) const COUNT: usize = payload::ID as usize + 1;

    /// The field with nPrint's name `name`, e.g. `ipv4_ttl`.
    pub fn by_name(name: &str) -> Option<Self> {
        Header::WIRE_ORDER.iter().flat_map(|h| h.fields()).find(|f| f.name == name).copied()
    }
}

macro_rules! header_fields {
    ($(#[$doc:meta])* $module:ident, $header:expr, $first:expr,
     [$($field:ident $name:literal $offset:literal + $bits:literal, $source:literal, $what:literal;)*]) => {
        $(#[$doc])*
        pub mod $module {
            use super::{Field, Header};
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[derive(Clone, Copy)]
            enum Index { $($field),* }
            /// Number of fields in the tables of the headers before this one.
            pub(crate) const FIRST_ID: usize = $first;
            $(
                #[doc = $what]
                pub const $field: Field = Field {
                    id: (FIRST_ID + Index::$field as usize) as u8,
                    header: $header, name: $name, offset_bits: $offset, bits: $bits,
                    source: $source,
                };
            )*
            /// Every field in wire order.
            pub const ALL: &[Field] = &[$($field),*];
        }
    };
}

header_fields! {
    /// IPv4 header.
    ///
    /// ```text
    /// | ver 4 | hl 4 | tos 8 | tl 16 | id 16 | rbit 1 | df 1 | mf 1 | foff 13 |
    /// | ttl 8 | proto 8 | cksum 16 | src 32 | dst 32 | opt 320 |
    /// ```
    ipv4, Header::Ipv4, 0, [
        VERSION "ipv4_ver" 0 + 4, "RFC 791 3.1", "Version, 4.";
        HEADER_LENGTH "ipv4_hl" 4 + 4, "RFC 791 3.1", "Header length. Units: 32-bit words.";
        TOS "ipv4_tos" 8 + 8, "RFC 2474, RFC 3168", "DSCP (6 bits) and ECN (2 bits).";
        TOTAL_LENGTH "ipv4_tl" 16 + 16, "RFC 791 3.1", "Header and data. Units: bytes.";
        ID "ipv4_id" 32 + 16, "RFC 791 3.1, RFC 6864", "Identification.";
        RESERVED "ipv4_rbit" 48 + 1, "RFC 791 3.1", "Reserved flag.";
        DONT_FRAGMENT "ipv4_dfbit" 49 + 1, "RFC 791 3.1", "Don't-fragment flag.";
        MORE_FRAGMENTS "ipv4_mfbit" 50 + 1, "RFC 791 3.1", "More-fragments flag.";
        FRAGMENT_OFFSET "ipv4_foff" 51 + 13, "RFC 791 3.1", "Fragment offset. Units: 8 bytes.";
        TTL "ipv4_ttl" 64 + 8, "RFC 791 3.1", "Time to live. Units: hops.";
        PROTOCOL "ipv4_proto" 72 + 8, "RFC 791 3.1", "Protocol of the data.";
        CHECKSUM "ipv4_cksum" 80 + 16, "RFC 791 3.1, RFC 1071", "Header checksum.";
        SOURCE "ipv4_src" 96 + 32, "RFC 791 3.1", "Source address.";
        DESTINATION "ipv4_dst" 128 + 32, "RFC 791 3.1", "Destination address.";
        OPTIONS "ipv4_opt" 160 + 320, "RFC 791 3.1", "Options, as they lie on the wire.";
    ]
}

header_fields! {
    /// IPv6 fixed header.
    ///
    /// ```text
    /// | ver 4 | tc 8 | fl 20 | len 16 | nh 8 | hl 8 | src 128 | dst 128 |
    /// ```
    ipv6, Header::Ipv6, super::ipv4::FIRST_ID + super::ipv4::ALL.len(), [
        VERSION "ipv6_ver" 0 + 4, "RFC 8200 3", "Version, 6.";
        TRAFFIC_CLASS "ipv6_tc" 4 + 8, "RFC 8200 7", "DSCP (6 bits) and ECN (2 bits).";
        FLOW_LABEL "ipv6_fl" 12 + 20, "RFC 8200 6", "Flow label.";
        PAYLOAD_LENGTH "ipv6_len" 32 + 16, "RFC 8200 3", "Bytes after this header.";
        NEXT_HEADER "ipv6_nh" 48 + 8, "RFC 8200 3", "Type of the header that follows.";
        HOP_LIMIT "ipv6_hl" 56 + 8, "RFC 8200 3", "Hop limit. Units: hops.";
        SOURCE "ipv6_src" 64 + 128, "RFC 8200 3", "Source address.";
        DESTINATION "ipv6_dst" 192 + 128, "RFC 8200 3", "Destination address.";
    ]
}

header_fields! {
    /// TCP header.
    ///
    /// ```text
    /// | sprt 16 | dprt 16 | seq 32 | ackn 32 | doff 4 | res 3 | ns cwr ece urg ackf psh rst syn fin |
    /// | wsize 16 | cksum 16 | urp 16 | opt 320 |
    /// ```
    tcp, Header::Tcp, super::ipv6::FIRST_ID + super::ipv6::ALL.len(), [
        SOURCE_PORT "tcp_sprt" 0 + 16, "RFC 9293 3.1", "Source port.";
        DESTINATION_PORT "tcp_dprt" 16 + 16, "RFC 9293 3.1", "Destination port.";
        SEQ "tcp_seq" 32 + 32, "RFC 9293 3.1", "Sequence number.";
        ACK_NUMBER "tcp_ackn" 64 + 32, "RFC 9293 3.1", "Acknowledgement number.";
        DATA_OFFSET "tcp_doff" 96 + 4, "RFC 9293 3.1", "Header length. Units: 32-bit words.";
        RESERVED "tcp_res" 100 + 3, "RFC 9293 3.1", "Reserved bits.";
        NS "tcp_ns" 103 + 1, "RFC 9768 3.1", "Formerly ECN-nonce, now accurate-ECN bit.";
        CWR "tcp_cwr" 104 + 1, "RFC 3168 6.1", "Congestion window reduced.";
        ECE "tcp_ece" 105 + 1, "RFC 3168 6.1", "ECN echo.";
        URG "tcp_urg" 106 + 1, "RFC 9293 3.1", "Urgent pointer is valid.";
        ACK "tcp_ackf" 107 + 1, "RFC 9293 3.1", "Acknowledgement number is valid.";
        PSH "tcp_psh" 108 + 1, "RFC 9293 3.1", "Push.";
        RST "tcp_rst" 109 + 1, "RFC 9293 3.1", "Reset.";
        SYN "tcp_syn" 110 + 1, "RFC 9293 3.1", "Synchronise.";
        FIN "tcp_fin" 111 + 1, "RFC 9293 3.1", "No more data from the sender.";
        WINDOW "tcp_wsize" 112 + 16, "RFC 9293 3.1, RFC 7323 2", "Receive window, before scaling.";
        CHECKSUM "tcp_cksum" 128 + 16, "RFC 9293 3.1, RFC 1071", "Checksum with pseudo header.";
        URGENT_POINTER "tcp_urp" 144 + 16, "RFC 9293 3.1", "Urgent pointer.";
        OPTIONS "tcp_opt" 160 + 320, "RFC 9293 3.2", "Options, as they lie on the wire.";
    ]
}

header_fields! {
    /// UDP header.
    ///
    /// ```text
    /// | sport 16 | dport 16 | len 16 | cksum 16 |
    /// ```
    udp, Header::Udp, super::tcp::FIRST_ID + super::tcp::ALL.len(), [
        SOURCE_PORT "udp_sport" 0 + 16, "RFC 768", "Source port.";
        DESTINATION_PORT "udp_dport" 16 + 16, "RFC 768", "Destination port.";
        LENGTH "udp_len" 32 + 16, "RFC 768", "Header and data. Units: bytes.";
        CHECKSUM "udp_cksum" 48 + 16, "RFC 768, RFC 1071", "Checksum with pseudo header.";
    ]
}

header_fields! {
    /// ICMP and ICMPv6 header.
    ///
    /// ```text
    /// | type 8 | code 8 | cksum 16 | rest of header 32 |
    /// ```
    icmp, Header::Icmp, super::udp::FIRST_ID + super::udp::ALL.len(), [
        TYPE "icmp_type" 0 + 8, "RFC 792, RFC 4443 2.1", "Message type.";
        CODE "icmp_code" 8 + 8, "RFC 792, RFC 4443 2.1", "Message code.";
        CHECKSUM "icmp_cksum" 16 + 16, "RFC 792, RFC 4443 2.3", "Checksum.";
        REST "icmp_roh" 32 + 32, "RFC 792, RFC 4443", "Rest of header, by type.";
    ]
}

header_fields! {
    /// Ethernet II header.
    ///
    /// ```text
    /// | dhost 48 | shost 48 | ethertype 16 |
    /// ```
    ethernet, Header::Ethernet, super::icmp::FIRST_ID + super::icmp::ALL.len(), [
        DESTINATION "eth_dhost" 0 + 48, "IEEE 802.3 3.2.4", "Destination address.";
        SOURCE "eth_shost" 48 + 48, "IEEE 802.3 3.2.5", "Source address.";
        ETHERTYPE "eth_ethertype" 96 + 16, "IEEE 802.3 3.2.6", "Type of the data.";
    ]
}

header_fields! {
    /// Radiotap header, as nPrint lays it out.
    ///
    /// Real radiotap fields come and go with the bits of `present`; these columns are the bytes
    /// from the header's start, and their names are right for one frequent set of fields only.
    ///
    /// ```text
    /// | reversion 8 | pad0 8 | len 16 | present 96 | mactimestamp 64 | flags 8 | rate 8 |
    /// | channel 16 | channelflags 16 | antennasignal 8 | pad1 8 | rxflags 16 | pad2 48 |
    /// | timestamp 96 | antennas 32 |
    /// ```
    radiotap, Header::Radiotap, super::ethernet::FIRST_ID + super::ethernet::ALL.len(), [
        REVISION "radiotap_reversion" 0 + 8, "radiotap.org; nPrint 1.2.1 spells it so", "Version, 0.";
        PAD_0 "radiotap_pad0" 8 + 8, "radiotap.org", "Padding.";
        LENGTH "radiotap_len" 16 + 16, "radiotap.org", "Length of the whole header, little-endian. Units: bytes.";
        PRESENT "radiotap_present" 32 + 96, "radiotap.org", "Which fields follow, three words.";
        MAC_TIME "radiotap_mactimestamp" 128 + 64, "radiotap.org TSFT", "Time of the radio's clock. Units: microseconds.";
        FLAGS "radiotap_flags" 192 + 8, "radiotap.org", "Properties of the frame.";
        RATE "radiotap_rate" 200 + 8, "radiotap.org", "Rate. Units: 500 kb/s.";
        CHANNEL "radiotap_channel" 208 + 16, "radiotap.org", "Frequency, little-endian. Units: MHz.";
        CHANNEL_FLAGS "radiotap_channelflags" 224 + 16, "radiotap.org", "Properties of the channel.";
        SIGNAL "radiotap_antennasignal" 240 + 8, "radiotap.org", "Signal power, signed. Units: dBm.";
        PAD_1 "radiotap_pad1" 248 + 8, "radiotap.org", "Padding.";
        RX_FLAGS "radiotap_rxflags" 256 + 16, "radiotap.org", "Properties of the reception.";
        PAD_2 "radiotap_pad2" 272 + 48, "radiotap.org", "Padding.";
        TIME "radiotap_timestamp" 320 + 96, "radiotap.org", "Time stamp with unit, position and flags.";
        ANTENNAS "radiotap_antennas" 416 + 32, "radiotap.org", "Two antennas: signal and number each.";
    ]
}

header_fields! {
    /// IEEE 802.11 MAC header, its first 10 bytes.
    ///
    /// ```text
    /// | type 8 | flag 8 | duration 16 | rx_addr 48 |
    /// ```
    wlan, Header::Wlan, super::radiotap::FIRST_ID + super::radiotap::ALL.len(), [
        TYPE "wlan_type" 0 + 8, "IEEE 802.11 9.2.4.1", "Version, type and subtype.";
        FLAGS "wlan_flag" 8 + 8, "IEEE 802.11 9.2.4.1", "Flags of the frame control field.";
        DURATION "wlan_duration" 16 + 16, "IEEE 802.11 9.2.4.2", "Duration or association id.";
        RECEIVER "wlan_rx_addr" 32 + 48, "IEEE 802.11 9.2.4.3", "Address of the receiver.";
    ]
}

header_fields! {
    /// Two VLAN tags behind the Ethernet addresses; the type in front of each one is the field
    /// before it, `eth_ethertype` for the first.
    ///
    /// ```text
    /// | vlan: pcp 3 | dei 1 | vid 12 | ethertype 16 | vlan2: pcp 3 | dei 1 | vid 12 | ethertype 16 |
    /// ```
    vlan, Header::Vlan, super::wlan::FIRST_ID + super::wlan::ALL.len(), [
        PRIORITY "vlan_pcp" 0 + 3, "IEEE 802.1Q 9.6", "Priority code point of the outer tag.";
        DROP_ELIGIBLE "vlan_dei" 3 + 1, "IEEE 802.1Q 9.6", "Drop eligible indicator of the outer tag.";
        ID "vlan_vid" 4 + 12, "IEEE 802.1Q 9.6", "VLAN identifier of the outer tag.";
        ETHERTYPE "vlan_ethertype" 16 + 16, "IEEE 802.1Q 9.4", "Type behind the outer tag.";
        INNER_PRIORITY "vlan2_pcp" 32 + 3, "IEEE 802.1Q 9.6", "Priority code point of the inner tag.";
        INNER_DROP_ELIGIBLE "vlan2_dei" 35 + 1, "IEEE 802.1Q 9.6", "Drop eligible indicator of the inner tag.";
        INNER_ID "vlan2_vid" 36 + 12, "IEEE 802.1Q 9.6", "VLAN identifier of the inner tag.";
        INNER_ETHERTYPE "vlan2_ethertype" 48 + 16, "IEEE 802.1Q 9.4", "Type behind the inner tag.";
    ]
}

/// Payload: the bytes after the transport header.
pub mod payload {
    use super::{Field, Header, vlan};

    pub(crate) const ID: u8 = (vlan::FIRST_ID + vlan::ALL.len()) as u8;

    /// Most payload bytes that a layout can show: a field's width in bits is 16 bits wide.
    pub const MAX_BYTES: usize = (u16::MAX >> 3) as usize;

    /// The first `bytes` bytes of payload as one field, `None` for 0 and above [`MAX_BYTES`].
    pub const fn field(bytes: usize) -> Option<Field> {
        if bytes == 0 || bytes > MAX_BYTES {
            return None;
        }
        Some(Field {
            id: ID,
            header: Header::Payload,
            name: "payload_bit",
            offset_bits: 0,
            bits: 8 * bytes as u16,
            source: "nPrint 1.2.1, option -p",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_cover_each_header_without_gaps() {
        let mut id = 0;
        let link_layers_last = Header::ALL.into_iter().chain([
            Header::Ethernet,
            Header::Radiotap,
            Header::Wlan,
            Header::Vlan,
        ]);
        for header in link_layers_last {
            let mut next = 0;
            for field in header.fields() {
                assert_eq!(usize::from(field.offset_bits), next, "{}", field.name);
                assert_eq!(usize::from(field.id), id, "{}", field.name);
                assert_eq!(field.header, header);
                next += usize::from(field.bits);
                id += 1;
            }
            assert_eq!(next, header.max_bits());
        }
        assert_eq!(id + 1, Field::COUNT);
        assert_eq!(payload::field(3).map(|f| (f.bits, usize::from(f.id))), Some((24, id)));
        assert_eq!(payload::field(payload::MAX_BYTES + 1), None);
    }

    #[test]
    fn names_find_their_field() {
        assert_eq!(Field::by_name("tcp_ackf"), Some(tcp::ACK));
        assert_eq!(Field::by_name("tcp_none"), None);
    }
}
