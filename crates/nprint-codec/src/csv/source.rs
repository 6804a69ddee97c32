//! Text ahead of a reader, in memory that is used again.

use crate::{Error, Result};
use std::io::{ErrorKind, Read};

/// First size of the buffer; it grows where a line is longer.
const BUFFER_BYTES: usize = 1 << 18;
/// No line is longer: the header line of every column that there is has under 2 MiB, a row that
/// another program has padded or quoted a few times that. The buffer never exceeds it.
const MAX_LINE_BYTES: usize = 1 << 23;

#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    pub(super) name: String,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R, name: &str) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { reader, name: name.to_owned(), buffer, start: 0, end: 0, at_end: false }
    }

    /// What was read and not consumed; it may end inside a line.
    #[inline]
    pub(super) fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Reads until a whole line is ahead, and returns its length with its end; 0 where the text
    /// ends. `number` is the line's, for the error of one that does not end.
    pub(super) fn line(&mut self, number: usize) -> Result<usize> {
        let mut searched = 0;
        loop {
            let unsearched = &self.ahead()[searched..];
            if let Some(at) = unsearched.iter().position(|b| *b == b'\n') {
                return Ok(searched + at + 1);
            }
            searched = self.ahead().len();
            if self.at_end {
                return Ok(searched);
            }
            if searched == MAX_LINE_BYTES {
                let (file, limit_bytes) = (self.name.clone(), MAX_LINE_BYTES);
                return Err(Error::CsvLineTooLong { file, line: number, limit_bytes });
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        match self.reader.read(&mut self.buffer[self.end..]) {
            Ok(bytes) => {
                self.end += bytes;
                self.at_end = bytes == 0;
                Ok(())
            }
            Err(source) if source.kind() == ErrorKind::Interrupted => Ok(()),
            Err(source) => Err(Error::Io { action: "read", file: self.name.clone(), source }),
        }
    }
}

/// A line without its end, LF or CRLF.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
