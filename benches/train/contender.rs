//! Our side of a row; `benches/torch/contender.py` is the other. A contender takes a first step, says `ready`, and then
//! answers each line of standard input with one line: `turn S` trains for S seconds: the median of a step in seconds;
//! `losses N` trains anew for N steps: their losses.

use std::io::{BufRead, Write, stdin, stdout};

use mlt_lite::net::Clock;

use crate::workload::Training;
use crate::{Task, median};

pub fn obey(task: &Task) -> Result<(), String> {
    let mut training = Training::start(task)?;
    training.step();
    answer("ready");
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        match line.split_once(' ').map(|(word, amount)| (word, amount.parse::<f64>())) {
            Some(("turn", Ok(seconds))) => answer(&turn(&mut training, seconds).to_string()),
            Some(("losses", Ok(steps))) => {
                let mut anew = Training::start(task)?;
                let losses = (0..steps as usize).map(|_| anew.step().to_string());
                answer(&losses.collect::<Vec<_>>().join(" "));
            }
            _ => return Err(format!("`{line}` is neither `turn SECONDS` nor `losses STEPS`")),
        }
    }
    Ok(())
}

fn answer(text: &str) {
    let mut out = stdout().lock();
    // A parent that is gone closes our input as well.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn turn(training: &mut Training, seconds: f64) -> f64 {
    let clock = Clock::start();
    let began = clock.now();
    let (mut now, mut steps) = (began, Vec::new());
    while steps.is_empty() || (now - began).as_secs_f64() < seconds {
        let before = now;
        training.step();
        now = clock.now();
        steps.push((now - before).as_secs_f64());
    }
    median(steps)
}
