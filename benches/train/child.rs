//! A contender as its parent sees it: a process that trains when it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mlt_lite::net::Clock;
use mlt_lite::simd::Level;

use crate::Task;

/// A contender between two turns.
pub struct Contender {
    name: String,
    child: Child,
    /// Gone only while it is dropped: an end of input is what ends a contender.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    first_step_s: f64,
}

impl Contender {
    /// Us, at `level`.
    pub fn ours(task: &Task, level: Level) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("contender").env("MLT_LITE_SIMD", level.to_string());
        Self::start("mlt-lite", command, task)
    }

    /// Runs `command`, which wants to be told the task, up to its first step.
    pub fn start(name: &str, mut command: Command, task: &Task) -> Result<Self, String> {
        let clock = Clock::start();
        command.args([&task.model, &task.batch.to_string(), &task.threads.to_string()]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let program = command.get_program().display();
        let mut child = spawned.map_err(|error| format!("cannot start `{program}`: {error}"))?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it has been piped"));
        let name = name.to_owned();
        let mut contender = Self { name, child, orders, answers, first_step_s: 0.0 };
        if contender.answer()? != "ready" {
            return Err(format!("{} does not begin with `ready`", contender.name));
        }
        contender.first_step_s = (clock.now() - mlt_lite::units::Instant::ZERO).as_secs_f64();
        Ok(contender)
    }

    /// Seconds from the start of the process to the end of its first step.
    pub const fn first_step_s(&self) -> f64 {
        self.first_step_s
    }

    /// Has it train for some seconds; how many a step took in the median.
    pub fn turn(&mut self, seconds: f64) -> Result<f64, String> {
        let medians = self.ask(&format!("turn {seconds}"))?;
        medians.first().copied().ok_or_else(|| format!("{} answered nothing", self.name))
    }

    /// Has it train anew for some steps; their losses.
    pub fn losses(&mut self, steps: usize) -> Result<Vec<f64>, String> {
        let losses = self.ask(&format!("losses {steps}"))?;
        if losses.len() == steps {
            Ok(losses)
        } else {
            Err(format!("{} answered {} losses of {steps}", self.name, losses.len()))
        }
    }

    /// The most memory that it has had resident so far, where the operating system tells.
    pub fn peak_bytes(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024.0)
    }

    fn ask(&mut self, order: &str) -> Result<Vec<f64>, String> {
        let orders = self.orders.as_mut().expect("it is still there");
        writeln!(orders, "{order}").map_err(|error| format!("{}: {error}", self.name))?;
        let answer = self.answer()?;
        let number =
            |word: &str| word.parse().map_err(|_| format!("{}: `{word}` is no number", self.name));
        answer.split_whitespace().map(number).collect()
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(format!("{} ended too early; what it said is above", self.name)),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}
