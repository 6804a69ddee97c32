//! The words of the language: where they are divided, and the names of protocols and services.

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const PROTOCOLS: [(&str, u8); 14] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", TCP),
    ("udp", UDP),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", 132),
];
/// The services that people filter by; others go by number.
const SERVICES: [(&str, u16); 20] = [
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("syslog", 514),
    ("imaps", 993),
    ("pop3s", 995),
];
const KEYWORDS: [&str; 24] = [
    "and",
    "or",
    "not",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "proto",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "less",
    "greater",
    "mask",
];

/// A word and the byte where it starts.
pub(super) type Word<'a> = (usize, &'a str);

/// Blanks separate words; parentheses, `!`, `&&` and `||` stand for themselves.
pub(super) fn split(expression: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = expression;
    loop {
        rest = rest.trim_start();
        let start = expression.len() - rest.len();
        let Some(first) = rest.chars().next() else { return words };
        let length = if rest.starts_with("&&") || rest.starts_with("||") {
            2
        } else if matches!(first, '(' | ')' | '!') {
            1
        } else {
            let end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '!' | '&' | '|');
            // A lone & or | is a word that no rule takes.
            rest.find(end).filter(|n| *n > 0).unwrap_or(if end(first) { 1 } else { rest.len() })
        };
        words.push((start, &rest[..length]));
        rest = &rest[length..];
    }
}

/// A port by number or name.
pub(super) fn port(word: &str) -> Option<u16> {
    word.parse().ok().or_else(|| named(&SERVICES, word))
}

fn named<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

/// A protocol by number or name.
pub(super) fn protocol(word: &str) -> Option<u8> {
    word.parse().ok().or_else(|| named(&PROTOCOLS, word))
}

/// Whether a word is one of the language's own, and so no value.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}
