//! `cargo xtask test`: everything there is to test, cheapest first, with a word on what is built and run, how long it takes and what is
//! left out.
//!
//! Everything is built by one cargo command ([`program`]), while Kafka is fetched and prepared beside it ([`clusters`]). Then the test
//! programs run, one after the other: units, documentation examples, `scenarios` (the product against the test broker), and at last
//! `simulation` and `kafka` (the product against real Apache Kafka) beside each other, because suites on real Kafka mostly wait; the
//! simulation has what they leave of the processor.
//!
//! Tests that need Kafka decide at run time, by `VERBATIM_KAFKA` (see `verbatim_tests::kafka`); whoever skips writes its name and
//! the reason to the file that `VERBATIM_SKIPPED` names, and so ends up in the summary.

mod clusters;
mod options;
mod part;
mod program;
mod times;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use super::Failure;
use super::arguments::Arguments;
use super::process::{cargo, shown};
use crate::kafka::{self, target_directory};
use clusters::{Kafka, Prepared, Wish};
use options::{Extent, TestOptions};
use part::{Outcome, Part};
use program::{Built, Program};
use times::Times;

/// The simulation's test program, and that of the suites on real Kafka.
const SIMULATION: &str = "simulation";
const KAFKA: &str = "kafka";
/// Those of them that run by themselves.
const ALONE: &str = "kafka-alone";
const SCENARIOS: &str = "scenarios";
const DOCUMENTATION: &str = "documentation";
/// The suites on real Kafka that run unless others are asked for: what users do first, and whether the test broker can be trusted.
const FIRST_SUITES: [&str; 4] = ["conformance", "copy", "preserve", "run"];
/// Tests against real Kafka run this many at a time: they wait more than they work, but many hold clusters of their own.
const KAFKA_THREADS: &str = "--test-threads=2";
/// Suites that measure what a machine does with nothing else: they run by themselves, after the others.
const MEASURING: [&str; 1] = ["idle"];
/// Scenarios run this many at a time: some wait for real time, which the processor need not spend with them.
const SCENARIO_THREADS: &str = "--test-threads=4";
/// What the whole takes beyond its last test: of a budget, this is not for simulations.
const FAREWELL_S: u64 = 30;

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = TestOptions::parse(arguments)?;
    let mut run = Run::new(options);
    run.announce();
    let (built, mut prepared) = run.prepare()?;
    let parts = run.parts(&built, &prepared)?;
    run.announce_parts(&parts);
    let outcomes = run.play(&parts)?;
    prepared.stop();
    run.conclude(&outcomes, &prepared.kafka)
}

/// `cargo xtask simulate`: the simulation alone.
pub(super) fn simulate(arguments: Arguments) -> Result<(), Failure> {
    let options = TestOptions::parse_simulation(arguments)?;
    let mut run = Run::new(options);
    let built = run.build()?;
    let parts = run.parts(&built, &Prepared::unwanted())?;
    let outcomes = run.play(&parts)?;
    run.conclude(&outcomes, &Kafka::Unwanted)
}

/// What one invocation is about.
struct Run {
    options: TestOptions,
    times: Times,
    begun: Instant,
    /// Where skipping tests leave their names.
    skipped_file: PathBuf,
    /// Tests of real Kafka that were not asked for.
    left_out: usize,
    /// Whether all that there is was asked for: only then are times worth keeping.
    is_whole: bool,
}

impl Run {
    fn new(options: TestOptions) -> Self {
        let skipped_file = target_directory().join(format!("skipped-{}", std::process::id()));
        let _ = fs::remove_file(&skipped_file);
        let is_whole = options.filter.is_none();
        Self { options, times: Times::read(), begun: Instant::now(), skipped_file, left_out: 0, is_whole }
    }

    /// What will happen.
    fn announce(&self) {
        let last = |what: &str| self.times.last(what);
        let extent = self.options.extent.name();
        println!("=== what `cargo xtask test` does now (everything: {})", last(extent));
        println!(
            "  1. build      all programs and their tests; beside it Kafka is fetched and started ({})",
            last("build")
        );
        println!("  2. units      the tests inside the crates");
        println!("  3. examples   those in the documentation ({})", last(DOCUMENTATION));
        println!("  4. scenarios  the product against a broker in memory ({})", last(SCENARIOS));
        let simulated = self.options.simulation.described();
        println!("  5. simulation random schedules of faults, {simulated}, beside the next");
        let suites = match self.options.extent {
            Extent::First => FIRST_SUITES.join(", "),
            Extent::All => "all suites, short forms".to_owned(),
            Extent::Long => "all suites, long forms: hours".to_owned(),
        };
        println!(
            "  6. kafka      the product against Apache Kafka {}: {suites} ({})",
            kafka::version(),
            last(KAFKA)
        );
        if let Some(filter) = &self.options.filter {
            println!("  Of all these only tests whose name contains {filter:?}.");
        }
    }

