//! A line for people that is kept up to date: redrawn on a terminal, now and then a new one in a pipe.

use std::time::Duration;

use super::Style;
use crate::units::Instant;

/// A terminal is redrawn at most so often: faster than eyes can follow, slower than rounds.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Carriage return, and clear to the end of the line.
const ERASE: &str = "\r\x1b[K";

/// The line's state. Returns text and leaves the writing to its caller.
#[derive(Clone, Debug)]
pub struct Live {
    style: Style,
    /// A pipe gets a line at most so often.
    every: Duration,
    shown: Option<Instant>,
    /// Whether an unfinished line stands on the terminal.
    open: bool,
}

impl Live {
    /// A line that a pipe gets at most once in `every`.
    #[must_use]
    pub const fn new(style: Style, every: Duration) -> Self {
        Self { style, every, shown: None, open: false }
    }

    /// Whether it is time for a new state.
    #[must_use]
    pub fn due(&self, now: Instant) -> bool {
        let every = match self.style {
            Style::Terminal { .. } => REDRAW_EVERY,
            Style::Plain => self.every,
        };
        self.shown.is_none_or(|shown| now.since(shown) >= every)
    }

    /// The state as it is now: a line that the next one replaces, where it can.
    #[must_use]
    pub fn line(&mut self, text: &str, now: Instant) -> String {
        self.shown = Some(now);
        match self.style {
            Style::Plain => format!("{text}\n"),
            Style::Terminal { width } => {
                self.open = true;
                // A line that fills the last column would wrap on some terminals.
                let fitting: String = text.chars().take(width.saturating_sub(1)).collect();
                format!("{ERASE}{fitting}")
            }
        }
    }

    /// A line that is there to stay.
    #[must_use]
    pub fn message(&mut self, text: &str) -> String {
        format!("{}{text}\n", self.erase())
    }

    /// What makes place for the words of somebody else.
    #[must_use]
    pub const fn erase(&mut self) -> &'static str {
        if std::mem::replace(&mut self.open, false) { ERASE } else { "" }
    }

    /// What is to be written before anything else follows.
    #[must_use]
    pub const fn finish(&mut self) -> &'static str {
        if std::mem::replace(&mut self.open, false) { "\n" } else { "" }
    }
}
