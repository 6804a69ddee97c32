//! The parser: words with their column, then one function a rule of the grammar.

use super::words::{TCP, UDP, Word, is_keyword, port, protocol, split};
use super::{Direction, Node, Test};
use crate::{Error, IpVersion, Result};
use std::net::IpAddr;

/// Parentheses and `not` may nest so deep; a filter that people write stays far below.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(expression: &str) -> Result<Option<Node>> {
    let words = split(expression);
    if words.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { expression, words, at: 0, last: None };
    let node = parser.expression(0)?;
    match parser.word() {
        None => Ok(Some(node)),
        Some(_) => Err(parser.expected("and, or, or the end")),
    }
}

/// What stands before a value, for values that come without it.
#[derive(Debug, Clone, Copy)]
struct Qualifiers {
    protocol: Option<Protocol>,
    direction: Direction,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Ip(IpVersion),
    Transport(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Protocol,
}

struct Parser<'a> {
    expression: &'a str,
    words: Vec<Word<'a>>,
    at: usize,
    last: Option<Qualifiers>,
}

impl<'a> Parser<'a> {
    fn word(&self) -> Option<&'a str> {
        self.words.get(self.at).map(|(_, word)| *word)
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.word() == Some(word);
        self.at += usize::from(here);
        here
    }

    fn expected(&self, expected: &'static str) -> Error {
        let end = self.expression.len();
        let (start, found) = self.words.get(self.at).copied().unwrap_or((end, ""));
        Error::Filter {
            expression: self.expression.to_owned(),
            column: self.expression[..start].chars().count() + 1,
            found: found.to_owned(),
            expected,
        }
    }

    fn expression(&mut self, depth: usize) -> Result<Node> {
        let mut node = self.term(depth)?;
        loop {
            if self.take("and") || self.take("&&") {
                node = Node::And(Box::new(node), Box::new(self.term(depth)?));
            } else if self.take("or") || self.take("||") {
                node = Node::Or(Box::new(node), Box::new(self.term(depth)?));
            } else {
                return Ok(node);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(self.expected("at most 64 levels of parentheses and not"));
        }
        if self.take("not") || self.take("!") {
            return Ok(Node::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.take("(") {
            let node = self.expression(depth + 1)?;
            return if self.take(")") { Ok(node) } else { Err(self.expected(")")) };
        }
        self.primitive().map(Node::Test)
    }

    fn primitive(&mut self) -> Result<Test> {
        if self.take("less") {
            return Ok(Test::Less(self.number("a number of bytes")?));
        }
        if self.take("greater") {
            return Ok(Test::Greater(self.number("a number of bytes")?));
        }
        let protocol = self.protocol();
        let direction = self.direction()?;
        let kind = self.kind();
        if let (Some(protocol), None, None) = (protocol, direction, kind) {
            // A protocol alone, or before a bare address.
            if !self.at_value() || matches!(protocol, Protocol::Transport(_)) {
                return Ok(match protocol {
                    Protocol::Ip(version) => Test::Version(version),
                    Protocol::Transport(number) => Test::Protocol { version: None, number },
                });
            }
        }
        let qualifiers = match (protocol, direction, kind, self.last) {
            (None, None, None, Some(last)) if self.at_value() => last,
            _ => Qualifiers {
                protocol,
                direction: direction.unwrap_or_default(),
                kind: kind.unwrap_or(Kind::Host),
            },
        };
        let test = self.value(qualifiers)?;
        self.last = Some(qualifiers);
        Ok(test)
    }

    fn at_value(&self) -> bool {
        self.word().is_some_and(|word| !is_keyword(word))
    }

    fn protocol(&mut self) -> Option<Protocol> {
        let protocol = match self.word()? {
            "ip" => Protocol::Ip(IpVersion::V4),
            "ip6" => Protocol::Ip(IpVersion::V6),
            "tcp" => Protocol::Transport(TCP),
            "udp" => Protocol::Transport(UDP),
            "icmp" => Protocol::Transport(1),
            "icmp6" => Protocol::Transport(58),
            _ => return None,
        };
        self.at += 1;
        Some(protocol)
    }

    fn direction(&mut self) -> Result<Option<Direction>> {
        let first = if self.take("src") {
            Direction::Source
        } else if self.take("dst") {
            Direction::Destination
        } else {
            return Ok(None);
        };
        let other = if first == Direction::Source { "dst" } else { "src" };
        // `src or dst` is one qualifier; `src 10.0.0.1 or dst …` is not.
        let joined = match self.word() {
            Some("or" | "||") => Direction::Either,
            Some("and" | "&&") => Direction::Both,
            _ => return Ok(Some(first)),
        };
        self.at += 1;
        if self.take(other) {
            return Ok(Some(joined));
        }
        Err(self.expected(if other == "dst" { "dst" } else { "src" }))
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.word()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            "proto" => Kind::Protocol,
            _ => return None,
        };
        self.at += 1;
        Some(kind)
    }

    /// One value in the light of its qualifiers. An error points at the value.
    fn value(&mut self, q: Qualifiers) -> Result<Test> {
        let transport = match q.protocol {
            Some(Protocol::Transport(number)) => Some(number),
            _ => None,
        };
        let version = match q.protocol {
            Some(Protocol::Ip(version)) => Some(version),
            _ => None,
        };
        let word = self.word().unwrap_or_default();
        let (test, expected) = match q.kind {
            Kind::Host | Kind::Net if transport.is_some() => {
                (None, "port or portrange after tcp or udp")
            }
            Kind::Port | Kind::PortRange if version.is_some() => {
                (None, "host, net or proto after ip or ip6")
            }
            Kind::Port | Kind::PortRange if transport.is_some_and(|n| n != TCP && n != UDP) => {
                (None, "tcp or udp before port; ICMP has none")
            }
            Kind::Protocol if transport.is_some() || q.direction != Direction::Either => {
                (None, "ip, ip6 or nothing before proto")
            }
            Kind::Host => {
                let test = word.parse().ok().map(|address: IpAddr| Test::Network {
                    version,
                    direction: q.direction,
                    address,
                    bits: width(address),
                });
                (test, "a primitive such as tcp, host, net, port, or an IPv4 or IPv6 address")
            }
            Kind::Net => {
                let test = network(word).map(|(address, bits)| Test::Network {
                    version,
                    direction: q.direction,
                    address,
                    bits,
                });
                (test, "a network such as 10.0.0.0/8 without bits behind the prefix")
            }
            Kind::Port => {
                let test = port(word).map(|p| (p, p));
                (ports(q, transport, test), "a port number or the name of a service")
            }
            Kind::PortRange => {
                let range = word.split_once('-').and_then(|(a, b)| Some((port(a)?, port(b)?)));
                let range = range.filter(|(first, last)| first <= last);
                (ports(q, transport, range), "two ports such as 6000-6008")
            }
            Kind::Protocol => {
                let test = protocol(word).map(|number| Test::Protocol { version, number });
                (test, "a protocol number up to 255 or a name such as tcp, gre, ospf")
            }
        };
        match test {
            Some(test) => {
                self.at += 1;
                Ok(test)
            }
            None => Err(self.expected(expected)),
        }
    }

    fn number(&mut self, expected: &'static str) -> Result<u32> {
        let number = self.word().and_then(|word| word.parse().ok());
        let number = number.ok_or_else(|| self.expected(expected))?;
        self.at += 1;
        Ok(number)
    }
}

fn ports(q: Qualifiers, transport: Option<u8>, range: Option<(u16, u16)>) -> Option<Test> {
    range.map(|(first, last)| Test::Ports { transport, direction: q.direction, first, last })
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn network(word: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = word.split_once('/').unwrap_or((word, ""));
    let address: IpAddr = address.parse().ok()?;
    let bits = if word.contains('/') { bits.parse().ok()? } else { width(address) };
    let spare = u32::from(width(address).checked_sub(bits)?);
    let behind = match address {
        IpAddr::V4(a) => a.to_bits().trailing_zeros(),
        IpAddr::V6(a) => a.to_bits().trailing_zeros(),
    };
    (behind >= spare).then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(expression: &str) -> usize {
        match parse(expression).expect_err(expression) {
            Error::Filter { column, .. } => column,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn operators_group_from_the_left() {
        let grouped = |text| parse(text).expect(text);
        assert_eq!(grouped("tcp or udp and ip"), grouped("(tcp || udp) && ip"));
        assert_eq!(grouped("not tcp and ip"), grouped("(!tcp) and ip"));
        assert_eq!(grouped("port 80 or 443"), grouped("port http or port https"));
        assert_eq!(grouped("tcp src port 1 or 2"), grouped("tcp src port 1 or tcp src port 2"));
        assert_eq!(grouped("src or dst host 10.0.0.1"), grouped("10.0.0.1"));
        assert_eq!(grouped("  "), None);
    }

    #[test]
    fn errors_say_where() {
        for (expression, at) in [
            ("tcp prot 80", 5),
            ("host", 5),
            ("host 10.0.0", 6),
            ("net 10.0.0.1/8", 5),
            ("net 10.0.0.0/33", 5),
            ("port 70000", 6),
            ("portrange 9-3", 11),
            ("(tcp or udp", 12),
            ("tcp)", 4),
            ("ip port 80", 9),
            ("icmp port 80", 11),
            ("src or tcp", 8),
            ("less x", 6),
            ("tcp & udp", 5),
            ("tcp and", 8),
            ("ü", 1),
        ] {
            assert_eq!(column(expression), at, "{expression}");
        }
        assert_eq!(column(&"(".repeat(1_000)), 66);
    }
}
