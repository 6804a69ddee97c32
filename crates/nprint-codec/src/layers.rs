//! Which layers are looked through on the way to the headers that have columns.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Something between the start of a packet and its columns that the C++ tool knows nothing of.
///
/// | layer | without it, as in nPrint 1.2.1 | with it |
/// |---|---|---|
/// | [`WirelessData`](Self::WirelessData) | a radiotap frame is a row as a whole | IP inside an 802.11 data frame is |
/// | [`VlanTags`](Self::VlanTags) | no row | the IP packet behind any number of tags; the first two are [`Header::Vlan`](crate::Header::Vlan) |
/// | [`MplsLabels`](Self::MplsLabels) | no row | the IP packet behind the label stack |
/// | [`Pppoe`](Self::Pppoe) | no row | the IP packet of the session |
/// | [`Ipv6Extensions`](Self::Ipv6Extensions) | no row | hop-by-hop, routing, fragment and destination headers are passed over |
/// | [`Authentication`](Self::Authentication) | no row | so is AH: behind IPv4, and with `Ipv6Extensions` behind IPv6 |
/// | [`Fragments`](Self::Fragments) | a later fragment's data is read as a transport header | it has vacant transport columns |
/// | [`Icmpv6`](Self::Icmpv6) | no row | in the ICMP columns |
/// | [`Tunnels`](Self::Tunnels) | no row | the innermost IP header of IP in IP, 6in4 and GRE instead of the outer one |
/// | [`OtherProtocols`](Self::OtherProtocols) | no row | a row with vacant transport columns |
///
/// What is looked through has no columns of its own, VLAN tags apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// LLC/SNAP in unencrypted 802.11 data frames.
    WirelessData,
    /// IEEE 802.1Q and 802.1ad (QinQ), types 8100, 88a8 and 9100.
    VlanTags,
    /// RFC 3032, types 8847 and 8848.
    MplsLabels,
    /// RFC 2516, the session stage, type 8864.
    Pppoe,
    /// RFC 8200 section 4.
    Ipv6Extensions,
    /// RFC 4302.
    Authentication,
    /// Fragments other than the first are known as such: RFC 791, RFC 8200 section 4.5.
    Fragments,
    /// RFC 4443.
    Icmpv6,
    /// RFC 2003, RFC 4213, RFC 2473, RFC 2784 with RFC 2890; also an Ethernet frame inside GRE.
    Tunnels,
    /// IP packets whose protocol has no columns.
    OtherProtocols,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 10] = [
        Self::WirelessData,
        Self::VlanTags,
        Self::MplsLabels,
        Self::Pppoe,
        Self::Ipv6Extensions,
        Self::Authentication,
        Self::Fragments,
        Self::Icmpv6,
        Self::Tunnels,
        Self::OtherProtocols,
    ];

    /// Lower-case name, as command lines and configurations have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WirelessData => "wireless-data",
            Self::VlanTags => "vlan-tags",
            Self::MplsLabels => "mpls-labels",
            Self::Pppoe => "pppoe",
            Self::Ipv6Extensions => "ipv6-extensions",
            Self::Authentication => "authentication",
            Self::Fragments => "fragments",
            Self::Icmpv6 => "icmpv6",
            Self::Tunnels => "tunnels",
            Self::OtherProtocols => "other-protocols",
        }
    }
}

impl FromStr for Layer {
    type Err = Error;

    /// # Errors
    /// [`Error::UnknownLayer`] with the names that there are.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|layer| layer.name() == name);
        found.ok_or_else(|| Error::UnknownLayer { name: name.to_owned() })
    }
}

/// A set of [`Layer`]s.
///
/// # Example
/// ```
/// use nprint_codec::{Layer, Layers, RowPolicy};
/// // nPrint's rows, and those of tagged frames.
/// let layers = Layers::NPRINT.with(Layer::VlanTags);
/// assert!(layers.has(Layer::VlanTags) && !layers.has(Layer::Tunnels));
/// assert_eq!(RowPolicy::default().layers(), Layers::EVERY_IP_PACKET);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Layer>", into = "Vec<Layer>")]
pub struct Layers(u16);

impl Layers {
    /// None: what the C++ tool looks through. The default.
    pub const NPRINT: Self = Self(0);

    /// What [`dissect`](crate::dissect) looks through: the layers of the packet itself, no tag, no
    /// label and no tunnel in front of it.
    pub const EVERY_IP_PACKET: Self = Self::NPRINT
        .with(Layer::WirelessData)
        .with(Layer::Ipv6Extensions)
        .with(Layer::Fragments)
        .with(Layer::Icmpv6)
        .with(Layer::OtherProtocols);

    /// Every layer.
    pub const ALL: Self = Self::EVERY_IP_PACKET
        .with(Layer::VlanTags)
        .with(Layer::MplsLabels)
        .with(Layer::Pppoe)
        .with(Layer::Authentication)
        .with(Layer::Tunnels);

    /// These and `layer`.
    pub const fn with(self, layer: Layer) -> Self {
        Self(self.0 | 1 << layer as u16)
    }

    /// These without `layer`.
    pub const fn without(self, layer: Layer) -> Self {
        Self(self.0 & !(1 << layer as u16))
    }

    /// Whether `layer` is among them.
    #[inline]
    pub const fn has(self, layer: Layer) -> bool {
        self.0 & 1 << layer as u16 != 0
    }

    /// The layers, in the order of [`Layer::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.has(*layer))
    }
}

impl FromIterator<Layer> for Layers {
    fn from_iter<I: IntoIterator<Item = Layer>>(layers: I) -> Self {
        layers.into_iter().fold(Self::NPRINT, Self::with)
    }
}

impl From<Vec<Layer>> for Layers {
    fn from(layers: Vec<Layer>) -> Self {
        layers.into_iter().collect()
    }
}

impl From<Layers> for Vec<Layer> {
    fn from(layers: Layers) -> Self {
        layers.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_its_layers() {
        assert_eq!(Layers::ALL.iter().collect::<Vec<_>>(), Layer::ALL);
        for layer in Layer::ALL {
            assert_eq!(layer.name().parse::<Layer>().expect("its own name"), layer);
            assert!(
                Layers::NPRINT.with(layer).has(layer) && !Layers::ALL.without(layer).has(layer)
            );
            assert_eq!(Layers::from_iter([layer]).iter().collect::<Vec<_>>(), [layer]);
        }
        let error = "vlan".parse::<Layer>().expect_err("no name").to_string();
        assert!(error.contains("\"vlan\"") && error.contains("vlan-tags"), "{error}");
    }
}
