//! What a caller chooses.

use crate::timing::TimingModel;
use crate::{Error, Result};
use nprint_codec::Trace;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Settings of [`repair`](crate::repair).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairConfig {
    /// Seed of everything that is drawn: the same seed gives the same bytes. Default 0.
    pub seed: u64,
    /// Whether evidence that breaks a rule is repaired or refused.
    pub mode: Mode,
    /// Where addresses come from.
    pub addresses: AddressPlan,
    /// Where the bytes after the headers come from.
    pub payload: Payload,
    /// Where time stamps come from.
    pub timing: Timing,
    /// Link layer of the capture.
    pub link: Link,
    /// Time of the first packet; not used with [`Timing::Keep`]. Default 2026-01-01 00:00 UTC.
    /// Units: nanoseconds since 1970-01-01.
    pub start_ns: i64,
}

impl Default for RepairConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            mode: Mode::default(),
            addresses: AddressPlan::default(),
            payload: Payload::default(),
            timing: Timing::default(),
            link: Link::default(),
            start_ns: 1_767_225_600_000_000_000,
        }
    }
}

/// What becomes of evidence that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is changed into the nearest consistent trace.
    #[default]
    Repair,
    /// It is refused: [`Error::Refused`] names the rule, the packet and the field. Checksums are no
    /// reason, for they belong to addresses and payload that the evidence does not have.
    Strict,
}

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AddressPlan {
    /// Documentation ranges: initiators in 192.0.2.0/24 and 2001:db8:1::/64, responders in
    /// 198.51.100.0/24 and 2001:db8:2::/64.
    ///
    /// # Source
    /// RFC 5737, RFC 3849.
    #[default]
    Documentation,
    /// Subnets of the caller's.
    Subnets(Subnets),
    /// The addresses (and link headers) of a source trace, packet by packet.
    #[serde(skip)]
    Keep(Arc<Trace>),
}

/// Subnets that hosts are numbered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subnets {
    /// Initiators over IPv4: network and prefix length.
    pub initiators_v4: (Ipv4Addr, u8),
    /// Responders over IPv4.
    pub responders_v4: (Ipv4Addr, u8),
    /// Initiators over IPv6.
    pub initiators_v6: (Ipv6Addr, u8),
    /// Responders over IPv6.
    pub responders_v6: (Ipv6Addr, u8),
}

impl Default for Subnets {
    fn default() -> Self {
        let v6 = |subnet| (Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, 0), 64);
        Self {
            initiators_v4: (Ipv4Addr::new(192, 0, 2, 0), 24),
            responders_v4: (Ipv4Addr::new(198, 51, 100, 0), 24),
            initiators_v6: v6(1),
            responders_v6: v6(2),
        }
    }
}

impl Subnets {
    /// Checks that every subnet has room for the hosts of a trace.
    ///
    /// # Errors
    /// [`Error::Subnet`] where a prefix leaves fewer than 4 host bits.
    pub fn check(&self) -> Result<()> {
        let sides = [
            ("initiator", 4, 32, self.initiators_v4.1),
            ("responder", 4, 32, self.responders_v4.1),
            ("initiator", 6, 128, self.initiators_v6.1),
            ("responder", 6, 128, self.responders_v6.1),
        ];
        for (side, version, width, prefix) in sides {
            let host_bits = u8::saturating_sub(width, prefix);
            if host_bits < 4 {
                return Err(Error::Subnet { side, version, host_bits, needed: 4 });
            }
        }
        Ok(())
    }
}

/// Where the bytes after the headers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Payload {
    /// Made up: well-formed messages of the port's protocol around filler of this kind.
    Policy(PayloadPolicy),
    /// The captured bytes of a source trace, packet by packet. Checksums are brought forward
    /// from the source's by what changed, so that they stay right over bytes that were cut.
    #[serde(skip)]
    Keep(Arc<Trace>),
}

impl Default for Payload {
    fn default() -> Self {
        Self::Policy(PayloadPolicy::Random)
    }
}

/// Filler inside made-up payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadPolicy {
    /// Zeros.
    Zero,
    /// Seeded random bytes, as encrypted traffic has.
    #[default]
    Random,
    /// 0, 1, 2, … by position.
    Pattern,
}

/// Where time stamps come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Timing {
    /// Sampled from a model.
    Model {
        /// The model.
        model: TimingModel,
        /// Which of its labelled parts; the fallback where it has none of that name.
        label: Option<String>,
    },
    /// The time stamps of a source, one per row. Where one is earlier than the one before it,
    /// it becomes equal to that. Units: nanoseconds since 1970-01-01.
    Keep(Vec<i64>),
}

impl Default for Timing {
    fn default() -> Self {
        Self::Model { model: TimingModel::default(), label: None }
    }
}

impl Timing {
    /// The time stamps of the IP packets of `trace`.
    pub fn of_trace(trace: &Trace) -> Self {
        Self::Keep(
            trace
                .iter()
                .filter(|p| nprint_codec::dissect(trace.link_type(), p.bytes).is_some())
                .map(|p| p.time_ns)
                .collect(),
        )
    }
}

/// Link layer of the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// Ethernet with locally administered addresses.
    #[default]
    Ethernet,
    /// Bare IP.
    RawIp,
}
