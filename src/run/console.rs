//! Where a command's words go.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::net::Clock;
use crate::report::{Live, Style};
use crate::units::Instant;

/// After so long without a word, what goes on is said: with the time between two looks, nobody is left without one for
/// more than 2 s.
const SILENCE: Duration = Duration::from_millis(1750);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The two streams of a process, and the clock of whoever reads them. Nobody is left to be told if a stream is closed,
/// so that is no error.
pub struct Console<'a> {
    /// Results only: standard output.
    out: &'a mut dyn Write,
    /// Why results were lost.
    lost: Option<io::Error>,
    /// All else: standard error.
    voice: Arc<Mutex<Voice>>,
    style: Style,
    clock: Clock,
    /// Whether somebody looks after the silence.
    heard: bool,
}

impl<'a> Console<'a> {
    /// Results go to `out`, all else to `err`, which is a `style`.
    pub fn new(
        out: &'a mut dyn Write,
        err: Box<dyn Write + Send>,
        style: Style,
        clock: Clock,
    ) -> Self {
        let voice = Arc::new(Mutex::new(Voice::new(err, style, clock.now())));
        Self { out, lost: None, voice, style, clock, heard: false }
    }

    /// Time since the process began.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What standard error is.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Writes a result and ends its line.
    pub fn result(&mut self, text: impl Display) {
        self.show("");
        let written = writeln!(self.out, "{}", text.to_string().trim_end());
        if let Err(error) = written.and_then(|()| self.out.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
    }

    /// Why results could not be written, if so.
    #[must_use]
    pub const fn lost(&self) -> Option<&io::Error> {
        self.lost.as_ref()
    }

    /// Says a line.
    pub fn say(&mut self, line: impl Display) {
        self.show(&format!("{line}\n"));
    }

    /// Shows progress: text with all its control characters, at once.
    pub fn show(&mut self, text: &str) {
        let now = self.now();
        voice(&self.voice).write(text, now);
    }

    /// From now on `what` goes on, which is said whenever nothing else is for a while; nothing if it is empty.
    pub fn goes_on(&mut self, what: impl Into<String>) {
        voice(&self.voice).goes_on = what.into();
        if !std::mem::replace(&mut self.heard, true) {
            let (clock, quiet) = (self.clock, Arc::downgrade(&self.voice));
            let look = move || {
                while let Some(quiet) = quiet.upgrade() {
                    voice(&quiet).look(clock.now());
                    drop(quiet);
                    std::thread::park_timeout(LOOK_EVERY);
                }
            };
            // Without a thread there is less to read, and nothing else is lost.
            let _ = std::thread::Builder::new().name("console".to_owned()).spawn(look);
        }
    }
}

fn voice(voice: &Mutex<Voice>) -> MutexGuard<'_, Voice> {
    // Who panicked with the lock in hand has left a whole value behind.
    voice.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, and how long nothing was written to it.
struct Voice {
    err: Box<dyn Write + Send>,
    live: Live,
    written_at: Instant,
    goes_on: String,
}

impl Voice {
    fn new(err: Box<dyn Write + Send>, style: Style, now: Instant) -> Self {
        Self { err, live: Live::new(style, SILENCE), written_at: now, goes_on: String::new() }
    }

    fn write(&mut self, text: &str, now: Instant) {
        let erase = self.live.erase();
        if !(erase.is_empty() && text.is_empty()) {
            self.put(&format!("{erase}{text}"), now);
        }
    }

    fn look(&mut self, now: Instant) {
        if !self.goes_on.is_empty() && now.since(self.written_at) >= SILENCE {
            let line = self.live.line(&self.goes_on, now);
            self.put(&line, now);
        }
    }

    fn put(&mut self, text: &str, now: Instant) {
        self.written_at = now;
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose words can be read afterwards.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn silence_counts_from_the_last_word() {
        let page = Page::default();
        let mut voice = Voice::new(Box::new(page.clone()), Style::Plain, at(0));
        voice.look(at(5000));
        voice.goes_on = "loading".to_owned();
        voice.write("one\n", at(5000));
        voice.look(at(6700));
        assert_eq!(page.text(), "one\n");
        voice.look(at(6800));
        voice.look(at(8500));
        voice.look(at(8600));
        voice.goes_on = "training".to_owned();
        voice.look(at(10_500));
        assert_eq!(page.text(), "one\nloading\nloading\ntraining\n");
    }

    #[test]
    fn on_a_terminal_the_next_words_take_its_place() {
        let page = Page::default();
        let style = Style::Terminal { width: 80 };
        let mut voice = Voice::new(Box::new(page.clone()), style, at(0));
        voice.goes_on = "loading".to_owned();
        voice.look(at(2000));
        voice.write("one\n", at(3000));
        voice.write("two\n", at(3000));
        assert_eq!(page.text(), "\r\x1b[Kloading\r\x1b[Kone\ntwo\n");
    }

    #[test]
    fn a_closed_stream_is_no_loss_and_a_full_one_is() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (kind, lost) in [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)]
        {
            let mut out = Broken(kind);
            let err = Box::new(Page::default());
            let mut console = Console::new(&mut out, err, Style::Plain, Clock::start());
            console.result("42");
            assert_eq!(console.lost().is_some(), lost, "{kind}");
        }
    }
}
