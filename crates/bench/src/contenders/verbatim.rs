//! `verbatim run`, as anybody would run it.

use super::super::job::Job;
use std::path::PathBuf;
use std::process::Command;
use xtask::command::Failure;
use xtask::command::process::output;
use xtask::kafka::target_directory;

/// verbatim with one way of batching.
#[derive(Debug)]
pub(in super::super) struct Verbatim {
    program: PathBuf,
    is_adaptive: bool,
}

impl Verbatim {
    /// The distributed build; `adaptive` packs batches together where that helps.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(in super::super) fn find(is_adaptive: bool) -> Result<Self, Failure> {
        let program = target_directory().join("dist/verbatim");
        if output(Command::new(&program).args(["run", "--help"])).is_none() {
            return Err(Failure::Failed(format!("{} does not run", program.display())));
        }
        Ok(Self { program, is_adaptive })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.is_adaptive { "adaptive" } else { "verbatim" }
    }

    pub(super) fn command(&self, job: &Job, run: &str) -> Command {
        let mut command = Command::new(&self.program);
        let scheme = if job.ca_file.is_some() { "tls://" } else { "" };
        let (from, to) = (format!("{scheme}{}", job.from), format!("{scheme}{}", job.to));
        command.args(["run", "--log", "warn", "--from", &from, "--to", &to]);
        command.args(["--topics", &job.topic, "--name", run, "--batching", self.name()]);
        if let Some(ca_file) = &job.ca_file {
            command.arg("--from-ca-file").arg(ca_file).arg("--to-ca-file").arg(ca_file);
        }
        if job.in_memory {
            command.arg("--no-splice");
        }
        if !job.follows {
            command.arg("--until-caught-up");
        }
        command
    }
}
