//! Processes of the benchmark's own: `bench part NAME ...`, started by it so that each one's CPU is counted by itself.

mod fetch;
mod fill;
mod link;
mod probe;
mod produce;
mod pump;
mod relay;
mod stream;
mod topic;

use std::io::{BufRead, Write};
use std::process::Command;

use xtask::command::Failure;
use xtask::command::arguments::Arguments;
use xtask::kafka::target_directory;

pub(super) use fill::Filling;
pub(super) use link::{BYTES_PER_SECOND, Link};
pub(super) use relay::relayed;

/// Runs the part that the first word names.
pub(super) fn run_part(mut arguments: Arguments) -> Result<(), Failure> {
    match arguments.command().as_deref() {
        Some("relay") => relay::run(arguments),
        Some("fill") => block_on(fill::run(arguments)),
        Some("fetch") => block_on(fetch::run(arguments)),
        Some("probe") => block_on(probe::run(arguments)),
        Some("link") => block_on(link::run(arguments)),
        Some("produce") => block_on(produce::run(arguments)),
        other => Err(Failure::Usage(format!("there is no part {}", other.unwrap_or_default()))),
    }
}

/// The command that runs part `name`, in the distributed build: what it costs is measured.
pub(super) fn part(name: &str) -> Command {
    let mut command = Command::new(target_directory().join("dist/bench"));
    command.args(["part", name]);
    command
}

/// Tells the benchmark that all is prepared, and waits for its word.
fn ready() -> Result<(), Failure> {
    println!("ready");
    std::io::stdout().flush().map_err(Failure::while_doing("say so"))?;
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word).map_err(Failure::while_doing("wait for the start"))?;
    if word.is_empty() { Err(Failure::Failed("nobody waits for this".to_owned())) } else { Ok(()) }
}

fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::while_doing("start a runtime"))?.block_on(future)
}

/// The next word, which is `what`.
fn word(arguments: &mut Arguments, what: &str) -> Result<String, Failure> {
    arguments.command().ok_or_else(|| Failure::Usage(format!("{what} is missing")))
}
