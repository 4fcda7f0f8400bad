//! The command line: what may be typed, what it says when it is mistyped, and the exit codes.
//!
//! [`parse`] yields one [`Command`]; its plan flags are still text ([`crate::plan::Entry`]), to be laid over a plan
//! file and checked there.

mod bind;
mod commands;
mod data;
mod exit;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use bind::server_address;
pub use bind::{BindError, DEFAULT_BIND, bind_address};
pub use commands::{
    Audit, Check, Command, Eval, Experiment, Regimes, Server, Sim, THREADS_MAX, Train, Version,
    Worker,
};
pub use data::{Data, DataCommand, DataList, DataVerify};
pub use exit::{Exit, Failure};

use crate::nearest::nearest;

/// The program's name in what it says about itself.
const PROGRAM: &str = "mlt-lite";

/// Loss-tolerant distributed training in one static binary.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    example = "{command_name} train --model fc --workers 3 --net loss=5% --tolerance 2%",
    error_code(0, "done"),
    error_code(1, "the run failed: training, network or files"),
    error_code(2, "wrong usage or a bad plan"),
    error_code(3, "a data set is missing or broken"),
    error_code(4, "the server could not be reached, or was lost"),
    error_code(5, "refused: another protocol version, another plan, or too many checks"),
    error_code(6, "an audit found a violation"),
    error_code(130, "interrupted; train, server and sim leave a checkpoint")
)]
struct CommandLine {
    #[argh(subcommand)]
    command: Command,
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Parsed {
    /// To run a command.
    Run(Box<Command>),
    /// To be told how.
    Help(String),
}

/// Arguments that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\nRun `{help}` for what can be typed.")]
pub struct UsageError {
    message: String,
    help: String,
}

/// The arguments as text.
///
/// # Errors
/// If one is not UTF-8.
pub fn arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, UsageError> {
    let text = |argument: OsString| {
        argument.into_string().map_err(|argument| UsageError {
            message: format!("{argument:?} is not UTF-8"),
            help: format!("{PROGRAM} --help"),
        })
    };
    arguments.into_iter().map(text).collect()
}

/// Reads the arguments behind the program's name. `--key=value` is as good as `--key value`.
///
/// # Errors
/// If they make no sense; a mistyped flag or command is answered with the nearest one.
pub fn parse(arguments: &[String]) -> Result<Parsed, UsageError> {
    let mut words: Vec<&str> = Vec::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((key, value)) if key.starts_with("--") => words.extend([key, value]),
            _ => words.push(argument),
        }
    }
    match words.first() {
        None => words.push("--help"),
        Some(&("--version" | "-V")) => words[0] = "version",
        Some(_) => {}
    }
    match CommandLine::from_args(&[PROGRAM], &words) {
        Ok(line) => Ok(Parsed::Run(Box::new(line.command))),
        Err(early) if early.status.is_ok() => Ok(Parsed::Help(early.output)),
        Err(early) => Err(usage_error(early.output.trim_end(), &words)),
    }
}

/// Says what was mistyped, in words of our own where the parser only names it.
fn usage_error(said: &str, words: &[&str]) -> UsageError {
    let (command, path) = innermost(words);
    let help = format!("{path} --help");
    let Some(wrong) = said.strip_prefix("Unrecognized argument: ") else {
        return UsageError { message: said.to_owned(), help };
    };
    let (what, known): (_, Vec<&str>) = if wrong.starts_with('-') {
        ("flag", command.flags.iter().map(|flag| flag.long).collect())
    } else if command.commands.is_empty() {
        let message = format!("`{path}` has no use for `{wrong}`");
        return UsageError { message, help };
    } else {
        ("command", command.commands.iter().map(|command| command.name).collect())
    };
    let known_bare = known.iter().map(|known| known.trim_start_matches('-'));
    let hint = match nearest(wrong.trim_start_matches('-'), known_bare) {
        Some(near) => format!(": did you mean `{}{near}`?", if what == "flag" { "--" } else { "" }),
        None if what == "flag" => String::new(),
        None => format!("; there are {}", known.join(", ")),
    };
    UsageError { message: format!("unknown {what} `{wrong}`{hint}"), help }
}

/// The command that `words` end up in, and how it is called.
fn innermost(words: &[&str]) -> (CommandInfoWithArgs, String) {
    let mut command = CommandLine::get_args_info();
    let mut path = PROGRAM.to_owned();
    for word in words {
        let Some(found) = command.commands.iter().find(|sub| sub.name == *word) else { break };
        path = format!("{path} {word}");
        command = found.command.clone();
    }
    (command, path)
}
