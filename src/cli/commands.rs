//! The commands and their flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::data::Data;
use super::server_address;
use crate::model::Engine;
use crate::named::UnknownName;
use crate::plan::{self, Entry, PlanError, overlay};
use crate::transport::{Transport, UnknownTransport};
use crate::units::parse_duration;

/// A command.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// Hold the parameters and wait for workers.
    Server(Server),
    /// Compute gradients for a server.
    Worker(Worker),
    /// What the path to a server is good for.
    Check(Check),
    /// Server and workers on this machine.
    Train(Train),
    /// Server and workers on a virtual clock.
    Sim(Sim),
    /// A matrix of runs.
    Experiment(Experiment),
    /// Whether a run kept to its rules.
    Audit(Audit),
    /// What detectors of critical regimes make of a run.
    Regimes(Regimes),
    /// Data sets.
    Data(Data),
    /// Accuracy of a saved model.
    Eval(Eval),
    /// Versions and features.
    Version(Version),
}

/// Defines a command whose flags are the keys of a plan and some of its own.
macro_rules! plan_command {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        plan_command! {
            @keys $(#[$meta])* $name { $($own)* }
            /// name of the run folder (default: what runs, and a number)
            name
            /// folder that holds the data sets (default: data)
            data_dir
            /// folder of a run that was stopped or is to be longer: goes on from its checkpoint, with its plan; flags
            /// and --plan replace its keys
            resume
            /// model: fc, resnet8 or a recipe file (default: fc)
            model
            /// what computes: native (kernels of this program) or candle (its slow reference) (default: native)
            engine
            /// data set: optdigits, mnist, fashion-mnist, cifar-10, cifar-100 or idx:DIR (default: optdigits)
            dataset
            /// how data is dealt to workers: iid or dirichlet:ALPHA (default: iid)
            shards
            /// variation of training images: none, crop or crop+flip (default: none)
            augment
            /// training examples of one worker in one round (default: the model's)
            batch
            /// passes over the training data, each rounded up to whole rounds (default: 5)
            epochs
            /// rounds, instead of epochs
            rounds
            /// epochs between evaluations; 0: only at the end (default: 1)
            eval_every
            /// simulation: rounds between measurements of the gradient over all training images, which full.csv records
            /// for `mlt-lite regimes`; 1 costs a pass over them each round; 0: never (default: 0)
            full_norm
            /// synthetic load of this size each way (such as 827k) instead of training
            bytes
            /// workers to wait for before the first round (default: 2)
            workers
            /// learning rate (default: the model's)
            lr
            /// its course, in epochs: constant, step:40,60:0.1, cosine or cosine:WARMUP (default: constant)
            schedule
            /// momentum (default: the model's)
            momentum
            /// true: Nesterov's momentum (default: false)
            nesterov
            /// weight decay (default: 0)
            weight_decay
            /// seed of all that is left to chance (default: 1)
            seed
            /// codec of pushes: raw, fp16, bf16, uint8, uint8:stochastic, rle, topk:0.01 (of the values),
            /// topk:0.01+fp16, sign1, lz4, fp16+lz4, bf16+lz4, uint8+lz4, rle+lz4 or powersgd:2 (rank 1, 2 or 4)
            /// (default: raw)
            codec
            /// filler for missing blocks: zero, mean, feedback or imputed (default: feedback)
            missing
            /// order of the blocks of a push, after urgent and old ones: rotated, magnitude or random
            /// (default: rotated)
            order
            /// fraction of a push that may be missing, such as 2% (default: 0)
            tolerance
            /// codec of pulls: raw, fp16 or bf16; before an evaluation always raw (default: raw)
            pull_codec
            /// fraction of a pull that may be missing (default: 0)
            pull_tolerance
            /// what drives the tolerance: static, phase, clr, clr-layer, accordion, dblp, signal or schedule:FILE
            /// (default: static)
            policy
            /// policies with regimes: rounds between checks, or epoch, 3epochs (default: 10; accordion, dblp: epoch)
            clr_freq
            /// policies with regimes: relative change of the gradient's norm that is critical (default: 0.5)
            clr_eta
            /// policies with regimes: codec of pushes in critical ones (default: that of the others)
            clr_codec
            /// clr, accordion, dblp, signal: training examples of one worker in a round in critical regimes, at most
            /// batch (default: batch)
            clr_batch
            /// how the learning rate, which is that of batch, follows clr-batch: linear, sqrt or none
            /// (default: linear)
            batch_lr
            /// signal: relative change below which a critical regime ends (default: 0.25)
            signal_leave
            /// signal: windows at the start that are critical whatever is seen (default: 2)
            signal_warmup
            /// dblp: what is added to the tolerance outside critical regimes (default: 40%)
            dblp_k
            /// phase: tolerances of Begin, Mid and Final (default: 8%,2%,0.5%)
            phase_tolerances
            /// phase: how they are told apart: study or prototype (default: study)
            phase_rule
            /// schedule: from when on which tolerance holds, such as "epochs 0 8%, 3 2%", instead of a file
            tolerance_steps
            /// what carries pushes and pulls: bounded, reliable, passes, early-close, timeout, tcp, tcp-streamed,
            /// tcp:cubic ... (default: bounded)
            transport
            /// simulation: time of a training step, such as 20ms+-2ms (default: 0ms)
            compute
            /// silence after which a worker is dropped (default: 5s)
            worker_timeout
            /// longest training step before a worker is dropped (default: 300s)
            compute_timeout
        }
    };
    (@keys $(#[$meta:meta])* $name:ident { $($own:tt)* } $($(#[$doc:meta])* $key:ident)*) => {
        #[derive(FromArgs, ArgsInfo, Debug)]
        $(#[$meta])*
        pub struct $name {
            /// plan file (TOML), or a plan inside: accordion-powersgd-2-1, accordion-powersgd-4-1, accordion-topk-10,
            /// accordion-topk-25 or accordion-batch-4096; flags replace its keys
            #[argh(option)]
            pub plan: Option<String>,
            $($(#[$doc])* #[argh(option)] pub $key: Option<String>,)*
            /// network conditions, such as "loss=5% delay=2ms" or "2:loss=90%"; may be repeated
            #[argh(option)]
            pub net: Vec<String>,
            /// folder of the run folders (default: runs)
            #[argh(option, default = "PathBuf::from(\"runs\")")]
            pub runs: PathBuf,
            /// end standard output with the result as one JSON object
            #[argh(switch)]
            pub json: bool,
            $($own)*
        }

        impl $name {
            /// The plan as it was typed: the flags laid over the plan file.
            ///
            /// # Errors
            /// If the plan file cannot be read or has unknown keys.
            pub fn entries(&self) -> Result<Vec<Entry>, PlanError> {
                let keys = [$((stringify!($key), self.$key.as_deref())),*];
                typed(self.plan.as_deref(), &keys, &self.net)
            }
        }
    };
}

fn typed(
    plan: Option<&str>,
    keys: &[(&str, Option<&str>)],
    net: &[String],
) -> Result<Vec<Entry>, PlanError> {
    let file = plan.map(plan::named).transpose()?;
    let mut flags: Vec<Entry> = keys
        .iter()
        .filter_map(|(key, text)| Some(Entry::flag(&key.replace('_', "-"), (*text)?)))
        .collect();
    if !net.is_empty() {
        flags.push(Entry::flag("net", &net.join("; ")));
    }
    let typed = overlay(file.unwrap_or_default(), flags)?;
    match plan::resumed(&typed) {
        Some(run) => overlay(plan::of_run(run)?, typed),
        None => Ok(typed),
    }
}

plan_command! {
    /// Hold the parameters and wait for workers; prints the line that starts one.
    #[argh(subcommand, name = "server", usage = "[flags]")]
    Server {
        /// address to listen at (default: 127.0.0.1:4433)
        #[argh(option)]
        pub bind: Option<String>,
        /// listen beyond this machine although workers need no key
        #[argh(switch)]
        pub insecure: bool,
    }
}

plan_command! {
    /// Train on this machine: a server and its worker processes.
    #[argh(subcommand, name = "train", usage = "[flags]")]
    Train {
        /// threads that compute in each worker; results do not depend on it (default: a fair share of the processors)
        #[argh(option, from_str_fn(threads))]
        pub threads: Option<NonZeroUsize>,
        /// address to listen at (default: 127.0.0.1 and any free port)
        #[argh(option)]
        pub bind: Option<String>,
        /// listen beyond this machine although workers need no key
        #[argh(switch)]
        pub insecure: bool,
    }
}

plan_command! {
    /// Run server and workers in one process on a virtual clock; same seed, same files.
    #[argh(subcommand, name = "sim", usage = "[flags]")]
    Sim {
        /// threads that compute; results do not depend on it (default: all processors)
        #[argh(option, from_str_fn(threads))]
        pub threads: Option<NonZeroUsize>,
    }
}

/// Join a server and compute gradients; everything else comes from the server.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "worker", usage = "HOST:PORT [flags]")]
pub struct Worker {
    /// address of the server, HOST:PORT
    #[argh(positional, from_str_fn(server_address))]
    pub address: String,
    /// folder that holds the data sets (default: data)
    #[argh(option, default = "PathBuf::from(\"data\")")]
    pub data_dir: PathBuf,
    /// how the server is reached: bounded (UDP), tcp or tcp:cubic, as the server's line says (default: bounded)
    #[argh(option, default = "Transport::Bounded", from_str_fn(transport))]
    pub transport: Transport,
    /// how long to look for a server before leaving (default: 60s)
    #[argh(option, default = "Duration::from_secs(60)", from_str_fn(time))]
    pub give_up: Duration,
    /// threads that compute; results do not depend on it (default: all processors)
    #[argh(option, from_str_fn(threads))]
    pub threads: Option<NonZeroUsize>,
}

/// Measure the path to a server, which may be busy with a run: what gets through, how fast, what is lost.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "check", usage = "HOST:PORT [flags]")]
pub struct Check {
    /// address of the server, HOST:PORT
    #[argh(positional, from_str_fn(server_address))]
    pub address: String,
    /// end standard output with the findings as one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Run a matrix of plans: any key of PLAN.toml may be a list. Finished cells are not repeated.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "experiment", usage = "PLAN.toml [flags]")]
pub struct Experiment {
    /// the matrix
    #[argh(positional)]
    pub plan: PathBuf,
    /// folder that holds the data sets (default: the plan's, else data)
    #[argh(option)]
    pub data_dir: Option<String>,
    /// folder of the run folders (default: runs)
    #[argh(option, default = "PathBuf::from(\"runs\")")]
    pub runs: PathBuf,
    /// threads that compute in each worker of a run; results do not depend on it (default: that of train and sim)
    #[argh(option, from_str_fn(threads))]
    pub threads: Option<NonZeroUsize>,
    /// end standard output with the table as one JSON object
    #[argh(switch)]
    pub json: bool,
}

impl Experiment {
    /// The line that was typed, or one that does the same.
    #[must_use]
    pub fn line(&self) -> String {
        let quoted =
            |text: &str| match text.contains(|c: char| c.is_whitespace() || "'\"".contains(c)) {
                true => format!("{text:?}"),
                false => text.to_owned(),
            };
        let mut line = format!("mlt-lite experiment {}", quoted(&self.plan.to_string_lossy()));
        let runs = Some(self.runs.to_string_lossy()).filter(|runs| runs != "runs");
        for (flag, text) in [("--data-dir", self.data_dir.as_deref()), ("--runs", runs.as_deref())]
        {
            if let Some(text) = text {
                line += &format!(" {flag} {}", quoted(text));
            }
        }
        line + if self.json { " --json" } else { "" }
    }
}

/// Check from its files whether a run kept to its tolerances; the first violation is named.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "audit",
    usage = "RUN [flags]",
    error_code(0, "everything holds"),
    error_code(1, "there is no run, or a file cannot be read"),
    error_code(
        6,
        "a rule is violated, or the files were changed after the run; the first violation is named"
    )
)]
pub struct Audit {
    /// the run folder, or that of an experiment, of which all runs are checked
    #[argh(positional)]
    pub run: PathBuf,
    /// end standard output with the findings as one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Replay detectors of critical learning regimes over the norms that a run has recorded, and compare them.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "regimes", usage = "RUN [flags]")]
pub struct Regimes {
    /// the run folder, or a CSV with columns round, norm and, if it has them, one for each tensor
    #[argh(positional)]
    pub run: PathBuf,
    /// a policy, and keys of the plan behind it, such as "clr clr-freq=20 clr-eta=0.3"; may be repeated (default: clr,
    /// clr-layer, accordion, dblp and signal, as far as RUN has what they look at, and what drove it)
    #[argh(option)]
    pub detector: Vec<String>,
    /// a CSV with norms of full gradients in the same rounds: on them, each detector is right (default: full.csv of
    /// RUN, which sim --full-norm leaves)
    #[argh(option)]
    pub truth: Option<PathBuf>,
    /// folder of regimes.csv and regimes.svg (default: RUN, or the folder of the CSV)
    #[argh(option)]
    pub out: Option<PathBuf>,
    /// end standard output with the findings as one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Measure the accuracy of a checkpoint on the test set.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "eval", usage = "CHECKPOINT [flags]")]
pub struct Eval {
    /// the checkpoint (safetensors)
    #[argh(positional)]
    pub checkpoint: PathBuf,
    /// data set (default: the one it was trained on)
    #[argh(option)]
    pub dataset: Option<String>,
    /// folder that holds the data sets (default: data)
    #[argh(option, default = "PathBuf::from(\"data\")")]
    pub data_dir: PathBuf,
    /// what computes: native (kernels of this program) or candle (its slow reference) (default: native)
    #[argh(option, default = "Engine::Native", from_str_fn(engine))]
    pub engine: Engine,
    /// threads that compute; results do not depend on it (default: all processors)
    #[argh(option, from_str_fn(threads))]
    pub threads: Option<NonZeroUsize>,
    /// end standard output with the result as one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Print the version and the features of processor and sockets that are used.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "version")]
pub struct Version {
    /// print one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// More threads than this are a slip of the pen.
pub const THREADS_MAX: usize = 1024;

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse().ok().filter(|threads: &NonZeroUsize| threads.get() <= THREADS_MAX);
    threads.ok_or_else(|| format!("expected a whole number from 1 to {THREADS_MAX}"))
}

fn transport(text: &str) -> Result<Transport, String> {
    text.parse().map_err(|error: UnknownTransport| error.to_string())
}

fn engine(text: &str) -> Result<Engine, String> {
    text.parse().map_err(|error: UnknownName| error.to_string())
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
