//! The `data` command and its own commands.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

/// List or verify data sets.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "data")]
pub struct Data {
    /// what to do
    #[argh(subcommand)]
    pub command: DataCommand,
}

/// What to do with data sets.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum DataCommand {
    /// List them.
    List(DataList),
    /// Verify their files.
    Verify(DataVerify),
}

/// List the data sets and say which are here.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list")]
pub struct DataList {
    /// folder that holds the data sets (default: data)
    #[argh(option, default = "PathBuf::from(\"data\")")]
    pub data_dir: PathBuf,
    /// end standard output with the list as one JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Compare the files of data sets with their SHA-256.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "verify")]
pub struct DataVerify {
    /// data sets (default: all that are here)
    #[argh(positional)]
    pub datasets: Vec<String>,
    /// folder that holds the data sets (default: data)
    #[argh(option, default = "PathBuf::from(\"data\")")]
    pub data_dir: PathBuf,
    /// end standard output with the findings as one JSON object
    #[argh(switch)]
    pub json: bool,
}
