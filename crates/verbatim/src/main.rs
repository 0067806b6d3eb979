//! The `verbatim` command: arguments, logging, wiring; no logic of its own.

// They panic when nobody reads any more: see `output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod demo;
mod descriptors;
mod failure;
mod fleet;
mod http;
mod logging;
mod output;
mod progress;
mod run;
mod signals;
mod topic;
mod units;

use arguments::{Arguments, Command, TopicCommand};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return failure::usage(&error),
    };
    logging::start(arguments.log);
    descriptors::raise_limit();
    match start(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}

/// One thread drives everything: its work is headers, the bytes are moved by the kernel.
fn start(command: Command) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Run(arguments) => match &arguments.config {
                Some(config) => fleet::run(config, &arguments).await,
                None => Box::pin(run::run(arguments)).await,
            },
            Command::Plan(arguments) => fleet::plan(&arguments).await,
            Command::Groups(arguments) => fleet::groups(&arguments).await,
            Command::Topic(TopicCommand::Create(arguments)) => topic::create(arguments).await,
            Command::Convert(arguments) => fleet::convert(&arguments),
            Command::Demo(demo) => demo::demo(demo).await,
        }
    });
    // Whatever still waits (a name look-up, say) is not worth waiting for.
    runtime.shutdown_background();
    outcome
}
