//! `cargo xtask bench`: builds the benchmark and what it measures, in the profile that is handed out, and becomes it.
//!
//! The benchmark is a program of its own (`crates/bench`), so that nobody who only runs tests has to build it.

use super::arguments::Arguments;
use super::process::{cargo, run as run_command};
use super::{Failure, workspace};
use crate::kafka::target_directory;
use std::process::Command;

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    // Both at once, always: other sets of packages would be other builds of what they share.
    let packages = ["--package", "verbatim", "--package", "verbatim-bench"];
    run_command(cargo().args(["build", "--locked", "--profile", "dist"]).args(packages))?;
    let mut command = Command::new(target_directory().join("dist/bench"));
    command.current_dir(workspace()).args(arguments.rest());
    Err(replace(&mut command))
}

/// Goes on as `command`. Returns only when that fails.
#[cfg(unix)]
fn replace(command: &mut Command) -> Failure {
    Failure::while_doing("run the benchmark")(std::os::unix::process::CommandExt::exec(command))
}

#[cfg(not(unix))]
fn replace(_command: &mut Command) -> Failure {
    Failure::Failed("the benchmark runs on Unix only".to_owned())
}
