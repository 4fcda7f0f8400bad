//! A file of lines, however long it is, one at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::AuditError;

/// No line of a run is longer: that of a round with a thousand workers has some thousand characters.
const LINE_MAX: u64 = 1 << 20;

/// The lines of a file.
pub(super) struct Lines {
    name: &'static str,
    path: PathBuf,
    file: BufReader<File>,
    bytes: Vec<u8>,
    number: u64,
    torn: bool,
}

impl Lines {
    pub(super) fn open(folder: &Path, name: &'static str) -> Result<Self, AuditError> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(AuditError::read(&path))?;
        let file = BufReader::new(file);
        Ok(Self { name, path, file, bytes: Vec::new(), number: 0, torn: false })
    }

    /// The next line with its number, from 1, without its end. A last line that has no end is none.
    pub(super) fn next(&mut self) -> Result<Option<(u64, String)>, AuditError> {
        self.bytes.clear();
        let mut part = self.file.by_ref().take(LINE_MAX);
        let read = part.read_until(b'\n', &mut self.bytes).map_err(AuditError::read(&self.path))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        // A line that is too long is handed out in pieces, none of which makes sense.
        if self.bytes.pop_if(|last| *last == b'\n').is_none() && (read as u64) < LINE_MAX {
            self.torn = true;
            return Ok(None);
        }
        Ok(Some((self.number, String::from_utf8_lossy(&self.bytes).into_owned())))
    }

    /// The name of the file.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The line that was read last.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The line that breaks off in the middle, if the last one does.
    pub(super) fn torn(&self) -> Option<u64> {
        self.torn.then_some(self.number)
    }
}
