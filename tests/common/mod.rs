//! The program in a folder of its own, where every run that it leaves is audited.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mlt_lite::audit::audit;
use serde_json::Value;

#[path = "../../src/scratch.rs"]
mod scratch;

/// A folder to run the program in.
pub struct Scratch(scratch::Scratch);

impl Scratch {
    pub fn new(test: &str) -> Self {
        Self(scratch::Scratch::new(test))
    }

    /// The program with the words of `line`, in which `_` stands for a blank inside a word.
    pub fn command(&self, line: &str) -> Command {
        let arguments = line.split_whitespace().map(|word| word.replace('_', " "));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlt-lite"));
        command.args(arguments).current_dir(&**self).stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// The last line of standard output, of a command that succeeds.
    pub fn json(&self, line: &str) -> Value {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", said(&output));
        let out = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

/// Runs keep to their rules, whatever else their test is about.
impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            audit_all(self);
        }
    }
}

fn audit_all(folder: &Path) {
    if ["plan.toml", "events.jsonl"].iter().all(|file| folder.join(file).is_file()) {
        let audit = audit(folder).unwrap();
        assert!(audit.passed(), "{audit}");
        return;
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            audit_all(&path);
        }
    }
}

/// Standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
