//! Where a command's words go.

use std::fmt::Display;
use std::io::Write;

use crate::report::Style;
use crate::units::Instant;

/// The two streams of a process, and the clock of whoever reads them. Nobody is left to be told if a stream is closed,
/// so that is no error.
pub struct Console<'a> {
    /// Results only: standard output.
    pub out: &'a mut dyn Write,
    /// All else: standard error.
    pub err: &'a mut dyn Write,
    /// What standard error is.
    pub style: Style,
    /// Time since the process began.
    pub now: &'a dyn Fn() -> Instant,
}

impl Console<'_> {
    /// Writes a result and ends its line.
    pub fn result(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{}", text.to_string().trim_end());
    }

    /// Says a line.
    pub fn say(&mut self, line: impl Display) {
        let _ = writeln!(self.err, "{line}");
    }

    /// Shows progress: text with all its control characters, at once.
    pub fn show(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}
