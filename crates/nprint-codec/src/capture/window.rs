//! The bytes in front of a parser: one buffer over a reader, moved along and never larger than the
//! longest record asks for.

use crate::{Error, Place, Result};
use std::io::{self, Read};

/// Read at once; also the buffer's size until a record needs more.
const CHUNK_BYTES: usize = 1 << 18;

/// Bytes `start..end` of `buffer` are unread.
///
/// Memory: the buffer grows by doubling and only when it is full of bytes that were there, so it is
/// at most twice the longest record that the file really has, and a chunk at least.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    place: Place,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R, file: String) -> Self {
        let place = Place { file, packet: 0, offset_bytes: 0 };
        Self { reader, buffer: Vec::new(), start: 0, end: 0, ended: false, place }
    }

    /// Reads until `bytes` are there or the file ends, and returns what is there, at most `bytes`.
    #[inline]
    pub(super) fn fill(&mut self, bytes: usize) -> Result<&[u8]> {
        if self.end - self.start < bytes {
            self.fill_slowly(bytes)?;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + bytes)])
    }

    /// Bytes move to the front only where there is no room behind them: a search that asks for a
    /// long stretch at every offset moves each byte a few times, not once an offset.
    fn fill_slowly(&mut self, bytes: usize) -> Result<()> {
        if self.start + bytes > self.buffer.len() && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < bytes && !self.ended {
            if self.end == self.buffer.len() {
                self.buffer.resize((2 * self.end).max(CHUNK_BYTES), 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(self.failed(error));
                }
            }
        }
        Ok(())
    }

    /// As [`fill`](Self::fill), with an error that names `what` where the file ends before.
    #[inline]
    pub(super) fn need(
        &mut self,
        bytes: usize,
        what: &'static str,
        expected_by: &'static str,
    ) -> Result<&[u8]> {
        if self.end - self.start < bytes {
            self.fill_slowly(bytes)?;
            let found = self.end - self.start;
            if found < bytes {
                return Err(Error::Truncated {
                    place: self.place.clone(),
                    what,
                    expected_by,
                    expected_bytes: bytes as u64,
                    found_bytes: found as u64,
                });
            }
        }
        Ok(&self.buffer[self.start..self.start + bytes])
    }

    /// Goes on behind `bytes` that [`fill`](Self::fill) has shown, and returns where they lie
    /// until the next filling.
    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) -> usize {
        let at = self.start;
        self.start += bytes;
        debug_assert!(self.start <= self.end, "only what was filled is consumed");
        self.place.offset_bytes += bytes as u64;
        at
    }

    /// Bytes from `at`, as [`consume`](Self::consume) returned it.
    #[inline]
    pub(super) fn consumed(&self, at: usize, bytes: usize) -> &[u8] {
        &self.buffer[at..at + bytes]
    }

    fn failed(&self, source: io::Error) -> Error {
        match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => Error::Io { action: "read", file: self.place.file.clone(), source },
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }

    #[test]
    fn bytes_come_in_order_however_they_are_read() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3_000).collect();
        let mut window = Window::new(Drops(&bytes), "drops".to_owned());
        let mut at = 0;
        for length in (1..).take_while(|n| n * (n + 1) <= 2 * bytes.len()) {
            assert_eq!(window.fill(length).expect("memory"), &bytes[at..at + length]);
            let start = window.consume(length);
            assert_eq!(window.consumed(start, length), &bytes[at..at + length]);
            at += length;
        }
        assert_eq!(window.place().offset_bytes, at as u64);
        let error = window.need(9_999, "thing", "this test").expect_err("the end");
        assert!(matches!(error, Error::Truncated { expected_bytes: 9_999, .. }));
        assert_eq!(window.buffer.len(), CHUNK_BYTES);
    }
}
