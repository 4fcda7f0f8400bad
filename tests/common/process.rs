//! Processes of the program that do not outlive their test, and what they write while they run.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::common::Scratch;

/// A process that does not outlive its test.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for the end: exit code, standard output, standard error.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.0.wait().unwrap().code(), out, err)
    }
}

/// A server at a free port, and the address that its first line names.
pub fn server(scratch: &Scratch, flags: &str) -> (Process, String) {
    let mut process =
        Process::start(scratch.command(&format!("server --bind 127.0.0.1:0 {flags}")));
    let stdout = process.0.stdout.as_mut().unwrap();
    let mut byte = [0];
    let mut line = String::new();
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0].into());
    }
    let address = line.split_whitespace().last().expect("a line that ends in an address");
    assert!(line.contains("mlt-lite worker"), "{line}");
    (process, address.to_owned())
}

/// A run of two workers until the server is interrupted; the first is killed, which its events know as `why` it left,
/// and replaced. What the other two said.
pub fn replace_a_worker(scratch: &Scratch, flags: &str, at_worker: &str, why: &str) -> [String; 2] {
    let (server, address) = server(scratch, &format!("{flags} --workers 2 --name run"));
    let worker = || Process::start(scratch.command(&format!("worker {address} {at_worker}")));
    let (first, second) = (worker(), worker());
    let events = scratch.join("runs/run/events.jsonl");
    await_line(&events, |line| line.contains("\"round-ended\""));
    first.signal("-KILL");
    await_line(&events, |line| line.contains("\"worker-left\"") && line.contains(why));
    let third = worker();
    await_line(&events, |line| line.contains("\"worker-joined\"") && line.contains("\"worker\":3"));
    await_line(&events, |line| {
        line.contains("\"round-started\"") && line.contains("\"workers\":[") && line.contains(",3]")
    });
    server.signal("-INT");
    let (code, _, err) = server.end();
    assert_eq!(code, Some(130), "{err}");
    [second, third].map(|worker| {
        let (code, _, err) = worker.end();
        assert_eq!(code, Some(4), "{err}");
        assert!(err.contains("the server stopped: the server was interrupted"), "{err}");
        err
    })
}

/// Waits until a line of a growing file is as wanted.
pub fn await_line(path: &Path, wanted: impl Fn(&str) -> bool) {
    await_one(|| {
        let file = std::fs::File::open(path).ok()?;
        BufReader::new(file).lines().map_while(Result::ok).find(|line| wanted(line))
    });
}

/// Waits until `find` finds something.
pub fn await_one<T>(find: impl Fn() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = find() {
            return found;
        }
        pause();
    }
    panic!("it did not come");
}

#[expect(clippy::disallowed_methods, reason = "another process writes the file that is waited for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
