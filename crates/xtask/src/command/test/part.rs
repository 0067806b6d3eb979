//! One part of a test run: a test program, run to its end, with a word on how far it is.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::super::Failure;
use super::program::Program;

/// After so long without a line there is one that says how far it is.
const WORD: Duration = Duration::from_secs(20);

/// Tests of one program.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) program: Program,
    /// Those that are to run.
    pub(super) tests: Vec<String>,
    /// Whether these are all it has.
    pub(super) is_whole: bool,
    /// Each test is worth a line: there are few, and they take long.
    pub(super) names_each: bool,
    /// Runs only when nobody else wants the processor.
    pub(super) is_patient: bool,
    /// Further words for the test harness.
    pub(super) harness: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

/// What a part came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) succeeded: bool,
    /// Those that skipped themselves included: to the harness they are the same.
    pub(super) passed: u64,
    pub(super) ignored: u64,
    pub(super) failed: Vec<String>,
    pub(super) seconds: u64,
}

/// A part that was started.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    lines: Receiver<std::io::Result<String>>,
    begun: Instant,
    total: usize,
    names_each: bool,
    outcome: Outcome,
}

impl Part {
    pub(super) fn name(&self) -> &str {
        &self.program.name
    }

    /// Starts it.
    pub(super) fn start(&self) -> Result<Running, Failure> {
        let mut command = self.command();
        command.stdout(Stdio::piped());
        let doing = format!("run {}", self.program.path.display());
        let mut child = command.spawn().map_err(Failure::while_doing(doing))?;
        let (sender, lines) = sync_channel(64);
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                BufReader::new(output).lines().try_for_each(|line| sender.send(line).map_err(drop))
            });
        }
        let outcome = Outcome { name: self.name().to_owned(), ..Outcome::default() };
        let (total, names_each) = (self.tests.len(), self.names_each);
        Ok(Running { child, lines, begun: Instant::now(), total, names_each, outcome })
    }

    fn command(&self) -> Command {
        let mut command = self.program.command();
        if self.is_patient {
            let mut patient = Command::new("nice");
            patient.args(["-n", "19"]).arg(&self.program.path).current_dir(&self.program.directory);
            patient.env("CARGO_MANIFEST_DIR", &self.program.directory).stdin(Stdio::null());
            command = patient;
        }
        if !self.is_whole {
            command.arg("--exact").args(&self.tests);
        }
        command.args(&self.harness);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Running {
    /// Follows it to its end.
    pub(super) fn finish(mut self) -> Result<Outcome, Failure> {
        let name = self.outcome.name.clone();
        let doing = || format!("read what the tests of {name} print");
        let mut word = Instant::now();
        loop {
            match self.lines.recv_timeout(WORD.saturating_sub(word.elapsed())) {
                Ok(line) => {
                    let line = line.map_err(Failure::while_doing(doing()))?;
                    self.outcome.note(&line);
                    if let Some(line) = self.worth_a_line(&line) {
                        println!("{line}");
                        word = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let done = self.outcome.done();
                    println!(
                        "{name}: {done} of {} tests after {} s",
                        self.total,
                        self.begun.elapsed().as_secs()
                    );
                    word = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let doing = format!("wait for the tests of {name}");
        self.outcome.succeeded = self.child.wait().map_err(Failure::while_doing(doing))?.success();
        self.outcome.seconds = self.begun.elapsed().as_secs();
        Ok(self.outcome)
    }

    /// What of a line is to be shown.
    fn worth_a_line(&self, line: &str) -> Option<String> {
        if line.trim().is_empty() || line.starts_with("running ") || line.starts_with("test result: ok") {
            return None;
        }
        let Some((test, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
        else {
            return Some(line.to_owned());
        };
        let Outcome { name, .. } = &self.outcome;
        let (done, total, seconds) = (self.outcome.done(), self.total, self.begun.elapsed().as_secs());
        match result {
            "ok" | "ignored" if !self.names_each => None,
            _ => Some(format!("{name}::{test} {result} ({done} of {total}, {seconds} s)")),
        }
    }
}

impl Outcome {
    fn done(&self) -> u64 {
        self.passed + self.ignored + self.failed.len() as u64
    }

    /// Takes note of a line that the test harness printed.
    pub(super) fn note(&mut self, line: &str) {
        let Some((test, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
        else {
            return;
        };
        match result {
            "ok" => self.passed += 1,
            "FAILED" => self.failed.push(test.to_owned()),
            _ => self.ignored += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up() {
        let mut outcome = Outcome::default();
        for line in [
            "running 3 tests",
            "test kafka::restart ... FAILED",
            "test kafka::start ... ok",
            "test kafka::start_again - should panic ... ok",
            "test kafka::later ... ignored, it needs a reason",
            "---- kafka::restart stdout ----",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0s",
        ] {
            outcome.note(line);
        }
        assert_eq!((outcome.passed, outcome.ignored, outcome.done()), (2, 1, 4));
        assert_eq!(outcome.failed, ["kafka::restart"]);
    }
}
