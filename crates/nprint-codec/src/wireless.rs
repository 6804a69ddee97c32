//! Radiotap and IEEE 802.11: frames of the air as rows.
//!
//! ```text
//! | radiotap: version 1, pad 1, length 2 (little-endian), … | 802.11 MAC header | body |
//! 802.11    | control 2 | duration 2 | receiver 6 | transmitter 6 | third 6 | sequence 2 | …
//! ```

use crate::{Layer, Layers, LinkType};

/// A frame split behind its radiotap header, at the length that the header states. (The C++ tool
/// takes 56 bytes for it whatever it states.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) radiotap: &'a [u8],
    pub(crate) wlan: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` where not even the length is captured.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let length = u16::from_le_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let (radiotap, wlan) = bytes.split_at(usize::from(length).min(bytes.len()));
        Some(Self { radiotap, wlan })
    }

    /// Who sent it; `None` where it is not captured or the kind of frame does not say.
    pub(crate) fn transmitter(&self) -> Option<[u8; 6]> {
        if self.has_no_transmitter() {
            return None;
        }
        self.wlan.get(10..16)?.try_into().ok()
    }

    /// Clear-to-send, acknowledgement and contention-free-end, by the first byte as the C++ tool
    /// does.
    pub(crate) fn has_no_transmitter(&self) -> bool {
        matches!(self.wlan.first(), Some(0xc4 | 0xd4 | 0xe4))
    }

    /// Where the LLC header of an unencrypted data frame begins, in the packet.
    pub(crate) fn llc_start(&self) -> Option<usize> {
        const DATA: u8 = 2;
        const PROTECTED: u8 = 0x40;
        const ORDER: u8 = 0x80;
        let (control, flags) = (*self.wlan.first()?, *self.wlan.get(1)?);
        let (kind, subtype) = (control >> 2 & 3, control >> 4);
        // Bit 2 of the subtype: no data.
        if kind != DATA || subtype & 4 != 0 || flags & PROTECTED != 0 {
            return None;
        }
        let four_addresses = flags & 3 == 3;
        let mut header = if four_addresses { 30 } else { 24 };
        if subtype & 8 != 0 {
            header += if flags & ORDER != 0 { 6 } else { 2 };
        }
        Some(self.radiotap.len() + header)
    }
}

/// The frame, where it is a row as a whole: the C++ tool looks for no IP header behind radiotap.
pub(crate) fn whole_frame(link_type: LinkType, layers: Layers, bytes: &[u8]) -> Option<Frame<'_>> {
    let whole = link_type == LinkType::Radiotap && !layers.has(Layer::WirelessData);
    whole.then(|| Frame::of(bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Layout, RowPolicy, Trace, radiotap, udp, wlan};
    use std::sync::Arc;

    #[test]
    fn ip_over_the_air_fills_every_header() {
        let mut bytes = vec![0, 0, 9, 0, 0, 0, 0, 0, 7];
        bytes.extend([8, 1, 0x2c, 0]);
        bytes.extend([1; 20]);
        bytes.extend([0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
        bytes.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 53, 0, 54, 0, 8, 0, 0]);
        let mut trace = Trace::new(LinkType::Radiotap);
        trace.push(0, &bytes, bytes.len() as u32);
        trace.push(0, &bytes[..20], 90);
        let layout = Arc::new(Layout::of_headers(&Header::WIRE_ORDER));
        let matrix = crate::encode(&trace, &layout, RowPolicy::EveryIpPacket);
        assert_eq!(matrix.rows(), 1);
        let row = matrix.row(0);
        assert_eq!(row.get(wlan::TYPE), Some(8));
        assert_eq!((row.get(radiotap::LENGTH), row.get(radiotap::RATE)), (Some(0x0900), None));
        assert_eq!(row.get(udp::DESTINATION_PORT), Some(54));
        let frames = crate::encode(&trace, &layout, RowPolicy::NPrint);
        assert_eq!(frames.rows(), 2);
        assert_eq!(frames.row(0).get(udp::DESTINATION_PORT), None);
        assert_eq!(frames.row(1).get(wlan::DURATION), Some(0x2c00));
    }
}
