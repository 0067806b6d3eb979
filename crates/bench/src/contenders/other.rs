//! Any replicator, by a command line of the user's.

use super::super::job::Job;
use super::environment;
use std::process::Command;

/// A shell command that copies TOPIC from FROM to TO.
#[derive(Debug)]
pub(in super::super) struct Other(pub(in super::super) String);

impl Other {
    pub(super) fn command(&self, job: &Job) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &self.0]);
        environment(&mut command, job);
        command
    }
}
