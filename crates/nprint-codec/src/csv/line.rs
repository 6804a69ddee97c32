//! Lines of text in memory that is used again.
//!
//! Every cell ends with a comma; the last one of a line becomes the line's end.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whole lines and the one that is being written.
#[derive(Debug)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    length: usize,
    line_start: usize,
}

impl LineBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), length: 0, line_start: 0 }
    }

    /// Everything that was written.
    pub(super) fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn clear(&mut self) {
        (self.length, self.line_start) = (0, 0);
    }

    /// At least `bytes` bytes behind what was written; [`advance`](Self::advance) keeps them.
    #[inline]
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.length + bytes;
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        &mut self.bytes[self.length..]
    }

    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.length += bytes;
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        self.room(text.len())[..text.len()].copy_from_slice(text);
        self.advance(text.len());
    }

    pub(super) fn push_integer(&mut self, number: i64) {
        if number < 0 {
            self.push(b"-");
        }
        let (mut digits, mut start, mut rest) = ([0; 20], 20, number.unsigned_abs());
        while {
            start -= 1;
            digits[start] = b'0' + rest.rem_euclid(10) as u8;
            rest = rest.div_euclid(10);
            rest > 0
        } {}
        self.push(&digits[start..]);
    }

    pub(super) fn push_v4(&mut self, address: Ipv4Addr) {
        let room = self.room(16);
        let mut length = 0;
        for octet in address.octets() {
            let (text, bytes) = OCTETS[usize::from(octet)];
            room[length..length + 4].copy_from_slice(&text);
            length += usize::from(bytes);
        }
        self.advance(length - 1);
    }

    /// Lower-case pairs of digits with colons between them.
    pub(super) fn push_mac(&mut self, address: [u8; 6]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b':'; 17];
        for (slot, byte) in text.chunks_mut(3).zip(address) {
            slot[0] = DIGITS[usize::from(byte >> 4)];
            slot[1] = DIGITS[usize::from(byte & 15)];
        }
        self.push(&text);
    }

    /// As the C library's `inet_ntop` prints: unlike Rust's `Display`, an IPv4-compatible address
    /// is dotted.
    pub(super) fn push_v6(&mut self, address: Ipv6Addr) {
        if address.segments()[..6] == [0; 6] && address.segments()[6] != 0 {
            let [.., a, b, c, d] = address.octets();
            self.push(b"::");
            self.push_v4(Ipv4Addr::new(a, b, c, d));
        } else {
            fmt::write(self, format_args!("{address}")).expect("memory takes everything");
        }
    }

    /// Ends a cell.
    pub(super) fn end_cell(&mut self) {
        self.push(b",");
    }

    /// Ends the line; a line without cells is empty.
    pub(super) fn end_line(&mut self) {
        if self.length > self.line_start {
            self.length -= 1;
        }
        self.push(b"\n");
        self.line_start = self.length;
    }
}

/// Each octet with the point behind it, and their length.
static OCTETS: [([u8; 4], u8); 256] = octets();

const fn octets() -> [([u8; 4], u8); 256] {
    let mut table = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let (mut length, mut unit) = (0, 100);
        while unit > 0 {
            if octet >= unit || unit == 1 {
                table[octet].0[length] = b'0' + octet.div_euclid(unit).rem_euclid(10) as u8;
                length += 1;
            }
            unit = unit.div_euclid(10);
        }
        table[octet].1 = length as u8 + 1;
        octet += 1;
    }
    table
}

impl fmt::Write for LineBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut LineBuffer)) -> String {
        let mut line = LineBuffer::new();
        write(&mut line);
        String::from_utf8(line.written().to_vec()).expect("text")
    }

    #[test]
    fn addresses_as_inet_ntop_prints_them() {
        for (address, expected) in [
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::c000:201", "::192.0.2.1"),
            ("::1", "::1"),
            ("::", "::"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(text(|line| line.push_v6(address)), expected);
        }
    }

    #[test]
    fn macs_in_colon_form() {
        assert_eq!(text(|line| line.push_mac([0, 1, 0x2a, 0xff, 0xb0, 9])), "00:01:2a:ff:b0:09");
    }

    #[test]
    fn lines_without_cells_are_empty() {
        let write = |line: &mut LineBuffer| {
            line.end_line();
            line.push(b"a");
            line.end_cell();
            line.push(b"b");
            line.end_cell();
            line.end_line();
            line.end_line();
        };
        assert_eq!(text(write), "\na,b\n\n");
    }

    proptest! {
        #[test]
        fn numbers_as_display_prints_them(number: i64, octets: [u8; 4]) {
            for number in [number, 0, i64::MIN, i64::MAX, number.rem_euclid(100)] {
                prop_assert_eq!(text(|line| line.push_integer(number)), number.to_string());
            }
            let address = Ipv4Addr::from(octets);
            prop_assert_eq!(text(|line| line.push_v4(address)), address.to_string());
        }
    }
}
