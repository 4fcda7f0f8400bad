//! Reading files that may be compressed, cut off, or lying about their length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::FileProblem;

/// The most bytes of images that are read from one file.
pub const BYTES_MAX: u64 = 1 << 31;

/// What is set aside before anything was read; beyond that memory grows with what really comes.
const RESERVE_BYTES: u64 = 1 << 20;

/// First bytes of a gzip file; no IDX or CIFAR file begins like that.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The contents of a file, decompressed if need be.
pub struct Contents<R> {
    reader: Decompressed<R>,
    /// Bytes given so far.
    position: u64,
}

enum Decompressed<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
}

impl<R: BufRead> Read for Decompressed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buf),
            Self::Gzip(reader) => reader.read(buf),
        }
    }
}

impl Contents<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, FileProblem> {
        Self::new(BufReader::with_capacity(1 << 16, File::open(path)?))
    }
}

impl<R: BufRead> Contents<R> {
    pub fn new(mut raw: R) -> Result<Self, FileProblem> {
        let gzip = raw.fill_buf()?.starts_with(&GZIP);
        let reader = match gzip {
            true => Decompressed::Gzip(Box::new(MultiGzDecoder::new(raw))),
            false => Decompressed::Plain(raw),
        };
        Ok(Self { reader, position: 0 })
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Result<Vec<u8>, FileProblem> {
        let mut bytes = Vec::with_capacity(len.min(RESERVE_BYTES) as usize);
        let outcome = self.reader.by_ref().take(len).read_to_end(&mut bytes);
        let expected = self.position + len;
        self.position += bytes.len() as u64;
        match outcome {
            Ok(_) if self.position == expected => Ok(bytes),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Err(FileProblem::Truncated { expected, found: self.position }),
        }
    }

    /// Makes sure that nothing is left (and, in a gzip file, that its checksum is right).
    pub fn finish(mut self) -> Result<(), FileProblem> {
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(FileProblem::Trailing { expected: self.position }),
            Err(error) => Err(error.into()),
        }
    }
}

impl<R: BufRead> Read for Contents<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}
