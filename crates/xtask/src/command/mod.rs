//! The commands behind `cargo xtask`, one file each.

pub mod arguments;
mod bench;
mod dist;
mod fuzz;
mod instructions;
mod kafka;
mod mutants;
pub mod process;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--all | --long] [--without-kafka] [--seconds S | --schedules N] [--seed S] [--budget S] [FILTER]
        units, scenarios, fuzz corpus, two minutes of simulated faults, and the first suites against real Apache Kafka.
        --all runs all suites, --long all of them in the forms that take hours; FILTER only tests whose name contains it,
        from whatever suite: `kafka::copy`; --seconds, --schedules and --seed are for the simulation, which gets what is left
        where all of it may take --budget seconds
  simulate [--seconds 120 | --schedules N] [--seed S]
        the simulation alone
  kafka [--version 4.1.0] [--clusters 2] [--brokers 1] [--heap MIB]
        real Kafka clusters on this machine, until Ctrl-C
  fuzz [TARGET] [--seconds 600]
        cargo-fuzz on one target, or on all of them one after the other
  mutants [BUG] [--seeds 3000]
        plants known bugs in a copy of the workspace, one after the other: the simulation has to find each
  dist [--target x86_64-unknown-linux-musl]
        the static release binary, into dist/, proven static
  bench [LOAD ...] [--rounds 5] [--scale 1] [--against NAME,NAME] [--vs CMD]
        copies between two real clusters, measured: throughput, CPU, memory, latency, beside other replicators;
        bench --help lists loads and options
  instructions [--accept]
        counts the instructions of each hot stage and compares them with benches/instructions.toml; --accept writes it
  help  this text

environment:
  VERBATIM_KAFKA=off|require   tests that need Kafka: skip them, or fail without it (default: run them where Kafka can be had)
  VERBATIM_KAFKA_VERSION       the Kafka that tests run against (default 4.1.0)
  JAVA_HOME                    the Java that runs Kafka
";

/// Exit code for a command line that cannot be understood (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The command was understood and failed.
    Failed(String),
}

impl Failure {
    /// A failure while `doing` something, for `map_err`.
    pub fn while_doing<E: std::fmt::Display>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::Failed(format!("cannot {doing}: {error}"))
    }
}

impl From<crate::kafka::Error> for Failure {
    fn from(error: crate::kafka::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the command that `arguments` (without the program's name) asks for.
pub fn run(arguments: Vec<String>) -> ExitCode {
    let mut arguments = Arguments::new(arguments);
    let outcome = match arguments.command().as_deref() {
        Some("test") => test::run(arguments),
        Some("simulate") => test::simulate(arguments),
        Some("kafka") => kafka::run(arguments),
        Some("fuzz") => fuzz::run(arguments),
        Some("mutants") => mutants::run(arguments),
        Some("dist") => dist::run(arguments),
        Some("bench") => bench::run(arguments),
        Some("instructions") => instructions::run(arguments),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::Usage(format!("there is no command {other:?}"))),
        None => Err(Failure::Usage("a command is missing".to_owned())),
    };
    conclude(outcome, USAGE)
}

/// Tells of a failure, with `usage` where the command line is wrong; the exit code.
pub fn conclude(outcome: Result<(), Failure>, usage: &str) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}\n\n{usage}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}
