//! `cargo xtask test`: everything there is to test, cheapest first, and a summary in plain words.
//!
//! Four steps: units (all packages but `verbatim-tests`), documentation examples, scenarios, real Kafka. In `tests/tests` a file
//! whose name starts with `kafka` belongs to the last step, any other to the scenarios. A failed step does not keep the next from
//! running. All in the dev profile: optimising the workspace takes longer than the tests do.
//!
//! Tests that need Kafka decide at run time, by `VERBATIM_KAFKA` (see `verbatim_tests::kafka`); whoever skips writes its name and
//! the reason to the file that `VERBATIM_SKIPPED` names, and so ends up in the summary.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use super::arguments::Arguments;
use super::process::{cargo, shown};
use super::{Failure, workspace};
use crate::kafka::{self, target_directory};

/// Tests against real Kafka run this many at a time: they wait more than they work, but each holds two clusters.
const KAFKA_THREADS: &str = "--test-threads=2";

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let long = arguments.flag("--long");
    let without_kafka = arguments.flag("--without-kafka");
    let filter = arguments.word()?;
    let run = Run {
        long,
        filter,
        kafka: if without_kafka { Kafka::Unwanted } else { Kafka::look() },
        skipped_file: target_directory().join(format!("skipped-{}", std::process::id())),
    };
    let _ = fs::remove_file(&run.skipped_file);
    let (scenarios, real) = test_files()?;

    let mut outcomes = vec![
        run.step(
            "unit tests",
            &["--workspace", "--exclude", "verbatim-tests", "--lib", "--bins", "--tests"],
            &[],
        )?,
        run.step("documentation examples", &["--workspace", "--doc"], &[])?,
        run.step("scenarios", &files(&["--package", "verbatim-tests", "--lib"], &scenarios), &[])?,
    ];
    if !real.is_empty() {
        let arguments = files(&["--package", "verbatim-tests"], &real);
        outcomes.push(run.step("real Kafka", &arguments, &[KAFKA_THREADS])?);
    }
    run.conclude(&outcomes)
}

/// What one invocation is about.
struct Run {
    long: bool,
    filter: Option<String>,
    kafka: Kafka,
    /// Where skipping tests leave their names.
    skipped_file: PathBuf,
}

/// Whether tests can have Kafka.
enum Kafka {
    Here,
    /// Not, and this is why.
    Missing(String),
    Unwanted,
}

impl Kafka {
    fn look() -> Self {
        match kafka::available() {
            Ok(_) => Self::Here,
            Err(error) => Self::Missing(error.to_string()),
        }
    }
}

/// What a step came to.
struct Outcome {
    name: &'static str,
    succeeded: bool,
    /// Those that skipped themselves included: to the harness they are the same.
    passed: u64,
    skipped: u64,
    ignored: u64,
    failed: Vec<String>,
    seconds: u64,
}

impl Run {
    fn step(&self, name: &'static str, arguments: &[&str], harness: &[&str]) -> Result<Outcome, Failure> {
        let mut command = cargo();
        command
            .args(["test", "--locked", "--no-fail-fast"])
            .args(arguments)
            .arg("--")
            .args(&self.filter)
            .args(harness);
        command.env("VERBATIM_SKIPPED", &self.skipped_file);
        let in_ci = std::env::var_os("CI").is_some();
        match self.kafka {
            Kafka::Unwanted => command.env("VERBATIM_KAFKA", "off"),
            // Each test that needs it then fails with the reason.
            Kafka::Missing(_) if in_ci => command.env("VERBATIM_KAFKA", "require"),
            Kafka::Missing(_) => command.env("VERBATIM_KAFKA", "off"),
            Kafka::Here => command.env("VERBATIM_KAFKA", "require"),
        };
        if self.long {
            command.env("VERBATIM_LONG", "1");
        }
        println!("\n=== {name}");
        println!("+ {}", shown(&command));
        let start = Instant::now();
        let doing = "run cargo test";
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::while_doing(doing))?;
        let mut outcome = Outcome::new(name);
        let skipped_before = self.skipped().len();
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line.map_err(Failure::while_doing(doing))?;
                println!("{line}");
                outcome.note(&line);
            }
        }
        outcome.succeeded = child.wait().map_err(Failure::while_doing(doing))?.success();
        outcome.skipped = self.skipped().len().saturating_sub(skipped_before) as u64;
        outcome.seconds = start.elapsed().as_secs();
        Ok(outcome)
    }

    /// The tests that skipped themselves so far, each with its reason.
    fn skipped(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.skipped_file).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// The summary, and the verdict.
    fn conclude(&self, outcomes: &[Outcome]) -> Result<(), Failure> {
        println!("\n=== summary");
        for outcome in outcomes {
            let verdict = if outcome.succeeded { "passed" } else { "FAILED" };
            let Outcome { name, passed, skipped, ignored, seconds, .. } = outcome;
            let passed = passed.saturating_sub(*skipped);
            println!(
                "{verdict}  {name}: {passed} tests passed, {skipped} skipped, {ignored} ignored, {seconds} s"
            );
            for test in &outcome.failed {
                println!("          {test}");
            }
        }
        match &self.kafka {
            Kafka::Here => println!("Kafka {} was used.", kafka::version()),
            Kafka::Unwanted => {
                println!("Nothing was tested against real Kafka, as asked for (--without-kafka).")
            }
            Kafka::Missing(reason) => println!("Nothing was tested against real Kafka: {reason}"),
        }
        if !self.long {
            println!("Tests that take minutes were left out; --long runs them.");
        }
        let skipped = self.skipped();
        let _ = fs::remove_file(&self.skipped_file);
        if !skipped.is_empty() {
            println!("These tests did not run:");
            skipped.iter().for_each(|line| println!("  {line}"));
        }
        let passed: u64 = outcomes.iter().map(|outcome| outcome.passed).sum();
        if outcomes.iter().any(|outcome| !outcome.succeeded) {
            return Err(Failure::Failed("some tests failed".to_owned()));
        }
        match &self.filter {
            Some(filter) if passed == 0 => {
                Err(Failure::Failed(format!("no test's name contains {filter:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Outcome {
    fn new(name: &'static str) -> Self {
        Self { name, succeeded: false, passed: 0, skipped: 0, ignored: 0, failed: Vec::new(), seconds: 0 }
    }

    /// Takes note of a line that the test harness printed.
    fn note(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |what: &str| -> u64 {
                let part = result.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what));
                part.and_then(|part| part.trim().parse().ok()).unwrap_or(0)
            };
            self.passed += number("passed");
            self.ignored += number("ignored");
        } else if let Some(test) =
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.failed.push(test.to_owned());
        }
    }
}

/// The files of `tests/tests`: scenarios, and those that need Kafka.
fn test_files() -> Result<(Vec<String>, Vec<String>), Failure> {
    let folder = workspace().join("tests/tests");
    let entries = fs::read_dir(&folder).map_err(Failure::while_doing("list tests/tests"))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names.into_iter().partition(|name| !name.starts_with("kafka")))
}

/// `arguments` and `--test NAME` for each name.
fn files<'a>(arguments: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
    let named = names.iter().flat_map(|name| ["--test", name.as_str()]);
    arguments.iter().copied().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut outcome = Outcome::new("x");
        outcome.note(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        );
        outcome.note("test kafka::restart ... FAILED");
        outcome.note("test kafka::start ... ok");
        outcome.note(
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s",
        );
        assert_eq!((outcome.passed, outcome.ignored), (15, 1));
        assert_eq!(outcome.failed, ["kafka::restart"]);
    }
}
