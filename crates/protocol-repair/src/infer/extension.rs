//! Which IPv6 extension header a row announces.
//!
//! Extension headers have no columns: the next header's eight bits are all that a row says of them, and
//! wrong bits of a plain 6 or 17 soon read as one. Traffic hardly ever has them, but where it has, other
//! rows have them, too (fragments), or the message asks for it (multicast listener discovery).

use crate::draft::{RowFacts, Stack, Transport};
use crate::evidence::{Evidence, Noise};
use nprint_codec::{IpVersion, icmp, ipv6};

/// IPv6 extension headers that the compiler can put before a transport header.
pub(crate) const EXTENSIONS: [u32; 4] = [HOP_BY_HOP, 43, 44, 60];
/// Number of the hop-by-hop options header.
const HOP_BY_HOP: u32 = 0;

/// Nats for one that no other row of the transport shows: about one packet in a million.
const UNSEEN: f32 = 14.0;
/// Nats for a multicast listener message without a router alert, which RFC 2710 section 3 and RFC 3810
/// section 5 demand.
const NO_ALERT: f32 = 6.0;
/// Nats for any value of eight bits.
const ANY_VALUE: f32 = 8.0 * std::f32::consts::LN_2;
/// Nats for a message's being one of these.
const RARE: f32 = 6.0;
/// Types of these messages, and of others with the hop limit that they must have, if any.
const LISTENER: [u32; 4] = [130, 131, 132, 143];
const OTHER_MESSAGES: [(u32, Option<u32>); 9] = [
    (128, None),
    (129, None),
    (133, Some(255)),
    (134, Some(255)),
    (135, Some(255)),
    (136, Some(255)),
    (1, None),
    (2, None),
    (3, None),
];

/// What the rows of each transport show.
pub(super) struct Extensions<'a> {
    evidence: &'a Evidence<'a>,
    noise: Noise,
    shown: [Shown; 3],
}

/// Rows of a transport over IPv6, and those that show each extension in full.
#[derive(Clone, Copy, Default)]
struct Shown {
    rows: f32,
    extensions: [f32; EXTENSIONS.len()],
}

impl<'a> Extensions<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, rows: &[RowFacts], noise: Noise) -> Self {
        let mut found = Self { evidence, noise, shown: [Shown::default(); 3] };
        for (row, facts) in rows.iter().enumerate() {
            let Some(place) = place(facts.stack) else { continue };
            found.shown[place].rows += 1.0;
            let reading = evidence.read(row, ipv6::NEXT_HEADER);
            let extension = EXTENSIONS.iter().position(|e| *e == reading.value);
            if let Some(extension) = extension.filter(|_| reading.is_full())
                && !found.is_listener(row, facts.stack)
            {
                found.shown[place].extensions[extension] += 1.0;
            }
        }
        found
    }

    /// The most likely next header of a row over IPv6 with a transport, `own` being the transport's.
    pub(super) fn next_header(&self, row: usize, stack: Stack, own: u32) -> u32 {
        let reader = self.evidence.reader(self.noise, row, ipv6::NEXT_HEADER);
        let Some(place) = place(stack).filter(|_| reader.cost(own) > 0.0) else { return own };
        let listener = self.is_listener(row, stack);
        let mut best = (reader.cost(own) + if listener { NO_ALERT } else { 0.0 }, own);
        for (extension, number) in EXTENSIONS.into_iter().enumerate() {
            let shows = reader.reading.is_full() && reader.reading.value == number;
            let prior = if listener && number == HOP_BY_HOP {
                0.0
            } else {
                self.prior(self.shown[place], extension, shows, (number ^ own).count_ones())
            };
            let cost = reader.cost(number) + prior;
            if cost < best.0 {
                best = (cost, number);
            }
        }
        best.1
    }

    /// Nats for an extension header, by the other rows that show it and that wrong bits, so many each,
    /// do not explain.
    fn prior(&self, shown: Shown, extension: usize, shows: bool, bits: u32) -> f32 {
        let others = shown.extensions[extension] - f32::from(u8::from(shows));
        let lone = (-self.noise.bit_cost * bits as f32).exp();
        let in_run = (-self.noise.burst_cost).exp() * ANY_VALUE.exp().recip();
        let made = shown.rows * (lone + in_run);
        let real = others - made - 3.0 * made.sqrt();
        if real > 0.0 { (shown.rows / real).ln().min(UNSEEN) } else { UNSEEN }
    }

    /// Whether a row reads as a message of multicast listener discovery.
    fn is_listener(&self, row: usize, stack: Stack) -> bool {
        if stack.transport != Transport::Icmp {
            return false;
        }
        let kind = self.evidence.reader(self.noise, row, icmp::TYPE);
        let hops = self.evidence.reader(self.noise, row, ipv6::HOP_LIMIT);
        let listener = LISTENER.map(|t| kind.cost(t)).into_iter().fold(f32::MAX, f32::min);
        let others = OTHER_MESSAGES
            .map(|(t, limit)| kind.cost(t) + limit.map_or(ANY_VALUE, |limit| hops.cost(limit)));
        listener + hops.cost(1) + RARE < others.into_iter().fold(f32::MAX, f32::min)
    }
}