    /// Builds, and prepares Kafka beside it.
    fn prepare(&mut self) -> Result<(Built, Prepared), Failure> {
        println!("\n=== build");
        let wish = Wish {
            starts_pair: self.options.filter.is_none(),
            fetches_all: self.options.filter.is_none() && self.options.extent != Extent::First,
        };
        let without_kafka = self.options.without_kafka;
        let preparing = thread::spawn(move || match without_kafka {
            true => Prepared::unwanted(),
            false => Prepared::prepare(wish),
        });
        let built = self.build()?;
        let waited = Instant::now();
        let prepared = preparing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if waited.elapsed().as_secs() > 1 {
            println!("Kafka was ready {} s after the build", waited.elapsed().as_secs());
        }
        Ok((built, prepared))
    }

    fn build(&mut self) -> Result<Built, Failure> {
        let begun = Instant::now();
        let Some(built) = program::build()? else {
            return Err(Failure::Failed("the workspace does not build: cargo says why above".to_owned()));
        };
        let seconds = begun.elapsed().as_secs();
        println!("built after {seconds} s ({})", self.times.last("build"));
        self.times.note("build", seconds);
        Ok(built)
    }

    /// What is to be run of what was built.
    fn parts(&mut self, built: &Built, prepared: &Prepared) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        for program in &built.programs {
            if self.options.only_simulation && program.name != SIMULATION {
                continue;
            }
            let all = program.tests()?;
            let mut tests: Vec<String> =
                all.iter().filter(|test| self.options.wants(&program.name, test)).cloned().collect();
            if program.name == KAFKA && self.options.extent == Extent::First && self.options.filter.is_none()
            {
                tests.retain(|test| is_of(&FIRST_SUITES, test));
                self.left_out = all.len() - tests.len();
            }
            let (measuring, tests): (Vec<String>, Vec<String>) =
                tests.into_iter().partition(|test| program.name == KAFKA && is_of(&MEASURING, test));
            if !tests.is_empty() {
                parts.push(self.part(program, tests, all.len(), built, prepared));
            }
            if !measuring.is_empty() {
                let part = self.part(program, measuring, all.len(), built, prepared);
                let program = Program { name: ALONE.to_owned(), ..part.program };
                parts.push(Part { program, ..part });
            }
        }
        // Cheapest first.
        parts.sort_by_key(|part| match part.name() {
            SIMULATION => 2,
            KAFKA => 3,
            ALONE => 4,
            SCENARIOS => 1,
            _ => 0,
        });
        Ok(parts)
    }

    fn part(
        &self,
        program: &Program,
        tests: Vec<String>,
        all: usize,
        built: &Built,
        prepared: &Prepared,
    ) -> Part {
        let mut environment = vec![
            ("VERBATIM_SKIPPED".to_owned(), self.skipped_file.display().to_string()),
            ("VERBATIM_KAFKA".to_owned(), prepared.kafka.wish().to_owned()),
        ];
        if let Some(product) = &built.product {
            environment.push(("VERBATIM_EXECUTABLE".to_owned(), product.display().to_string()));
        }
        if self.options.extent == Extent::Long {
            environment.push(("VERBATIM_LONG".to_owned(), "1".to_owned()));
        }
        environment.extend(prepared.environment());
        let harness: &[&str] = match program.name.as_str() {
            KAFKA => &[KAFKA_THREADS],
            SCENARIOS => &[SCENARIO_THREADS],
            SIMULATION => &["--nocapture"],
            _ => &[],
        };
        Part {
            program: program.clone(),
            is_whole: tests.len() == all,
            tests,
            names_each: program.name == KAFKA,
            is_patient: program.name == SIMULATION && !self.options.only_simulation,
            harness: harness.iter().map(|word| (*word).to_owned()).collect(),
            environment,
        }
    }

    fn announce_parts(&self, parts: &[Part]) {
        let tests: usize = parts.iter().map(|part| part.tests.len()).sum();
        let Some(filter) = &self.options.filter else {
            println!("\n=== {tests} tests in {} programs", parts.len());
            return;
        };
        println!("\n=== {tests} tests whose name contains {filter:?}");
    }

    fn play(&mut self, parts: &[Part]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::new();
        let is_beside = |part: &&Part| [SIMULATION, KAFKA].contains(&part.name());
        for part in parts.iter().filter(|part| !is_beside(part) && part.name() != ALONE) {
            if part.name() == SCENARIOS {
                outcomes.extend(self.documentation()?);
            }
            outcomes.push(self.play_part(part)?);
        }
        // What comes to wait runs beside what comes to work.
        let mut beside: Vec<Part> = parts.iter().filter(is_beside).cloned().collect();
        let simulated = self.options.simulation.environment(self.left_s());
        for part in &mut beside {
            if part.name() == SIMULATION {
                part.environment.extend(simulated.clone());
            }
            self.announce_part(part);
        }
        let finished = thread::scope(|scope| {
            let running: Vec<_> = beside.iter().map(|part| scope.spawn(|| part.start()?.finish())).collect();
            let joined = running
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Result<Vec<_>, Failure>>()
        })?;
        for outcome in finished {
            self.keep(&outcome);
            outcomes.push(outcome);
        }
        for part in parts.iter().filter(|part| part.name() == ALONE) {
            outcomes.push(self.play_part(part)?);
        }
        Ok(outcomes)
    }

    fn announce_part(&self, part: &Part) {
        println!("=== {}: {} tests ({})", part.name(), part.tests.len(), self.times.last(part.name()));
    }

    /// One part by itself.
    fn play_part(&mut self, part: &Part) -> Result<Outcome, Failure> {
        self.announce_part(part);
        let outcome = part.start()?.finish()?;
        self.keep(&outcome);
        Ok(outcome)
    }

    /// The examples in the documentation; they are compiled when they run, by `cargo test`.
    fn documentation(&self) -> Result<Option<Outcome>, Failure> {
        if self.options.filter.is_some() || self.options.only_simulation {
            return Ok(None);
        }
        let mut command = cargo();
        command.args(["test", "--quiet", "--locked", "--workspace", "--doc"]);
        println!("=== {DOCUMENTATION} ({})", self.times.last(DOCUMENTATION));
        println!("+ {}", shown(&command));
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(Failure::while_doing("run cargo test"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut outcome = Outcome { name: DOCUMENTATION.to_owned(), ..Outcome::default() };
        outcome.succeeded = output.status.success();
        outcome.seconds = begun.elapsed().as_secs();
        for result in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let part = result.split(['.', ';']).find_map(|part| part.trim().strip_suffix(" passed"));
            outcome.passed += part.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
        if !outcome.succeeded {
            println!("{text}");
            outcome.failed.push("an example; see above".to_owned());
        }
        Ok(Some(outcome))
    }

    /// Seconds of the budget that are left, if there is one.
    fn left_s(&self) -> Option<u64> {
        let spent = self.begun.elapsed().as_secs() + FAREWELL_S;
        self.options.budget_s.map(|budget| budget.saturating_sub(spent))
    }

    fn keep(&mut self, outcome: &Outcome) {
        let Outcome { name, passed, failed, seconds, .. } = outcome;
        let last = self.times.last(name);
        let failed = if failed.is_empty() { String::new() } else { format!(", {} FAILED", failed.len()) };
        println!("{name}: {passed} passed{failed} after {seconds} s ({last})");
        if self.is_whole {
            self.times.note(name, *seconds);
        }
    }

    /// The tests that skipped themselves, each with its reason.
    fn skipped(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.skipped_file).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// The summary, and the verdict.
    fn conclude(&mut self, outcomes: &[Outcome], kafka: &Kafka) -> Result<(), Failure> {
        println!("\n=== summary");
        for Outcome { name, succeeded, passed, seconds, failed, .. } in outcomes {
            let verdict = if *succeeded { "passed" } else { "FAILED" };
            println!("{verdict}  {name}: {passed} tests passed, {seconds} s");
            failed.iter().for_each(|test| println!("          {name}::{test}"));
            if !succeeded && failed.is_empty() {
                println!("          the program ended without a failed test: see above");
            }
        }
        println!("{}", kafka.sentence());
        if self.left_out > 0 {
            println!("{} tests on real Kafka were left out: --all runs them.", self.left_out);
        }
        if self.options.extent != Extent::Long && !self.options.only_simulation {
            println!("Tests and rounds that take minutes were left out: --long runs them.");
        }
        let skipped = self.skipped();
        let _ = fs::remove_file(&self.skipped_file);
        if !skipped.is_empty() {
            println!("These tests did not run:");
            skipped.iter().for_each(|line| println!("  {line}"));
        }
        let seconds = self.begun.elapsed().as_secs();
        let extent = self.options.extent.name();
        if self.is_whole && !self.options.only_simulation {
            self.times.note(extent, seconds);
        }
        let count = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
        let (passed, failed) =
            (count(|outcome| outcome.passed), count(|outcome| outcome.failed.len() as u64));
        let (skipped, ignored) = (skipped.len() as u64, count(|outcome| outcome.ignored));
        println!("after {seconds} s:");
        println!("{} passed, {failed} failed, {} skipped", passed.saturating_sub(skipped), skipped + ignored);
        if outcomes.iter().any(|outcome| !outcome.succeeded) {
            return Err(Failure::Failed("some tests failed".to_owned()));
        }
        match &self.options.filter {
            Some(filter) if passed == 0 => {
                Err(Failure::Failed(format!("no test's name contains {filter:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a test is one of these suites, which are the first part of its name.
fn is_of(suites: &[&str], test: &str) -> bool {
    suites.iter().any(|suite| test.strip_prefix(suite).is_some_and(|rest| rest.starts_with("::")))
}
