//! The loop on the franz-go client, in `benches/peers/franz-go`.

use super::super::job::Job;
use super::environment;
use std::path::PathBuf;
use std::process::Command;
use xtask::command::process::{output, run};
use xtask::command::{Failure, workspace};
use xtask::kafka::target_directory;

/// The program, built.
#[derive(Debug)]
pub(in super::super) struct FranzGo(PathBuf);

impl FranzGo {
    /// Builds it.
    ///
    /// # Errors
    /// Without Go, or when it cannot be built.
    pub(in super::super) fn build() -> Result<Self, Failure> {
        if go_version().is_none() {
            return Err(Failure::Failed("there is no Go on this machine (`go` in PATH)".to_owned()));
        }
        let program = target_directory().join("bench/franz-go");
        let mut build = Command::new("go");
        build.current_dir(workspace().join("benches/peers/franz-go"));
        run(build.args(["build", "-o"]).arg(&program).arg("."))?;
        Ok(Self(program))
    }

    pub(super) fn command(&self, job: &Job) -> Command {
        let mut command = Command::new(&self.0);
        environment(&mut command, job);
        command
    }
}

/// The Go on this machine, such as `go1.26.0`.
pub(in super::super) fn go_version() -> Option<String> {
    let said = output(Command::new("go").arg("version"))?;
    String::from_utf8_lossy(&said.stdout).split_whitespace().nth(2).map(str::to_owned)
}