/// Number of a transport over IPv6.
fn place(stack: Stack) -> Option<usize> {
    match (stack.version, stack.transport) {
        (IpVersion::V6, Transport::Tcp) => Some(0),
        (IpVersion::V6, Transport::Udp) => Some(1),
        (IpVersion::V6, Transport::Icmp) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Header, Layout, TernaryMatrix};

    /// The next header that each of 100 rows gets, the last one reading as `next` of a message of type
    /// 143 with this hop limit, `others` before it alike.
    fn found(transport: Transport, next: u8, hops: u8, others: usize, noise: Noise) -> u32 {
        let stack = Stack { version: IpVersion::V6, transport };
        let own = stack.protocol().expect("a transport");
        let mut cells = TernaryMatrix::new(Layout::reference());
        for row in 0..100 {
            let next = if row + others >= 99 { next } else { own as u8 };
            let mut cells = cells.push_vacant();
            cells.set_header(Header::Ipv6, &[0x60, 0, 0, 0, 0, 8, next, hops]);
            cells.set_header(Header::Icmp, &[143, 0, 0, 0, 0, 0, 0, 0]);
        }
        let evidence = Evidence::certain(&cells);
        let config = crate::RepairConfig::default();
        let mut draft = crate::draft::Draft::new(&evidence, &config);
        draft.rows.iter_mut().for_each(|facts| facts.stack = stack);
        Extensions::new(&evidence, &draft.rows, noise).next_header(99, stack, own)
    }

    #[test]
    fn a_lone_extension_header_is_noise_unless_nothing_else_is() {
        let noise = Noise::of_rate(0.02);
        let runs = Noise { burst_cost: 3.0, ..Noise::of_rate(1e-4) };
        for transport in [Transport::Tcp, Transport::Udp] {
            assert_eq!(found(transport, 0, 64, 0, Noise::CLEAN), 0);
            for noise in [noise, runs] {
                assert_ne!(found(transport, 0, 64, 0, noise), 0);
                assert_eq!(found(transport, 44, 64, 20, noise), 44, "others have it");
            }
        }
    }

    #[test]
    fn listener_messages_have_a_router_alert() {
        let noise = Noise::of_rate(0.02);
        assert_eq!(found(Transport::Icmp, 0, 1, 0, noise), 0);
        assert_eq!(found(Transport::Icmp, 16, 1, 0, noise), 0, "a wrong bit");
        assert_eq!(found(Transport::Icmp, 58, 1, 0, noise), 58, "as the row says");
        assert_eq!(found(Transport::Icmp, 16, 255, 0, noise), 58, "a solicitation has none");
    }
}
